"""Rounding of finished probabilities in the direction in which they stay true: up."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float: TypeAlias = NDArray[np.float64]

LEAST = 2.0**-1000
"""Added to every probability that is not known to be 0: no underflow makes one vanish."""

SLACK = 2.0**-45
"""Relative error granted to exponents and to what is computed from them."""


def probability(value: Float) -> Float:
    """Return numbers of at most 1 above those that ``value`` approximates; 1 where it is NaN."""
    return np.asarray(np.fmin(1.0, np.where(np.isnan(value), 1.0, value * (1.0 + SLACK) + LEAST)))


def exponential(exponent: Float) -> Float:
    """Return e^exponent, at most 1, rounded up, for exponents ≤ 0 within a share `SLACK`."""
    return probability(np.exp(np.minimum(exponent, 0.0) * (1.0 - SLACK)))
