"""The same bounds once more in exact arithmetic, for some leaves or for all (``--exact``).

Every number is an integer times a power of two and every sum and product is exact; only the
intervals in front of rectifiers are rounded, outward, to float64. Slopes are float64 numbers that
are fixed first, and the intercepts that go with them are then computed exactly. So nothing here
rests on an analysis of rounding errors. It is some hundred times slower than ``bounds``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker.bounds import Bounds, Float, correspond
from simcert.checker.network import Affine, Network, Relu

Objects = NDArray[Any]

_GRID = 2.0**24
"""Slopes are multiples of 1/grid, so that integers stay short."""


class Dyadic:
    """An array of numbers, integers times 2^-exponent.

    Args:
        ints: Python integers.
        exponent: not negative.
    """

    def __init__(self, ints: Objects, exponent: int) -> None:
        self.ints = ints
        self.exponent = exponent

    @classmethod
    def of(cls, values: Float) -> Dyadic:
        """Return float64 numbers, exactly."""
        return cls.of_fractions([Fraction(v) for v in values.reshape(-1).tolist()], values.shape)

    @classmethod
    def of_fractions(cls, values: list[Fraction], shape: tuple[int, ...]) -> Dyadic:
        """Return fractions whose denominators are powers of two."""
        exponent = max((v.denominator.bit_length() - 1 for v in values), default=0)
        ints = np.empty(len(values), dtype=object)
        ints[:] = [v.numerator << exponent + 1 - v.denominator.bit_length() for v in values]
        return cls(ints.reshape(shape), exponent)

    def __add__(self, other: Dyadic) -> Dyadic:
        exponent = max(self.exponent, other.exponent)
        return Dyadic(self._at(exponent) + other._at(exponent), exponent)

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.ints, self.exponent)

    def __sub__(self, other: Dyadic) -> Dyadic:
        return self + -other

    def __mul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.ints * other.ints, self.exponent + other.exponent)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.ints @ other.ints, self.exponent + other.exponent)

    @property
    def positive(self) -> Dyadic:
        """The positive parts."""
        return Dyadic(np.maximum(self.ints, 0), self.exponent)

    @property
    def negative(self) -> Dyadic:
        """The negative parts."""
        return Dyadic(np.minimum(self.ints, 0), self.exponent)

    @property
    def transposed(self) -> Dyadic:
        """The transposed matrix."""
        return Dyadic(self.ints.T, self.exponent)

    def median_with_zero(self, other: Dyadic) -> Dyadic:
        """Return the median of self, other and 0, elementwise."""
        exponent = max(self.exponent, other.exponent)
        one, two = self._at(exponent), other._at(exponent)
        low, high = np.minimum(one, two), np.maximum(one, two)
        return Dyadic(np.maximum(low, np.minimum(high, 0)), exponent)

    def above(self) -> Float:
        """Return float64 numbers that are at least these."""
        found = [_above(Fraction(i, 1 << self.exponent)) for i in self.ints.reshape(-1).tolist()]
        return np.array(found, dtype=np.float64).reshape(self.ints.shape)

    def below(self) -> Float:
        """Return float64 numbers that are at most these."""
        return -(-self).above()

    def _at(self, exponent: int) -> Objects:
        return self.ints << (exponent - self.exponent) if exponent > self.exponent else self.ints


@dataclass(frozen=True, eq=False)
class _Ends:
    """An interval of each element, float64 ends (size,)."""

    lower: Float
    upper: Float

    def meet(self, other: _Ends) -> _Ends:
        return _Ends(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    def minus(self, other: _Ends) -> _Ends:
        lower = np.nextafter(self.lower - other.upper, -np.inf)
        return _Ends(lower, np.nextafter(self.upper - other.lower, np.inf))

    def negated(self) -> _Ends:
        return _Ends(-self.upper, -self.lower)


@dataclass(frozen=True, eq=False)
class _Lines:
    """below x ≤ relu(x) ≤ slope x + intercept."""

    below: Float
    slope: Float
    intercept: list[Fraction]


@dataclass
class _Layer:
    a: _Ends
    b: _Ends
    d: _Ends
    lines_f: _Relaxed | None = None
    lines_g: _Relaxed | None = None
    upper: tuple[Dyadic, ...] = ()
    lower: tuple[Dyadic, ...] = ()


@dataclass(frozen=True, eq=False)
class _Relaxed:
    below: Dyadic
    slope: Dyadic
    intercept: Dyadic


@dataclass
class _Box:
    lower: Dyadic
    upper: Dyadic
    layers: list[_Layer] = field(default_factory=list)


class ExactPair:
    """A pair whose bounds are computed exactly; see the module.

    Args:
        f: the original.
        g: the compressed network.
    """

    def __init__(self, f: Network, g: Network) -> None:
        self.f, self.g, self.aligned = f, g, correspond(f, g)
        self._exact = [[_exact(step) for step in network.steps] for network in (f, g)]

    def bound(self, lower: Float, upper: Float, f: Float, g: Float, d: Float) -> Bounds:
        """Bound the functions as ``Pair.bound`` does, box by box."""
        if not self.aligned:
            f, g, d = f + d, g - d, np.zeros_like(d)
        parts = [self._bound(low, high, f, g, d) for low, high in zip(lower, upper, strict=True)]
        ends = [np.array([part[i] for part in parts]) for i in range(3)]
        return Bounds(ends[0], ends[1], ends[2] * (upper - lower))

    def _bound(
        self, lower: Float, upper: Float, f: Float, g: Float, d: Float
    ) -> tuple[Float, Float, Float]:
        box = _Box(Dyadic.of(lower), Dyadic.of(upper))
        if self.aligned:
            back = self._analyse(box, lower, upper)
        else:
            back = self._analyse_apart(box, lower, upper)
        ends, pull = [], np.zeros(len(lower))
        for sign in (-1.0, 1.0):
            rows = [Dyadic.of(sign * c) for c in (f, g, d)]
            slope, constant = back(*rows)
            ends.append(sign * _greatest(box, slope, constant).above())
            pull += np.abs(slope.above()).sum(axis=0)
        return ends[0], ends[1], pull

    def _analyse(
        self, box: _Box, lower: Float, upper: Float
    ) -> Callable[[Dyadic, Dyadic, Dyadic], tuple[Dyadic, Dyadic]]:
        """Analyse the aligned pair on a box; return what carries functions of its outputs back."""
        x = _Ends(lower, upper)
        zero = np.zeros_like(lower)
        before = _Layer(x, x, _Ends(zero, zero))
        for index, step in enumerate(self.f.steps):
            if isinstance(step, Relu):
                before = _relu(before)
                box.layers.append(before)
                continue
            (wf, bf), (wg, bg) = _known(self._exact[0][index]), _known(self._exact[1][index])
            a, b = _affine(wf, bf, before.a), _affine(wg, bg, before.b)
            before = _Layer(a, b, a.minus(b))
            box.layers.append(before)
            if index + 1 < len(self.f.steps) and isinstance(self.f.steps[index + 1], Relu):
                self._refine(box, index, before)
        last = len(self.f.steps) - 1
        return lambda f, g, d: self._dual_back(box, last, f, g, d)

    def _refine(self, box: _Box, index: int, layer: _Layer) -> None:
        layer.a = self._meet(box, index, 0, layer.a)
        layer.b = self._meet(box, index, 1, layer.b)
        a, b = layer.a, layer.b
        settled = np.logical_or((a.lower >= 0) & (b.lower >= 0), (a.upper <= 0) & (b.upper <= 0))
        layer.d = layer.d.meet(a.minus(b))
        rows = np.flatnonzero(~settled)
        if not rows.size:
            return
        unit = _unit(rows, len(a.lower))
        nothing = Dyadic(unit.ints * 0, 0)
        lower, upper = layer.d.lower.copy(), layer.d.upper.copy()
        up = _greatest(box, *self._dual_back(box, index, nothing, nothing, unit)).above()
        down = _greatest(box, *self._dual_back(box, index, nothing, nothing, -unit)).above()
        upper[rows], lower[rows] = np.minimum(upper[rows], up), np.maximum(lower[rows], -down)
        layer.d = _Ends(lower, upper)

    def _meet(self, box: _Box, index: int, which: int, known: _Ends) -> _Ends:
        """Bound symbolically the elements of one network that intervals leave unstable."""
        rows = np.flatnonzero((known.lower < 0) & (known.upper > 0))
        if not rows.size:
            return known
        unit = _unit(rows, len(known.lower))
        lower, upper = known.lower.copy(), known.upper.copy()
        up = _greatest(box, *self._own_back(box, index, which, unit)).above()
        down = _greatest(box, *self._own_back(box, index, which, -unit)).above()
        upper[rows], lower[rows] = np.minimum(upper[rows], up), np.maximum(lower[rows], -down)
        return _Ends(lower, upper)

    def _own_back(self, box: _Box, index: int, which: int, c: Dyadic) -> tuple[Dyadic, Dyadic]:
        constant = Dyadic(np.zeros(len(c.ints), dtype=object), 0)
        for i in range(index, -1, -1):
            step = self._exact[which][i]
            if step is None:
                layer = box.layers[i]
                lines = layer.lines_g if which else layer.lines_f
                c, more = _along(c, _known(lines))
                constant += more
            else:
                weight, bias = step
                constant += c @ bias
                c = c if weight is None else c @ weight
        return c, constant

    def _dual_back(
        self, box: _Box, index: int, f: Dyadic, g: Dyadic, d: Dyadic
    ) -> tuple[Dyadic, Dyadic]:
        constant = Dyadic(np.zeros(len(d.ints), dtype=object), 0)
        for i in range(index, -1, -1):
            one, two, layer = self._exact[0][i], self._exact[1][i], box.layers[i]
            if one is None or two is None:
                moved = f.median_with_zero(-g)
                d = d + moved
                f, more = _along(f - moved, _known(layer.lines_f))
                g, most = _along(g + moved, _known(layer.lines_g))
                up, down = d.positive, d.negative
                constant += more + most + up @ layer.upper[3] + down @ layer.lower[3]
                f += up * layer.upper[0] + down * layer.lower[0]
                g += up * layer.upper[1] + down * layer.lower[1]
                d = up * layer.upper[2] + down * layer.lower[2]
                continue
            constant += f @ one[1] + g @ two[1] + d @ (one[1] - two[1])
            if one[0] is not None and two[0] is not None:
                f, g, d = f @ one[0], g @ two[0] + d @ (one[0] - two[0]), d @ one[0]
        return f + g, constant

    def _analyse_apart(
        self, box: _Box, lower: Float, upper: Float
    ) -> Callable[[Dyadic, Dyadic, Dyadic], tuple[Dyadic, Dyadic]]:
        """Analyse two networks that do not correspond, each by itself."""
        boxes = [_Box(box.lower, box.upper), _Box(box.lower, box.upper)]
        for which, network in enumerate((self.f, self.g)):
            x = _Ends(lower, upper)
            for index, step in enumerate(self._exact[which]):
                if step is None:
                    layer = _relu(_Layer(x, x, x.minus(x)))
                    x = layer.a
                else:
                    x = _affine(*step, x)
                    layer = _Layer(x, x, x.minus(x))
                boxes[which].layers.append(layer)
                if index + 1 < len(network.steps) and isinstance(network.steps[index + 1], Relu):
                    layer.a = layer.b = x = self._meet(boxes[which], index, which, x)

        def back(f: Dyadic, g: Dyadic, _: Dyadic) -> tuple[Dyadic, Dyadic]:
            one = self._own_back(boxes[0], len(self.f.steps) - 1, 0, f)
            two = self._own_back(boxes[1], len(self.g.steps) - 1, 1, g)
            return one[0] + two[0], one[1] + two[1]

        return back


_Step = tuple[Dyadic | None, Dyadic]


def _exact(step: Affine | Relu) -> _Step | None:
    if isinstance(step, Relu):
        return None
    return None if step.weight is None else Dyadic.of(step.weight), Dyadic.of(step.bias)


def _known(value: Any) -> Any:
    if value is None:
        raise AssertionError("a layer lacks what its kind of step has")
    return value


def _above(value: Fraction) -> float:
    try:
        nearest = value.numerator / value.denominator
    except OverflowError:
        return math.inf
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def _unit(rows: NDArray[np.intp], size: int) -> Dyadic:
    ints = np.zeros((len(rows), size), dtype=object)
    ints[np.arange(len(rows)), rows] = 1
    return Dyadic(ints, 0)


def _greatest(box: _Box, slope: Dyadic, constant: Dyadic) -> Dyadic:
    """Return the maximum of slope · x + constant over the box, (rows,)."""
    return slope.positive @ box.upper + slope.negative @ box.lower + constant


def _affine(weight: Dyadic | None, bias: Dyadic, x: _Ends) -> _Ends:
    lower, upper = Dyadic.of(x.lower), Dyadic.of(x.upper)
    if weight is None:
        return _Ends((lower + bias).below(), (upper + bias).above())
    up, down = weight.positive, weight.negative
    low, high = up @ lower + down @ upper + bias, up @ upper + down @ lower + bias
    return _Ends(low.below(), high.above())


def _relu(before: _Layer) -> _Layer:
    a, b, d = before.a, before.b, before.d
    lines_a, lines_b = _lines(a), _lines(b)
    upper = _plane(a, b, d, lines_a, lines_b)
    mirrored = _plane(b, a, d.negated(), lines_b, lines_a)
    return _Layer(
        _Ends(np.maximum(a.lower, 0.0), np.maximum(a.upper, 0.0)),
        _Ends(np.maximum(b.lower, 0.0), np.maximum(b.upper, 0.0)),
        _Ends(np.minimum(d.lower, 0.0), np.maximum(d.upper, 0.0)),
        _relaxed(lines_a),
        _relaxed(lines_b),
        upper,
        (-mirrored[1], -mirrored[0], mirrored[2], -mirrored[3]),
    )


def _lines(x: _Ends) -> _Lines:
    """Fix the slopes, then compute the intercepts that they need, exactly."""
    slope = np.where(x.lower >= 0, 1.0, 0.0)
    intercept = [Fraction(0)] * len(slope)
    for i in np.flatnonzero((x.lower < 0) & (x.upper > 0)).tolist():
        low, high = Fraction(float(x.lower[i])), Fraction(float(x.upper[i]))
        slope[i] = round(float(high / (high - low)) * _GRID) / _GRID
        s = Fraction(float(slope[i]))
        intercept[i] = max(-s * low, high - s * high)
    return _Lines(np.where(x.upper > -x.lower, 1.0, 0.0), slope, intercept)


def _relaxed(lines: _Lines) -> _Relaxed:
    size = (len(lines.slope),)
    return _Relaxed(
        Dyadic.of(lines.below),
        Dyadic.of(lines.slope),
        Dyadic.of_fractions(lines.intercept, size),
    )


def _along(c: Dyadic, lines: _Relaxed) -> tuple[Dyadic, Dyadic]:
    up, down = c.positive, c.negative
    return up * lines.slope + down * lines.below, up @ lines.intercept


def _plane(
    a: _Ends, b: _Ends, d: _Ends, lines_a: _Lines, lines_b: _Lines
) -> tuple[Dyadic, Dyadic, Dyadic, Dyadic]:
    """Return the upper plane of relu(a) − relu(b) that is about least at the centres."""
    lines_d = _lines(d)
    size = len(a.lower)
    coefficients = np.zeros((3, size))
    constants = [Fraction(0)] * size
    for i in range(size):
        if d.lower[i] == d.upper[i] == 0 or (a.upper[i] <= 0 and b.upper[i] <= 0):
            continue
        active = float(b.lower[i] + b.upper[i] < 0)
        planes = [
            ((0.0, 0.0, float(lines_d.slope[i])), lines_d.intercept[i]),
            ((float(lines_a.slope[i]), -float(lines_b.below[i]), 0.0), lines_a.intercept[i]),
            ((float(lines_a.slope[i]) - 1.0, 0.0, 1.0), lines_a.intercept[i]),
        ]
        if a.lower[i] >= 0:
            planes.append(((0.0, active, 1.0), Fraction(0)))
        centre = [float(x.lower[i] / 2 + x.upper[i] / 2) for x in (a, b, d)]
        values = [
            sum(c * v for c, v in zip(plane, centre, strict=True)) + float(constant)
            for plane, constant in planes
        ]
        best = int(np.argmin(values))
        coefficients[:, i], constants[i] = planes[best]
    exact = [Dyadic.of(row) for row in coefficients]
    return exact[0], exact[1], exact[2], Dyadic.of_fractions(constants, (size,))
