"""Smooth functions: values, slopes, and how strongly they bend; and what follows from that.

On [l, u] of width w, with m ≤ φ'' ≤ M, φ lies between chord − M w²/8 and chord − m w²/8 (M at
least 0, m at most 0), and its slope within max(|m|, |M|) w/2 of that in the middle. Values hold up
to 2^-44 of their size, which is what is taken of numpy's and Python's elementary functions, with
room to spare. ``functions`` lists the functions.
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


def hull(a: Interval, b: Interval) -> Interval:
    """Return the interval of both."""
    return Interval(np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper))


def always(x: Interval) -> Bool:
    """Return that a function is defined everywhere."""
    return np.ones_like(x.lower, dtype=np.bool_)


def positive(x: Interval) -> Bool:
    """Whether all numbers are positive."""
    return x.lower > 0


def without_zero(x: Interval) -> Bool:
    """Whether 0 is not among the numbers."""
    return np.logical_or(x.lower > 0, x.upper < 0)


@dataclass(frozen=True)
class Curve:
    """A smooth function.

    Attributes:
        name: of the function; two curves of one name are the same function.
        value: φ.
        slope: φ'.
        bend: bounds of φ'' on [l, u], the least and the greatest.
        monotone: whether it is so on every interval on which it is defined.
        least: of others: [x₁, x₂] with the only minimum, and at most its value. Without it the
            strip is what is known.
        span: bounds of all values.
        defined: whether φ is defined on finite intervals.
        steepest: slopes above it are not used.
        cancels: what a float32 runtime's error is relative to, where its formula cancels: the
            greater of φ and "one" or "x", or "more", which is φ + 1.
    """

    name: str
    value: Callable[[Float], Float]
    slope: Callable[[Float], Float]
    bend: Callable[[Float, Float], tuple[Float, Float]]
    monotone: bool = True
    least: tuple[float, float, float] | None = None
    span: tuple[float, float] = (-math.inf, math.inf)
    defined: Callable[[Interval], Bool] = always
    steepest: float = 2.0
    cancels: str = ""

    @property
    def reach(self) -> float:
        """The largest absolute value."""
        return max(-self.span[0], self.span[1])

    def image(self, x: Interval) -> Interval:
        """Return the interval of φ(x); infinite, or the span, where φ is not known."""
        ends = self.value(x.lower), self.value(x.upper)
        low, high = np.minimum(*ends), np.maximum(*ends)
        error = _VALUE_ERROR * np.maximum(np.abs(low), np.abs(high)) + SMALL
        if self.least is not None:
            inside = (x.lower <= self.least[1]) & (x.upper >= self.least[0])
            low = np.where(inside, np.minimum(low, self.least[2]), low)
        elif not self.monotone:
            along, middle, half = self._chord(x)
            ends = along * x.lower + middle, along * x.upper + middle
            low, high = np.minimum(*ends) - half, np.maximum(*ends) + half
        known = self.known(x)
        lower = np.where(known, np.fmax(low - error, self.span[0] - SMALL), self.span[0])
        upper = np.where(known, np.fmin(high + error, self.span[1] + SMALL), self.span[1])
        return Interval(lower, upper).snapped()

    def lines(self, x: Interval) -> Strip:
        """Return a strip around φ on x: along the chord, or level if that is narrower."""
        slope, start, half = self._chord(x)
        middle, radius = self.image(x).halves()
        along = self.known(x) & (np.abs(slope) <= self.steepest) & (half < radius)
        return Strip(
            np.where(along, slope, 0.0),
            np.where(along, start, middle),
            np.where(along, half, radius),
        )

    def slopes(self, a: Interval, b: Interval) -> tuple[Float, Float, Bend]:
        """Return centre and radius of the slopes between points of a and of b, and φ'' there."""
        both = hull(a, b)
        centre, half = both.halves()
        slope, (least, greatest) = self.slope(centre), self.bend(*both)
        most = np.maximum(np.abs(least), np.abs(greatest))
        known = self.known(both) & (np.abs(slope) <= self.steepest)
        error = 8 * _VALUE_ERROR * (np.abs(slope) + half * most) + SMALL
        error = np.where(known, error, np.inf)  # 0 says nothing of the slope that it stands for
        bend = Bend(least / 2 + greatest / 2, (greatest / 2 - least / 2) * (1 + 2.0**-40), error)
        radius = np.where(known, most * half * (1 + 2.0**-40) + error, np.inf)
        return np.where(known, slope, 0.0), radius, bend

    def steepness(self, x: Interval) -> Float:
        """Return at least |φ'| on x."""
        slope, radius, _ = self.slopes(x, x)
        return np.abs(slope) + radius

    def scale(self, x: Interval, image: Interval) -> Float:
        """Return what the error of a float32 runtime on x is relative to."""
        size = image.size
        if self.cancels in ("one", "more"):
            return np.maximum(size, 1.0) if self.cancels == "one" else size + 1.0
        return np.maximum(size, x.size) if self.cancels == "x" else size

    def known(self, x: Interval) -> Bool:
        """Whether φ is defined and finite on x."""
        finite = np.logical_and(np.isfinite(x.lower), np.isfinite(x.upper))
        return np.logical_and(finite, self.defined(x))

    def _chord(self, x: Interval) -> tuple[Float, Float, Float]:
        """Return slope, middle and half width of a strip along the chord.

        chord − φ is φ''(ξ)/2 times (x − l)(u − x), which lies between 0 and w²/4.
        """
        width = np.maximum(x.upper - x.lower, SMALL)
        first, last = self.value(x.lower), self.value(x.upper)
        slope = (last - first) / width
        start = first - slope * x.lower
        size = np.abs(first) + np.abs(last) + np.abs(slope) * x.size
        least, greatest = self.bend(x.lower, x.upper)
        over = np.maximum(greatest, 0.0) * np.square(width) / 8
        under = np.maximum(-least, 0.0) * np.square(width) / 8
        half = (over + under) / 2 * (1 + 2.0**-40) + 8 * _VALUE_ERROR * (size + over + under)
        return slope, start - (over - under) / 2, half + SMALL


class Bend(NamedTuple):
    """φ'' = middle ± half, and what the slope given for the centre may be off by."""

    middle: Float
    half: Float
    error: Float


class Strip(NamedTuple):
    """slope · x + middle ± half, elementwise."""

    slope: Float
    middle: Float
    half: Float

    def packed(self, noise: Float) -> Float:
        """Return (boxes, 4, n) as ``relu.packed_lines`` does."""
        zero = np.zeros_like(self.slope)
        return np.stack([self.slope, zero, self.middle, self.half + noise], 1)
