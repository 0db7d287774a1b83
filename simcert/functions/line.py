"""A straight line: what other functions are where they are not curved."""

from dataclasses import dataclass

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Line(Smooth):
    """f(x) = slope · x + intercept.

    Attributes:
        rate: the slope.
        intercept: f(0).
    """

    rate: float
    intercept: float = 0.0

    def value(self, x: Tensor) -> Tensor:
        """Return the line; 0 · x is 0 for infinite x too."""
        return (self.rate * x if self.rate else torch.zeros_like(x)) + self.intercept

    def derivative(self, x: Tensor) -> Tensor:
        """Return the slope."""
        return torch.full_like(x, self.rate)

    def magnitude(self, x: Tensor) -> Tensor:
        """Return the size of both terms."""
        return (self.rate * x).abs() + abs(self.intercept)

    @property
    def monotone(self) -> int:
        """By the sign of the slope."""
        return 1 if self.rate >= 0 else -1
