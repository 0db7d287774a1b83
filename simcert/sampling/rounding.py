"""Rounding of finished bounds in the direction in which they stay true."""

import math
from fractions import Fraction

SLACK = 2.0**-48
"""Relative error granted to a formula: 32 units in the last place of float64.

The inequalities are sums, products, quotients and roots of at most a dozen non-negative numbers,
with elementary functions (log, log1p, expm1, exp) that are accurate to one or two units each.
"""


def up(value: float) -> float:
    """Return a number above the exact one that ``value >= 0`` approximates within SLACK."""
    return math.nextafter(value * (1.0 + SLACK), math.inf)


def down(value: float) -> float:
    """Return a number below the exact one that ``value >= 0`` approximates within SLACK, or 0."""
    return max(0.0, math.nextafter(value * (1.0 - SLACK), -math.inf))


def above(value: Fraction) -> float:
    """Return a float64 above the exact number ``value``."""
    try:
        return math.nextafter(float(value), math.inf)
    except OverflowError:
        return math.inf


def below(value: Fraction) -> float:
    """Return a float64 below the exact number ``value``."""
    return math.nextafter(float(value), -math.inf)
