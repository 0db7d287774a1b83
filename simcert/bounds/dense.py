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
Integer = NDArray[np.int64]

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
        columns: (L, N, 3, N) the weights by operand: of the original, the compressed network, and
            the difference.
        changed: (L,) whether the weights differ.
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
    columns: Float
    changed: NDArray[np.bool_]
    equal: bool


class Known(NamedTuple):
    """What is known of a box's layers; of neurons that are 0 in both networks nothing is kept.

    Attributes:
        counts: (L + 1,) how many neurons, or inputs, stay.
        active: (L + 1, N) which.
        planes: (L, 17, N) lines and planes of those that stay, see :mod:`..relu`.
        errors: (L, 3, N) rounding of all neurons.
        f: (L, N · N) weights of the original between those that stay.
        g: (L, 2 · N · N) weights of the compressed network, then the differences.
        biases: (L, 3, N) of those that stay.
        active_errors: (L, 3, N) likewise.
    """

    counts: Integer
    active: Integer
    planes: Float
    errors: Float
    f: Float
    g: Float
    biases: Float
    active_errors: Float


class Work(NamedTuple):
    """Room for rows of coefficients and for intervals."""

    first: Float
    second: Float
    b: Float
    mixed: Float
    nothing: Float
    constant: Float
    wanted: Integer
    intervals: Float


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
        np.ascontiguousarray(weights.transpose(1, 3, 0, 2)),
        weights[2].any(axis=(1, 2)),
        dual.same if float32 else is_equal(dual),
    )


def _is_dense(step: Affine) -> bool:
    (linear,) = step.maps if len(step.maps) == 1 else (None,)
    return isinstance(linear, Diagonal | Selection) or (
        isinstance(linear, Dense) and linear.outer == 1
    )


def _inner(function: _Loop) -> _Loop:
    """Compile what only other loops call."""
    return cast(
        _Loop,
        njit(
            nogil=True,
            error_model="numpy",
            fastmath={"reassoc"},
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
        )(function),
    )


def _outer(function: _Loop) -> _Loop:
    """Compile on first use; the result is cached (NUMBA_CACHE_DIR moves the cache)."""
    return cast(
        _Loop,
        njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})(function),
    )


_SLACK = 1 + 8 * UNIT_ROUNDOFF
_WIDEN = 4 * UNIT_ROUNDOFF


@_inner
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


@_inner
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


@_inner
def _relax(bounds: Float, size: int, relu: bool, planes: Float, active: Integer) -> int:
    """Write lines and planes of the neurons of a layer that are not 0 in both networks.

    Args:
        bounds: (6, N) of what the rectifiers read.
        size: neurons of the layer.
        relu: whether there are rectifiers; without them all neurons stay.
        planes: (17, N), written in the order of ``active``; see :mod:`..relu`.
        active: (N,), the neurons that stay.

    Returns:
        How many these are; at least one, so that no matrix is empty.
    """
    count = 0
    own, swapped, line = np.empty(6), np.empty(6), np.empty((2, 3))
    largest = np.empty(3)
    factor = (2 * size + 64) * UNIT_ROUNDOFF * 1.01
    for i in range(size):
        if relu and bounds[3, i] <= 0 and bounds[4, i] <= 0:
            continue
        active[count] = i
        count += 1
        if not relu:
            continue
        n = count - 1
        for k in range(6):
            own[k] = bounds[k, i]
        swapped[0], swapped[1], swapped[2] = own[1], own[0], -own[5]
        swapped[3], swapped[4], swapped[5] = own[4], own[3], -own[2]
        for k in range(3):
            largest[k] = max(abs(own[k]), abs(own[3 + k]))
        for k in range(2):
            slope, intercept = _chord(own[k], own[3 + k])
            lower_slope = 1.0 if own[3 + k] > -own[k] else 0.0
            line[k, 0], line[k, 1], line[k, 2] = slope, intercept, lower_slope
            planes[4 * k, n], planes[4 * k + 1, n] = slope, intercept
            planes[4 * k + 2, n] = lower_slope
            planes[4 * k + 3, n] = factor * (largest[k] + intercept)
        _plane(own, line[0], line[1], 1.0, planes, n, 8)
        _plane(swapped, line[1], line[0], -1.0, planes, n, 12)
        size_of = max(abs(planes[11, n]), abs(planes[15, n]))
        for k in range(3):
            size_of += max(abs(planes[8 + k, n]), abs(planes[12 + k, n])) * largest[k]
        planes[16, n] = factor * size_of
    if count == 0:
        active[0], count = 0, 1
        planes[:, 0] = 0.0
    return count


@_inner
def _forward(layers: Layers, k: int, before: Float, after: Float, errors: Float) -> float:
    """Bound layer ``k`` by intervals: before (6, N) to after (6, N), errors (3, N).

    Returns:
        What coefficients and constants may lose to underflow at this layer.
    """
    width = before.shape[1]
    size = layers.sizes[k + 1]
    sums = np.zeros((9, width))  # W · middle, |W| · half, |W| · max |x|, each of a, b and δ
    middle, half, reach, largest = np.empty(3), np.empty(3), np.empty(3), np.zeros(3)
    lost = 0.0
    for j in range(layers.sizes[k]):
        for part in range(3):
            lower, upper = before[part, j], before[3 + part, j]
            middle[part] = (lower + upper) / 2
            radius = max(upper - middle[part], middle[part] - lower)
            half[part] = radius * (1 + _WIDEN)
            reach[part] = abs(middle[part]) + half[part]
            lost += reach[part]
            largest[part] = max(largest[part], reach[part])
        if reach[0] != 0 or reach[1] != 0 or reach[2] != 0:
            _add_column(layers.columns[k, j], middle, half, reach, sums, size)
    for part in range(3):
        # Products may underflow, unless the operand is zero everywhere.
        present = largest[part] != 0
        if part == 2 and layers.changed[k]:
            present = present or largest[1] != 0
        underflow = (4 * width + 16) * SMALLEST if present else 0.0
        for i in range(size):
            bias = layers.biases[part, k, i]
            bias_size = layers.bias_sizes[k, i] if part == 2 else abs(bias)
            magnitude = sums[6 + part, i] + bias_size
            error = layers.gammas[part // 2, k] * magnitude + underflow
            radius = sums[3 + part, i] + 2 * error
            if part < 2 and layers.roundoff[part, k, 0] > 0:
                runtime = layers.roundoff[part, k, 0] * magnitude
                runtime += layers.flushed[part, k, i] + layers.roundoff[part, k, 1] * largest[part]
                if not magnitude < FLOAT32_LARGEST:
                    runtime = np.inf
                runtime *= 1 + 2.0**-40
                radius += runtime
                error += runtime
            if part == 2 and not layers.exact[k]:
                error += errors[0, i] + errors[1, i]
                radius += error
            errors[part, i] = error
            centre = sums[part, i] + bias
            valid = np.isfinite(centre) and np.isfinite(radius)
            after[part, i] = centre - radius if valid else -np.inf
            after[3 + part, i] = centre + radius if valid else np.inf
    _meet_difference(after, size)
    underflow = SMALLEST * ((4 * width + 32) * lost + 8 * width)
    return float(underflow)


@_inner
def _add_column(
    weights: Float, middle: Float, half: Float, reach: Float, sums: Float, size: int
) -> None:
    """Add to the sums (9, N) of a layer what one operand gives, its weights (3, N)."""
    for i in range(size):
        f, g, difference = weights[0, i], weights[1, i], weights[2, i]
        f_size, g_size, difference_size = abs(f), abs(g), abs(difference)
        sums[0, i] += f * middle[0]
        sums[3, i] += f_size * half[0]
        sums[6, i] += f_size * reach[0]
        sums[1, i] += g * middle[1]
        sums[4, i] += g_size * half[1]
        sums[7, i] += g_size * reach[1]
        sums[2, i] += f * middle[2] + difference * middle[1]
        sums[5, i] += f_size * half[2] + difference_size * half[1]
        sums[8, i] += f_size * reach[2] + difference_size * reach[1]


@_inner
def _meet(bounds: Float, part: int, i: int, lower: float, upper: float) -> None:
    """Intersect the interval of one quantity of one neuron; NaN says nothing."""
    low, high = bounds[part, i], bounds[3 + part, i]
    if lower > low:
        low = lower
    if upper < high:
        high = upper
    if low <= high:
        bounds[part, i], bounds[3 + part, i] = low, high


@_inner
def _meet_difference(bounds: Float, size: int) -> None:
    """Intersect δ with a − b, rounded outward."""
    for i in range(size):
        lower, upper = bounds[0, i] - bounds[4, i], bounds[3, i] - bounds[1, i]
        _meet(bounds, 2, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)


@_inner
def _meet_sums(bounds: Float, size: int) -> None:
    """Intersect a with b + δ, then b with a − δ, rounded outward."""
    for i in range(size):
        lower, upper = bounds[1, i] + bounds[2, i], bounds[4, i] + bounds[5, i]
        _meet(bounds, 0, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)
        lower, upper = bounds[0, i] - bounds[5, i], bounds[3, i] - bounds[2, i]
        _meet(bounds, 1, i, lower - abs(lower) * _WIDEN, upper + abs(upper) * _WIDEN)


@_inner
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


@_inner
def _compact(layers: Layers, k: int, known: Known) -> None:
    """Write layer ``k`` without the neurons that are 0, before it and after it."""
    rows, columns = known.counts[k + 1], known.counts[k]
    for row in range(rows):
        i = known.active[k + 1, row]
        for column in range(columns):
            j = known.active[k, column]
            place = row * columns + column
            known.f[k, place] = layers.weights[0, k, i, j]
            known.g[k, place] = layers.weights[1, k, i, j]
            known.g[k, rows * columns + place] = layers.weights[2, k, i, j]
        for part in range(3):
            known.biases[k, part, row] = layers.biases[part, k, i]
            known.active_errors[k, part, row] = known.errors[k, part, i]


@_inner
def _alone(
    layers: Layers, part: int, start: int, rows: int, known: Known, work: Work, constant: Float
) -> Float:
    """Carry rows on what follows layer ``start`` of one network to the input.

    They are read from ``work.first`` in rows of as many neurons as are active there.
    """
    first, second = work.first, work.second
    weights = known.f if part == 0 else known.g
    for k in range(start, -1, -1):
        n, m = known.counts[k + 1], known.counts[k]
        c = first[: rows * n].reshape(rows, n)
        planes, biases, errors = known.planes[k], known.biases[k, part], known.active_errors[k, part]
        for row in range(rows):
            own = c[row]
            total = 0.0
            if layers.relus[k]:
                for i in range(n):
                    value = own[i]
                    up, down = max(value, 0.0), min(value, 0.0)
                    # 0 · value: infinity or NaN must not get lost in a comparison.
                    total += up * planes[4 * part + 1, i] + abs(value) * planes[4 * part + 3, i]
                    total += 0.0 * value
                    own[i] = up * planes[4 * part, i] + down * planes[4 * part + 2, i]
            for i in range(n):
                total += own[i] * biases[i] + abs(own[i]) * errors[i]
            constant[row] += total
        np.dot(c, weights[k, : n * m].reshape(n, m), second[: rows * m].reshape(rows, m))
        first, second = second, first
    return first


@_inner
def _together(
    layers: Layers, start: int, rows: int, known: Known, work: Work, constant: Float
) -> Float:
    """Carry rows of all three blocks on what follows layer ``start`` to the input.

    The blocks of a and of δ are read from ``work.first``, one after the other, as both meet the
    original's weights; that of b from ``work.b``. The result has a's block first and b's in
    ``work.b``.
    """
    first, second = work.first, work.second
    for k in range(start, -1, -1):
        n, m = known.counts[k + 1], known.counts[k]
        both = first[: 2 * rows * n].reshape(2 * rows, n)
        g = work.b[: rows * n].reshape(rows, n)
        mixed = work.mixed[: rows * 2 * n].reshape(rows, 2 * n)
        p, biases, errors = known.planes[k], known.biases[k], known.active_errors[k]
        for row in range(rows):
            own_f, own_g, own_delta = both[row], g[row], both[rows + row]
            total = 0.0
            if layers.relus[k]:
                for i in range(n):
                    cf, cg, cd = own_f[i], own_g[i], own_delta[i]
                    total += abs(cf) * p[3, i] + abs(cg) * p[7, i] + 0.0 * (cf + cg + cd)
                    # Of opposite signs, the smaller of both moves into δ, with the sign of c_f.
                    moved = max(min(cf, -cg), 0.0) + min(max(cf, -cg), 0.0)
                    cf, cg, cd = cf - moved, cg + moved, cd + moved
                    f_up, f_down = max(cf, 0.0), min(cf, 0.0)
                    g_up, g_down = max(cg, 0.0), min(cg, 0.0)
                    up, down = max(cd, 0.0), min(cd, 0.0)
                    total += f_up * p[1, i] + g_up * p[5, i] + up * p[11, i] + down * p[15, i]
                    total += (up - down) * p[16, i]
                    own_f[i] = f_up * p[0, i] + f_down * p[2, i] + up * p[8, i] + down * p[12, i]
                    own_g[i] = g_up * p[4, i] + g_down * p[6, i] + up * p[9, i] + down * p[13, i]
                    own_delta[i] = up * p[10, i] + down * p[14, i]
            into = mixed[row]
            for i in range(n):
                cf, cg, cd = own_f[i], own_g[i], own_delta[i]
                total += cf * biases[0, i] + abs(cf) * errors[0, i]
                total += cg * biases[1, i] + abs(cg) * errors[1, i]
                total += cd * biases[2, i] + abs(cd) * errors[2, i]
                into[i], into[n + i] = cg, cd
            constant[row] += total
        f_weights = known.f[k, : n * m].reshape(n, m)
        g_weights = known.g[k, : 2 * n * m].reshape(2 * n, m)
        np.dot(both, f_weights, second[: 2 * rows * m].reshape(2 * rows, m))
        np.dot(mixed, g_weights, work.b[: rows * m].reshape(rows, m))
        first, second = second, first
    return first


@_inner
def _concretise(f: Float, g: Float, box: Float, rows: int, inputs: int, constant: Float) -> None:
    """Add the maximum of (f + g) · x over the box (2, inputs), rounding included."""
    factor = (8 * inputs + 64) * UNIT_ROUNDOFF * 1.01
    for row in range(rows):
        total = size = 0.0
        for j in range(inputs):
            middle = (box[0, j] + box[1, j]) / 2
            half = max(box[1, j] - middle, middle - box[0, j]) * (1 + _WIDEN)
            c, d = f[row * inputs + j], g[row * inputs + j]
            total += (c + d) * middle + abs(c + d) * half
            size += (abs(c) + abs(d)) * max(abs(box[0, j]), abs(box[1, j]))
        total = constant[row] + total + factor * size
        # A sum that overflowed, to −∞ too, is no bound.
        constant[row] = total if np.isfinite(total) else np.inf


@_inner
def _refine(
    layers: Layers,
    k: int,
    part: int,
    wanted: Integer,
    box: Float,
    bounds: Float,
    known: Known,
    work: Work,
    underflow: float,
) -> None:
    """Intersect a, b or δ (``part``) of the wanted neurons of layer ``k`` with symbolic bounds."""
    count, inputs, m = len(wanted), layers.sizes[0], known.counts[k]
    if count == 0:
        return
    rows = 2 * count
    constant = work.constant[:rows]
    for row in range(count):
        i = wanted[row]
        for side, sign in ((row, 1.0), (count + row, -1.0)):
            bias = layers.biases[part, k, i]
            constant[side] = known.errors[k, part, i] + sign * bias + underflow
            for column in range(m):
                j, place = known.active[k, column], side * m + column
                if part < 2:
                    work.first[place] = sign * layers.weights[part, k, i, j]
                else:
                    work.first[place] = 0.0
                    work.b[place] = sign * layers.weights[2, k, i, j]
                    work.first[rows * m + place] = sign * layers.weights[0, k, i, j]
    if part < 2:
        c = _alone(layers, part, k - 1, rows, known, work, constant)
        _concretise(c, work.nothing, box, rows, inputs, constant)
    else:
        c = _together(layers, k - 1, rows, known, work, constant)
        _concretise(c, work.b, box, rows, inputs, constant)
    for row in range(count):
        _meet(bounds, part, wanted[row], -constant[count + row], constant[row])


@_inner
def _refine_layer(
    layers: Layers,
    k: int,
    equal: bool,
    box: Float,
    bounds: Float,
    known: Known,
    work: Work,
    underflow: float,
) -> None:
    """Bound symbolically what intervals leave unstable, as :meth:`Propagator._refine`."""
    size = layers.sizes[k + 1]
    if equal:
        return
    wanted = work.wanted
    for part in range(2):
        count = 0
        for i in range(size):
            if bounds[part, i] < 0 and bounds[3 + part, i] > 0:
                wanted[count] = i
                count += 1
        _refine(layers, k, part, wanted[:count], box, bounds, known, work, underflow)
    _meet_difference(bounds, size)
    count = 0
    for i in range(size):
        active = bounds[0, i] >= 0 and bounds[1, i] >= 0
        inactive = bounds[3, i] <= 0 and bounds[4, i] <= 0
        if not (active or inactive or bounds[2, i] >= bounds[5, i]):
            wanted[count] = i
            count += 1
    _refine(layers, k, 2, wanted[:count], box, bounds, known, work, underflow)
    _meet_sums(bounds, size)


@_inner
def _inherit(own: NDArray[np.float32], bounds: Float, size: int) -> None:
    """Write bounds (6, N) in float32, rounded outward, to what parts of the box inherit."""
    for i in range(size):
        for part in range(3):
            low, high = np.float32(bounds[part, i]), np.float32(bounds[3 + part, i])
            if low > bounds[part, i]:
                low = np.nextafter(low, np.float32(-np.inf))
            if high < bounds[3 + part, i]:
                high = np.nextafter(high, np.float32(np.inf))
            own[part, i], own[3 + part, i] = low, high


@_inner
def _bound_box(
    layers: Layers,
    functions: Float,
    equal: bool,
    box: Float,
    inherited: NDArray[np.float32],
    known: Known,
    work: Work,
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
        known: for what is learned of the layers.
        work: for rows of coefficients.
        bounds: (4, S), the maxima of the functions and of their negatives; then those of the
            linear bounds alone.
        slopes: (2, S, inputs), the linear bounds behind them.
    """
    count = layers.relus.shape[0]
    before, after = work.intervals[0], work.intervals[1]
    for j in range(layers.sizes[0]):
        before[0, j] = before[1, j] = box[0, j]
        before[3, j] = before[4, j] = box[1, j]
        before[2, j] = before[5, j] = 0.0
        known.active[0, j] = j
    known.counts[0] = layers.sizes[0]
    used, underflow = 0, 0.0
    for k in range(count):
        size = layers.sizes[k + 1]
        underflow += _forward(layers, k, before, after, known.errors[k])
        if layers.refined[k]:
            own = inherited[:, used : used + size]
            for i in range(size):
                for part in range(3):
                    _meet(after, part, i, own[part, i], own[3 + part, i])
            _refine_layer(layers, k, equal, box, after, known, work, underflow)
            _inherit(own, after, size)
            used += size
        known.counts[k + 1] = _relax(
            after, size, layers.relus[k], known.planes[k], known.active[k + 1]
        )
        _compact(layers, k, known)
        _activate(after, before, size, layers.relus[k])
    _bound_functions(layers, functions, box, before, known, work, underflow, bounds, slopes)


@_inner
def _bound_functions(
    layers: Layers,
    functions: Float,
    box: Float,
    outputs: Float,
    known: Known,
    work: Work,
    underflow: float,
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound the wanted functions dually, on the product network, and by the outputs' intervals."""
    last, inputs, rows = layers.relus.shape[0] - 1, layers.sizes[0], functions.shape[1]
    size, both = layers.sizes[last + 1], 2 * functions.shape[1]
    constant = work.constant[:both]
    for network in range(-1, 2):
        # −1: dually, on all three blocks; 0 and 1: f, then g of the product network.
        if network < 1:
            constant[:] = underflow
        for row in range(rows):
            for side, sign in ((row, 1.0), (rows + row, -1.0)):
                for i in range(size):
                    f, g, delta = functions[0, row, i], functions[1, row, i], functions[2, row, i]
                    place = side * size + i
                    if network < 0:
                        work.first[place] = sign * f
                        work.b[place] = sign * g
                        work.first[both * size + place] = sign * delta
                    else:
                        work.first[place] = sign * (g - delta if network else f + delta)
        if network < 0:
            c = _together(layers, last, both, known, work, constant)
            _concretise(c, work.b, box, both, inputs, constant)
            for side in range(2):
                for row in range(rows):
                    at = side * rows + row
                    bounds[side, row] = bounds[2 + side, row] = constant[at]
                    for j in range(inputs):
                        place = at * inputs + j
                        slopes[side, row, j] = c[place] + work.b[place]
            continue
        c = _alone(layers, network, last, both, known, work, constant)
        if network == 0:
            for place in range(both * inputs):
                work.b[place] = c[place]
            continue
        _concretise(work.b, c, box, both, inputs, constant)
        for side in range(2):
            for row in range(rows):
                bounds[side, row] = min(bounds[side, row], constant[side * rows + row])
    _bound_plainly(functions, outputs, bounds)


@_inner
def _any(values: Float) -> bool:
    """Whether a value is not zero."""
    for value in values:  # noqa: SIM110 - numba compiles no generators
        if value != 0.0:
            return True
    return False


@_inner
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


@_outer
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
    count, width = layers.relus.shape[0], layers.biases.shape[2]
    most = 2 * max(width, functions.shape[1])
    known = Known(
        np.zeros(count + 1, dtype=np.int64),
        np.zeros((count + 1, width), dtype=np.int64),
        np.zeros((count, 17, width)),
        np.zeros((count, 3, width)),
        np.empty((count, width * width)),
        np.empty((count, 2 * width * width)),
        np.zeros((count, 3, width)),
        np.zeros((count, 3, width)),
    )
    work = Work(
        np.empty(2 * most * width),
        np.empty(2 * most * width),
        np.empty(most * width),
        np.empty(2 * most * width),
        np.zeros(most * width),
        np.empty(most),
        np.empty(width, dtype=np.int64),
        np.zeros((2, 6, width)),
    )
    for b in range(len(boxes)):
        work.intervals[:] = 0.0
        _bound_box(
            layers, functions, equal, boxes[b], inherited[b], known, work, bounds[b], slopes[b]
        )


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
