"""Bounds of f, g and f − g on boxes of inputs, by the checker's own reasoning.

Of every pair of tensors (a in the original, b in the compressed network, δ = a − b) there are
intervals, and bounds of c_f·a + c_g·b + c_δ·δ by one linear function of the input, found backward:

    affine   a' = W a + α,  b' = V b + β,  δ' = W δ + (W − V) b + (α − β)
    relu     s x ≤ relu(x) ≤ t x + k on [l, u], and for Δ = relu(a) − relu(b) one of
             Δ ≤ t_a a + k_a − s_b b                   (two networks side by side)
             Δ ≤ t_δ δ + k_δ                           (relu(a) − relu(b) ≤ max(0, δ))
             Δ ≤ δ + relu(−a) ≤ δ + (t_a − 1) a + k_a  (relu(b) ≥ b)
             Δ ≤ δ + (1 − s) b where a ≥ 0             (relu(b) ≥ s b, s in {0, 1})
             whichever is least at the centre; from below with a and b exchanged
    always   a − b − δ = 0, so coefficients of opposite sign move from a and b into δ

All is float64, rounded to nearest, and holds over the reals: a sum of n products, added in any
order, errs by at most γ_n times the sum of the absolute products, γ_n = n u/(1 − n u), u = 2^-53
(Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1). For each tensor ``noise`` is
γ times the largest size of the terms behind one element, and |c|·noise is added wherever a
coefficient c passes. Sizes below 2^-400 are rounded outward to it, so that nothing underflows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simcert.checker.errors import CannotCheckError
from simcert.checker.network import Affine, Network, Relu

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]

UNIT = 2.0**-53
SMALL = 2.0**-400
"""Nonzero ends of intervals and intercepts are at least this large."""

LARGEST_INPUT, LARGEST_GROWTH = 2.0**100, 2.0**200

_CHUNK = 1 << 15
"""Coefficients of one block handled at once: what stays in a core's cache."""


def gamma(n: int) -> float:
    """Return twice γ_n: the factor 2 covers the rounding of the noise itself."""
    if not 0 <= n * UNIT < 0.01:
        raise ValueError(f"{n} terms are too many")
    return 2.0 * n * UNIT / (1.0 - n * UNIT)


class Interval(NamedTuple):
    """Ends (boxes, size)."""

    lower: Float
    upper: Float

    @property
    def size(self) -> Float:
        """The largest absolute value."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @property
    def unstable(self) -> Bool:
        """Whether relu bends inside."""
        return np.logical_and(self.lower < 0, self.upper > 0)

    def halves(self) -> tuple[Float, Float]:
        """Return centre and radius that together contain the interval."""
        centre = self.lower / 2 + self.upper / 2
        radius = np.maximum(self.upper - centre, centre - self.lower)
        return centre, radius * (1 + 4 * UNIT)

    def meet(self, other: Interval) -> Interval:
        """Return what both say; where rounding makes that empty, the first stays."""
        lower, upper = np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper)
        empty = lower > upper
        return Interval(np.where(empty, self.lower, lower), np.where(empty, self.upper, upper))

    def outward(self) -> Interval:
        """Move the ends outward by a few units in the last place."""
        lower = self.lower - np.abs(self.lower) * (4 * UNIT)
        upper = self.upper + np.abs(self.upper) * (4 * UNIT)
        return Interval(lower, upper).snapped()

    def snapped(self) -> Interval:
        """Move ends that are closer to 0 than SMALL outward, to 0 or SMALL; NaN is no bound."""
        lower, upper = self
        lower = np.where(np.isnan(lower), -np.inf, lower)
        upper = np.where(np.isnan(upper), np.inf, upper)
        lower = np.where((lower < 0) & (lower > -SMALL), -SMALL, lower)
        lower = np.where((lower > 0) & (lower < SMALL), 0.0, lower)
        upper = np.where((upper > 0) & (upper < SMALL), SMALL, upper)
        upper = np.where((upper < 0) & (upper > -SMALL), 0.0, upper)
        return Interval(lower, upper)

    def minus(self, other: Interval) -> Interval:
        """Return the interval of the difference."""
        return Interval(self.lower - other.upper, self.upper - other.lower).outward()

    def plus(self, other: Interval) -> Interval:
        """Return the interval of the sum."""
        return Interval(self.lower + other.lower, self.upper + other.upper).outward()


class Bounds(NamedTuple):
    """Bounds (boxes, S) of linear functions, and how strongly each input moves them."""

    lower: Float
    upper: Float
    pull: Float
    """(boxes, inputs): Σ over the functions of |coefficient| · width."""


class _Map:
    """An affine step W x + bias, or its difference to another, with what its rounding needs.

    Args:
        weight: W; None for the identity (``identity``) or for zero.
        bias: (size,).
        terms: room in γ for the sums over all steps.
        identity: whether a missing weight stands for the identity.
    """

    def __init__(
        self, weight: Float | None, bias: Float, terms: int, *, identity: bool = True
    ) -> None:
        self.weight = weight
        self.absolute = None if weight is None else np.abs(weight)
        self.bias = bias
        # Forward a sum has as many terms as the weight has columns, backward as it has rows.
        self.factor = gamma(len(bias) + (0 if weight is None else weight.shape[1]) + terms)
        self._identity = identity

    def apply(self, x: Float) -> Float:
        """Return W x."""
        return self._times(x, None if self.weight is None else self.weight.T)

    def magnitude(self, x: Float) -> Float:
        """Return |W| x."""
        return self._times(x, None if self.absolute is None else self.absolute.T)

    def back(self, c: Float) -> Float:
        """Return c W."""
        return self._times(c, self.weight)

    def interval(self, x: Interval, *, bias: bool = True) -> tuple[Interval, Float]:
        """Bound W x, plus the bias if wanted; and the noise."""
        constant = self.bias if bias else np.zeros_like(self.bias)
        centre, radius = x.halves()
        middle, radius = self.apply(centre) + constant, self.magnitude(radius)
        noise = self.factor * (self.magnitude(np.abs(centre)) + radius + np.abs(constant))
        radius = radius + 2 * noise
        return Interval(middle - radius, middle + radius).outward(), noise

    def _times(self, x: Float, matrix: Float | None) -> Float:
        if matrix is not None:
            return x @ matrix
        return x if self._identity else np.zeros_like(x)


class _Affine(NamedTuple):
    """An affine step of both networks; ``difference`` is (W − V) x + (α − β)."""

    f: _Map
    g: _Map
    difference: _Map


class _Lines(NamedTuple):
    """s x ≤ relu(x) ≤ t x + k."""

    below: Float
    slope: Float
    intercept: Float


@dataclass
class _Layer:
    """What is known of one step on a batch of boxes: intervals, and terms for the way back.

    ``lines_f`` and ``lines_g`` are (boxes, 4, size): mean and half-difference of the two slopes,
    and what c and |c| contribute to the constant. ``planes`` is (boxes, 8, size): the same for the
    coefficients on a, b and δ, and for the constant. ``noise`` belongs to an affine step.
    """

    a: Interval
    b: Interval
    d: Interval
    noise_f: Float | None = None
    noise_g: Float | None = None
    noise_d: Float | None = None
    lines_f: Float | None = None
    lines_g: Float | None = None
    planes: Float | None = None


@dataclass
class _Batch:
    box: Interval
    layers: list[_Layer] = field(default_factory=list)


class Pair:
    """Two networks whose steps correspond one to one, or else stand side by side.

    Args:
        f: the original.
        g: the compressed network.
    """

    def __init__(self, f: Network, g: Network) -> None:
        self.f, self.g = f, g
        terms = 8 * max(len(f.steps), len(g.steps)) + 64
        self._terms = terms
        self._widest = max(step.size for step in (*f.steps, *g.steps))
        self._maps = [[_map(step, terms) for step in network.steps] for network in (f, g)]
        for maps in self._maps:
            _check_growth(maps)
        self.aligned = correspond(f, g)
        self._steps: list[_Affine | None] = []
        if self.aligned:
            self._steps = [_both(one, two, terms) for one, two in zip(*self._maps, strict=True)]

    def bound(self, lower: Float, upper: Float, f: Float, g: Float, d: Float) -> Bounds:
        """Bound the functions f·c_f + g·c_g + (f − g)·c_δ of the outputs on boxes.

        Args:
            lower: (boxes, inputs).
            upper: (boxes, inputs).
            f: c_f, (S, outputs).
            g: c_g, (S, outputs).
            d: c_δ, (S, outputs).

        Returns:
            The bounds; infinite or NaN where there is none.
        """
        box = Interval(lower, upper).snapped()
        if not box.size.max() <= LARGEST_INPUT:
            raise CannotCheckError(f"inputs above {LARGEST_INPUT} are too large for the checker")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.aligned:
                return self._dual_bounds(box, f, g, d)
            return self._side_by_side(box, f + d, g - d)

    # -- forward -----------------------------------------------------------------------------

    def _dual_bounds(self, box: Interval, f: Float, g: Float, d: Float) -> Bounds:
        zero = np.zeros_like(box.lower)
        batch = _Batch(box)
        before = _Layer(box, box, Interval(zero, zero))
        symbolic = False
        for index, step in enumerate(self.f.steps):
            both = self._steps[index]
            layer = self._relu(before, step.size) if both is None else _forward(both, before)
            batch.layers.append(layer)
            if symbolic and _bends_next(self.f, index):
                self._refine(batch, index)
            # One matrix away from the input intervals are exact.
            symbolic = symbolic or (both is not None and both.f.weight is not None)
            before = layer
        return self._rows(batch, f, g, d)

    def _relu(self, before: _Layer, size: int) -> _Layer:
        a, b, d = before.a, before.b, before.d
        factor = gamma(size + self._terms)
        lines_a, lines_b = _lines(a), _lines(b)
        upper = _plane(a, b, d, lines_a, lines_b)
        lower = _plane(b, a, Interval(-d.upper, -d.lower), lines_b, lines_a)
        mirrored = np.stack([-lower[1], -lower[0], lower[2], -lower[3]])
        largest = np.maximum(np.abs(upper), np.abs(mirrored))
        noise = factor * (
            largest[0] * a.size + largest[1] * b.size + largest[2] * d.size + largest[3]
        )
        planes = np.concatenate([(upper + mirrored) / 2, (upper - mirrored) / 2])
        planes[7] += noise
        return _Layer(
            _rectified(a),
            _rectified(b),
            Interval(np.minimum(d.lower, 0.0), np.maximum(d.upper, 0.0)),
            lines_f=_packed(lines_a, a.size, factor),
            lines_g=_packed(lines_b, b.size, factor),
            planes=np.ascontiguousarray(planes.transpose(1, 0, 2)),
        )

    def _refine(self, batch: _Batch, index: int) -> None:
        """Bound symbolically what intervals leave open in front of a rectifier."""
        layer = batch.layers[index]
        a, b, d = layer.a, layer.b, layer.d
        a = self._meet(batch, index, "f", a, a.unstable)
        b = b.meet(a.minus(d))
        settled = np.logical_or((a.lower >= 0) & (b.lower >= 0), (a.upper <= 0) & (b.upper <= 0))
        d = self._meet(batch, index, "d", d, ~settled & (d.lower < d.upper))
        b = b.meet(a.minus(d))
        # Where the difference is small beside a itself, a − δ bounds b as well as can be.
        coarse = d.upper - d.lower > (a.upper - a.lower) / 16
        b = self._meet(batch, index, "g", b, b.unstable & coarse)
        d = d.meet(a.minus(b))
        layer.a, layer.b, layer.d = a.meet(b.plus(d)), b.meet(a.minus(d)), d

    def _meet(
        self, batch: _Batch, index: int, block: str, known: Interval, wanted: Bool
    ) -> Interval:
        """Meet an interval with symbolic bounds of the elements ``wanted`` (boxes, size)."""
        boxes, elements = np.nonzero(wanted)
        lower, upper = known.lower.copy(), known.upper.copy()
        for part in self._chunks(len(boxes)):
            box, element = boxes[part], elements[part]
            for sign in (1.0, -1.0):
                unit = np.zeros((len(box), wanted.shape[1]))
                unit[np.arange(len(box)), element] = sign
                if block == "d":
                    nothing = np.zeros_like(unit)
                    found = self._dual_back(batch, index, nothing, nothing, unit, box)
                else:
                    found = self._own_back(batch, index, block == "g", unit, box)
                end = _concrete(batch.box, box, *found)[0]
                if sign > 0:
                    upper[box, element] = np.fmin(upper[box, element], end)
                else:
                    lower[box, element] = np.fmax(lower[box, element], -end)
        return known.meet(Interval(lower, upper).outward())

    # -- backward ----------------------------------------------------------------------------

    def _rows(self, batch: _Batch, f: Float, g: Float, d: Float) -> Bounds:
        """Bound the functions of the outputs: dually, side by side, and by intervals."""
        last = len(batch.layers) - 1
        boxes, rows = len(batch.box.lower), len(d)
        ends = np.empty((2, boxes * rows))
        pull = np.zeros_like(batch.box.lower)
        for part in self._chunks(boxes * rows):
            box, row = np.divmod(np.arange(part.start, part.stop), rows)
            for i, sign in enumerate((1.0, -1.0)):
                cf, cg, cd = sign * f[row], sign * g[row], sign * d[row]
                back = self._dual_back(batch, last, cf, cg, cd, box)
                end, slope = _concrete(batch.box, box, *back)
                np.add.at(pull, box, np.abs(slope))
                one = self._own_back(batch, last, False, cf + cd, box)
                two = self._own_back(batch, last, True, cg - cd, box)
                beside = _concrete(batch.box, box, one[0], two[1], one[2] + two[2])[0]
                ends[i, part] = np.fmin(end, beside)
        pull *= batch.box.upper - batch.box.lower
        lower, upper = -ends[1].reshape(boxes, rows), ends[0].reshape(boxes, rows)
        layer, factor = batch.layers[-1], gamma(3 * f.shape[1] + self._terms)
        by_intervals = _combined([(f, layer.a), (g, layer.b), (d, layer.d)], factor)
        return Bounds(np.fmax(lower, by_intervals.lower), np.fmin(upper, by_intervals.upper), pull)

    def _own_back(
        self, batch: _Batch, index: int, compressed: bool, c: Float, box: Index
    ) -> tuple[Float, Float, Float]:
        """Carry c·(tensor of one network) back to the input: coefficients of f, of g, constant."""
        maps = self._maps[compressed]
        constant = np.zeros(len(c))
        for i in range(index, -1, -1):
            layer, step = batch.layers[i], maps[i]
            if step is None:
                lines = layer.lines_g if compressed else layer.lines_f
                c = _along(c, _known(lines)[box], constant)
            else:
                noise = layer.noise_g if compressed else layer.noise_f
                constant += c @ step.bias + _weighted(np.abs(c), _known(noise)[box])
                c = step.back(c)
        nothing = np.zeros_like(c)
        return (nothing, c, constant) if compressed else (c, nothing, constant)

    def _dual_back(
        self, batch: _Batch, index: int, cf: Float, cg: Float, cd: Float, box: Index
    ) -> tuple[Float, Float, Float]:
        """Carry c_f·a + c_g·b + c_δ·δ back to the input, where δ = 0."""
        constant = np.zeros(len(cd))
        for i in range(index, -1, -1):
            layer, both = batch.layers[i], self._steps[i]
            if both is None:
                cf, cg, cd = _across(cf, cg, cd, layer, box, constant)
                continue
            f, g, difference = both
            constant += cf @ f.bias + cg @ g.bias + cd @ difference.bias
            constant += _weighted(np.abs(cf), _known(layer.noise_f)[box])
            constant += _weighted(np.abs(cg), _known(layer.noise_g)[box])
            constant += _weighted(np.abs(cd), _known(layer.noise_d)[box])
            cf, cg, cd = f.back(cf), g.back(cg) + difference.back(cd), f.back(cd)
        return cf, cg, constant

    # -- two networks that do not correspond ---------------------------------------------------

    def _side_by_side(self, box: Interval, cf: Float, cg: Float) -> Bounds:
        """Bound c_f·f + c_g·g with each network analysed by itself."""
        batches = [self._alone(box, compressed=False), self._alone(box, compressed=True)]
        boxes, rows = len(box.lower), len(cf)
        ends = np.empty((2, boxes * rows))
        pull = np.zeros_like(box.lower)
        for part in self._chunks(boxes * rows):
            own, row = np.divmod(np.arange(part.start, part.stop), rows)
            for i, sign in enumerate((1.0, -1.0)):
                f = self._own_back(batches[0], len(self.f.steps) - 1, False, sign * cf[row], own)
                g = self._own_back(batches[1], len(self.g.steps) - 1, True, sign * cg[row], own)
                ends[i, part], slope = _concrete(box, own, f[0], g[1], f[2] + g[2])
                np.add.at(pull, own, np.abs(slope))
        pull *= box.upper - box.lower
        return Bounds(-ends[1].reshape(boxes, rows), ends[0].reshape(boxes, rows), pull)

    def _alone(self, box: Interval, *, compressed: bool) -> _Batch:
        """Analyse one network; its tensors stand for both of a layer's."""
        network, maps = (self.f, self.g)[compressed], self._maps[compressed]
        batch, x = _Batch(box), box
        for index, step in enumerate(network.steps):
            own = maps[index]
            if own is None:
                lines = _packed(_lines(x), x.size, gamma(step.size + self._terms))
                x = _rectified(x)
                batch.layers.append(_Layer(x, x, x, lines_f=lines, lines_g=lines))
                continue
            x, noise = own.interval(x)
            batch.layers.append(_Layer(x, x, x, noise_f=noise, noise_g=noise))
            if _bends_next(network, index):
                x = self._meet(batch, index, "g" if compressed else "f", x, x.unstable)
                batch.layers[-1].a = batch.layers[-1].b = x
        return batch

    def _chunks(self, rows: int) -> Iterator[slice]:
        size = max(1, _CHUNK // self._widest)
        return (slice(i, min(i + size, rows)) for i in range(0, rows, size))


def correspond(f: Network, g: Network) -> bool:
    """Whether the steps of two networks correspond one to one."""
    return [_kind(step) for step in f.steps] == [_kind(step) for step in g.steps]


def _kind(step: Affine | Relu) -> tuple[int, bool, bool]:
    """What corresponding steps share."""
    return step.size, isinstance(step, Relu), isinstance(step, Affine) and step.weight is None


def _map(step: Affine | Relu, terms: int) -> _Map | None:
    return None if isinstance(step, Relu) else _Map(step.weight, step.bias, terms)


def _both(f: _Map | None, g: _Map | None, terms: int) -> _Affine | None:
    """Join two steps. W − V and α − β err by one rounding each, which γ has room for."""
    if f is None or g is None:
        return None
    weight = None if f.weight is None or g.weight is None else f.weight - g.weight
    return _Affine(f, g, _Map(weight, f.bias - g.bias, terms, identity=False))


def _check_growth(maps: list[_Map | None]) -> None:
    """Refuse networks in which coefficients could grow out of, or shrink into, rounding's limits.

    With all products of norms below 2^200 what underflow loses, 2^-1074 a product, stays far
    below SMALL when it reaches the end.
    """
    growth = 1.0
    for own in maps:
        if own is None:
            growth *= 4.0
            continue
        if own.absolute is not None:
            growth *= max(1.0, own.absolute.sum(axis=0).max(), own.absolute.sum(axis=1).max())
        growth *= 1.0 if not own.bias.size or np.abs(own.bias).max() <= LARGEST_INPUT else np.inf
    if not growth <= LARGEST_GROWTH:
        raise CannotCheckError("the weights are too large for the checker")


def _bends_next(network: Network, index: int) -> bool:
    return index + 1 < len(network.steps) and isinstance(network.steps[index + 1], Relu)


def _forward(both: _Affine, before: _Layer) -> _Layer:
    """Bound an affine step: δ' = W δ + ((W − V) b + (α − β))."""
    a, noise_f = both.f.interval(before.a)
    b, noise_g = both.g.interval(before.b)
    moved, noise_moved = both.f.interval(before.d, bias=False)
    own, noise_own = both.difference.interval(before.b)
    d = moved.plus(own).meet(a.minus(b))
    return _Layer(a, b, d, noise_f, noise_g, noise_moved + noise_own)


def _known(terms: Float | None) -> Float:
    if terms is None:
        raise AssertionError("a layer lacks what its kind of step has")
    return terms


# -- relu ------------------------------------------------------------------------------------


def _rectified(x: Interval) -> Interval:
    return Interval(np.maximum(x.lower, 0.0), np.maximum(x.upper, 0.0))


def _lines(x: Interval) -> _Lines:
    """Return the lines around relu; the upper one is checked at both ends, relu being convex."""
    lower, upper = x
    bends = x.unstable
    width = np.where(bends, upper - lower, 1.0)
    slope = np.where(bends, upper / width, (lower >= 0).astype(np.float64))
    needed = np.maximum(-slope * lower, upper - slope * upper)
    raised = needed * (1 + 8 * UNIT) + 8 * UNIT * upper + SMALL
    intercept = np.where(bends, raised, 0.0)
    unbounded = ~np.isfinite(slope) | ~np.isfinite(intercept)
    slope, intercept = np.where(unbounded, 1.0, slope), np.where(unbounded, np.inf, intercept)
    return _Lines((upper > -lower).astype(np.float64), slope, intercept)


def _plane(a: Interval, b: Interval, d: Interval, lines_a: _Lines, lines_b: _Lines) -> Float:
    """Return the upper plane of relu(a) − relu(b) that is least at the centres, (4, boxes, n)."""
    zero, one = np.zeros_like(a.lower), np.ones_like(a.lower)
    lines_d = _lines(d)
    active = (b.lower + b.upper < 0).astype(np.float64)
    planes = np.stack(
        [
            np.stack([zero, zero, lines_d.slope, lines_d.intercept]),
            np.stack([lines_a.slope, -lines_b.below, zero, lines_a.intercept]),
            np.stack([lines_a.slope - 1.0, zero, one, lines_a.intercept]),
            np.stack([zero, active, one, np.where(a.lower >= 0, 0.0, np.inf)]),
        ]
    )
    centres = np.stack([x.lower / 2 + x.upper / 2 for x in (a, b, d)])
    values = (planes[:, :3] * centres).sum(axis=1) + planes[:, 3]
    best = np.nan_to_num(values, nan=np.inf).argmin(axis=0)
    plane: Float = np.take_along_axis(planes, best[None, None], axis=0)[0]
    # Equal in both networks, or inactive in both: exactly 0.
    null = np.logical_or((d.lower >= 0) & (d.upper <= 0), (a.upper <= 0) & (b.upper <= 0))
    return np.where(null, 0.0, plane)


def _packed(lines: _Lines, size: Float, factor: float) -> Float:
    """Return (boxes, 4, n): see :class:`_Layer`."""
    half = lines.intercept / 2
    noise = factor * (size + lines.intercept)
    return np.stack(
        [(lines.slope + lines.below) / 2, (lines.slope - lines.below) / 2, half, half + noise], 1
    )


def _along(c: Float, terms: Float, constant: Float) -> Float:
    """Replace coefficients on relu(x) by coefficients on x: the upper line where positive."""
    size = np.abs(c)
    constant += _weighted(c, terms[:, 2]) + _weighted(size, terms[:, 3])
    return c * terms[:, 0] + size * terms[:, 1]


def _across(
    cf: Float, cg: Float, cd: Float, layer: _Layer, box: Index, constant: Float
) -> tuple[Float, Float, Float]:
    """Replace coefficients on relu(a), relu(b) and Δ by coefficients on a, b and δ."""
    # The median of c_f, 0 and −c_g moves: nothing unless the signs are opposite.
    other = -cg
    moved = np.maximum(np.minimum(cf, other), np.minimum(np.maximum(cf, other), 0.0))
    cd = cd + moved
    out_f = _along(cf - moved, _known(layer.lines_f)[box], constant)
    out_g = _along(cg + moved, _known(layer.lines_g)[box], constant)
    terms, size = _known(layer.planes)[box], np.abs(cd)
    constant += _weighted(cd, terms[:, 3]) + _weighted(size, terms[:, 7])
    out_f += cd * terms[:, 0] + size * terms[:, 4]
    out_g += cd * terms[:, 1] + size * terms[:, 5]
    return out_f, out_g, cd * terms[:, 2] + size * terms[:, 6]


# -- at the input ----------------------------------------------------------------------------


def _concrete(
    box: Interval, index: Index, cf: Float, cg: Float, constant: Float
) -> tuple[Float, Float]:
    """Return the maximum of (c_f + c_g) x + constant on each row's box, and c_f + c_g."""
    slope = cf + cg
    centre, radius = box.halves()
    size = _weighted(np.abs(cf) + np.abs(cg), box.size[index])
    end = constant + _weighted(slope, centre[index]) + _weighted(np.abs(slope), radius[index])
    end += gamma(4 * slope.shape[1] + 64) * size + SMALL
    return np.where(np.isnan(end), np.inf, end), slope


def _combined(parts: list[tuple[Float, Interval]], factor: float) -> Interval:
    """Bound Σ c·x for intervals of x, (boxes, S)."""
    first = parts[0][0]
    middle = np.zeros((len(parts[0][1].lower), len(first)))
    radius, size = np.zeros_like(middle), np.zeros_like(middle)
    for c, x in parts:
        centre, half = x.halves()
        middle, radius = middle + centre @ c.T, radius + half @ np.abs(c).T
        size = size + (np.abs(centre) + half) @ np.abs(c).T
    radius = radius + factor * size
    ends = Interval(middle - radius, middle + radius).outward()
    return Interval(
        np.where(np.isnan(ends.lower), -np.inf, ends.lower),
        np.where(np.isnan(ends.upper), np.inf, ends.upper),
    )


def _weighted(c: Float, values: Float) -> Float:
    """Return Σ_i c_i · value_i, row by row."""
    return np.asarray(np.einsum("rn,rn->r", c, values))
