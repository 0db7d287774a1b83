"""The approximation of the Gaussian error linear unit by a hyperbolic tangent."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth

_RATE, _CUBE = math.sqrt(2.0 / math.pi), 0.044715


@dataclass(frozen=True)
class GeluTanh(Smooth):
    """x (1 + tanh u)/2 = x σ(2u), u = √(2/π) (x + 0.044715 x³): convex between the inflections."""

    name: ClassVar[str] = "GeluTanh"
    inflections: ClassVar[tuple[float, ...]] = (-1.4185040087908283, 1.4185040087908283)
    first: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-0.1701, math.inf)
    blur: ClassVar[float] = 2.0**-100

    def value(self, x: Tensor) -> Tensor:
        """Return x σ(2u)."""
        return x * torch.sigmoid(2.0 * self._inner(x))

    def derivative(self, x: Tensor) -> Tensor:
        """Return σ(2u) + 2 x u′ σ(2u) σ(−2u)."""
        inner = 2.0 * self._inner(x)
        slope = _RATE * (1.0 + 3.0 * _CUBE * x * x)
        # In this order no factor overflows before σ is 0.
        tail = 2.0 * slope * torch.sigmoid(inner) * torch.sigmoid(-inner) * x
        return torch.sigmoid(inner) + torch.nan_to_num(tail, nan=0.0)

    def magnitude(self, x: Tensor) -> Tensor:
        """σ is exact relative to 1."""
        return x.abs()

    def steepness(self, x: Tensor) -> Tensor:
        """Both terms, and what they lose where u is rounded, are at most 2."""
        return torch.full_like(x, 4.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes compute x (1 + tanh u)/2, which cancels for negative x."""
        return torch.maximum(lower.abs(), upper.abs())

    def _inner(self, x: Tensor) -> Tensor:
        return _RATE * x * (1.0 + _CUBE * x * x)
