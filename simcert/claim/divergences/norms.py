"""What the norms of f − g share: the differences of the outputs are their linear functions."""

from abc import abstractmethod

import numpy as np

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows

_SHARE = 1 - 2.0**-32
"""Of the tolerance: covers the rounding of a norm and of its division among up to 2^19 outputs."""

_LEAST = 2.0**-900
"""Smaller tolerances count as 0, so that no share of one is rounded up by underflow."""


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

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """|δ_i| > ε_i for some i, with ‖(ε_1, ε_2, …)‖ ≤ ε and ε_i in proportion to the bounds."""
        known = np.isfinite(magnitudes).all(axis=1, keepdims=True)
        shape = np.where(known, np.maximum(magnitudes, np.finfo(np.float64).tiny), 1.0)
        shape = shape / shape.max(axis=1, keepdims=True)
        tolerance = tolerance if tolerance > _LEAST else 0.0
        share = _SHARE * tolerance / self._norm(shape)
        return Cover.of_magnitudes(share[:, np.newaxis] * shape)

    def _evaluate(self, f: Float, g: Float) -> Float:
        magnitudes = f - g
        return self._norm(np.abs(magnitudes, out=magnitudes))

    @abstractmethod
    def _norm(self, magnitudes: Float) -> Float:
        """Norms (n,) of non-negative rows (n, outputs)."""


def largest_magnitudes(lower: Float, upper: Float) -> Float:
    """The largest |v| for v between the bounds, elementwise and exact."""
    return np.maximum(np.abs(lower), np.abs(upper))


def smallest_magnitudes(lower: Float, upper: Float) -> Float:
    """The smallest |v| for v between the bounds, elementwise and exact."""
    return np.maximum(np.maximum(lower, -upper), 0.0)
