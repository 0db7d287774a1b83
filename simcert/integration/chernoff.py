"""Chernoff's bound for the linear bound of a half-space, with exact moment generating functions."""

from collections.abc import Callable

import numpy as np

from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import Law
from simcert.integration.rounding import SLACK, Float, exponential

_STEPS, _QUANTILE_STEPS = 40, 8
"""Of the golden section: any λ is valid, so it need not be the best to the last digit. Around the
best the quantile is flat, and its bracket is narrow."""

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
        best = _least(lambda rate: _exponent(rate, half_spaces), low, high, _STEPS)
        return exponential(best)


def quantile(spread: Float, law: Law, nats: Float) -> Float:
    """Return h with P(Z ≤ h) ≤ e^−nats, for Z = Σ_j b_j U_j with independent U_j in [0, 1].

        h = max_λ (−nats − Σ_j log E[e^{−λ b_j U_j}]) / λ

    solves Chernoff's bound for h; it is quasi-concave in λ, since the numerator is concave. λ is
    sought about √(2 nats / Var Z), where it is greatest for a normal Z, and further up for few
    inputs (of one uniform input it is greatest at e^(1 + nats)/b).

    Args:
        spread: b (M, n), not negative; the largest of each row between 1/2 and 1.
        law: of the U_j.
        nats: (M,), positive.

    Returns:
        (M,), rounded down; negative or −∞ where the bound says nothing.
    """
    variance = (np.square(spread) * law.variance_upper).sum(axis=1)
    usual = np.log(2.0 * nats / variance) / 2.0
    return -_least(
        lambda rate: _negative_quantile(rate, spread, law, nats),
        usual - 1.0,
        usual + 1.5 + nats / spread.shape[1],
        _QUANTILE_STEPS,
    )


def _negative_quantile(log_rate: Float, spread: Float, law: Law, nats: Float) -> Float:
    """−h (M,) at λ = e^log_rate, rounded up; infinite where it overflows."""
    rate = np.exp(log_rate)
    gains = law.log_transform(rate[:, None] * spread)
    size = nats + np.abs(gains).sum(axis=1)
    price = nats + gains.sum(axis=1) + SLACK * (1.0 + spread.shape[1] / 64.0) * (1.0 + size)
    # The division, and λ itself as `log_transform` takes it, are within the slack.
    return np.where(np.isfinite(price), price / rate, np.inf)


def _exponent(log_rate: Float, half_spaces: HalfSpaces) -> Float:
    """λ h + Σ_j log E[e^{−λ b_j U_j}] (M,) at λ = e^log_rate, rounded up; 0 where it overflows."""
    excess, spread, law = half_spaces
    rate = np.exp(log_rate)
    gains = law.log_transform(rate[:, None] * spread)
    price = rate * excess
    size = price + np.abs(gains).sum(axis=1)
    exponent = price + gains.sum(axis=1) + SLACK * (1.0 + spread.shape[1] / 64.0) * size
    return np.where(np.isfinite(exponent), exponent, 0.0)


def _least(objective: Callable[[Float], Float], low: Float, high: Float, steps: int) -> Float:
    """The least value (M,) that golden sections of [low, high] come by."""
    left, right = high - _RATIO * (high - low), low + _RATIO * (high - low)
    at_left, at_right = objective(left), objective(right)
    best = np.fmin(at_left, at_right)
    for _ in range(steps):
        smaller = at_left < at_right
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
        left_next, right_next = high - _RATIO * (high - low), low + _RATIO * (high - low)
        probe = np.where(smaller, left_next, right_next)
        at_probe = objective(probe)
        left, right = np.where(smaller, probe, right), np.where(smaller, left, probe)
        at_left, at_right = (
            np.where(smaller, at_probe, at_right),
            np.where(smaller, at_left, at_probe),
        )
        best = np.fmin(best, at_probe)
    return best
