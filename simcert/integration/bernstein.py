"""Bernstein's inequality for the linear bound of a half-space."""

import numpy as np

from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import Law
from simcert.integration.rounding import SLACK, Float, exponential


def tail(half_spaces: HalfSpaces) -> Float:
    """Bound P(Z ≤ h), Z = Σ_j b_j U_j with independent U_j in [0, 1] of known variance.

        P(Z ≤ h) ≤ exp(−D² / (2 (V + c D/3))),    D = E[Z] − h > 0,
        V = Σ_j b_j² Var[U_j],    c = max_j b_j E[U_j] ≥ E[b_j U_j] − b_j U_j

    Source: S. Boucheron, G. Lugosi and P. Massart, Concentration Inequalities, Oxford 2013,
    corollary 2.11 for E[Z] − Z. Means and variances are those of the law, derived and not sampled.

    Args:
        half_spaces: h, b and the law of the U_j.

    Returns:
        (M,), rounded up.
    """
    excess, spread, law = half_spaces
    with np.errstate(over="ignore"):
        mean = (spread * law.mean_lower).sum(axis=1) * (1.0 - SLACK)
        deviation = np.maximum(mean - excess * (1.0 + SLACK), 0.0)
        variance = (np.square(spread) * law.variance_upper).sum(axis=1)
        largest = (spread * law.mean_upper).max(axis=1, initial=0.0)
        scale = 2.0 * (variance + largest * deviation / 3.0)
        return exponential(-deviation * (deviation / scale))


def quantile(spread: Float, law: Law, nats: Float) -> Float:
    """Return h with P(Z ≤ h) ≤ e^−nats: the inequality solved for D = E[Z] − h.

        D = c nats/3 + √((c nats/3)² + 2 V nats)

    Args:
        spread: b (M, n), not negative; the largest of each row between 1/2 and 1.
        law: of the U_j.
        nats: (M,), positive.

    Returns:
        (M,), rounded down; negative where the inequality says nothing.
    """
    mean = (spread * law.mean_lower).sum(axis=1) * (1.0 - SLACK)
    variance = (np.square(spread) * law.variance_upper).sum(axis=1)
    linear = (spread * law.mean_upper).max(axis=1, initial=0.0) * nats / 3.0
    deviation = linear + np.sqrt(np.square(linear) + 2.0 * variance * nats)
    return np.asarray(mean - deviation * (1.0 + SLACK) - SLACK * mean)
