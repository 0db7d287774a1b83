"""What the divergences of softmax distributions share: bounds by the oscillation of f − g.

For logits f, g and δ = f − g, with p = softmax f and q = softmax g,

    KL(p ‖ q) = log Σ_i p_i e^{−(δ_i − μ)},  μ = Σ_i p_i δ_i,

because log q_i − log p_i = −δ_i − log Σ_j p_j e^{−δ_j}. The variable −(δ_i − μ) under p has mean
0 and lies in an interval of length osc = max_i δ_i − min_i δ_i, so Hoeffding's lemma (1963,
inequality 4.16) gives KL ≤ osc²/8; it is also at most osc, the largest exponent.
"""

import math

import numpy as np

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows, pair_differences
from simcert.claim.divergences.norms import largest_magnitudes
from simcert.claim.rounding import inflated, next_above


class SoftmaxDivergence(Divergence):
    """Base of the divergences between softmax f and softmax g, in nats.

    Attributes:
        divisor: d is at most min(osc, osc²/divisor).
    """

    divisor: float
    unit = "nats"
    fewest_outputs = 2

    def rows(self, outputs: int) -> Rows:
        """δ_i − δ_j for i < j."""
        self.check(outputs)
        return Rows.of_difference(pair_differences(outputs))

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """|δ_i − δ_j| > o for some i < j: osc ≤ o = max(ε, √(``divisor`` ε)) implies d ≤ ε."""
        least = max(tolerance, math.sqrt(self.divisor * tolerance))
        return Cover.of_magnitudes(np.full_like(magnitudes, least * (1 - 2.0**-50)))

    def _lower(self, lower: Float, upper: Float) -> Float:  # noqa: ARG002
        """Zero: the oscillation alone gives no other lower bound, as p may be near a vertex."""
        return np.zeros(len(lower))


def oscillation(lower: Float, upper: Float) -> Float:
    """Upper bounds of max_i δ_i − min_i δ_i = max_{i<j} |δ_i − δ_j|, exact."""
    return np.asarray(largest_magnitudes(lower, upper).max(axis=1))


def square_over(osc: Float, divisor: float) -> Float:
    """osc²/divisor, rounded up; one more step for squares that underflow."""
    return next_above(inflated(osc * osc / divisor, 2))


def relative_entropy(log_p: Float, log_q: Float) -> Float:
    """Σ_i p_i (log p_i − log q_i) along rows, at least 0; terms with p_i = 0 vanish."""
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        terms = np.where(p > 0, p * (log_p - log_q), 0.0)
    return np.asarray(np.maximum(terms.sum(axis=1), 0.0))
