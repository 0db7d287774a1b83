"""Hoeffding's inequality for the linear bound of a half-space."""

import numpy as np

from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import Law
from simcert.integration.rounding import SLACK, Float, exponential


def tail(half_spaces: HalfSpaces) -> Float:
    """Bound P(Z ≤ h), Z = Σ_j b_j U_j with independent U_j in [0, 1].

        P(Z ≤ h) ≤ exp(−2 D² / Σ_j b_j²),    D = E[Z] − h > 0

    Source: W. Hoeffding, Probability inequalities for sums of bounded random variables, JASA 58
    (1963), theorem 2, for −Z. The means only are used.

    Args:
        half_spaces: h, b and the law of the U_j.

    Returns:
        (M,), rounded up.
    """
    excess, spread, law = half_spaces
    with np.errstate(over="ignore"):
        mean = (spread * law.mean_lower).sum(axis=1) * (1.0 - SLACK)
        deviation = np.maximum(mean - excess * (1.0 + SLACK), 0.0)
        return exponential(-2.0 * deviation * (deviation / np.square(spread).sum(axis=1)))


def quantile(spread: Float, law: Law, nats: Float) -> Float:
    """Return h with P(Z ≤ h) ≤ e^−nats: the inequality solved for h = E[Z] − √(nats Σ_j b_j²/2).

    Args:
        spread: b (M, n), not negative; the largest of each row between 1/2 and 1.
        law: of the U_j.
        nats: (M,), positive.

    Returns:
        (M,), rounded down; negative where the inequality says nothing.
    """
    mean = (spread * law.mean_lower).sum(axis=1) * (1.0 - SLACK)
    deviation = np.sqrt(nats * np.square(spread).sum(axis=1) / 2.0)
    return np.asarray(mean - deviation * (1.0 + SLACK) - SLACK * mean)
