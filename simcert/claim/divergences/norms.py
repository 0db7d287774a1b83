"""What the norms of f − g share: the differences of the outputs are their linear functions."""

from abc import abstractmethod

import numpy as np

from simcert.claim.divergences.base import Divergence, Float, Rows


class Norm(Divergence):
    """Base of the norms of the difference."""

    unit = "output units"

    def rows(self, outputs: int) -> Rows:
        """δ_i for every output."""
        self.check(outputs)
        return Rows.of_difference(np.eye(outputs))

    def per_output(self, magnitude: Float) -> tuple[float, ...]:
        """The bounds themselves: the functions are the differences of the outputs."""
        return tuple(magnitude.tolist())

    def _evaluate(self, f: Float, g: Float) -> Float:
        return self._norm(np.abs(f - g))

    @abstractmethod
    def _norm(self, magnitudes: Float) -> Float:
        """Norms (n,) of non-negative rows (n, outputs)."""


def largest_magnitudes(lower: Float, upper: Float) -> Float:
    """The largest |v| for v between the bounds, elementwise and exact."""
    return np.maximum(np.abs(lower), np.abs(upper))


def smallest_magnitudes(lower: Float, upper: Float) -> Float:
    """The smallest |v| for v between the bounds, elementwise and exact."""
    return np.maximum(np.maximum(lower, -upper), 0.0)
