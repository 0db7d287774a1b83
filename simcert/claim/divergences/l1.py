"""The sum of the absolute differences of the outputs."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences.base import Float
from simcert.claim.divergences.norms import Norm, largest_magnitudes, smallest_magnitudes
from simcert.claim.rounding import deflated, inflated


@dataclass(frozen=True)
class L1(Norm):
    """‖f − g‖₁ = Σ_i |f_i − g_i|; its bounds are sums of exact terms, rounded outward."""

    name = "l1"
    notation = "‖{f} − {g}‖₁"

    def _norm(self, magnitudes: Float) -> Float:
        return np.asarray(magnitudes.sum(axis=1))

    def _upper(self, lower: Float, upper: Float) -> Float:
        return inflated(self._norm(largest_magnitudes(lower, upper)), lower.shape[1])

    def _lower(self, lower: Float, upper: Float) -> Float:
        return deflated(self._norm(smallest_magnitudes(lower, upper)), lower.shape[1])
