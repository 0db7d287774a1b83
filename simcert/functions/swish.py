"""The sigmoid linear unit, also called Swish."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Swish(Smooth):
    """x σ(x): convex between the roots of x tanh(x/2) = 2; its derivative is σ + x σ(x) σ(−x)."""

    name: ClassVar[str] = "Swish"
    inflections: ClassVar[tuple[float, ...]] = (-2.3993572805154675, 2.3993572805154675)
    first: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-0.27847, math.inf)
    blur: ClassVar[float] = 2.0**-98

    def value(self, x: Tensor) -> Tensor:
        """Return x σ(x)."""
        return x * torch.sigmoid(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return σ(x) + x σ(x) σ(−x)."""
        return torch.sigmoid(x) + x * torch.sigmoid(x) * torch.sigmoid(-x)

    def steepness(self, x: Tensor) -> Tensor:
        """Both terms are at most 1."""
        return torch.full_like(x, 2.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes' σ is not exact relative to small values."""
        return torch.maximum(lower.abs(), upper.abs())
