"""Half-spaces in boxes, in the form in which their probabilities are bounded.

A linear bound c·x + c₀ on a box is greatest, m, in one corner and falls by |c_j| w_j on the way to
the other side of input j. With U_j in [0, 1] the distance from that corner in widths,

    c·x + c₀ > t  ⇔  Σ_j b_j U_j < h,    b_j = |c_j| w_j ≥ 0,  h = m − t.

Nothing here can cancel: to round h up and b down rounds every probability up.
"""

from typing import NamedTuple, Self

import numpy as np

from simcert.integration.laws import Law
from simcert.integration.rounding import Float

_NEGLIGIBLE = 2.0**-500
"""Spreads below this share of the largest are taken for 0, so that none is rounded up."""


class HalfSpaces(NamedTuple):
    """M events Σ_j b_j U_j ≤ h with independent U_j in [0, 1].

    Attributes:
        excess: h (M,), positive and finite.
        spread: b (M, n), not negative; the largest of each row between 1/2 and 1.
        law: of the U_j.
    """

    excess: Float
    spread: Float
    law: Law

    @classmethod
    def scaled(cls, excess: Float, spread: Float, law: Law) -> Self:
        """Divide h and b of each event by a power of two, which is exact.

        Args:
            excess: h (M,), positive and finite.
            spread: b (M, n), not negative and finite, not all zero.
            law: of the U_j.
        """
        exponent = np.frexp(spread.max(axis=1))[1]
        b = np.ldexp(spread, -exponent[:, None])
        with np.errstate(over="ignore"):
            h = np.minimum(np.ldexp(excess, -exponent), np.finfo(np.float64).max)
        return cls(h + _NEGLIGIBLE, np.where(b > _NEGLIGIBLE, b, 0.0), law)
