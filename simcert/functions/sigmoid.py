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

    def value(self, x: Tensor) -> Tensor:
        """Return σ(x)."""
        return torch.sigmoid(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return σ′(x); the product with σ(−x) does not cancel."""
        return torch.sigmoid(x) * torch.sigmoid(-x)
