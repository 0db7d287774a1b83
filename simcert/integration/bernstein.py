"""Bernstein's inequality for the linear bound of a half-space."""

import numpy as np

from simcert.integration.half_spaces import HalfSpaces
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
