"""Smooth functions: from a few facts about f to lines above and below it.

A smooth function is described by f, its derivative f′, and its inflections, the points between
which f is convex or concave. On one such piece the extremes of h(x) = f(x) − kx are known: a convex
h is greatest at an end, and least no lower than any of its tangents is. The tangent is laid where
f′ is about k, found by bisection; any point is valid, a good one is tight.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

_BISECTIONS = 14
_ULPS = 16 * 2.0**-53
"""What f, f′ and one product may be off by in float64, relative to their size."""

_TINY = 2.0**-1000

FLOAT32_ACCURACY = 2.0**-20
"""How exact elementary functions are assumed to be in a float32 runtime, relative to their size.

An assumption and not a theorem: IEEE 754 asks nothing of them. ONNX Runtime's are within 2^-21 on
all that the tests try (``tests/functions``)."""


@dataclass(frozen=True)
class Smooth(ABC):
    """A function with a continuous derivative on its domain.

    Attributes:
        name: what it is called.
        inflections: where convexity changes, increasing.
        first: whether f is convex left of the first inflection (everywhere, if there is none).
        domain: the open interval where f is defined; outside it there are no bounds.
    """

    name: ClassVar[str]
    inflections: ClassVar[tuple[float, ...]] = ()
    first: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """Return f(x)."""

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """Return f′(x)."""

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x on [lower, upper]; see :class:`..function.Function`."""
        least = torch.full_like(lower, math.inf)
        greatest = torch.full_like(lower, -math.inf)
        size = torch.zeros_like(lower)
        for left, right, convex in self._pieces():
            p, q = lower.clamp(left, right), upper.clamp(left, right)
            inside = (lower <= right) & (upper >= left)
            ends = [self._at(x, slope) for x in (p, q)]
            end_low = torch.minimum(ends[0][0], ends[1][0])
            end_high = torch.maximum(ends[0][0], ends[1][0])
            tangent, own = self._tangent(p, q, slope, convex)
            low, high = (tangent, end_high) if convex else (end_low, tangent)
            least = torch.where(inside, torch.minimum(least, low), least)
            greatest = torch.where(inside, torch.maximum(greatest, high), greatest)
            own = torch.maximum(own, torch.maximum(ends[0][1], ends[1][1]))
            size = torch.where(inside, torch.maximum(size, own), size)
        error = size * _ULPS + _TINY
        return self._where_defined(lower, upper, least - error, greatest + error)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f′ on [lower, upper]: it is monotone between inflections."""
        ends = [self.derivative(lower), self.derivative(upper)]
        for point in self.inflections:
            inside = torch.clamp(torch.full_like(lower, point), lower, upper)
            ends = [*ends, self.derivative(inside)]
        low, high = torch.stack(ends).aminmax(dim=0)
        error = torch.maximum(low.abs(), high.abs()) * _ULPS + _TINY
        return self._where_defined(lower, upper, low - error, high + error)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x) − f(y) = f′(ξ) δ lies below max(mδ, Mδ), m ≤ f′ ≤ M, and that below its chord."""
        low, high = self.slopes(lower, upper)
        width = above - below
        chord = (high * above - low * below) / width
        mixed = (below < 0) & (above > 0)
        slope = torch.where(below >= 0, high, torch.where(above <= 0, low, chord))
        slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
        # The chord of a convex function lies above it if it does so at both ends.
        first, last = low * below - slope * below, high * above - slope * above
        size = (low.abs() + slope.abs()) * below.abs() + (high.abs() + slope.abs()) * above.abs()
        raised = torch.maximum(first, last) + size * _ULPS + _TINY
        exact = ~mixed & torch.isfinite(low) & torch.isfinite(high)
        intercept = torch.where(exact, torch.zeros_like(raised), raised)
        return slope, torch.nan_to_num(intercept, nan=math.inf, posinf=math.inf)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval is more than a point."""
        return upper > lower

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Elementary functions are assumed to be within 2^-20, relative to their greatest value."""
        low, high = self.residual(lower, upper, torch.zeros_like(lower))
        size = torch.maximum(low.abs(), high.abs())
        return torch.zeros_like(size), FLOAT32_ACCURACY * size + 2.0**-126

    def _pieces(self) -> list[tuple[float, float, bool]]:
        """Return (left, right, convex) for each piece between inflections."""
        edges = [-math.inf, *self.inflections, math.inf]
        convex = self.first
        pieces = []
        for left, right in pairwise(edges):
            pieces.append((left, right, convex))
            convex = not convex
        return pieces

    def _at(self, x: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) − slope · x, and the size of its terms."""
        f, line = self.value(x), slope * x
        return f - line, f.abs() + line.abs()

    def _tangent(self, p: Tensor, q: Tensor, slope: Tensor, convex: bool) -> tuple[Tensor, Tensor]:
        """Bound a convex h = f − slope · x from below on [p, q], a concave one from above."""
        left, right = p, q
        for _ in range(_BISECTIONS):
            middle = left / 2 + right / 2
            rising = (self.derivative(middle) >= slope) == convex
            left, right = torch.where(rising, left, middle), torch.where(rising, middle, right)
        best, largest = None, torch.zeros_like(p)
        for t in (left, right):
            value, size = self._at(t, slope)
            steep = self.derivative(t) - slope
            reach = torch.stack([steep * (p - t), steep * (q - t)])
            own = value + (reach.amin(0) if convex else reach.amax(0))
            size = size + (self.derivative(t).abs() + slope.abs()) * (q - p)
            largest = torch.maximum(largest, size)
            if best is None:
                best = own
            else:
                best = torch.maximum(best, own) if convex else torch.minimum(best, own)
        assert best is not None  # noqa: S101 - for the type checker
        return best, largest

    def _where_defined(
        self, lower: Tensor, upper: Tensor, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return no bounds where the interval leaves the domain, or a number overflowed."""
        defined = (lower > self.domain[0]) & (upper < self.domain[1])
        infinite = torch.full_like(low, math.inf)
        low = torch.where(defined & ~low.isnan(), low, -infinite)
        return low, torch.where(defined & ~high.isnan(), high, infinite)
