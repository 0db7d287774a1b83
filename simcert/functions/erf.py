"""The error function."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Erf(Smooth):
    """erf x: convex left of 0, concave right of it; erf′ = 2/√π e^(−x²)."""

    name: ClassVar[str] = "Erf"
    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return erf x."""
        return torch.erf(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return 2/√π e^(−x²)."""
        return 2.0 / math.sqrt(math.pi) * torch.exp(-x * x)

    def steepness(self, x: Tensor) -> Tensor:
        """The rounding of x² is relative to itself, so that e^(−x²) is off by x² e^(−x²) ulps."""
        return torch.full_like(x, 2.0)
