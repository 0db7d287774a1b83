"""Bounds of one number, open or closed, exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Interval:
    """The numbers above ``lower`` and below ``upper``; None where there is no such bound.

    Attributes:
        lower: the lower bound.
        upper: the upper bound.
        lower_open: whether ``lower`` itself is left out.
        upper_open: whether ``upper`` itself is left out.
    """

    lower: Fraction | None = None
    upper: Fraction | None = None
    lower_open: bool = False
    upper_open: bool = False

    def __and__(self, other: Interval) -> Interval:
        """The numbers in both."""
        lower, lower_open = self.lower, self.lower_open
        if other.lower is not None and (lower is None or other.lower >= lower):
            lower_open = other.lower_open or (lower_open and lower == other.lower)
            lower = other.lower
        upper, upper_open = self.upper, self.upper_open
        if other.upper is not None and (upper is None or other.upper <= upper):
            upper_open = other.upper_open or (upper_open and upper == other.upper)
            upper = other.upper
        return Interval(lower, upper, lower_open, upper_open)

    def times(self, factor: Fraction) -> Interval:
        """The products with a constant that is not 0."""
        lower, upper = (None if v is None else v * factor for v in (self.lower, self.upper))
        if factor > 0:
            return Interval(lower, upper, self.lower_open, self.upper_open)
        return Interval(upper, lower, self.upper_open, self.lower_open)

    @property
    def empty(self) -> bool:
        """Whether there is no such number."""
        if self.lower is None or self.upper is None:
            return False
        open_end = self.lower_open or self.upper_open
        return self.lower > self.upper or (self.lower == self.upper and open_end)

    def contains(self, value: Fraction) -> bool:
        """Whether ``value`` is one of them."""
        return not (self & Interval(value, value)).empty

    @property
    def least(self) -> float:
        """The smallest float64 that is not below the interval; minus infinity without a bound.

        A float64 v satisfies the lower bound if and only if v ≥ ``least``, and reals up to v can
        satisfy it if and only if v does: bounds are compared with this one number, exactly.
        """
        if self.lower is None:
            return -math.inf
        nearest = _nearest(self.lower)
        if math.isinf(nearest):
            return nearest if nearest > 0 else -math.inf
        below = Fraction(nearest) < self.lower
        if below or (self.lower_open and Fraction(nearest) == self.lower):
            return math.nextafter(nearest, math.inf)
        return nearest

    @property
    def greatest(self) -> float:
        """The largest float64 that is not above the interval; infinity without a bound."""
        if self.upper is None:
            return math.inf
        return -Interval(lower=-self.upper, lower_open=self.upper_open).least


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
