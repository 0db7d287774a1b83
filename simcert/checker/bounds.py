"""Bounds of f, g and f − g on boxes of inputs, by the checker's own reasoning.

Of every pair of tensors (a in the original, b in the compressed network, δ = a − b) there are
intervals, and bounds of c_f·a + c_g·b + c_δ·δ by one linear function of the input, found backward:

    affine   a' = W a + α,  b' = V b + β,  δ' = W δ + (W − V) b + (α − β)
    relu     lines and planes (``relu``)
    curve    a strip around φ (``curves``), Δ' = φ'(ξ) δ
    x·y      c_x y + c_y x − c_x c_y up to r_x r_y, with centres c and radii r of the intervals
    rounding x up to half a step, or what its codes say (``quantisers``)
    always   a − b − δ = 0, so coefficients of opposite sign move from a and b into δ

All is float64; for what its rounding can do see ``interval``. For each tensor ``noise`` is γ times
the largest size of the terms behind one element, and |c|·noise is added wherever a coefficient c
passes.

In float32 arithmetic a and b are what a runtime computes, W a + α + e with |e| ≤ ``_runtime_error``
for any order of summation, with or without fused multiply-add and flushing of subnormal numbers:
e belongs to the noise, and δ has that of both networks. If the two files hold the same graph the
one runtime computes them in the same way, and δ = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from simcert.checker import quantisers, relu
from simcert.checker.align import PairNode, pair_up
from simcert.checker.curves import STEEPEST, Curve, Strip
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import SMALL, UNIT, Bool, Float, Interval, gamma
from simcert.checker.linear import Gather, Index, LinearMap
from simcert.checker.program import (
    Affine,
    Input,
    Network,
    Product,
    Quantiser,
    Relu,
    Smooth,
    Step,
)

LARGEST_INPUT, LARGEST_GROWTH = 2.0**100, 2.0**200

_CHUNK = 1 << 15
"""Coefficients of one block handled at once: what stays in a core's cache."""

_BATCH, _BATCH_NUMBERS = 64, 1 << 22
"""Boxes bounded together: so many, or fewer where there are many neurons."""

_FLOAT32_UNIT, _FLOAT32_SMALLEST, _FLOAT32_LARGEST = 2.0**-24, 2.0**-126, 2.0**127
_FLOAT32_EXTRA = 8
"""Roundings of one term beyond its sum's: bias, scale, division, a folded BatchNormalization."""

_CURVE_ERROR = 2.0**-20
"""Of the largest |φ| on the interval: what a runtime's elementary functions are assumed to be."""

BENT = Relu | Smooth | Quantiser
"""Steps with lines around what one network makes, and planes around the difference of two."""

Rows = Any
"""Coefficients (rows, size): float64, or exact numbers that add and multiply alike."""


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


class Blocks(NamedTuple):
    """Coefficients on a, b and δ of one node; None where there are none."""

    f: Rows | None = None
    g: Rows | None = None
    d: Rows | None = None

    def plus(self, other: Blocks) -> Blocks:
        """Return the sum."""
        return Blocks(*(_sum(x, y) for x, y in zip(self, other, strict=True)))

    def apart(self) -> Blocks:
        """Write δ as a − b."""
        if self.d is None:
            return self
        return Blocks(_sum(self.f, self.d), _sum(self.g, -self.d))


@dataclass
class Layer:
    """What is known of one node on a batch of boxes: intervals, and terms for the way back.

    ``noise_*`` and ``error`` (of a float32 runtime), (boxes, size), belong to affine steps;
    ``lines_*`` (boxes, 4, size) and ``planes`` (boxes, 8, size), see ``relu``, to rectifiers.
    """

    a: Interval | None = None
    b: Interval | None = None
    d: Interval | None = None
    error: Float | float = 0.0
    noise_f: Rows | None = None
    noise_g: Rows | None = None
    noise_d: Rows | None = None
    lines_f: Rows | None = None
    lines_g: Rows | None = None
    planes: Rows | None = None


@dataclass
class Batch:
    """Boxes, and the layers so far."""

    box: Interval
    layers: list[Layer] = field(default_factory=list)


class AffineRule:
    """Σ W x + bias of one network, or the difference Σ (W − V) x + (α − β) of two.

    Args:
        maps: one W for each operand.
        bias: (size,).
        bias_size: at least the absolute terms that the bias is made of.
        terms: room in γ for the sums over all steps.
        extra: further maps whose sizes |V| x count for rounding (``Affine.rounded``).
    """

    def __init__(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        terms: int,
        extra: Sequence[LinearMap] = (),
    ) -> None:
        self.maps = [linear if linear.weight.any() else None for linear in maps]
        self.absolute = [None if linear is None else linear.absolute for linear in self.maps]
        self.extra = [linear.absolute for linear in extra]
        self.bias, self.bias_size = bias, bias_size
        # Forward a sum has as many terms as W has columns, backward as it has rows.
        self.factor = gamma(sum(sum(linear.shape) for linear in maps) + terms)

    def interval(
        self, operands: Sequence[Interval], *, bias: bool = True
    ) -> tuple[Interval, Float, Float]:
        """Bound W x, plus the bias if wanted.

        Returns:
            The interval; noise; and the size Σ |W||x| + |bias| of what is added up.
        """
        middle = np.zeros((len(operands[0].lower), len(self.bias)))
        radius, size = np.zeros_like(middle), np.zeros_like(middle)
        if bias:
            middle, size = middle + self.bias, size + self.bias_size
        for linear, absolute, x in zip(self.maps, self.absolute, operands, strict=True):
            if linear is None or absolute is None:
                continue
            centre, half = x.halves()
            middle = middle + linear.apply(centre)
            spread = absolute.apply(half)
            radius, size = radius + spread, size + (absolute.apply(np.abs(centre)) + spread)
        for linear, x in zip(self.extra, operands, strict=False):
            size = size + linear.apply(x.size)
        noise = self.factor * size
        return Interval(middle - radius, middle + radius).widened(2 * noise), noise, size

    def back(self, c: Rows) -> list[Rows | None]:
        """Return c W for each operand."""
        return [None if linear is None else linear.back(c) for linear in self.maps]


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
        self.float32 = arithmetic == "float32"
        if self.float32 and any(n.input_type != np.float32 for n in (f, g)):
            raise CannotCheckError("float32 arithmetic of networks that take another type")
        self.equal = f.fingerprint == g.fingerprint and all(node.alike for node in self.nodes)
        self._terms = 8 * len(self.nodes) + 64
        self._widest = max(node.size for node in self.nodes)
        self.batch = max(1, min(_BATCH, _BATCH_NUMBERS // sum(node.size for node in self.nodes)))
        _check_growth([node.f for node in self.nodes], [node.f_operands for node in self.nodes])
        _check_growth([node.g for node in self.nodes], [node.g_operands for node in self.nodes])
        self._f = [self._rule(node.f) for node in self.nodes]
        self._g = [self._rule(node.g) for node in self.nodes]
        self._difference = [self._difference_rule(node) for node in self.nodes]
        self._refined = _refined(self.nodes)

    def bound(
        self, lower: Float, upper: Float, f: Float, g: Float, d: Float, *, planes: bool = False
    ) -> Bounds:
        """Bound the functions f·c_f + g·c_g + (f − g)·c_δ of the outputs on boxes.

        Args:
            lower: (boxes, inputs).
            upper: (boxes, inputs).
            f: c_f, (S, outputs).
            g: c_g, (S, outputs).
            d: c_δ, (S, outputs).
            planes: whether the linear bounds are wanted too (not of exact arithmetic).

        Returns:
            The bounds; infinite or NaN where there is none.
        """
        box = Interval(lower, upper).snapped()
        if not box.size.max() <= LARGEST_INPUT:
            raise CannotCheckError(f"inputs above {LARGEST_INPUT} are too large for the checker")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            batch = Batch(box)
            for index in range(len(self.nodes)):
                batch.layers.append(self._forward(batch, index))
                if index in self._refined:
                    self._refine(batch, index)
            return self._rows(batch, f, g, d, planes)

    # -- what exact arithmetic does in its own way ----------------------------------------------

    def _lift(self, values: Float) -> Rows:
        """Return numbers that coefficients can be multiplied with."""
        return values

    def _affine_rule(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        rounded: bool,  # noqa: ARG002 - γ has room for it
        extra: Sequence[LinearMap] = (),
    ) -> AffineRule:
        return AffineRule(maps, bias, bias_size, self._terms, extra)

    def _relu_noise(self, size: Float) -> Float:
        """Return what float64 may lose per unit of coefficient on relu(x)."""
        return gamma(size.shape[1] + self._terms) * size

    def _weighted(self, c: Rows, values: Rows) -> Rows:
        """Return Σ_i c_i · value_i, row by row."""
        return np.einsum("rn,rn->r", c, values)

    def _concrete(
        self, batch: Batch, box: Index, slopes: Blocks, constant: Rows
    ) -> tuple[Float, Float]:
        """Return the maximum of (c_f + c_g) x + constant on each row's box, and c_f + c_g."""
        slope = _sum(slopes.f, slopes.g)
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
        parts = [(f, _known(layer.a)), (g, _known(layer.b)), (d, _known(layer.d))]
        return _combined(parts, gamma(3 * f.shape[1] + self._terms))

    def _check_lines(self, x: Interval, lines: Rows) -> None:
        """Require the lines to hold, where that is not a matter of rounding errors."""

    def _check_curves(self) -> None:
        """Say whether curves and products can be bounded in this arithmetic."""

    def _check_planes(self, before: Layer, planes: Rows) -> None:
        """Require the planes to hold, where that is not a matter of rounding errors."""

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

    def _forward(self, batch: Batch, index: int) -> Layer:
        node = self.nodes[index]
        if not batch.layers:
            zero = np.zeros_like(batch.box.lower)
            return Layer(batch.box, batch.box, Interval(zero, zero))
        if node.alike and isinstance(node.f, Relu):
            before = batch.layers[node.f_operands[0]]
            layer = self._both_relus(before)
            self._check_lines(_known(before.a), layer.lines_f)
            self._check_lines(_known(before.b), layer.lines_g)
            self._check_planes(before, layer.planes)
            return layer
        if node.alike and isinstance(node.f, Smooth):
            return self._both_smooth(node.f.curve, batch.layers[node.f_operands[0]])
        if node.alike and isinstance(node.f, Quantiser) and isinstance(node.g, Quantiser):
            return self._both_quantised(node.f, node.g, batch.layers[node.f_operands[0]])
        layer = Layer()
        for side in ("f", "g"):
            self._forward_alone(batch, index, side, layer)
        if layer.a is not None and layer.b is not None:
            layer.d = layer.a.minus(layer.b)
            if self._difference[index] is not None:
                self._forward_difference(batch, index, layer)
            elif node.alike and isinstance(node.f, Product):
                self._both_products(layer, *(batch.layers[o] for o in node.f_operands))
        return layer

    def _forward_alone(self, batch: Batch, index: int, side: str, layer: Layer) -> None:
        """Bound one network's step."""
        node, compressed = self.nodes[index], side == "g"
        step = node.g if compressed else node.f
        numbers = node.g_operands if compressed else node.f_operands
        rule = (self._g if compressed else self._f)[index]
        if step is None:
            return
        operands = [_own(batch.layers[number], side) for number in numbers]
        noise = lines = None
        if isinstance(step, Smooth):
            x, lines = self._own_smooth(step.curve, operands[0])
        elif isinstance(step, Quantiser):
            x, _, lines = self._own_quantised(step, operands[0])
        elif isinstance(step, Product):
            x, lines, error = self._own_product(*operands)
            layer.error = layer.error + error
        elif rule is None:
            x, _, lines = self._own_relu(operands[0])
            self._check_lines(operands[0], lines)
        else:
            x, found, size = rule.interval(operands)
            if self.float32:
                error = _runtime_error(step, size, operands)
                x, found, layer.error = x.widened(error), found + error, layer.error + error
            noise = self._lift(found)
        if compressed:
            layer.b, layer.noise_g, layer.lines_g = x, noise, lines
        else:
            layer.a, layer.noise_f, layer.lines_f = x, noise, lines

    def _forward_difference(self, batch: Batch, index: int, layer: Layer) -> None:
        """Bound δ' = W δ + ((W − V) b + (α − β))."""
        node, f, own = self.nodes[index], _known(self._f[index]), _known(self._difference[index])
        before = [batch.layers[number] for number in node.f_operands]
        moved, noise, _ = f.interval([_known(x.d) for x in before], bias=False)
        rest, more, _ = own.interval([_known(x.b) for x in before])
        d, noise = moved.plus(rest), noise + more
        if self.float32 and not self.equal:
            d, noise = d.widened(layer.error), noise + layer.error
        layer.d, layer.noise_d = d.meet(_known(layer.d)), self._lift(noise)

    def _own_quantised(self, step: Quantiser, x: Interval) -> tuple[Interval, Strip, Rows]:
        """Return the interval of what is made of x, and the strip around it."""
        image, strip = quantisers.strip(step, x, self.float32)
        noise = self._relu_noise(x.size + np.abs(strip.middle) + strip.half)
        return image, strip, self._lift(strip.packed(noise))

    def _both_quantised(self, f: Quantiser, g: Quantiser, before: Layer) -> Layer:
        """Return δ' = δ up to both jumps, or the difference of both strips where they are level."""
        a, b, d = _known(before.a), _known(before.b), _known(before.d)
        image_a, one, lines_f = self._own_quantised(f, a)
        image_b, two, lines_g = self._own_quantised(g, b)
        jump = quantisers.jump(f, self.float32) + quantisers.jump(g, self.float32)
        jump = jump * np.ones_like(d.lower)
        if np.array_equal(f.scale, g.scale) and (not self.float32 or self.equal):
            jump = np.where(d.size == 0, 0.0, jump)
        level = (one.slope == 0) & (two.slope == 0) & (one.half + two.half < jump)
        slope = np.where(level, 0.0, 1.0)
        middle = np.where(level, one.middle - two.middle, 0.0)
        half = np.where(level, (one.half + two.half) * (1 + 2.0**-40), jump)
        half = half + 2.0**-50 * np.abs(middle)
        zero = np.zeros_like(slope)
        upper, lower = (np.stack([zero, zero, slope, middle + s * half]) for s in (1, -1))
        noise = self._relu_noise(np.where(d.size + half > 0, d.size + np.abs(middle) + half, 0.0))
        image_d = image_a.minus(image_b).meet(d.widened(jump))
        planes = self._lift(relu.packed_planes(upper, lower, noise))
        return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)

    def _own_smooth(self, curve: Curve, x: Interval) -> tuple[Interval, Rows]:
        """Return the interval of φ(x) and the lines around it."""
        self._check_curves()
        image, strip = curve.image(x), curve.lines(x)
        noise = self._relu_noise(np.abs(strip.slope) * x.size + np.abs(strip.middle) + strip.half)
        if self.float32:
            error = _CURVE_ERROR * image.size + 2 * _FLOAT32_SMALLEST
            error = error + _FLOAT32_SMALLEST * curve.steepness(x)
            image, noise = image.widened(error), noise + error
        return image, self._lift(strip.packed(noise))

    def _both_smooth(self, curve: Curve, before: Layer) -> Layer:
        """Return δ' = φ'(ξ) δ, ξ between a and b."""
        a, b, d = _known(before.a), _known(before.b), _known(before.d)
        (image_a, lines_f), (image_b, lines_g) = (self._own_smooth(curve, x) for x in (a, b))
        slope, radius = curve.slopes(a, b)
        spread = np.where(d.size > 0, radius * d.size * (1 + 2.0**-40), 0.0)
        noise = self._relu_noise(np.abs(slope) * d.size + spread)
        if self.float32 and not self.equal:
            size = image_a.size + image_b.size
            noise = noise + _CURVE_ERROR * size + 4 * _FLOAT32_SMALLEST
            noise = noise + _FLOAT32_SMALLEST * (curve.steepness(a) + curve.steepness(b))
        zero = np.zeros_like(slope)
        upper = np.stack([zero, zero, slope, spread])
        lower = np.stack([zero, zero, slope, -spread])
        ends = slope * d.lower, slope * d.upper
        image_d = Interval(np.minimum(*ends), np.maximum(*ends)).widened(spread + noise)
        planes = self._lift(relu.packed_planes(upper, lower, noise))
        image_d = image_a.minus(image_b).meet(image_d.snapped())
        return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)

    def _own_product(self, x: Interval, y: Interval) -> tuple[Interval, Rows, Float]:
        """Return the interval of x·y; slopes on x and y, constant and noise; a runtime's error."""
        self._check_curves()
        (centre_x, half_x), (centre_y, half_y) = x.halves(), y.halves()
        corners = np.stack([s * t for s in x for t in y])
        image = Interval(corners.min(axis=0), corners.max(axis=0)).outward()
        noise = half_x * half_y * (1 + 8 * UNIT) + self._relu_noise(4 * x.size * y.size) + SMALL
        noise = np.where(np.maximum(x.size, y.size) <= STEEPEST, noise, np.inf)
        error = np.zeros_like(noise)
        if self.float32:
            error = 4 * _FLOAT32_UNIT * image.size + _FLOAT32_SMALLEST * (x.size + y.size + 2)
            error = np.where(image.size < _FLOAT32_LARGEST, error, np.inf)
        terms = np.stack([centre_y, centre_x, -centre_x * centre_y, noise + error], 1)
        return image.widened(error), self._lift(terms), error

    def _both_products(self, layer: Layer, x: Layer, y: Layer) -> None:
        """Bound a₁ a₂ − b₁ b₂ = a₁ δ₂ + b₂ δ₁, around the centres of a₁ and b₂."""
        first, second = _known(x.d), _known(y.d)
        (centre_a, half_a), (centre_b, half_b) = _known(x.a).halves(), _known(y.b).halves()
        noise = half_a * second.size + half_b * first.size
        size = _known(x.a).size * second.size + _known(y.b).size * first.size
        noise = noise * (1 + 8 * UNIT) + self._relu_noise(4 * size) + SMALL
        noise = np.where((first.size == 0) & (second.size == 0), 0.0, noise)
        noise = np.where(np.maximum(_known(x.a).size, _known(y.b).size) <= STEEPEST, noise, np.inf)
        if self.float32 and not self.equal:
            noise = noise + layer.error
        zero = np.zeros_like(noise)
        layer.planes = self._lift(np.stack([centre_b, centre_a, zero, noise], 1))
        middle = Interval(*_scaled(centre_b, first)).plus(Interval(*_scaled(centre_a, second)))
        layer.d = middle.widened(noise).meet(_known(layer.d))

    def _own_relu(self, x: Interval) -> tuple[Interval, relu.Lines, Rows]:
        """Return the interval of relu(x), the lines around it, and the lines as they are kept."""
        found, image = relu.lines(x), relu.rectified(x)
        noise = self._relu_noise(x.size + found.intercept)
        if self.float32:  # a subnormal number may be flushed to 0
            image = Interval(np.where(image.lower < _FLOAT32_SMALLEST, 0.0, image.lower), image[1])
            noise = noise + _FLOAT32_SMALLEST
        return image, found, self._lift(relu.packed_lines(found, noise))

    def _both_relus(self, before: Layer) -> Layer:
        a, b, d = _known(before.a), _known(before.b), _known(before.d)
        (image_a, one, lines_f), (image_b, two, lines_g) = self._own_relu(a), self._own_relu(b)
        upper, lower = relu.planes(a, b, d, one, two)
        most = np.maximum(np.abs(upper), np.abs(lower))
        noise = self._relu_noise(most[0] * a.size + most[1] * b.size + most[2] * d.size + most[3])
        image_d = Interval(np.minimum(d.lower, 0.0), np.maximum(d.upper, 0.0))
        if self.float32 and not self.equal:
            noise = noise + 2 * _FLOAT32_SMALLEST
            image_d = image_d.widened(2 * _FLOAT32_SMALLEST)
        planes = self._lift(relu.packed_planes(upper, lower, noise))
        return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)

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
                start = Blocks(**{block: self._lift(unit)})
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
                start = Blocks(*(self._lift(sign * c[row]) if c.any() else None for c in (f, g, d)))
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
        constant = self._lift(np.zeros(len(box)))
        while (number := max(pending)) > 0:
            node, blocks = self.nodes[number], pending.pop(number)
            together = node.alike and not apart
            if not together:
                blocks = blocks.apart()
            if isinstance(node.f if node.f is not None else node.g, BENT) and together:
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
            if isinstance(step, BENT):
                c, constant = self._along(c, _known(lines)[box], constant)
                parts.append((operands[0], Blocks(**{side: c})))
                continue
            if isinstance(step, Product):
                rows, constant = self._into(c, _known(lines)[box], constant)
                parts += [(o, Blocks(**{side: r})) for o, r in zip(operands, rows, strict=True)]
                continue
            own = _known(rule[number])
            constant = constant + c @ own.bias + self._weighted(abs(c), _known(noise)[box])
            found = zip(operands, own.back(c), strict=True)
            parts += [(operand, Blocks(**{side: row})) for operand, row in found]
        if blocks.d is not None and isinstance(node.f, Product):
            rows, constant = self._into(blocks.d, _known(layer.planes)[box], constant)
            parts += [(o, Blocks(d=r)) for o, r in zip(node.f_operands, rows, strict=True)]
        elif blocks.d is not None:
            f, difference = _known(self._f[number]), _known(self._difference[number])
            constant = constant + blocks.d @ difference.bias
            constant = constant + self._weighted(abs(blocks.d), _known(layer.noise_d)[box])
            for operand, row, own_row in zip(
                node.f_operands, f.back(blocks.d), difference.back(blocks.d), strict=True
            ):
                parts.append((operand, Blocks(g=own_row, d=row)))
        return constant, parts

    def _into(self, c: Rows, terms: Rows, constant: Rows) -> tuple[tuple[Rows, Rows], Rows]:
        """Replace coefficients on a product by coefficients on its factors."""
        constant = constant + self._weighted(c, terms[:, 2]) + self._weighted(abs(c), terms[:, 3])
        return (c * terms[:, 0], c * terms[:, 1]), constant

    def _along(self, c: Rows, terms: Rows, constant: Rows) -> tuple[Rows, Rows]:
        """Replace coefficients on relu(x) by coefficients on x: the upper line where positive."""
        size = abs(c)
        constant = constant + self._weighted(c, terms[:, 2]) + self._weighted(size, terms[:, 3])
        return c * terms[:, 0] + size * terms[:, 1], constant

    def _across(
        self, layer: Layer, blocks: Blocks, box: Index, constant: Rows
    ) -> tuple[Rows, Blocks]:
        """Replace coefficients on relu(a), relu(b) and Δ by coefficients on a, b and δ."""
        f, g, d = blocks
        if f is not None and g is not None:
            # The median of c_f, 0 and −c_g moves: nothing unless the signs are opposite.
            other = -g
            low, high = np.minimum(f, other), np.maximum(f, other)
            moved = np.maximum(low, np.minimum(high, 0))
            f, g, d = f - moved, g + moved, _sum(d, moved)
        if f is not None:
            f, constant = self._along(f, _known(layer.lines_f)[box], constant)
        if g is not None:
            g, constant = self._along(g, _known(layer.lines_g)[box], constant)
        if d is not None:
            terms, size = _known(layer.planes)[box], abs(d)
            constant = constant + self._weighted(d, terms[:, 3]) + self._weighted(size, terms[:, 7])
            f = _sum(f, d * terms[:, 0] + size * terms[:, 4])
            g = _sum(g, d * terms[:, 1] + size * terms[:, 5])
            d = d * terms[:, 2] + size * terms[:, 6]
        return constant, Blocks(f, g, d)

    def _chunks(self, rows: int) -> Iterator[slice]:
        size = max(1, _CHUNK // self._widest)
        return (slice(i, min(i + size, rows)) for i in range(0, rows, size))


def _sum(x: Rows | None, y: Rows | None) -> Rows | None:
    if x is None:
        return y
    return x if y is None else x + y


def _known(value: Any) -> Any:
    if value is None:
        raise AssertionError("a layer lacks what its kind of step has")
    return value


def _scaled(factor: Float, x: Interval) -> tuple[Float, Float]:
    ends = factor * x.lower, factor * x.upper
    return np.minimum(*ends), np.maximum(*ends)


def _own(layer: Layer, side: str) -> Interval:
    known: Interval = _known(layer.a if side == "f" else layer.b)
    return known


def _refined(nodes: Sequence[PairNode]) -> dict[int, bool]:
    """Return the nodes that a rectifier reads, or (true) a curve or product.

    But not those next to the input: one map away from it intervals are exact.
    """
    depth = [0]
    found: dict[int, bool] = {}
    for node in nodes[1:]:
        operands = {*node.f_operands, *node.g_operands}
        for kinds, bent in ((Relu | Quantiser, False), (Smooth | Product, True)):
            if any(isinstance(step, kinds) for step in (node.f, node.g)):
                found |= {o: bent or found.get(o, False) for o in operands if depth[o] > 1}
        depth.append(max(depth[o] for o in operands) + max(map(_mixes, (node.f, node.g))))
    return found


def _mixes(step: Step | None) -> int:
    """Return 0 where intervals of single elements stay exact, 1 where those of their sums do."""
    if isinstance(step, Affine) and len(step.maps) == 1:
        return 0 if isinstance(step.maps[0], Gather) and step.maps[0].terms == 1 else 1
    return 0 if step is None else 2


def _check_growth(steps: Sequence[Step | None], operands: Sequence[tuple[int, ...]]) -> None:
    """Refuse networks in which coefficients could grow out of, or shrink into, rounding's limits.

    With all products of norms, over all paths, below 2^200 what underflow loses, 2^-1074 a product,
    stays far below SMALL when it reaches the end.
    """
    growth: list[float] = []
    for step, numbers in zip(steps, operands, strict=True):
        if step is None or isinstance(step, Input):
            growth.append(1.0)
        elif isinstance(step, Quantiser):
            growth.append(growth[numbers[0]])
        elif isinstance(step, Smooth | Product):
            steep = step.curve.steepest if isinstance(step, Smooth) else STEEPEST
            growth.append(2 * steep * sum(growth[o] for o in numbers))
        elif isinstance(step, Relu):
            growth.append(4.0 * growth[numbers[0]])
        else:
            maps = zip(step.maps, numbers, strict=True)
            growth.append(sum(max(1.0, linear.norm) * growth[o] for linear, o in maps))
            if not step.bias_size.max(initial=0.0) <= LARGEST_INPUT:
                growth[-1] = np.inf
        if not growth[-1] <= LARGEST_GROWTH:
            raise CannotCheckError("the weights are too large for the checker")


def _runtime_error(step: Step | None, size: Float, operands: Sequence[Interval]) -> Float:
    """Return what a float32 runtime may be off by in one step, (boxes, size).

    γ_m (|W||x| + |bias|) with m = terms + 8, and 2^-126 for each operand, weight, product and
    partial sum that may be flushed to zero; infinite where a sum may overflow.

    Args:
        step: the step.
        size: Σ |W||x| + |bias|.
        operands: intervals of the computed operands.
    """
    if not isinstance(step, Affine) or step.terms is None:
        return np.zeros_like(size)
    if step.terms == 0:
        return np.full_like(size, 4 * _FLOAT32_SMALLEST)
    m = step.terms + _FLOAT32_EXTRA
    if m * _FLOAT32_UNIT > 0.5:
        return np.full_like(size, np.inf)
    relative = m * _FLOAT32_UNIT / (1 - m * _FLOAT32_UNIT) * (1 + 2.0**-20)
    heaviest = sum(float(np.abs(linear.weight).max(initial=0.0)) for linear in step.maps)
    largest = sum(x.size.max(axis=1, keepdims=True) for x in operands)
    flushed = 2 * _FLOAT32_SMALLEST * (m * heaviest + m * largest + 2 * m)
    error = relative * size + flushed
    return np.where(size * (1 + 2 * relative) < _FLOAT32_LARGEST, error, np.inf)


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
