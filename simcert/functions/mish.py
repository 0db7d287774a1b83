"""The Mish activation."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Mish(Smooth):
    """x tanh(ln(1 + e^x)): convex between the inflections.

    With t = tanh(ln(1 + e^x)) = (e^2x + 2e^x)/(e^2x + 2e^x + 2) the derivative is
    t + x σ(x) (1 − t²). Misra, Mish, arXiv 1908.08681.
    """

    name: ClassVar[str] = "Mish"
    inflections: ClassVar[tuple[float, ...]] = (-2.256376396360793, 1.4905711794854284)
    first: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-0.30885, math.inf)
    blur: ClassVar[float] = 2.0**-98

    def value(self, x: Tensor) -> Tensor:
        """Return x t."""
        return x * _gate(x)[0]

    def derivative(self, x: Tensor) -> Tensor:
        """Return t + x σ(x) (1 − t²), with 1 − t = 2/(e^2x + 2e^x + 2)."""
        gate, rest = _gate(x)
        return gate + x * torch.sigmoid(x) * rest * (1.0 + gate)

    def steepness(self, x: Tensor) -> Tensor:
        """Both terms are at most 2."""
        return torch.full_like(x, 3.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes' gates are not exact relative to small values."""
        return torch.maximum(lower.abs(), upper.abs())


def _gate(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return t and 1 − t, neither of which cancels; beyond ±40 they do not overflow either."""
    decay = torch.exp(-x.abs())
    square = decay * decay
    # Multiplied by e^−2x for positive x.
    large = torch.where(x > 0, 1.0 + 2.0 * decay, square + 2.0 * decay)
    small = torch.where(x > 0, 2.0 * square, 2.0 * torch.ones_like(x))
    return large / (large + small), small / (large + small)
