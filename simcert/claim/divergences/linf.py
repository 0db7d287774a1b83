"""The largest absolute difference of an output."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from simcert.claim.divergences.base import Cover, Float
from simcert.claim.divergences.norms import Norm, largest_magnitudes, smallest_magnitudes

_FEW = 16


@dataclass(frozen=True)
class LInf(Norm):
    """‖f − g‖∞ = max_i |f_i − g_i|; its bounds need no rounding."""

    name = "linf"
    notation = "‖{f} − {g}‖∞"

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """|δ_i| > ε for some i."""
        return Cover.of_magnitudes(np.full_like(magnitudes, tolerance))

    def _norm(self, magnitudes: Float) -> Float:
        if magnitudes.shape[1] <= _FEW:  # some passes over columns, instead of one over short rows
            return reduce(np.maximum, magnitudes.T)
        return np.asarray(magnitudes.max(axis=1))

    def _upper(self, lower: Float, upper: Float) -> Float:
        return self._norm(largest_magnitudes(lower, upper))

    def _lower(self, lower: Float, upper: Float) -> Float:
        return self._norm(smallest_magnitudes(lower, upper))
