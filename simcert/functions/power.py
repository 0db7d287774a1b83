"""Powers with a constant exponent: squares, roots, reciprocals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from simcert.functions.float32 import SMALLEST, flushed, rounded
from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Power(Smooth):
    """x^p with the derivative p x^(p−1).

    For whole p it is defined for all x (all but 0 if p is negative), even or odd; for other p only
    for positive x, and at 0 if p is positive. Right of 0 it is concave for 0 < p < 1, else convex.

    Attributes:
        exponent: p, not 0.
    """

    exponent: float

    @property
    def name(self) -> str:
        """What it is called: roots are not paired with squares."""
        return f"Pow {self.exponent}"

    @property
    def inflections(self) -> tuple[float, ...]:
        """0 for odd p but 1."""
        return (0.0,) if self._odd and self.exponent != 1.0 else ()

    @property
    def first(self) -> bool:
        """Convex, but for roots, and left of 0 for odd p."""
        return not (self._odd and self.exponent != 1.0) and not 0.0 < self.exponent < 1.0

    @property
    def span(self) -> tuple[float, float]:
        """Odd powers take all signs."""
        return (-math.inf if self._odd else 0.0), math.inf

    @property
    def monotone(self) -> int:
        """Odd powers and those that need a positive x are."""
        if self._whole and not self._odd:
            return 0
        return 1 if self.exponent > 0 else -1

    def value(self, x: Tensor) -> Tensor:
        """Return x^p."""
        return torch.pow(x, self.exponent)

    def derivative(self, x: Tensor) -> Tensor:
        """Return p x^(p−1)."""
        return self.exponent * torch.pow(x, self.exponent - 1.0)

    def defined(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Not at the pole of a negative power, nor left of 0 for a broken one."""
        if self.exponent < 0:
            return (lower > 0) | (upper < 0) if self._whole else lower > 0
        return torch.ones_like(lower, dtype=torch.bool) if self._whole else lower >= 0

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """A root at 0 is so steep that what flushing does to it is counted as an error of f."""
        error = rounded(self.scale(lower, upper))
        if not 0.0 < self.exponent < 1.0:
            return flushed(lower, upper), error
        return torch.zeros_like(lower), error + 2.0 * SMALLEST**self.exponent

    @property
    def _whole(self) -> bool:
        return self.exponent == round(self.exponent)

    @property
    def _odd(self) -> bool:
        return self._whole and self.exponent % 2 == 1
