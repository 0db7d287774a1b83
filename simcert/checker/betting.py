"""What bets against "P(event) ≥ p" have won, bounded from below for certain, in integers."""

from __future__ import annotations

from fractions import Fraction

_START = 1 << 256
"""The first term; all are rounded down to whole numbers."""

_MOST_TERMS = 10_000_000
"""Seconds of work; the terms grow up to about j = n p − k and then soon end."""


def capital_reaches(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether the capital after k events in n draws is at least 1/alpha for certain.

    A bet on the rate r p, 0 ≤ r ≤ 1, multiplies the capital by r at an event and by
    (1 − r p)/(1 − p) otherwise. With the first stake spread over r with density r^(-1/2)/2 the
    capital is, for c = k + 1/2 and m = n − k,

        ∫_0^p q^(c−1) (1 − q)^m dq / (2 p^c (1 − p)^m) = (1 − p)/(2 c) Σ_j t_j,
        t_0 = 1,  t_(j+1) = t_j p (c + m + 1 + j)/(c + 1 + j)

    (the hypergeometric series of the incomplete beta function, all of whose terms are positive, so
    that any partial sum is a lower bound). If P(event) ≥ p, then the capital ever reaches 1/alpha
    with probability at most alpha, at whatever number of draws one stops (Ville 1939), and where
    it does so for p it does for every greater p.
    """
    if not (0 <= k <= n and 0 < p < 1 and alpha > 0):
        return False
    # In halves: 2 (c + m + 1 + j) and 2 (c + 1 + j).
    above, below = 2 * n + 3, 2 * k + 3
    needed = Fraction(2 * k + 1, 1) / ((1 - p) * alpha) * _START
    term = total = _START
    for _ in range(_MOST_TERMS):
        if not term or total >= needed:
            break
        term = term * (p.numerator * above) // (p.denominator * below)
        total += term
        above, below = above + 2, below + 2
    return total >= needed
