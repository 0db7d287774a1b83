"""The Kullback-Leibler divergence of the softmax distributions."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from simcert.claim.divergences.base import Float
from simcert.claim.divergences.softmax import (
    SoftmaxDivergence,
    oscillation,
    relative_entropy,
    square_over,
)


@dataclass(frozen=True)
class KL(SoftmaxDivergence):
    """KL(softmax f ‖ softmax g) ≤ min(osc, osc²/8), osc the oscillation of f − g.

    References:
        W. Hoeffding, Probability inequalities for sums of bounded random variables, JASA 58
        (1963); the derivation is in `softmax`.
    """

    name = "kl"
    divisor = 8.0
    notation = "KL(softmax {f} ‖ softmax {g})"

    def _evaluate(self, f: Float, g: Float) -> Float:
        return relative_entropy(special.log_softmax(f, axis=1), special.log_softmax(g, axis=1))

    def _upper(self, lower: Float, upper: Float) -> Float:
        osc = oscillation(lower, upper)
        return np.minimum(osc, square_over(osc, self.divisor))
