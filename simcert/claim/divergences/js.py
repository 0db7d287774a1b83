"""The Jensen-Shannon divergence of the softmax distributions."""

import math
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

LN_2 = math.nextafter(math.log(2), math.inf)
"""log 2, rounded up: the nearest float64 is below it."""


@dataclass(frozen=True)
class JS(SoftmaxDivergence):
    """JS(p, q) = KL(p ‖ m)/2 + KL(q ‖ m)/2 with m = (p + q)/2; at most min(log 2, osc, osc²/16).

    JS never exceeds log 2, nor a quarter of KL(p ‖ q) + KL(q ‖ p) (Lin 1991, theorems 3 and 4);
    each of the two is at most min(osc, osc²/8) (see `softmax`), hence min(osc/2, osc²/16).

    References:
        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information
        Theory 37 (1991).
    """

    name = "js"
    divisor = 16.0
    notation = "JS(softmax {f}, softmax {g})"
    supremum = LN_2

    def _evaluate(self, f: Float, g: Float) -> Float:
        log_p, log_q = special.log_softmax(f, axis=1), special.log_softmax(g, axis=1)
        log_m = np.logaddexp(log_p, log_q) - math.log(2)
        mean = relative_entropy(log_p, log_m) / 2 + relative_entropy(log_q, log_m) / 2
        return np.minimum(mean, LN_2)

    def _upper(self, lower: Float, upper: Float) -> Float:
        osc = oscillation(lower, upper)
        return np.minimum(LN_2, np.minimum(osc, square_over(osc, self.divisor)))
