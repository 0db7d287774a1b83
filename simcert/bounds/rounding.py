"""The analysis' own float64 rounding, bounded a priori.

Every bound is a sum of products computed in float64. A sum of n products, in any order, with or
without fused multiply-add, is off by at most γ_n times the sum of the absolute products,
γ_n = n u / (1 − n u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1
and section 3.1). A product that underflows loses at most 2^-1075 more, and a sum that overflows
is no bound. The propagator adds these terms to every bound, so that a bound holds over the reals
and not only up to rounding.
"""

UNIT_ROUNDOFF = 2.0**-53
"""u of float64, round to nearest."""

SMALLEST = 2.0**-1074
"""Twice what one product may lose to underflow; sums are exact there."""

UNDERFLOW = 2.0**-1000
"""Added to intercepts, which may have lost digits to underflow."""


def gamma(n: int) -> float:
    """Return γ_n = n u / (1 − n u), rounded up.

    Raises:
        ValueError: n u is not small.
    """
    product = n * UNIT_ROUNDOFF
    if not 0 <= product < 0.01:
        raise ValueError(f"gamma({n}): n u must be below 0.01")
    return product / (1.0 - product) * (1.0 + 4 * UNIT_ROUNDOFF)
