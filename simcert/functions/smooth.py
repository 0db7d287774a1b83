"""Smooth functions: from a few facts about f to lines above and below it.

A smooth function is described by f, its derivative f′, and its inflections, the points between
which f is convex or concave. On one such piece the extremes of h(x) = f(x) − kx are known: a convex
h is greatest at an end, and least no lower than any of its tangents is. The tangent is laid where
f′ is about k, found by bisection; any point is valid, a good one is tight.

``tests/functions/test_derivations.py`` derives all facts again with sympy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.functions.float32 import flushed, rounded
from simcert.functions.slopes import line_of

_BISECTIONS = 12
_ULPS = 24 * 2.0**-53
"""What f, f′ (16 units each in torch's float64, an assumption that the tests check against mpmath)
and the few operations on them may be off by, relative to their size."""

_TINY = 2.0**-1000


class Piece(NamedTuple):
    """f is convex (sign 1) or concave (sign −1) on [left, right]; (B, size) each, or scalars."""

    left: Tensor
    right: Tensor
    sign: Tensor


@dataclass(frozen=True)
class Smooth(ABC):
    """A function with a continuous derivative, wherever it is defined."""

    @property
    def name(self) -> str:
        """What it is called."""
        return type(self).__name__

    @property
    def inflections(self) -> tuple[float, ...]:
        """Where convexity changes, increasing: each number or the float64 next to it."""
        return ()

    @property
    def first(self) -> bool:
        """Whether f is convex left of the first inflection; everywhere, if there is none."""
        return True

    @property
    def span(self) -> tuple[float, float]:
        """Bounds of all values of f, rounded outward."""
        return -math.inf, math.inf

    @property
    def monotone(self) -> int:
        """1 where f does not fall on any interval on which it is defined, −1: rise, 0: else."""
        return 0

    @property
    def blur(self) -> float:
        """What an inflection that float64 only rounds may cost, at most |f‴| (its rounding)².

        On the strip between an inflection and its rounding f bends the other way. f less that bend
        is convex (concave); the bend's slope is at most |f‴| e², and it itself that times e, if e
        is the width of the strip.
        """
        return 0.0

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """Return f(x)."""

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """Return f′(x)."""

    def magnitude(self, x: Tensor) -> Tensor:
        """Return what the rounding of ``value`` is relative to."""
        return self.value(x).abs()

    def steepness(self, x: Tensor) -> Tensor:
        """Return what the rounding of ``derivative`` is relative to."""
        return self.derivative(x).abs()

    def defined(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where f is defined on all of [lower, upper]."""
        return torch.ones_like(lower, dtype=torch.bool)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return what the error of a float32 runtime on [lower, upper] is relative to."""
        low, high = self.residual(lower, upper, torch.zeros_like(lower))
        return torch.maximum(low.abs(), high.abs())

    def pieces(self, lower: Tensor, upper: Tensor) -> list[Piece]:
        """Return the pieces that [lower, upper] may meet."""
        edges = [-math.inf, *self.inflections, math.inf]
        sign = 1.0 if self.first else -1.0
        pieces = []
        for left, right in pairwise(edges):
            pieces.append(Piece(*(lower.new_tensor(number) for number in (left, right, sign))))
            sign = -sign
        return pieces

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x on [lower, upper]; see :class:`..function.Function`."""
        least = torch.full_like(lower, math.inf)
        greatest = torch.full_like(lower, -math.inf)
        size = torch.zeros_like(lower)
        for left, right, sign in self.pieces(lower, upper):
            inside = (lower <= right) & (upper >= left)
            p, q = lower.clamp(left, right), upper.clamp(left, right)
            ends, ends_size = self._at_ends(p, q, slope, sign)
            tangent, tangent_size = self._tangent(p, q, slope, sign)
            low = torch.where(sign > 0, tangent, -ends)
            high = torch.where(sign > 0, ends, -tangent)
            least = torch.where(inside, torch.minimum(least, low), least)
            greatest = torch.where(inside, torch.maximum(greatest, high), greatest)
            size = torch.where(inside, torch.maximum(size, ends_size + tangent_size), size)
        error = size * _ULPS + _TINY + self.blur * (1.0 + (upper - lower))
        flat = slope == 0
        low, high = self._range(lower, upper)
        low = torch.where(flat, torch.fmax(least - error, low), least - error)
        high = torch.where(flat, torch.fmin(greatest + error, high), greatest + error)
        return self._where_defined(lower, upper, low, high)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f′ on [lower, upper]: it is monotone between inflections."""
        points = [lower, upper]
        for left, right, _ in self.pieces(lower, upper):
            points += [x.clamp(left, right).clamp(lower, upper) for x in (lower, upper)]
        slopes = torch.stack([self.derivative(x) for x in points])
        errors = torch.stack([self.steepness(x) for x in points]) * _ULPS + (_TINY + self.blur)
        low, high = (slopes - errors).amin(0), (slopes + errors).amax(0)
        return self._where_defined(lower, upper, low, high)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x) − f(y) = f′(ξ) δ."""
        return line_of(*self.slopes(lower, upper), below, above)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval is more than a point."""
        return upper > lower

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The argument may be flushed, the result is exact to :data:`..float32.ACCURACY`."""
        return flushed(lower, upper), rounded(self.scale(lower, upper))

    def _at(self, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) − slope · x, and the size of its terms."""
        line = slope * x
        return self.value(x) - line, self.magnitude(x) + line.abs()

    def _at_ends(self, p: Tensor, q: Tensor, slope: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """Return the greatest value of the convex sign · h on [p, q], and its size."""
        (first, first_size), (last, last_size) = (self._at(x, slope) for x in (p, q))
        return torch.maximum(sign * first, sign * last), torch.maximum(first_size, last_size)

    def _tangent(self, p: Tensor, q: Tensor, slope: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """Bound the convex sign · h on [p, q] from below by tangents; also return their size."""
        left, right = p, q
        for _ in range(_BISECTIONS):
            middle = left / 2 + right / 2
            rising = sign * (self.derivative(middle) - slope) >= 0
            left, right = torch.where(rising, left, middle), torch.where(rising, middle, right)
        best, size = torch.full_like(p, -math.inf), torch.zeros_like(p)
        for t in (left, right):
            value, own = self._at(t, slope)
            steep = sign * (self.derivative(t) - slope)
            lowest = torch.minimum(steep * (p - t), steep * (q - t))
            # A vertical tangent, at the end of a root's domain, says nothing.
            usable = torch.isfinite(steep)
            value = torch.where(usable, sign * value + lowest, -math.inf)
            own = own + (self.steepness(t) + slope.abs()) * (q - p)
            size = torch.where(usable, torch.maximum(size, own), size)
            best = torch.fmax(best, value)
        return best, size

    def _range(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f itself by its span and, if it is monotone, by its ends."""
        low, high = (torch.full_like(lower, bound) for bound in self.span)
        if self.monotone:
            ends = (lower, upper) if self.monotone > 0 else (upper, lower)
            values = [self.value(x) for x in ends]
            errors = [self.magnitude(x) * _ULPS + _TINY for x in ends]
            low = torch.fmax(low, values[0] - errors[0])
            high = torch.fmin(high, values[1] + errors[1])
        return low, high

    def _where_defined(
        self, lower: Tensor, upper: Tensor, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return no bounds where f is not defined on the interval, or a number overflowed."""
        defined = self.defined(lower, upper)
        low = torch.where(defined & ~low.isnan(), low, -math.inf)
        return low, torch.where(defined & ~high.isnan(), high, math.inf)
