"""Outward rounding: decimals, sums and products to float64 that never cut a region or a bound."""

import math
import re
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from simcert.errors import ClaimError

Float = NDArray[np.float64]

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
MAX_DIGITS = 1000
"""Characters of one decimal constant; an exact constant of float64 needs at most 770."""

_UNIT = 2.0**-53
"""Largest relative error of one correctly rounded float64 operation."""


def is_decimal(text: str) -> bool:
    """Whether ``text`` is a decimal constant: sign, digits, point, exponent."""
    return _DECIMAL.fullmatch(text) is not None


def decimal(text: str, where: object) -> Decimal:
    """The exact value of a decimal constant.

    Args:
        text: what the file says.
        where: file and place, as the error message prints it.

    Raises:
        ClaimError: not a decimal constant, too long, or outside the range of float64.
    """
    if len(text) > MAX_DIGITS:
        raise ClaimError(f"{where}: a number of {len(text)} characters; at most {MAX_DIGITS}")
    if not is_decimal(text):
        raise ClaimError(f"{where}: {text!r} is not a decimal number")
    if math.isinf(float(text)):
        raise ClaimError(f"{where}: {text} is outside the range of float64")
    return Decimal(text)


def float_below(value: Decimal) -> float:
    """The largest float64 that is at most ``value`` (comparisons of decimals are exact)."""
    nearest = float(value) + 0.0
    return nearest if Decimal(nearest) <= value else math.nextafter(nearest, -math.inf)


def float_above(value: Decimal) -> float:
    """The smallest float64 that is at least ``value``."""
    nearest = float(value) + 0.0
    return nearest if Decimal(nearest) >= value else math.nextafter(nearest, math.inf)


def next_below(x: Float) -> Float:
    """The next smaller float64; minus infinity after the smallest."""
    with np.errstate(over="ignore"):
        return np.nextafter(x, -np.inf)


def next_above(x: Float) -> Float:
    """The next larger float64; infinity after the largest."""
    with np.errstate(over="ignore"):
        return np.nextafter(x, np.inf)


def sum_below(a: Float, b: Float) -> Float:
    """The largest float64 that is at most a + b, elementwise; a and b broadcast."""
    total, error = _two_sum(a, b)
    return np.where(error < 0, next_below(total), total)


def sum_above(a: Float, b: Float) -> Float:
    """The smallest float64 that is at least a + b, elementwise; a and b broadcast."""
    total, error = _two_sum(a, b)
    return np.where(error > 0, next_above(total), total)


def _two_sum(a: Float, b: Float) -> tuple[Float, Float]:
    """Knuth's TwoSum: a + b = total + error exactly, barring overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = a + b
        b_part = total - a
        return total, (a - (total - b_part)) + (b - b_part)


def inflated(value: Float, operations: int) -> Float:
    """An upper bound of what ``operations`` rounded operations on non-negative terms computed.

    Each operation errs by a factor within 1 ± 2^-53, the whole by at most (1 - 2^-53)^-n <
    1 + 2 n 2^-53 for n < 2^50; ``nextafter`` covers the last product and subnormal results. A
    computed 0 is taken for exact.
    """
    with np.errstate(over="ignore"):
        above = next_above(value * (1.0 + 2 * (operations + 2) * _UNIT))
    return np.where(value == 0, 0.0, above)


def deflated(value: Float, operations: int) -> Float:
    """A lower bound, at least 0, of what ``inflated`` bounds from above."""
    return np.maximum(next_below(value * (1.0 - 2 * (operations + 2) * _UNIT)), 0.0)
