"""Bounds of f, g and f − g on boxes of inputs, by the checker's own reasoning.

Of every pair of tensors (a in the original, b in the compressed network, δ = a − b) there are
intervals, and bounds of c_f·a + c_g·b + c_δ·δ by one linear function of the input, found backward:

    affine   a' = W a + α,  b' = V b + β,  δ' = W δ + (W − V) b + (α − β)
    relu     lines and planes (``relu``)
    others   lines and planes of their own (``rules``)
    always   a − b − δ = 0, so coefficients of opposite sign move from a and b into δ

All is float64; for what its rounding can do see ``interval``. For each tensor ``noise`` is γ times
the largest size of the terms behind one element, and |c|·noise is added wherever a coefficient c
passes.

In float32 arithmetic a and b are what a runtime computes, W a + α + e with |e| at most
``rules.affine.runtime_error`` for any order of summation, with or without fused multiply-add and
flushing of subnormal numbers: e belongs to the noise, and δ has that of both networks. If the two
files hold the same graph the one runtime computes them in the same way, and δ = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from simcert.checker import quantisers
from simcert.checker.align import PairNode, pair_up
from simcert.checker.association import multiples_held
from simcert.checker.codes import quantised_inputs
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import SMALL, Bool, Float, Interval, gamma
from simcert.checker.linear import Index, LinearMap
from simcert.checker.plan import LARGEST_INPUT, check_growth, refined
from simcert.checker.program import Affine, Elementwise, Joining, Network, Pass, Quantiser, Step
from simcert.checker.rules import ELEMENTWISE, JOINING
from simcert.checker.rules.affine import AffineRule, runtime_error
from simcert.checker.rules.layer import Blocks, Layer, Rows, Setting, added, known

__all__ = ["AffineRule", "Batch", "Blocks", "Bounds", "Pair", "Planes"]


_CHUNK = 1 << 15
"""Coefficients of one block handled at once: what stays in a core's cache."""

_BATCH, _BATCH_NUMBERS = 64, 1 << 22
"""Boxes bounded together: so many, or fewer where there are many neurons."""


class Planes(NamedTuple):
    """Linear bounds of the S functions, then of their negatives: v(x) ≤ slope·x + constant.

    ``ends`` (boxes, 2 S) are at least the maxima of the linear bounds on the boxes, ``slopes``
    (boxes, 2 S, inputs). So v(x) ≤ end − Σ_j |slope_j| · (how far x_j is from where slope_j x_j is
    greatest).
    """

    ends: Float
    slopes: Float


class Bounds(NamedTuple):
    """Bounds (boxes, S) of linear functions, and how strongly each input moves them."""

    lower: Float
    upper: Float
    pull: Float
    """(boxes, inputs): Σ over the functions of |coefficient| · width."""
    planes: Planes | None = None
    codes: Interval | None = None
    """(boxes, codes) of the quantisers of inputs, where there are some."""
    empty: Bool | None = None
    """(boxes,) where no input has the codes that were asked for: any bounds hold."""


@dataclass
class Batch:
    """Boxes, and the layers so far.

    Attributes:
        box: the inputs.
        only: (boxes, codes) the codes of the inputs that count; NaN for any.
        codes: those that the inputs can have.
        empty: (boxes,) whether there is no such input.
        layers: of the nodes.
    """

    box: Interval
    only: Float
    codes: Interval
    empty: Bool
    layers: list[Layer] = field(default_factory=list)


class Pair:
    """Two networks, bounded together where their steps correspond.

    Args:
        f: the original.
        g: the compressed network.
        arithmetic: "real", or "float32" for what any float32 runtime computes.

    Raises:
        CannotCheckError: the numbers are too large for the checker.
    """

    def __init__(self, f: Network, g: Network, arithmetic: str = "real") -> None:
        self.nodes = pair_up(f, g)
        float32 = arithmetic == "float32"
        if float32 and not (f.float32 and g.float32):
            raise CannotCheckError("float32 arithmetic of networks with floats of another type")
        equal = f.fingerprint == g.fingerprint and all(node.alike for node in self.nodes)
        self.setting = self._setting(float32, equal, 8 * len(self.nodes) + 64)
        self._widest = max(node.size for node in self.nodes)
        self.batch = max(1, min(_BATCH, _BATCH_NUMBERS // sum(node.size for node in self.nodes)))
        check_growth([node.f for node in self.nodes], [node.f_operands for node in self.nodes])
        check_growth([node.g for node in self.nodes], [node.g_operands for node in self.nodes])
        self._held = {
            "f": multiples_held([n.f for n in self.nodes], [n.f_operands for n in self.nodes]),
            "g": multiples_held([n.g for n in self.nodes], [n.g_operands for n in self.nodes]),
        }
        self._f = [self._rule(node.f) for node in self.nodes]
        self._g = [self._rule(node.g) for node in self.nodes]
        self._difference = [self._difference_rule(node) for node in self.nodes]
        self._refined = refined(self.nodes)
        quantised = quantised_inputs(self.nodes)
        self._coded = {(coded.node, coded.side): coded for coded in quantised}
        self.coded = np.concatenate([np.zeros(0, np.intp), *(c.inputs for c in quantised)])

    def bound(
        self,
        lower: Float,
        upper: Float,
        f: Float,
        g: Float,
        d: Float,
        *,
        planes: bool = False,
        only: Float | None = None,
    ) -> Bounds:
        """Bound the functions f·c_f + g·c_g + (f − g)·c_δ of the outputs on boxes.

        Args:
            lower: (boxes, inputs).
            upper: (boxes, inputs).
            f: c_f, (S, outputs).
            g: c_g, (S, outputs).
            d: c_δ, (S, outputs).
            planes: whether the linear bounds are wanted too (not of exact arithmetic).
            only: codes of the quantisers of inputs, (boxes, codes), for the inputs that have these;
                NaN for any. ``coded`` tells the input of each.

        Returns:
            The bounds; infinite or NaN where there is none.
        """
        box = Interval(lower, upper).snapped()
        if not box.size.max() <= LARGEST_INPUT:
            raise CannotCheckError(f"inputs above {LARGEST_INPUT} are too large for the checker")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch = self._batch(box, only)
            for index in range(len(self.nodes)):
                batch.layers.append(self._forward(batch, index))
                if index in self._refined:
                    self._refine(batch, index)
            found = _without(unbounded(batch.layers), self._rows(batch, f, g, d, planes))
        return found._replace(codes=batch.codes, empty=batch.empty)

    # -- what exact arithmetic does in its own way ----------------------------------------------

    def _setting(self, float32: bool, equal: bool, terms: int) -> Setting:
        return Setting(float32, equal, terms)

    def _affine_rule(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        rounded: bool,  # noqa: ARG002 - γ has room for it
        extra: Sequence[LinearMap] = (),
    ) -> AffineRule:
        return AffineRule(maps, bias, bias_size, self.setting.terms, extra)

    def _weighted(self, c: Rows, values: Rows) -> Rows:
        """Return Σ_i c_i · value_i, row by row."""
        return np.einsum("rn,rn->r", c, values)

    def _concrete(
        self, batch: Batch, box: Index, slopes: Blocks, constant: Rows
    ) -> tuple[Float, Float]:
        """Return the maximum of (c_f + c_g) x + constant on each row's box, and c_f + c_g."""
        slope = added(slopes.f, slopes.g)
        if slope is None:
            return constant + SMALL, np.zeros((len(box), batch.box.lower.shape[1]))
        centre, radius = batch.box.halves()
        size = sum(np.abs(c) for c in (slopes.f, slopes.g) if c is not None)
        end = constant + self._weighted(slope, centre[box])
        end += self._weighted(np.abs(slope), radius[box])
        end += gamma(4 * slope.shape[1] + 64) * self._weighted(size, batch.box.size[box]) + SMALL
        return np.where(np.isnan(end), np.inf, end), slope

    def _by_intervals(self, layer: Layer, f: Float, g: Float, d: Float) -> Interval:
        """Bound the functions by the intervals of the outputs: exact where these are 0."""
        parts = [(f, known(layer.a)), (g, known(layer.b)), (d, known(layer.d))]
        return _combined(parts, gamma(3 * f.shape[1] + self.setting.terms))

    # -- forward -----------------------------------------------------------------------------

    def _rule(self, step: Step | None) -> AffineRule | None:
        if not isinstance(step, Affine):
            return None
        return self._affine_rule(step.maps, step.bias, step.bias_size, bool(step.rounded))

    def _difference_rule(self, node: PairNode) -> AffineRule | None:
        """Return the rule of (W − V) x + (α − β): exact numbers, or the same rounded ones."""
        f, g = node.f, node.g
        if not (node.alike and isinstance(f, Affine) and isinstance(g, Affine)):
            return None
        maps = [m.with_weight(m.weight - n.weight) for m, n in zip(f.maps, g.maps, strict=True)]
        bias = f.bias - g.bias
        if f.rounded == g.rounded:
            return self._affine_rule(maps, bias, np.abs(bias), rounded=False)
        sizes = [
            m.with_weight(np.abs(m.weight) + np.abs(n.weight))
            for m, n in zip(f.maps, g.maps, strict=True)
        ]
        return self._affine_rule(maps, bias, f.bias_size + g.bias_size, rounded=True, extra=sizes)

    def _batch(self, box: Interval, only: Float | None) -> Batch:
        shape = len(box.lower), len(self.coded)
        only = np.full(shape, np.nan) if only is None else only
        empty = np.zeros(len(only), dtype=np.bool_)
        return Batch(box, only, Interval(np.zeros(shape), np.zeros(shape)), empty)

    def _with_codes(self, batch: Batch, index: int) -> PairNode:
        """Return a node whose quantisers of inputs make no other codes than those asked for."""
        node, own = self.nodes[index], dict[str, Step]()
        for side, step, operands in (
            ("f", self.nodes[index].f, self.nodes[index].f_operands),
            ("g", self.nodes[index].g, self.nodes[index].g_operands),
        ):
            coded = self._coded.get((index, side))
            if coded is None or not isinstance(step, Quantiser):
                continue
            x, columns = _own(batch.layers[operands[0]], side), coded.columns
            own[side] = step = replace(step, only=batch.only[:, columns])
            float32 = self.setting.float32
            batch.codes.lower[:, columns], batch.codes.upper[:, columns] = quantisers.codes(
                step, x, float32
            )
            batch.empty |= quantisers.excluded(step, x, float32)
        return replace(node, f=own.get("f", node.f), g=own.get("g", node.g)) if own else node

    def _forward(self, batch: Batch, index: int) -> Layer:
        node = self._with_codes(batch, index)
        if not batch.layers:
            zero = np.zeros_like(batch.box.lower)
            return Layer(batch.box, batch.box, Interval(zero, zero))
        if node.alike and isinstance(node.f, Elementwise):
            rule = ELEMENTWISE[Pass if isinstance(node.g, Pass) else type(node.f)]
            return rule.together(node.f, node.g, batch.layers[node.f_operands[0]], self.setting)
        layer = Layer()
        for side in ("f", "g"):
            self._forward_alone(batch, index, node, side, layer)
        if layer.a is not None and layer.b is not None:
            layer.d = layer.a.minus(layer.b)
            if self._difference[index] is not None:
                self._forward_difference(batch, index, layer)
            elif node.alike and isinstance(node.f, Joining):
                operands = [batch.layers[number] for number in node.f_operands]
                JOINING[type(node.f)].together(node.f, layer, operands, self.setting)
        return layer

    def _forward_alone(
        self, batch: Batch, index: int, node: PairNode, side: str, layer: Layer
    ) -> None:
        """Bound one network's step."""
        compressed = side == "g"
        step = node.g if compressed else node.f
        numbers = node.g_operands if compressed else node.f_operands
        if step is None:
            return
        operands = [_own(batch.layers[number], side) for number in numbers]
        noise = lines = None
        if isinstance(step, Elementwise):
            x, lines = ELEMENTWISE[type(step)].alone(step, operands[0], self.setting)
        elif isinstance(step, Joining):
            x, lines, error = JOINING[type(step)].alone(step, operands, self.setting)
            layer.error = layer.error + error
        else:
            x, found, size = known((self._g if compressed else self._f)[index]).interval(operands)
            if self.setting.float32 and isinstance(step, Affine):
                error = runtime_error(step, size, operands, known(self._held[side][index]))
                x, found, layer.error = x.widened(error), found + error, layer.error + error
            noise = self.setting.lift(found)
        if compressed:
            layer.b, layer.noise_g, layer.lines_g = x, noise, lines
        else:
            layer.a, layer.noise_f, layer.lines_f = x, noise, lines

    def _forward_difference(self, batch: Batch, index: int, layer: Layer) -> None:
        """Bound δ' = W δ + ((W − V) b + (α − β))."""
        node, f, own = self.nodes[index], known(self._f[index]), known(self._difference[index])
        before = [batch.layers[number] for number in node.f_operands]
        moved, noise, _ = f.interval([known(x.d) for x in before], bias=False)
        rest, more, _ = own.interval([known(x.b) for x in before])
        d, noise = moved.plus(rest), noise + more
        if self.setting.apart:
            d, noise = d.widened(layer.error), noise + layer.error
        layer.d, layer.noise_d = d.meet(known(layer.d)), self.setting.lift(noise)

    def _refine(self, batch: Batch, index: int) -> None:
        """Bound symbolically what intervals leave open in front of a rectifier."""
        layer, bent = batch.layers[index], self._refined[index]
        if layer.a is not None:
            layer.a = self._meet(batch, index, "f", layer.a, layer.a.unstable | bent)
        if layer.a is None or layer.b is None or layer.d is None:
            if layer.b is not None:
                layer.b = self._meet(batch, index, "g", layer.b, layer.b.unstable | bent)
            return
        a, b, d = layer.a, layer.b, layer.d
        b = b.meet(a.minus(d))
        settled = ~np.array(bent) & np.logical_or(
            (a.lower >= 0) & (b.lower >= 0), (a.upper <= 0) & (b.upper <= 0)
        )
        d = self._meet(batch, index, "d", d, ~settled & (d.lower < d.upper))
        b = b.meet(a.minus(d))
        # Where the difference is small beside a itself, a − δ bounds b as well as can be.
        coarse = d.upper - d.lower > (a.upper - a.lower) / 16
        b = self._meet(batch, index, "g", b, (b.unstable | bent) & coarse)
        d = d.meet(a.minus(b))
        layer.a, layer.b, layer.d = a.meet(b.plus(d)), b.meet(a.minus(d)), d

    def _meet(
        self, batch: Batch, index: int, block: str, known: Interval, wanted: Bool
    ) -> Interval:
        """Meet an interval with symbolic bounds of the elements ``wanted`` (boxes, size)."""
        boxes, elements = np.nonzero(wanted)
        lower, upper = known.lower.copy(), known.upper.copy()
        for part in self._chunks(len(boxes)):
            box, element = boxes[part], elements[part]
            for sign in (1.0, -1.0):
                unit = np.zeros((len(box), wanted.shape[1]))
                unit[np.arange(len(box)), element] = sign
                start = Blocks(**{block: self.setting.lift(unit)})
                end = self._carry(batch, index, start, box)[0]
                if sign > 0:
                    upper[box, element] = np.fmin(upper[box, element], end)
                else:
                    lower[box, element] = np.fmax(lower[box, element], -end)
        return known.meet(Interval(lower, upper).outward())

    # -- backward ----------------------------------------------------------------------------

    def _rows(self, batch: Batch, f: Float, g: Float, d: Float, planes: bool) -> Bounds:
        """Bound the functions of the outputs: dually, side by side, and by intervals."""
        last = len(batch.layers) - 1
        boxes, rows = len(batch.box.lower), len(d)
        ends = np.empty((2, boxes * rows))
        pull = np.zeros_like(batch.box.lower)
        slopes = np.empty((2, boxes * rows, pull.shape[1])) if planes else None
        for part in self._chunks(boxes * rows):
            box, row = np.divmod(np.arange(part.start, part.stop), rows)
            for i, sign in enumerate((1.0, -1.0)):
                start = Blocks(
                    *(self.setting.lift(sign * c[row]) if c.any() else None for c in (f, g, d))
                )
                end, slope = self._carry(batch, last, start, box)
                np.add.at(pull, box, np.abs(slope))
                if start.d is not None:
                    apart, other = self._carry(batch, last, start.apart(), box, apart=True)
                    if slopes is not None:
                        slope = np.where((apart < end)[:, None], other, slope)
                    end = np.fmin(end, apart)
                ends[i, part] = end
                if slopes is not None:
                    slopes[i, part] = slope
        pull *= batch.box.upper - batch.box.lower
        lower, upper = -ends[1].reshape(boxes, rows), ends[0].reshape(boxes, rows)
        by_intervals = self._by_intervals(batch.layers[-1], f, g, d)
        found = Interval(np.fmax(lower, by_intervals.lower), np.fmin(upper, by_intervals.upper))
        if slopes is None:
            return Bounds(*found, pull)
        both = slopes.reshape(2, boxes, rows, -1)
        return Bounds(*found, pull, Planes(np.hstack([upper, -lower]), np.hstack([*both])))

    def _carry(
        self, batch: Batch, index: int, start: Blocks, box: Index, *, apart: bool = False
    ) -> tuple[Float, Float]:
        """Carry c_f·a + c_g·b + c_δ·δ of node ``index`` back to the input, where δ = 0.

        Args:
            batch: the boxes.
            index: of the node.
            start: the coefficients, (rows, size) each.
            box: of each row.
            apart: bound two networks side by side, moving nothing into δ.

        Returns:
            The maximum on each row's box, and the coefficients at the input.
        """
        pending = {index: start}
        constant = self.setting.lift(np.zeros(len(box)))
        while (number := max(pending)) > 0:
            node, blocks = self.nodes[number], pending.pop(number)
            together = node.alike and not apart
            if not together:
                blocks = blocks.apart()
            elif isinstance(node.f, Joining):
                blocks = blocks.together()
            if isinstance(node.f, Elementwise) and together:
                constant, found = self._across(batch.layers[number], blocks, box, constant)
                parts = [(node.f_operands[0], found)]
            else:
                constant, parts = self._through(batch.layers[number], number, blocks, box, constant)
            for operand, part in parts:
                pending[operand] = pending.get(operand, Blocks()).plus(part)
            if not pending:
                pending[0] = Blocks()
        return self._concrete(batch, box, pending[0], constant)

    def _through(
        self, layer: Layer, number: int, blocks: Blocks, box: Index, constant: Rows
    ) -> tuple[Rows, list[tuple[int, Blocks]]]:
        """Pass affine steps, and rectifiers of one network alone."""
        node, parts = self.nodes[number], []
        for side, c, step, operands, rule, noise, lines in (
            ("f", blocks.f, node.f, node.f_operands, self._f, layer.noise_f, layer.lines_f),
            ("g", blocks.g, node.g, node.g_operands, self._g, layer.noise_g, layer.lines_g),
        ):
            if c is None:
                continue
            if isinstance(step, Elementwise):
                c, constant = self._along(c, known(lines)[box], constant)
                parts.append((operands[0], Blocks(**{side: c})))
                continue
            if isinstance(step, Joining):
                found, rest = known(lines).into(c, box, side)
                constant = constant + rest
                parts += zip(operands, found, strict=True)
                continue
            own = known(rule[number])
            constant = constant + c @ own.bias + self._weighted(abs(c), known(noise)[box])
            rows = zip(operands, own.back(c), strict=True)
            parts += [(operand, Blocks(**{side: row})) for operand, row in rows]
        if blocks.d is not None and isinstance(node.f, Joining):
            found, rest = known(layer.planes).into(blocks.d, box, "d")
            constant = constant + rest
            parts += zip(node.f_operands, found, strict=True)
        elif blocks.d is not None:
            f, difference = known(self._f[number]), known(self._difference[number])
            constant = constant + blocks.d @ difference.bias
            constant = constant + self._weighted(abs(blocks.d), known(layer.noise_d)[box])
            for operand, row, own_row in zip(
                node.f_operands, f.back(blocks.d), difference.back(blocks.d), strict=True
            ):
                parts.append((operand, Blocks(g=own_row, d=row)))
        return constant, parts

    def _along(self, c: Rows, terms: Rows, constant: Rows) -> tuple[Rows, Rows]:
        """Replace coefficients on relu(x) by coefficients on x: the upper line where positive."""
        size = abs(c)
        constant = constant + self._weighted(c, terms[:, 2]) + self._weighted(size, terms[:, 3])
        return c * terms[:, 0] + size * terms[:, 1], constant

    def _across(
        self, layer: Layer, blocks: Blocks, box: Index, constant: Rows
    ) -> tuple[Rows, Blocks]:
        """Replace coefficients on relu(a), relu(b) and Δ by coefficients on a, b and δ."""
        f, g, d = blocks.together()
        if f is not None:
            f, constant = self._along(f, known(layer.lines_f)[box], constant)
        if g is not None:
            g, constant = self._along(g, known(layer.lines_g)[box], constant)
        if d is not None:
            terms, size = known(layer.planes)[box], abs(d)
            constant = constant + self._weighted(d, terms[:, 3]) + self._weighted(size, terms[:, 7])
            f = added(f, d * terms[:, 0] + size * terms[:, 4])
            g = added(g, d * terms[:, 1] + size * terms[:, 5])
            d = d * terms[:, 2] + size * terms[:, 6]
        return constant, Blocks(f, g, d)

    def _chunks(self, rows: int) -> Iterator[slice]:
        size = max(1, _CHUNK // self._widest)
        return (slice(i, min(i + size, rows)) for i in range(0, rows, size))


def _own(layer: Layer, side: str) -> Interval:
    found: Interval = known(layer.a if side == "f" else layer.b)
    return found


def unbounded(layers: Sequence[Layer]) -> Bool:
    """Return the boxes (boxes,) on which some tensor has no bounds.

    A tensor may be infinite or no number at all there: a logarithm of a negative number, 1/0, a sum
    that overflows. Nothing made of it has bounds then, not even its product with 0 or its maximum
    with 0, whatever finite range the functions behind it have.
    """
    known = [x for layer in layers for x in (layer.a, layer.b) if x is not None]
    return np.asarray(~np.all([np.isfinite(x.size).all(axis=1) for x in known], axis=0))


def _without(boxes: Bool, found: Bounds) -> Bounds:
    """Return the bounds without those on some boxes."""
    if not boxes.any():
        return found
    rows = boxes[:, None]
    planes = found.planes
    if planes is not None:
        planes = planes._replace(ends=np.where(rows, np.inf, planes.ends))
    return found._replace(
        lower=np.where(rows, -np.inf, found.lower),
        upper=np.where(rows, np.inf, found.upper),
        planes=planes,
    )


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
