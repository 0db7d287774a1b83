"""The hyperbolic tangent."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Tanh(Smooth):
    """tanh x: convex left of 0, concave right of it; tanh′ = 1/cosh²."""

    name: ClassVar[str] = "Tanh"
    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return tanh x."""
        return torch.tanh(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return 4 σ(2x) σ(−2x), which is 1/cosh² x without cancelling or overflowing."""
        return 4.0 * torch.sigmoid(2.0 * x) * torch.sigmoid(-2.0 * x)
