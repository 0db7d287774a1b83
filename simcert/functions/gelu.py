"""The Gaussian error linear unit."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Gelu(Smooth):
    """x (1 + erf(kx))/2, which is x Φ(x) for k = 1/√2: convex between −1/k and 1/k.

    The derivative is (1 + erf(kx))/2 + k x e^(−k²x²)/√π. Hendrycks and Gimpel, arXiv
    1606.08415.

    Attributes:
        rate: k > 0; exporters write 1/√2 as a float32.
    """

    rate: float = math.sqrt(0.5)

    name: ClassVar[str] = "Gelu"
    first: ClassVar[bool] = False

    @property
    def inflections(self) -> tuple[float, ...]:
        """Where kx is ±1."""
        return -1.0 / self.rate, 1.0 / self.rate

    @property
    def span(self) -> tuple[float, float]:
        """The least value is −0.12020…/k."""
        return -0.12021 / self.rate, math.inf

    @property
    def blur(self) -> float:
        """The third derivative there is 4 k² e^−1/√π."""
        return 2.0**-100 * max(1.0, self.rate**2) * max(1.0, self.rate**-3)

    def value(self, x: Tensor) -> Tensor:
        """Return x (1 + erf(kx))/2."""
        return 0.5 * x * torch.erfc(-self.rate * x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return (1 + erf(kx))/2 + k x e^(−k²x²)/√π."""
        z = self.rate * x
        return 0.5 * torch.erfc(-z) + z * torch.exp(-z * z) / math.sqrt(math.pi)

    def magnitude(self, x: Tensor) -> Tensor:
        """The factor of x is exact relative to 1."""
        return x.abs()

    def steepness(self, x: Tensor) -> Tensor:
        """Both terms, and what they lose where k²x² is rounded, are at most 1."""
        return torch.full_like(x, 2.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Runtimes compute x (1 + erf(x/√2))/2, which cancels for negative x."""
        return torch.maximum(lower.abs(), upper.abs())
