"""The same bounds once more in exact arithmetic, for some leaves or for all (``--exact``).

Every coefficient is an integer times a power of two and every sum and product is exact; only
intervals are rounded, outward, to float64. The lines and planes around rectifiers are float64
numbers, and each of them is checked at all the points where it could fail. So nothing here rests on
an analysis of the checker's own rounding errors. It is some hundred times slower than ``bounds``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from simcert.checker.bounds import AffineRule, Batch, Pair
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import Float, Interval
from simcert.checker.linear import Index, LinearMap
from simcert.checker.rules.layer import Blocks, Layer, Rows, Setting

Objects = NDArray[Any]

_ROUNDED = 2.0**-49
"""Of |W| and the bias: how far weights that were computed (``Affine.rounded``) may be off."""


class Dyadic(NDArrayOperatorsMixin):
    """An array of numbers, integers times 2^-exponent; numpy's operators are exact on it.

    Args:
        ints: Python integers.
        exponent: not negative.
    """

    def __init__(self, ints: Objects, exponent: int) -> None:
        self.ints = ints
        self.exponent = exponent

    @classmethod
    def of(cls, values: Any) -> Dyadic:
        """Return float64 numbers, exactly."""
        if isinstance(values, Dyadic):
            return values
        array = np.asarray(values, dtype=np.float64)
        if not np.isfinite(array).all():
            raise CannotCheckError("a bound is infinite: exact arithmetic cannot go on")
        mantissa, power = np.frexp(array)
        used = np.where(mantissa == 0, 0, power)
        exponent = max(0, 53 - int(used.min(initial=53)))
        whole = (mantissa * 2.0**53).astype(np.int64).astype(object)
        return cls(whole << (used.astype(np.int64) - 53 + exponent).astype(object), exponent)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        numbers = [Dyadic.of(x) for x in inputs]
        if ufunc in (np.multiply, np.matmul):
            one, two = numbers
            return Dyadic(ufunc(one.ints, two.ints), one.exponent + two.exponent)
        exponent = max(x.exponent for x in numbers)
        found = ufunc(*(x.ints << exponent - x.exponent for x in numbers))
        compared = ufunc in (np.less_equal, np.less, np.greater, np.greater_equal)
        return found.astype(bool) if compared else Dyadic(found, exponent)

    def __getitem__(self, index: Any) -> Dyadic:
        return Dyadic(self.ints[index], self.exponent)

    def sum(self, axis: int) -> Dyadic:
        """Return sums along an axis."""
        return Dyadic(self.ints.sum(axis=axis), self.exponent)

    def above(self) -> Float:
        """Return float64 numbers that are at least these."""
        found = [_above(i, self.exponent) for i in self.ints.reshape(-1).tolist()]
        return np.array(found, dtype=np.float64).reshape(self.ints.shape)

    def below(self) -> Float:
        """Return float64 numbers that are at most these."""
        return np.asarray(-(-self).above())


def _above(value: int, exponent: int) -> float:
    exact = Fraction(value, 1 << exponent)
    try:
        nearest = exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if value > 0 else -np.finfo(np.float64).max
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


class _ExactMap:
    """A linear map in exact numbers."""

    def __init__(self, linear: LinearMap) -> None:
        weight = Dyadic.of(linear.weight)
        self._linear, self._exponent = linear.with_weight(weight.ints), weight.exponent

    def apply(self, x: Dyadic) -> Dyadic:
        """Return W x."""
        return Dyadic(self._linear.apply(x.ints), self._exponent + x.exponent)

    def back(self, c: Dyadic) -> Dyadic:
        """Return c W."""
        return Dyadic(self._linear.back(c.ints), self._exponent + c.exponent)


class _ExactRule(AffineRule):
    """An affine step in exact arithmetic; its noise is what its numbers themselves are off by."""

    def __init__(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        rounded: bool,
        extra: Sequence[LinearMap],
    ) -> None:
        super().__init__(maps, bias, bias_size, 0, extra)
        self._float_maps = maps
        self.maps = [None if x is None else _ExactMap(x) for x in self.maps]  # type: ignore[misc]
        self.absolute = [None if x is None else _ExactMap(x) for x in self.absolute]  # type: ignore[misc]
        self.extra = [_ExactMap(x) for x in self.extra]  # type: ignore[misc]
        self.bias, self.bias_size = Dyadic.of(bias), Dyadic.of(bias_size)  # type: ignore[assignment]
        self._relative = _ROUNDED if rounded else 0.0

    def interval(
        self, operands: Sequence[Interval], *, bias: bool = True
    ) -> tuple[Interval, Float, Float]:
        """Bound W x, plus the bias if wanted, rounded outward; see :class:`AffineRule`."""
        ends = [[Dyadic.of(end) for end in x] for x in operands]
        shape = len(operands[0].lower), len(self.bias.ints)  # type: ignore[attr-defined]
        zero = Dyadic(np.zeros(shape, dtype=object), 0)
        double: Rows = zero + 2 * self.bias if bias else zero
        radius: Rows = zero
        size: Rows = zero + self.bias_size if bias else zero
        for linear, absolute, (lower, upper) in zip(self.maps, self.absolute, ends, strict=True):
            if linear is None or absolute is None:
                continue
            double = double + linear.apply(lower + upper)
            radius = radius + absolute.apply(upper - lower)
            size = size + absolute.apply(np.maximum(abs(lower), abs(upper)))
        for linear, (lower, upper) in zip(self.extra, ends, strict=False):
            size = size + linear.apply(np.maximum(abs(lower), abs(upper)))
        noise = (size * self._relative).above()
        found = Interval(((double - radius) * 0.5).below(), ((double + radius) * 0.5).above())
        return (found.widened(noise) if self._relative else found), noise, size.above()


class _ExactSetting(Setting):
    """Integers times powers of two: nothing is rounded."""

    def lift(self, values: Float) -> Rows:
        return Dyadic.of(values)

    def noise(self, size: Float, terms: int = 0) -> Float:  # noqa: ARG002
        return np.zeros_like(size)

    def require(self, kind: str) -> None:
        raise CannotCheckError(
            f"exact arithmetic is rational, and knows no bounds of {kind}: leave out --exact"
        )

    def check_lines(self, x: Interval, lines: Rows) -> None:
        """Convex functions lie below a line if they do at both ends."""
        mean, half, constant, spread = (lines[:, i] for i in range(4))
        for end in x:
            at: Rows = Dyadic.of(end)
            bent = np.maximum(at, 0)
            above = (mean + half) * at + (constant + spread) >= bent
            slope = mean - half
            below = (slope >= 0) & (slope <= 1) & (constant - spread <= 0)
            if not (above & below).all():
                raise CannotCheckError("a line around a rectifier is wrong")

    def check_planes(self, before: Layer, planes: Rows) -> None:
        """Require relu(a) − relu(b) to lie between the planes.

        The difference to a plane is linear on each part of the polygon of all (a, b) on which no
        rectifier bends, so it is greatest at a corner of a part: a point at which two of
        a ∈ {l_a, 0, u_a}, b ∈ {l_b, 0, u_b}, a − b ∈ {l_δ, u_δ} hold.
        """
        a, b, d = (
            (Dyadic.of(x.lower), Dyadic.of(x.upper))
            for x in (before.a, before.b, before.d)
            if x is not None
        )
        zero = a[0] * 0
        corners = list(product((*a, zero), (*b, zero)))
        corners += [(x, x - y) for x, y in product((*a, zero), d)]
        corners += [(x + y, x) for x, y in product((*b, zero), d)]
        ends = [planes[:, i] + planes[:, i + 4] for i in range(4)]
        starts = [planes[:, i] - planes[:, i + 4] for i in range(4)]
        for x, y in corners:
            inside = (a[0] <= x) & (x <= a[1]) & (b[0] <= y) & (y <= b[1])
            inside &= (d[0] <= x - y) & (x - y <= d[1])
            value = np.maximum(x, 0) - np.maximum(y, 0)
            above = ends[0] * x + ends[1] * y + ends[2] * (x - y) + ends[3] >= value
            below = starts[0] * x + starts[1] * y + starts[2] * (x - y) + starts[3] <= value
            if (inside & ~(above & below)).any():
                raise CannotCheckError("a plane around two rectifiers is wrong")


class ExactPair(Pair):
    """A pair whose bounds are computed exactly; see the module."""

    def _setting(self, float32: bool, equal: bool, terms: int) -> Setting:
        return _ExactSetting(float32, equal, terms)

    def _affine_rule(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        rounded: bool,
        extra: Sequence[LinearMap] = (),
    ) -> AffineRule:
        return _ExactRule(maps, bias, bias_size, rounded, extra)

    def _weighted(self, c: Rows, values: Rows) -> Rows:
        return (c * values).sum(axis=1)

    def _by_intervals(self, layer: Layer, f: Float, g: Float, d: Float) -> Interval:  # noqa: ARG002
        """No bound, but where the intervals are 0."""
        shape = len(layer.a.lower), len(f)  # type: ignore[union-attr]
        found = Interval(np.full(shape, -np.inf), np.full(shape, np.inf))
        if layer.d is not None and not layer.d.size.any():
            alone = ~(f.any(axis=1) | g.any(axis=1))
            found.lower[:, alone] = found.upper[:, alone] = 0.0
        return found

    def _concrete(
        self, batch: Batch, box: Index, slopes: Blocks, constant: Rows
    ) -> tuple[Float, Float]:
        parts: list[Rows] = [c for c in (slopes.f, slopes.g) if c is not None]
        if not parts:
            return constant.above(), np.zeros((len(box), batch.box.lower.shape[1]))
        slope: Rows = sum(parts[1:], parts[0])
        lower, upper = (self.setting.lift(end[box]) for end in batch.box)
        end = constant + self._weighted(np.maximum(slope, 0), upper)
        end = end + self._weighted(np.minimum(slope, 0), lower)
        return end.above(), slope.above()
