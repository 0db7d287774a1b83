"""The Gaussian error linear unit."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Gelu(Smooth):
    """x Φ(x): convex between −√2 and √2; the derivative is Φ(x) + x φ(x).

    Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """

    name: ClassVar[str] = "Gelu"
    inflections: ClassVar[tuple[float, ...]] = (-math.sqrt(2.0), math.sqrt(2.0))
    first: ClassVar[bool] = False
    span: ClassVar[tuple[float, float]] = (-0.17, math.inf)
    blur: ClassVar[float] = 2.0**-100

    def value(self, x: Tensor) -> Tensor:
        """Return x Φ(x)."""
        return x * _distribution(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return Φ(x) + x φ(x)."""
        return _distribution(x) + x * torch.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)

    def magnitude(self, x: Tensor) -> Tensor:
        """Φ is exact relative to 1."""
        return x.abs()

    def steepness(self, x: Tensor) -> Tensor:
        """Both terms, and what they lose where x² is rounded, are at most 1."""
        return torch.full_like(x, 2.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes compute x (1 + erf(x/√2))/2, which cancels for negative x."""
        return torch.maximum(lower.abs(), upper.abs())


def _distribution(x: Tensor) -> Tensor:
    """Return Φ(x), the normal distribution function."""
    return 0.5 * torch.erfc(-x / math.sqrt(2.0))
