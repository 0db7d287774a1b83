"""Intervals and the size of rounding errors.

All is float64, rounded to nearest, and holds over the reals: a sum of n products, added in any
order, errs by at most γ_n times the sum of the absolute products, γ_n = n u/(1 − n u), u = 2^-53
(Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1). Sizes below 2^-400 are rounded
outward to it, so that nothing underflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

UNIT = 2.0**-53
SMALL = 2.0**-400
"""Nonzero ends of intervals and intercepts are at least this large."""


def gamma(n: int) -> float:
    """Return twice γ_n: the factor 2 covers the rounding of the noise itself."""
    if not 0 <= n * UNIT < 0.01:
        raise ValueError(f"{n} terms are too many")
    return 2.0 * n * UNIT / (1.0 - n * UNIT)


class Interval(NamedTuple):
    """Ends (boxes, size)."""

    lower: Float
    upper: Float

    @property
    def size(self) -> Float:
        """The largest absolute value."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @property
    def unstable(self) -> Bool:
        """Whether relu bends inside."""
        return np.logical_and(self.lower < 0, self.upper > 0)

    def halves(self) -> tuple[Float, Float]:
        """Return centre and radius that together contain the interval."""
        centre = self.lower / 2 + self.upper / 2
        radius = np.maximum(self.upper - centre, centre - self.lower)
        return centre, radius * (1 + 4 * UNIT)

    def meet(self, other: Interval) -> Interval:
        """Return what both say; where rounding makes that empty, the first stays."""
        lower, upper = np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper)
        empty = lower > upper
        return Interval(np.where(empty, self.lower, lower), np.where(empty, self.upper, upper))

    def outward(self) -> Interval:
        """Move the ends outward by a few units in the last place."""
        lower = self.lower - np.abs(self.lower) * (4 * UNIT)
        upper = self.upper + np.abs(self.upper) * (4 * UNIT)
        return Interval(lower, upper).snapped()

    def snapped(self) -> Interval:
        """Move ends that are closer to 0 than SMALL outward, to 0 or SMALL; NaN is no bound."""
        lower, upper = self
        lower = np.where(np.isnan(lower), -np.inf, lower)
        upper = np.where(np.isnan(upper), np.inf, upper)
        lower = np.where((lower < 0) & (lower > -SMALL), -SMALL, lower)
        lower = np.where((lower > 0) & (lower < SMALL), 0.0, lower)
        upper = np.where((upper > 0) & (upper < SMALL), SMALL, upper)
        upper = np.where((upper < 0) & (upper > -SMALL), 0.0, upper)
        return Interval(lower, upper)

    def minus(self, other: Interval) -> Interval:
        """Return the interval of the difference."""
        return Interval(self.lower - other.upper, self.upper - other.lower).outward()

    def plus(self, other: Interval) -> Interval:
        """Return the interval of the sum."""
        return Interval(self.lower + other.lower, self.upper + other.upper).outward()

    def widened(self, by: Float | float) -> Interval:
        """Return the interval with ``by`` more on both sides."""
        return Interval(self.lower - by, self.upper + by).outward()

    def negated(self) -> Interval:
        """Return the interval of the negative."""
        return Interval(-self.upper, -self.lower)
