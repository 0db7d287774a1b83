"""Smooth functions: values, slopes, and how strongly they bend; and what follows from that.

On [l, u] of width w, with |φ''| ≤ M, φ stays within M w²/8 of its chord, and its slope within M w/2
of that in the middle. Every φ here is monotone. Values hold up to 2^-44 of their size, which is
what is taken of numpy's and Python's elementary functions, with room to spare.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simcert.checker.interval import SMALL, Bool, Float, Interval

_VALUE_ERROR = 2.0**-44

STEEPEST = 2.0**16
"""Slopes above it are not used: coefficients must not grow without bounds."""

_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True)
class Curve:
    """A monotone smooth function.

    Attributes:
        name: of the ONNX operator.
        value: φ.
        slope: φ'.
        bend: at least |φ''| on [l, u].
        decreasing: whether it falls.
        positive: whether it is known for positive numbers only; nonzero ones if it falls.
        steepest: slopes above it are not used.
    """

    name: str
    value: Callable[[Float], Float]
    slope: Callable[[Float], Float]
    bend: Callable[[Float, Float], Float]
    decreasing: bool = False
    positive: bool = False
    steepest: float = 2.0

    def image(self, x: Interval) -> Interval:
        """Return the interval of φ(x); infinite where φ is not known."""
        ends = (
            self.value(x.upper if self.decreasing else x.lower),
            self.value(x.lower if self.decreasing else x.upper),
        )
        error = _VALUE_ERROR * np.maximum(np.abs(ends[0]), np.abs(ends[1])) + SMALL
        known = self._known(x)
        return Interval(
            np.where(known, ends[0] - error, -np.inf), np.where(known, ends[1] + error, np.inf)
        ).snapped()

    def lines(self, x: Interval) -> Strip:
        """Return a strip around φ on x: along the chord, or level if that is narrower."""
        width = np.maximum(x.upper - x.lower, SMALL)
        first, last = self.value(x.lower), self.value(x.upper)
        slope = (last - first) / width
        start = first - slope * x.lower
        size = np.abs(first) + np.abs(last) + np.abs(slope) * x.size
        half = self.bend(x.lower, x.upper) * np.square(width) / 8 * (1 + 2.0**-40)
        half = half + 8 * _VALUE_ERROR * size + SMALL
        image = self.image(x)
        middle, radius = image.halves()
        along = self._known(x) & (np.abs(slope) <= self.steepest) & (half < radius)
        return Strip(
            np.where(along, slope, 0.0),
            np.where(along, start, middle),
            np.where(along, half, radius),
        )

    def slopes(self, a: Interval, b: Interval) -> tuple[Float, Float]:
        """Return centre and radius of the slopes between points of a and of b."""
        hull = Interval(np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper))
        centre, half = hull.halves()
        slope = self.slope(centre)
        radius = self.bend(hull.lower, hull.upper) * half * (1 + 2.0**-40)
        radius = radius + 8 * _VALUE_ERROR * np.abs(slope) + SMALL
        known = self._known(hull) & (np.abs(slope) <= self.steepest)
        return np.where(known, slope, 0.0), np.where(known, radius, np.inf)

    def steepness(self, x: Interval) -> Float:
        """Return at least |φ'| on x."""
        slope, radius = self.slopes(x, x)
        return np.abs(slope) + radius

    def _known(self, x: Interval) -> Bool:
        known = np.logical_and(np.isfinite(x.lower), np.isfinite(x.upper))
        if self.positive:
            known &= ((x.lower > 0) | (x.upper < 0)) if self.decreasing else x.lower > 0
        return known


class Strip(NamedTuple):
    """slope · x + middle ± half, elementwise."""

    slope: Float
    middle: Float
    half: Float

    def packed(self, noise: Float) -> Float:
        """Return (boxes, 4, n) as ``relu.packed_lines`` does."""
        zero = np.zeros_like(self.slope)
        return np.stack([self.slope, zero, self.middle, self.half + noise], 1)


def _sigmoid(x: Float) -> Float:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _constant(bend: float) -> Callable[[Float, Float], Float]:
    return lambda lower, _: np.full_like(lower, bend)


def _nearest(lower: Float, upper: Float) -> Float:
    """Return the least |x| of intervals of one sign."""
    return np.minimum(np.abs(lower), np.abs(upper))


_ROOT_PI = math.sqrt(math.pi)

CURVES = {
    curve.name: curve
    for curve in (
        # The greatest |φ''|, rounded up: √3/18, 4√3/9, √(8/(π e)) and 1/4.
        Curve("Sigmoid", _sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), _constant(0.0963)),
        Curve("Tanh", np.tanh, lambda x: 1 / np.square(np.cosh(x)), _constant(0.77)),
        Curve(
            "Erf",
            lambda x: np.asarray(_erf(x), dtype=np.float64),
            lambda x: 2 / _ROOT_PI * np.exp(-np.square(x)),
            _constant(0.969),
        ),
        Curve("Softplus", lambda x: np.logaddexp(0.0, x), _sigmoid, _constant(0.2501)),
        Curve("Exp", np.exp, np.exp, lambda _, upper: np.exp(upper), steepest=STEEPEST),
        Curve("Log", np.log, lambda x: 1 / x, lambda lower, _: np.square(1 / lower), positive=True),
        Curve(
            "Sqrt",
            np.sqrt,
            lambda x: 0.5 / np.sqrt(x),
            lambda lower, _: 0.25 / (lower * np.sqrt(lower)),
            positive=True,
            steepest=STEEPEST,
        ),
        Curve(
            "Reciprocal",
            lambda x: 1 / x,
            lambda x: -1 / np.square(x),
            lambda lower, upper: 2 / np.power(_nearest(lower, upper), 3),
            decreasing=True,
            positive=True,
            steepest=STEEPEST,
        ),
    )
}
