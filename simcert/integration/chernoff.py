"""Chernoff's bound for the linear bound of a half-space, with exact moment generating functions."""

import numpy as np

from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.rounding import SLACK, Float, exponential

_STEPS = 40
"""Of the golden section: any λ is valid, so it need not be the best to the last digit."""

_RATIO = (np.sqrt(5.0) - 1.0) / 2.0


def tail(half_spaces: HalfSpaces) -> Float:
    """Bound P(Z ≤ h), Z = Σ_j b_j U_j with independent U_j in [0, 1].

        P(Z ≤ h) ≤ e^{λh} Π_j E[e^{−λ b_j U_j}]    for every λ ≥ 0

    The logarithm is convex in λ; λ is sought by golden section in log λ, between 1/100 of the
    reciprocal of what Z can be and 4 n/h (at small h the best is about n/h for uniform laws).

    Source: H. Chernoff, A measure of asymptotic efficiency for tests of a hypothesis based on the
    sum of observations, Annals of Mathematical Statistics 23 (1952), theorem 1.

    Args:
        half_spaces: h, b and the law of the U_j.

    Returns:
        (M,), rounded up.
    """
    excess, spread, _ = half_spaces
    with np.errstate(over="ignore", under="ignore"):
        low = np.log(0.01 / spread.sum(axis=1))
        high = np.maximum(low + 1.0, np.log(4.0 * spread.shape[1]) - np.log(excess))
        left, right = high - _RATIO * (high - low), low + _RATIO * (high - low)
        at_left, at_right = _exponent(left, half_spaces), _exponent(right, half_spaces)
        best = np.fmin(at_left, at_right)
        for _ in range(_STEPS):
            smaller = at_left < at_right
            low, high = np.where(smaller, low, left), np.where(smaller, right, high)
            left_next, right_next = high - _RATIO * (high - low), low + _RATIO * (high - low)
            probe = np.where(smaller, left_next, right_next)
            at_probe = _exponent(probe, half_spaces)
            left, right = np.where(smaller, probe, right), np.where(smaller, left, probe)
            at_left, at_right = (
                np.where(smaller, at_probe, at_right),
                np.where(smaller, at_left, at_probe),
            )
            best = np.fmin(best, at_probe)
        return exponential(best)


def _exponent(log_rate: Float, half_spaces: HalfSpaces) -> Float:
    """λ h + Σ_j log E[e^{−λ b_j U_j}] (M,) at λ = e^log_rate, rounded up; 0 where it overflows."""
    excess, spread, law = half_spaces
    rate = np.exp(log_rate)
    gains = law.log_transform(rate[:, None] * spread)
    price = rate * excess
    size = price + np.abs(gains).sum(axis=1)
    exponent = price + gains.sum(axis=1) + SLACK * (1.0 + spread.shape[1] / 64.0) * size
    return np.where(np.isfinite(exponent), exponent, 0.0)
