"""The logistic function."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Sigmoid(Smooth):
    """σ(x) = 1/(1 + e^−x): convex left of 0, concave right of it; σ′ = σ(x) σ(−x)."""

    name: ClassVar[str] = "Sigmoid"
    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return σ(x)."""
        return torch.sigmoid(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return σ′(x); the product with σ(−x) does not cancel."""
        return torch.sigmoid(x) * torch.sigmoid(-x)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes compute ½ + an odd function, which cancels for negative x."""
        return torch.ones_like(lower)
