"""The Euclidean distance of the outputs."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences.base import Float
from simcert.claim.divergences.norms import Norm, largest_magnitudes, smallest_magnitudes
from simcert.claim.rounding import deflated, inflated


@dataclass(frozen=True)
class L2(Norm):
    """‖f − g‖₂ = √Σ_i (f_i − g_i)²; its bounds are norms of exact terms, rounded outward."""

    name = "l2"
    notation = "‖{f} − {g}‖₂"

    def _norm(self, magnitudes: Float) -> Float:
        """The norms, scaled by the maximum so that no square leaves the range of float64.

        A square that underflows is lost beside a sum of at least 1.
        """
        largest = magnitudes.max(axis=1)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        scaled = magnitudes / scale[:, np.newaxis]
        return np.asarray(scale * np.sqrt(np.square(scaled).sum(axis=1)))

    # A quotient and a square in each term, a sum of the terms, a root and a product.

    def _upper(self, lower: Float, upper: Float) -> Float:
        return inflated(self._norm(largest_magnitudes(lower, upper)), lower.shape[1] + 8)

    def _lower(self, lower: Float, upper: Float) -> Float:
        return deflated(self._norm(smallest_magnitudes(lower, upper)), lower.shape[1] + 8)
