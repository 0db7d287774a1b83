"""What a linear function of the inputs exceeds with a given probability at most."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from simcert.integration import bernstein, chernoff, hoeffding
from simcert.integration.laws import Law
from simcert.integration.rounding import Float

Quantile: TypeAlias = Callable[[Float, Law, Float], Float]

QUANTILES: Mapping[str, Quantile] = {
    "chernoff": chernoff.quantile,
    "bernstein": bernstein.quantile,
    "hoeffding": hoeffding.quantile,
}
"""Inequalities that are solved for the quantile. Each is valid, so that the greatest counts."""


def depth(spread: Float, law: Law, nats: Float, methods: Sequence[str] = tuple(QUANTILES)) -> Float:
    """Return how far below its maximum on a box a linear function stays, but for a probability.

    With U_j in [0, 1] the distance of input j from the corner where the function is greatest, the
    function is its maximum less Σ_j b_j U_j; the depth h has P(Σ_j b_j U_j ≤ h) ≤ e^−nats.

    Args:
        spread: b (M, n), not negative.
        law: of the U_j.
        nats: −log of the probability (M,), positive.
        methods: keys of `QUANTILES`.

    Returns:
        h (M,), rounded down; 0 where no method says more.
    """
    with np.errstate(all="ignore"):
        proper = (spread > _UNDERFLOWN).any(axis=1) & np.isfinite(spread).all(axis=1)
        b = np.where(spread > _UNDERFLOWN, spread, 0.0)
        b[~proper] = 1.0
        # Powers of two are exact.
        exponent = np.frexp(b.max(axis=1, initial=0.0))[1]
        b = np.ldexp(b, -exponent[:, None])
        b = np.where(b > _NEGLIGIBLE, b, 0.0)
        best = np.zeros(len(b))
        for method in methods:
            best = np.fmax(best, QUANTILES[method](b, law, nats))
        return np.where(proper, np.ldexp(best, exponent) * (1.0 - 2.0**-52), 0.0)


_UNDERFLOWN, _NEGLIGIBLE = 2.0**-900, 2.0**-500
"""Spreads below the one may have lost digits, and below the other, beside the largest of their row,
could be rounded up: they are taken for 0, which only loses."""
