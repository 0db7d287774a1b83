"""Rounding, bounded a priori: of the analysis itself in float64, and of the runtime in float32.

A sum of n products, added in any order, with or without fused multiply-add, is off by at most γ_n
times the sum of the absolute products, γ_n = n u/(1 − n u) (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., lemma 3.1 and section 3.1). A product that underflows loses a little
more, and a sum that overflows is no bound.

The propagator adds these terms with u = 2^-53 to every bound, so that a bound holds over the reals
and not only up to rounding. With the terms for u = 2^-24 besides, a bound holds for what any
conforming float32 runtime computes (``docs/arithmetic.md``).
"""

UNIT_ROUNDOFF = 2.0**-53
"""u of float64, round to nearest."""

SMALLEST = 2.0**-1074
"""Twice what one product may lose to underflow; sums are exact there."""

UNDERFLOW = 2.0**-1000
"""Added to intercepts, which may have lost digits to underflow."""

FLOAT32_ROUNDOFF = 2.0**-24
"""u of float32, round to nearest."""

FLOAT32_SMALLEST = 2.0**-126
"""The smallest normal number: what an operand or a result may lose where subnormals are flushed."""

FLOAT32_LARGEST = 2.0**127
"""Sums of absolute products below this cannot overflow, rounding included."""

FLOAT32_USUAL = 2.0**100
"""Sums of any number of numbers below this cannot overflow."""

FLOAT32_EXTRA = 8
"""Roundings of one term beyond its sum's: bias, scale, division, a folded BatchNormalization."""


def gamma(n: int, unit_roundoff: float = UNIT_ROUNDOFF) -> float:
    """Return γ_n = n u / (1 − n u), rounded up.

    Raises:
        ValueError: n u is not small.
    """
    product = n * unit_roundoff
    if not 0 <= product < 0.01:
        raise ValueError(f"gamma({n}): n u must be below 0.01")
    return product / (1.0 - product) * (1.0 + 4 * UNIT_ROUNDOFF)
