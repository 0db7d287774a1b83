"""The largest absolute difference of an output."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences.base import Cover, Float
from simcert.claim.divergences.norms import Norm, largest_magnitudes, smallest_magnitudes


@dataclass(frozen=True)
class LInf(Norm):
    """‖f − g‖∞ = max_i |f_i − g_i|; its bounds need no rounding."""

    name = "linf"
    notation = "‖{f} − {g}‖∞"

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """|δ_i| > ε for some i."""
        return Cover.of_magnitudes(np.full_like(magnitudes, tolerance))

    def _norm(self, magnitudes: Float) -> Float:
        return np.asarray(magnitudes.max(axis=1))

    def _upper(self, lower: Float, upper: Float) -> Float:
        return self._norm(largest_magnitudes(lower, upper))

    def _lower(self, lower: Float, upper: Float) -> Float:
        return self._norm(smallest_magnitudes(lower, upper))
