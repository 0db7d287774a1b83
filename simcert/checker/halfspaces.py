"""The probability of a half-space in a box: P(Σ_j b_j U_j ≤ h), bounded from above in four ways.

U_j in [0, 1] is how far input j lies from one side of the box, in widths; the U_j are independent.
Means, variances and densities come from ``laws``. The volume is computed in integers; the others
are float64 with exponents raised by 2^-40 of the size of their terms, which covers rounding as long
as numpy's exp, expm1 and log are right to 2^-46.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simcert.checker.interval import Float
from simcert.checker.laws import SLACK, Law

MAX_AXES = 8
"""Inputs of which the volume is computed: of more, those that count most."""

_BITS = 60
_GRID, _ROUNDS = 16, 3
"""Values of λ that are tried, and how often more narrowly; every λ ≥ 0 gives a bound."""


class HalfSpaces(NamedTuple):
    """M events Σ_j b_j U_j ≤ h.

    Attributes:
        excess: h (M,), not negative.
        spread: b (M, n), not negative; at least one positive in each row.
        law: of the U_j.
    """

    excess: Float
    spread: Float
    law: Law

    @classmethod
    def scaled(cls, excess: Float, spread: Float, law: Law) -> HalfSpaces:
        """Divide h and b by a power of two, so that the largest b of each row is about 1."""
        exponent = np.frexp(spread.max(axis=1))[1]
        with np.errstate(over="ignore", under="ignore"):
            h = np.ldexp(excess, -exponent) + 2.0**-500
            b = np.ldexp(spread, -exponent[:, None])
        return cls(np.minimum(h, 2.0**500), np.where(b < 2.0**-500, 0.0, b), law)

    @property
    def deviation(self) -> Float:
        """At most E[Σ b_j U_j] − h, at least 0."""
        mean = (self.spread * self.law.mean_lower).sum(axis=1) * (1 - SLACK)
        return np.asarray(np.maximum(mean - self.excess * (1 + SLACK), 0.0))


def volume(events: HalfSpaces) -> Float:
    """Bound by the volume of the half-space in the box, times the greatest densities."""
    found = [
        _volume(h, b) for h, b in zip(events.excess.tolist(), events.spread.tolist(), strict=True)
    ]
    with np.errstate(over="ignore", invalid="ignore"):
        density = np.where(events.spread > 0, events.law.density, 1.0)
        return _probability(np.asarray(np.array(found) * density.prod(axis=1)))


def _volume(h: float, b: list[float]) -> float:
    """Return at least the volume of Σ b_j u_j ≤ h in the unit cube.

    It is Σ_v (−1)^|v| (h − b·v)₊ⁿ / (n! Π b_j) over the corners v of the cube (Barrow and Smith
    1979), here without any rounding: b is rounded down and h up to multiples of one unit before.
    """
    exponent = _BITS - math.frexp(max(b))[1]
    whole = sorted((math.floor(math.ldexp(x, exponent)) for x in b), reverse=True)
    whole = [x for x in whole[:MAX_AXES] if x]
    if h >= sum(b):
        return 1.0
    corners = [(math.ceil(math.ldexp(h, exponent)), 1)]
    for x in whole:
        corners += [(rest - x, -sign) for rest, sign in corners if rest > x]
    n = len(whole)
    above = sum(sign * rest**n for rest, sign in corners)
    return math.nextafter(above / (math.factorial(n) * math.prod(whole)), math.inf)


def chernoff(events: HalfSpaces) -> Float:
    """Bound by e^{λh} Π_j E[e^{−λ b_j U_j}] with the best λ that is found (Chernoff 1952)."""
    excess, spread = events.excess, events.spread
    low = np.log(0.01 / spread.sum(axis=1))
    high = np.log(4.0 * spread.shape[1] / np.maximum(excess, spread.max(axis=1) * 2.0**-40))
    high = np.maximum(high, low + 1)
    best = np.zeros_like(excess)
    for _ in range(_ROUNDS):
        steps = np.linspace(low, high, _GRID)
        exponents = np.stack([_chernoff_exponent(np.exp(step), events) for step in steps])
        best = np.fmin(best, exponents.min(axis=0))
        at = exponents.argmin(axis=0)
        row = np.arange(len(excess))
        low, high = steps[np.maximum(at - 1, 0), row], steps[np.minimum(at + 1, _GRID - 1), row]
    return _exponential(best)


def _chernoff_exponent(rate: Float, events: HalfSpaces) -> Float:
    """Return λ h + Σ_j log E[e^{−λ b_j U_j}], raised; 0 where it is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        logs = events.law.log_transform(rate[:, None] * events.spread)
        logs = np.where(events.spread > 0, logs, 0.0)
        gain = rate * events.excess
        exponent = gain + logs.sum(axis=1) + SLACK * (gain + np.abs(logs).sum(axis=1))
        return np.where(np.isfinite(exponent), exponent, 0.0)


def bernstein(events: HalfSpaces) -> Float:
    """Bound by exp(−D²/(2 (V + c D/3))), D = E[Σ b_j U_j] − h, V the variance of the sum.

    c is at least every b_j (E[U_j] − U_j); see Boucheron, Lugosi and Massart 2013, cor. 2.11.
    """
    deviation = events.deviation
    variance = (np.square(events.spread) * events.law.variance).sum(axis=1)
    most = (events.spread * events.law.mean_upper).max(axis=1)
    return _exponential(-deviation * (deviation / (2 * (variance + most * deviation / 3))))


def hoeffding(events: HalfSpaces) -> Float:
    """Bound by exp(−2 D²/Σ b_j²) with D = E[Σ b_j U_j] − h (Hoeffding 1963, theorem 2)."""
    deviation = events.deviation
    return _exponential(-2 * deviation * (deviation / np.square(events.spread).sum(axis=1)))


METHODS: dict[str, Callable[[HalfSpaces], Float]] = {
    "volume": volume,
    "chernoff": chernoff,
    "bernstein": bernstein,
    "hoeffding": hoeffding,
}


def _exponential(exponent: Float) -> Float:
    return _probability(np.exp(np.minimum(exponent, 0.0) * (1 - SLACK)))


def _probability(value: Float) -> Float:
    """Return numbers above these, 1 at most; 1 where they are no numbers."""
    raised = value * (1 + SLACK) + 2.0**-1000
    return np.asarray(np.fmin(1.0, np.where(np.isnan(raised), 1.0, raised)))
