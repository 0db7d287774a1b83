"""The propagator for small dense networks, as one compiled loop over boxes.

On a network of a few hundred neurons the tensor operations of :mod:`simcert.bounds.propagator`
spend their time on calls and on memory; here all that belongs to one box stays in a core's cache,
from the intervals to the last substitution. The mathematics, the choices and the rounding terms are
those of the propagator, which is the reference in the tests. The loops release Python's lock, so
that threads share a batch; each box is computed by itself, whatever their number.

It takes aligned chains of dense layers, padded to one width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from simcert.bounds.affine import AffineDualRule, AffineRule
from simcert.bounds.interval import Interval
from simcert.bounds.propagator import (
    OutOfTimeError,
    RowBounds,
    is_equal,
    keeps_inputs_apart,
    offset_of,
)
from simcert.bounds.relu import TIE
from simcert.bounds.rounding import (
    FLOAT32_LARGEST,
    FLOAT32_SMALLEST,
    SMALLEST,
    UNDERFLOW,
    UNIT_ROUNDOFF,
    gamma,
)
from simcert.model.linear import Dense, Diagonal, Selection
from simcert.model.program import Affine, Input, Relu
from simcert.pairing import DualNode, DualProgram

Float = NDArray[np.float64]
Shape = tuple[int, int]

_CPU = torch.device("cpu")
_WIDEST = 128
_Loop = TypeVar("_Loop", bound=Callable[..., object])


class Layers(NamedTuple):
    """The dense layers of an aligned chain, padded to width N with zeros.

    Attributes:
        sizes: (L + 1,) true sizes, the input first.
        weights: (3, L, N, N) of the original, of the compressed network, and their difference.
        biases: (3, L, N) likewise.
        bias_sizes: (L, N) what the rounding of δ's bias is relative to.
        gammas: (2, L) rounding of a layer alone, and of the difference.
        roundoff: (2, L, 2) what a float32 runtime's rounding in either network is: γ of the
            absolute products, and what flushing loses of the largest operand; 0 over the reals.
        flushed: (2, L, N) the rest of what flushing subnormals may lose.
        exact: (L,) whether the differences are of the files' own numbers.
        relus: (L,) whether a rectifier follows.
        refined: (L,) where symbolic bounds may improve on intervals.
        equal: whether the two networks are the same over the reals.
    """

    sizes: NDArray[np.int64]
    weights: Float
    biases: Float
    bias_sizes: Float
    gammas: Float
    roundoff: Float
    flushed: Float
    exact: NDArray[np.bool_]
    relus: NDArray[np.bool_]
    refined: NDArray[np.bool_]
    equal: bool


def layers_of(dual: DualProgram, *, float32: bool = False) -> Layers | None:
    """Return the layers of a small aligned dense chain, None for any other pair.

    Args:
        dual: the aligned pair.
        float32: whether to cover the rounding of a float32 runtime.
    """
    nodes = dual.nodes
    if not isinstance(nodes[0].f, Input) or max(node.size for node in nodes) > _WIDEST:
        return None
    affine: list[DualNode] = []
    relus: list[bool] = []
    for index, node in enumerate(nodes[1:], start=1):
        if not node.aligned or node.f_operands != (index - 1,):
            return None
        if isinstance(node.f, Affine):
            affine.append(node)
            relus.append(False)
        elif isinstance(node.f, Relu) and affine and not relus[-1]:
            relus[-1] = True
        else:
            return None
    if not affine or relus[-1]:
        return None
    if not all(isinstance(node.f, Affine) and _is_dense(node.f) for node in affine):
        return None
    count, width = len(affine), max(node.size for node in nodes)
    weights, biases = np.zeros((3, count, width, width)), np.zeros((3, count, width))
    bias_sizes, gammas = np.zeros((count, width)), np.zeros((2, count))
    roundoff, flushed = np.zeros((2, count, 2)), np.zeros((2, count, width))
    exact = np.zeros(count, dtype=bool)
    for index, node in enumerate(affine):
        steps = [step for step in (node.f, node.g) if isinstance(step, Affine)]
        f, g = (AffineRule(step, len(nodes), _CPU, float32=float32) for step in steps)
        rule = AffineDualRule(node, f, g, len(nodes), same=dual.same)
        inputs = rule.f.maps[0].inputs
        unit = torch.eye(inputs, dtype=torch.float64)
        for part, linear in enumerate((rule.f.maps[0], rule.g.maps[0], rule.differences[0])):
            weights[part, index, : node.size, :inputs] = linear.forward(unit).T.numpy()
        for part, bias in enumerate((rule.f.bias, rule.g.bias, rule.bias)):
            biases[part, index, : node.size] = bias.numpy()
        bias_sizes[index, : node.size] = rule.bias_size.numpy()
        # Padding adds terms to a sum, all zero; the order of summation changes nothing else.
        gammas[:, index] = rule.f.gamma + gamma(width), rule.gamma + gamma(width)
        exact[index] = rule.exact
        for part, own in enumerate((f.roundoff, g.roundoff)):
            if own is not None:
                roundoff[part, index] = own.gamma, 2 * FLOAT32_SMALLEST * own.terms
                flushed[part, index, : node.size] = own.flushed.numpy()
    independent = [keeps_inputs_apart(node) for node in affine]
    refined = [relu and not all(independent[:index]) for index, relu in enumerate(relus)]
    return Layers(
        np.array([dual.inputs, *(node.size for node in affine)]),
        weights,
        biases,
        bias_sizes,
        gammas,
        roundoff,
        flushed,
        exact,
        np.array(relus),
        np.array(refined),
        dual.same if float32 else is_equal(dual),
    )


def _is_dense(step: Affine) -> bool:
    (linear,) = step.maps if len(step.maps) == 1 else (None,)
    return isinstance(linear, Diagonal | Selection) or (
        isinstance(linear, Dense) and linear.outer == 1
    )


def _compiled(function: _Loop) -> _Loop:
    """Compile on first use; the result is cached (NUMBA_CACHE_DIR moves the cache)."""
    return cast(
        _Loop,
        njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})(function),
    )


_SLACK = 1 + 8 * UNIT_ROUNDOFF
_WIDEN = 4 * UNIT_ROUNDOFF


@_compiled
def _chord(lower: float, upper: float) -> tuple[float, float]:
    """Slope and intercept of the upper line of relu, as :func:`simcert.bounds.relu.chord`."""
    if lower >= 0:
        return 1.0, 0.0
    if upper <= 0:
        return 0.0, 0.0
    slope = upper / (upper - lower)
    if slope != slope:
        slope = 1.0
    intercept = max(-slope * lower, upper - slope * upper) * _SLACK
    intercept = intercept + _WIDEN * upper + UNDERFLOW
    if intercept != intercept:
        intercept = np.inf
    return slope, intercept


@_compiled
def _plane(
    bounds: Float, a: Float, b: Float, sign: float, plane: Float, i: int, first: int
) -> None:
    """Write the upper plane of relu(a) − relu(b), as :func:`..relu.difference_plane`.

    Args:
        bounds: (6,) lower a, b, δ, upper a, b, δ of one neuron, in the order that is asked about.
        a: (3,) slope, intercept, lower slope of a.
        b: (3,) likewise.
        sign: −1 to write the lower plane of the exchanged difference instead.
        plane: (17, N), where to write.
        i: the neuron.
        first: row of the plane's first coefficient.
    """
    al, bl, dl, au, bu, du = bounds
    slope, intercept = _chord(dl, du)
    ca, cb, cd, constant = 0.0, 0.0, slope, intercept
    if (du <= 0 and dl >= 0) or (au <= 0 and bu <= 0):
        cd, constant = 0.0, 0.0
    else:
        am, bm, dm = (al + au) / 2, (bl + bu) / 2, (dl + du) / 2
        value = slope * dm + intercept
        margin = TIE * (max(abs(al), abs(au)) + max(abs(bl), abs(bu)))
        other = a[0] * am - b[2] * bm + a[1]
        if other < value - margin:
            value, ca, cb, cd, constant = other, a[0], -b[2], 0.0, a[1]
        other = (a[0] - 1) * am + dm + a[1]
        if other < value - margin:
            value, ca, cb, cd, constant = other, a[0] - 1, 0.0, 1.0, a[1]
        if al >= 0:
            beta = 1.0 if bm < 0 else 0.0
            other = beta * bm + dm
            if other < value - margin:
                ca, cb, cd, constant = 0.0, beta, 1.0, 0.0
    if sign > 0:
        plane[first, i], plane[first + 1, i] = ca, cb
    else:
        plane[first, i], plane[first + 1, i] = -cb, -ca
    plane[first + 2, i], plane[first + 3, i] = cd, sign * constant


@_compiled
def _relax(bounds: Float, size: int, planes: Float) -> None:
    """Write lines and planes of a layer: bounds (6, N), planes (17, N); see :mod:`..relu`."""
    own, swapped = np.empty(6), np.empty(6)
    factor = (2 * size + 64) * UNIT_ROUNDOFF * 1.01
    for i in range(size):
        for k in range(6):
            own[k] = bounds[k, i]
        swapped[0], swapped[1], swapped[2] = own[1], own[0], -own[5]
        swapped[3], swapped[4], swapped[5] = own[4], own[3], -own[2]
        largest = (
            max(abs(own[0]), abs(own[3])),
            max(abs(own[1]), abs(own[4])),
            max(abs(own[2]), abs(own[5])),
        )
        for k in range(2):
            slope, intercept = _chord(own[k], own[3 + k])
            planes[4 * k, i], planes[4 * k + 1, i] = slope, intercept
            planes[4 * k + 2, i] = 1.0 if own[3 + k] > -own[k] else 0.0
            planes[4 * k + 3, i] = factor * (largest[k] + intercept)
        a, b = planes[0:3, i].copy(), planes[4:7, i].copy()
        _plane(own, a, b, 1.0, planes, i, 8)
        _plane(swapped, b, a, -1.0, planes, i, 12)
        size_of = max(abs(planes[11, i]), abs(planes[15, i]))
        for k in range(3):
            size_of += max(abs(planes[8 + k, i]), abs(planes[12 + k, i])) * largest[k]
        planes[16, i] = factor * size_of


@_compiled
def _accumulate(weight: Float, middle: Float, half: Float, out: Float, shape: Shape) -> None:
    """Add W · middle, |W| · half and |W| · max |x| to the rows of ``out`` (3, N)."""
    for i in range(shape[0]):
        centre = radius = magnitude = 0.0
        for j in range(shape[1]):
            centre += weight[i, j] * middle[j]
            size = abs(weight[i, j]) * half[j]
            radius += size
            magnitude += abs(weight[i, j]) * abs(middle[j]) + size
        out[0, i] += centre
        out[1, i] += radius
        out[2, i] += magnitude


@_compiled
def _any(values: Float) -> bool:
    """Whether a value is not zero."""
    for value in values:  # noqa: SIM110 - numba compiles no generators
        if value != 0.0:
            return True
    return False


@_compiled
def _forward(layers: Layers, k: int, before: Float, after: Float, errors: Float) -> float:
    """Bound layer ``k`` by intervals: before (6, N) to after (6, N), errors (3, N).

    Returns:
        What coefficients and constants may lose to underflow at this layer.
    """
    width = before.shape[1]
    shape = (layers.sizes[k + 1], layers.sizes[k])
    middle, half = np.zeros((3, width)), np.zeros((3, width))
    for part in range(3):
        for j in range(shape[1]):
            lower, upper = before[part, j], before[3 + part, j]
            middle[part, j] = (lower + upper) / 2
            reach = max(upper - middle[part, j], middle[part, j] - lower)
            half[part, j] = reach * (1 + _WIDEN)
    lost = 0.0
    largest = np.zeros(3)
    for part in range(3):
        for j in range(shape[1]):
            reach = abs(middle[part, j]) + half[part, j]
            lost += reach
            largest[part] = max(largest[part], reach)
    for part in range(3):
        sums = np.zeros((3, width))
        if part < 2:
            _accumulate(layers.weights[part, k], middle[part], half[part], sums, shape)
        else:
            _accumulate(layers.weights[0, k], middle[2], half[2], sums, shape)
            _accumulate(layers.weights[2, k], middle[1], half[1], sums, shape)
        # Products may underflow, unless the operand is zero everywhere.
        present = _any(middle[part]) or _any(half[part])
        if part == 2 and _any(layers.weights[2, k].ravel()):
            present = present or _any(middle[1]) or _any(half[1])
        underflow = (4 * width + 16) * SMALLEST if present else 0.0
        for i in range(shape[0]):
            bias = layers.biases[part, k, i]
            size = layers.bias_sizes[k, i] if part == 2 else abs(bias)
            error = layers.gammas[part // 2, k] * (sums[2, i] + size) + underflow
            radius = sums[1, i] + 2 * error
            if part < 2 and layers.roundoff[part, k, 0] > 0:
                runtime = layers.roundoff[part, k, 0] * (sums[2, i] + size)
                runtime += layers.flushed[part, k, i] + layers.roundoff[part, k, 1] * largest[part]
                if not sums[2, i] + size < FLOAT32_LARGEST:
                    runtime = np.inf
                runtime *= 1 + 2.0**-40
                radius += runtime
                error += runtime
            if part == 2 and not layers.exact[k]:
                error += errors[0, i] + errors[1, i]
                radius += error
            errors[part, i] = error
            centre = sums[0, i] + bias
            valid = np.isfinite(centre) and np.isfinite(radius)
            after[part, i] = centre - radius if valid else -np.inf
            after[3 + part, i] = centre + radius if valid else np.inf
    _meet_difference(after, shape[0])
    underflow = SMALLEST * ((4 * width + 32) * lost + 8 * width)
    return float(underflow)


@_compiled
def _meet(bounds: Float, part: int, i: int, lower: float, upper: float) -> None:
    """Intersect the interval of one quantity of one neuron; NaN says nothing."""
    low, high = bounds[part, i], bounds[3 + part, i]
    if lower > low:
        low = lower
    if upper < high:
        high = upper
    if low <= high:
        bounds[part, i], bounds[3 + part, i] = low, high


@_compiled
def _meet_difference(bounds: Float, size: int) -> None:
    """Intersect δ with a − b, rounded outward."""
    for i in range(size):
        lower, upper = bounds[0, i] - bounds[4, i], bounds[3, i] - bounds[1, i]
        _meet(bounds, 2, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)


@_compiled
def _meet_sums(bounds: Float, size: int) -> None:
    """Intersect a with b + δ, then b with a − δ, rounded outward."""
    for i in range(size):
        lower, upper = bounds[1, i] + bounds[2, i], bounds[4, i] + bounds[5, i]
        _meet(bounds, 0, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)
        lower, upper = bounds[0, i] - bounds[5, i], bounds[3, i] - bounds[2, i]
        _meet(bounds, 1, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)


@_compiled
def _activate(before: Float, after: Float, size: int, relu: bool) -> None:
    """Bound relu, or nothing, by intervals: (6, N) to (6, N)."""
    for i in range(size):
        for k in range(6):
            after[k, i] = before[k, i]
        if relu:
            for k in (0, 1, 3, 4):
                after[k, i] = max(before[k, i], 0.0)
            after[2, i], after[5, i] = min(before[2, i], 0.0), max(before[5, i], 0.0)
    if relu:
        _meet_difference(after, size)


@_compiled
def _alone(
    layers: Layers,
    part: int,
    start: int,
    rows: int,
    planes: Float,
    errors: Float,
    c: Float,
    spare: Float,
    constant: Float,
) -> Float:
    """Carry rows c (rows, N) on what follows layer ``start`` of one network to the input."""
    for k in range(start, -1, -1):
        size = layers.sizes[k + 1]
        slope, intercept, lower_slope, lines_error = planes[k, 4 * part : 4 * part + 4]
        bias, error = layers.biases[part, k], errors[k, part]
        for row in range(rows):
            own = c[row]
            total = 0.0
            if layers.relus[k]:
                for i in range(size):
                    up, down = max(own[i], 0.0), min(own[i], 0.0)
                    total += up * intercept[i] + abs(own[i]) * lines_error[i] + 0.0 * own[i]
                    own[i] = up * slope[i] + down * lower_slope[i]
            for i in range(size):
                total += own[i] * bias[i] + abs(own[i]) * error[i]
            constant[row] += total
        np.dot(c[:rows], layers.weights[part, k], spare[:rows])
        c, spare = spare, c
    return c


@_compiled
def _together(
    layers: Layers,
    start: int,
    rows: int,
    planes: Float,
    errors: Float,
    blocks: Float,
    spare: Float,
    constant: Float,
) -> Float:
    """Carry rows of all three blocks (3, rows, N) after layer ``start`` to the input."""
    extra = np.empty((rows, blocks.shape[2]))
    for k in range(start, -1, -1):
        size = layers.sizes[k + 1]
        p = planes[k]
        for row in range(rows):
            f, g, delta = blocks[0, row], blocks[1, row], blocks[2, row]
            total = 0.0
            if layers.relus[k]:
                for i in range(size):
                    cf, cg, cd = f[i], g[i], delta[i]
                    total += abs(cf) * p[3, i] + abs(cg) * p[7, i] + 0.0 * (cf + cg + cd)
                    moved = max(min(cf, -cg), 0.0) + min(max(cf, -cg), 0.0)
                    cf, cg, cd = cf - moved, cg + moved, cd + moved
                    f_up, f_down = max(cf, 0.0), min(cf, 0.0)
                    g_up, g_down = max(cg, 0.0), min(cg, 0.0)
                    up, down = max(cd, 0.0), min(cd, 0.0)
                    total += f_up * p[1, i] + g_up * p[5, i] + up * p[11, i] + down * p[15, i]
                    total += (up - down) * p[16, i]
                    f[i] = f_up * p[0, i] + f_down * p[2, i] + up * p[8, i] + down * p[12, i]
                    g[i] = g_up * p[4, i] + g_down * p[6, i] + up * p[9, i] + down * p[13, i]
                    delta[i] = up * p[10, i] + down * p[14, i]
            for i in range(size):
                total += f[i] * layers.biases[0, k, i] + abs(f[i]) * errors[k, 0, i]
                total += g[i] * layers.biases[1, k, i] + abs(g[i]) * errors[k, 1, i]
                total += delta[i] * layers.biases[2, k, i] + abs(delta[i]) * errors[k, 2, i]
            constant[row] += total
        np.dot(blocks[0, :rows], layers.weights[0, k], spare[0, :rows])
        np.dot(blocks[1, :rows], layers.weights[1, k], spare[1, :rows])
        np.dot(blocks[2, :rows], layers.weights[2, k], extra)
        np.dot(blocks[2, :rows], layers.weights[0, k], spare[2, :rows])
        for row in range(rows):
            for i in range(layers.sizes[k]):
                spare[1, row, i] += extra[row, i]
        blocks, spare = spare, blocks
    return blocks


@_compiled
def _concretise(f: Float, g: Float, box: Float, rows: int, inputs: int, constant: Float) -> None:
    """Add the maximum of (f + g) · x over the box (2, inputs), rounding included."""
    factor = (8 * inputs + 64) * UNIT_ROUNDOFF * 1.01
    for row in range(rows):
        total = size = 0.0
        for j in range(inputs):
            middle = (box[0, j] + box[1, j]) / 2
            half = max(box[1, j] - middle, middle - box[0, j]) * (1 + _WIDEN)
            slope = f[row, j] + g[row, j]
            total += slope * middle + abs(slope) * half
            size += (abs(f[row, j]) + abs(g[row, j])) * max(abs(box[0, j]), abs(box[1, j]))
        total = constant[row] + total + factor * size
        # A sum that overflowed, to −∞ too, is no bound.
        constant[row] = total if np.isfinite(total) else np.inf


@_compiled
def _refine(
    layers: Layers,
    k: int,
    part: int,
    wanted: NDArray[np.int64],
    box: Float,
    bounds: Float,
    planes: Float,
    errors: Float,
    underflow: float,
    work: tuple[Float, Float, Float],
) -> None:
    """Intersect a, b or δ (``part``) of the wanted neurons of layer ``k`` with symbolic bounds."""
    count, inputs = len(wanted), layers.sizes[0]
    if count == 0:
        return
    blocks, spare, nothing = work
    rows = 2 * count
    constant = np.empty(rows)
    for row in range(count):
        i = wanted[row]
        for side, sign in ((row, 1.0), (count + row, -1.0)):
            constant[side] = errors[k, part, i] + sign * layers.biases[part, k, i] + underflow
            for j in range(blocks.shape[2]):
                if part < 2:
                    blocks[0, side, j] = sign * layers.weights[part, k, i, j]
                else:
                    blocks[0, side, j] = 0.0
                    blocks[1, side, j] = sign * layers.weights[2, k, i, j]
                    blocks[2, side, j] = sign * layers.weights[0, k, i, j]
    if part < 2:
        c = _alone(layers, part, k - 1, rows, planes, errors, blocks[0], spare[0], constant)
        _concretise(c, nothing, box, rows, inputs, constant)
    else:
        c3 = _together(layers, k - 1, rows, planes, errors, blocks, spare, constant)
        _concretise(c3[0], c3[1], box, rows, inputs, constant)
    for row in range(count):
        _meet(bounds, part, wanted[row], -constant[count + row], constant[row])


@_compiled
def _bound_box(
    layers: Layers,
    functions: Float,
    equal: bool,
    box: Float,
    inherited: NDArray[np.float32],
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound one box.

    Args:
        layers: the pair.
        functions: (3, S, N) coefficients on f, g and f − g at the outputs.
        equal: whether the networks are the same and only differences are asked for.
        box: (2, inputs).
        inherited: (6, neurons), read and overwritten.
        bounds: (4, S), the maxima of the functions and of their negatives; then those of the
            linear bounds alone.
        slopes: (2, S, inputs), the linear bounds behind them.
    """
    count, width = layers.relus.shape[0], layers.biases.shape[2]
    rows = functions.shape[1]
    planes, errors = np.zeros((count, 17, width)), np.zeros((count, 3, width))
    before, after = np.zeros((6, width)), np.zeros((6, width))
    most = 2 * max(width, rows)
    blocks, spare = np.zeros((3, most, width)), np.zeros((3, most, width))
    nothing = np.zeros((most, width))
    inputs = layers.sizes[0]
    for j in range(inputs):
        before[0, j] = before[1, j] = box[0, j]
        before[3, j] = before[4, j] = box[1, j]
    used, underflow = 0, 0.0
    for k in range(count):
        size = layers.sizes[k + 1]
        underflow += _forward(layers, k, before, after, errors[k])
        if layers.refined[k]:
            own = inherited[:, used : used + size]
            for i in range(size):
                for part in range(3):
                    _meet(after, part, i, own[part, i], own[3 + part, i])
            _refine_layer(
                layers, k, equal, box, after, planes, errors, underflow, (blocks, spare, nothing)
            )
            for i in range(size):
                for part in range(3):
                    low, high = np.float32(after[part, i]), np.float32(after[3 + part, i])
                    if low > after[part, i]:
                        low = np.nextafter(low, np.float32(-np.inf))
                    if high < after[3 + part, i]:
                        high = np.nextafter(high, np.float32(np.inf))
                    own[part, i], own[3 + part, i] = low, high
            used += size
        if layers.relus[k]:
            _relax(after, size, planes[k])
        _activate(after, before, size, layers.relus[k])
    _bound_functions(
        layers,
        functions,
        box,
        planes,
        errors,
        underflow,
        before,
        (blocks, spare, nothing),
        bounds,
        slopes,
    )


@_compiled
def _refine_layer(
    layers: Layers,
    k: int,
    equal: bool,
    box: Float,
    bounds: Float,
    planes: Float,
    errors: Float,
    underflow: float,
    work: tuple[Float, Float, Float],
) -> None:
    """Bound symbolically what intervals leave unstable, as :meth:`Propagator._refine`."""
    size = layers.sizes[k + 1]
    if equal:
        return
    for part in range(2):
        unstable = np.flatnonzero((bounds[part, :size] < 0) & (bounds[3 + part, :size] > 0))
        _refine(layers, k, part, unstable, box, bounds, planes, errors, underflow, work)
    _meet_difference(bounds, size)
    active = (bounds[0, :size] >= 0) & (bounds[1, :size] >= 0)
    inactive = (bounds[3, :size] <= 0) & (bounds[4, :size] <= 0)
    settled = active | inactive | (bounds[2, :size] >= bounds[5, :size])
    _refine(layers, k, 2, np.flatnonzero(~settled), box, bounds, planes, errors, underflow, work)
    _meet_sums(bounds, size)


@_compiled
def _bound_functions(
    layers: Layers,
    functions: Float,
    box: Float,
    planes: Float,
    errors: Float,
    underflow: float,
    outputs: Float,
    work: tuple[Float, Float, Float],
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound the wanted functions dually, on the product network, and by the outputs' intervals."""
    blocks, spare, _ = work
    last, inputs, rows = layers.relus.shape[0] - 1, layers.sizes[0], functions.shape[1]
    constant = np.empty(2 * rows)
    for product in (False, True):
        constant[:] = underflow
        for row in range(rows):
            for side, sign in ((row, 1.0), (rows + row, -1.0)):
                for i in range(blocks.shape[2]):
                    f, g, delta = functions[0, row, i], functions[1, row, i], functions[2, row, i]
                    if product:
                        f, g, delta = f + delta, g - delta, 0.0
                    blocks[0, side, i] = sign * f
                    blocks[1, side, i] = sign * g
                    blocks[2, side, i] = sign * delta
        if product:
            c = _alone(layers, 0, last, 2 * rows, planes, errors, blocks[0], spare[0], constant)
            d = _alone(layers, 1, last, 2 * rows, planes, errors, blocks[1], spare[1], constant)
        else:
            c3 = _together(layers, last, 2 * rows, planes, errors, blocks, spare, constant)
            c, d = c3[0], c3[1]
        _concretise(c, d, box, 2 * rows, inputs, constant)
        for row in range(rows):
            for side in range(2):
                bound = constant[side * rows + row]
                if not product:
                    bounds[side, row] = bounds[2 + side, row] = bound
                    for j in range(inputs):
                        slopes[side, row, j] = c[side * rows + row, j] + d[side * rows + row, j]
                elif bound < bounds[side, row]:
                    bounds[side, row] = bound
    _bound_plainly(functions, outputs, bounds)


@_compiled
def _bound_plainly(functions: Float, outputs: Float, bounds: Float) -> None:
    """Bound functions of the outputs by their intervals (6, N), as ``_plain_rows`` does."""
    width = functions.shape[2]
    same = not (_any(outputs[2]) or _any(outputs[5]))
    for row in range(functions.shape[1]):
        if same and not (_any(functions[0, row]) or _any(functions[1, row])):
            bounds[0, row] = min(bounds[0, row], 0.0)
            bounds[1, row] = min(bounds[1, row], 0.0)
            continue
        centre = radius = magnitude = 0.0
        for part in range(3):
            for i in range(width):
                c = functions[part, row, i]
                if c != 0.0:
                    lower, upper = outputs[part, i], outputs[3 + part, i]
                    middle = (lower + upper) / 2
                    half = max(upper - middle, middle - lower) * (1 + _WIDEN)
                    centre += c * middle
                    radius += abs(c) * half
                    magnitude += abs(c) * (abs(middle) + half)
        error = (12 * width + 64) * (UNIT_ROUNDOFF * 1.01 * magnitude + SMALLEST)
        radius += 2 * error
        if np.isfinite(centre) and np.isfinite(radius):
            bounds[0, row] = min(bounds[0, row], centre + radius)
            bounds[1, row] = min(bounds[1, row], radius - centre)


@_compiled
def _bound_boxes(
    layers: Layers,
    functions: Float,
    equal: bool,
    boxes: Float,
    inherited: NDArray[np.float32],
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound boxes (B, 2, inputs) one after the other; see :func:`_bound_box`."""
    for b in range(len(boxes)):
        _bound_box(layers, functions, equal, boxes[b], inherited[b], bounds[b], slopes[b])


class DensePropagator:
    """:class:`~simcert.bounds.Propagator` for the layers of a small dense chain.

    Args:
        layers: see :func:`layers_of`.
        f: coefficients c_f (S, outputs).
        g: coefficients c_g (S, outputs).
        delta: coefficients c_δ (S, outputs).
    """

    part: int | None = 32

    def __init__(self, layers: Layers, f: Tensor, g: Tensor, delta: Tensor) -> None:
        self._layers = layers
        self._functions = np.zeros((3, len(f), layers.biases.shape[2]))
        self._functions[:, :, : f.shape[1]] = np.stack([f.numpy(), g.numpy(), delta.numpy()])
        self._equal = layers.equal and not bool(f.any() or g.any())
        self.neurons = int(layers.sizes[1:][layers.refined].sum())

    def bound(
        self,
        lower: Tensor,
        upper: Tensor,
        inherited: Tensor | None = None,
        deadline: float = math.inf,
    ) -> RowBounds:
        """Bound the S functions on each box; see :meth:`simcert.bounds.Propagator.bound`."""
        if time.monotonic() > deadline:
            raise OutOfTimeError
        count, inputs = lower.shape
        rows = self._functions.shape[1]
        boxes = np.ascontiguousarray(np.stack([lower.numpy(), upper.numpy()], axis=1))
        known = np.empty((count, 6, self.neurons), dtype=np.float32)
        known[:, :3], known[:, 3:] = -np.inf, np.inf
        if inherited is not None:
            known[...] = inherited.numpy()
        bounds, slopes = np.empty((count, 4, rows)), np.empty((count, 2, rows, inputs))
        functions, equal = self._functions, self._equal
        _bound_boxes(self._layers, functions, equal, boxes, known, bounds, slopes)
        upper_bound, negated_lower, *linear = torch.from_numpy(bounds).unbind(1)
        upper_slope, negated_slope = torch.from_numpy(slopes).unbind(1)
        box = Interval(lower, upper)
        return RowBounds(
            -negated_lower,
            upper_bound,
            -negated_slope,
            upper_slope,
            -offset_of(negated_slope, linear[1], box),
            offset_of(upper_slope, linear[0], box),
            torch.from_numpy(known),
            [],
        )
