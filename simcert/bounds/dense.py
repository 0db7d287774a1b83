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
from simcert.model.program import Affine, Input, Relu, Step
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
        planes: (L, N, 17) lines and planes of those that stay, see :mod:`..relu`.
        errors: (L, 3, N) rounding of all neurons.
        f: (L, N · N) transposed weights of the original between those that stay.
        g: (L, 2 · N · N) a row of those of the compressed network, a row of the differences, ….
        g_alone: (L, N · N) those of the compressed network.
        biases: (L, 3, N) of those that stay.
        active_errors: (L, 3, N) likewise.
    """

    counts: Integer
    active: Integer
    planes: Float
    errors: Float
    f: Float
    g: Float
    g_alone: Float
    biases: Float
    active_errors: Float


class Work(NamedTuple):
    """Room for rows of coefficients, flat, for their constants, and for intervals (6, N)."""

    first: Float
    second: Float
    other: Float
    constant: Float
    wanted: Integer
    before: Float
    after: Float


def _room(layers: int, width: int, rows: int) -> tuple[Known, Work]:
    """Make room for pairs with so many layers of so many neurons, and so many wanted functions."""
    most = -(-2 * max(width, rows) // 8) * 8
    known = Known(
        counts=np.zeros(layers + 1, dtype=np.int64),
        active=np.zeros((layers + 1, width), dtype=np.int64),
        planes=np.zeros((layers, width, 17)),
        errors=np.zeros((layers, 3, width)),
        f=np.zeros((layers, width * width)),
        g=np.zeros((layers, 2 * width * width)),
        g_alone=np.zeros((layers, width * width)),
        biases=np.zeros((layers, 3, width)),
        active_errors=np.zeros((layers, 3, width)),
    )
    work = Work(
        first=np.zeros(3 * most * width),
        second=np.zeros(3 * most * width),
        other=np.zeros(2 * most * width),
        constant=np.zeros(most),
        wanted=np.zeros(width, dtype=np.int64),
        before=np.zeros((6, width)),
        after=np.zeros((6, width)),
    )
    return known, work


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
    if not all(_is_dense(step) for node in affine for step in (node.f, node.g)):
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


def _is_dense(step: Step | None) -> bool:
    """Whether a step is one matrix, without noise of its own."""
    if not isinstance(step, Affine) or len(step.maps) != 1 or step.noise:
        return False
    linear = step.maps[0]
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
    a: tuple[float, float],
    b: tuple[float, float],
    delta: tuple[float, float],
    a_line: tuple[float, float],
    b_lower_slope: float,
) -> tuple[float, float, float, float]:
    """Return the upper plane of relu(a) − relu(b), as :func:`..relu.difference_plane`.

    Args:
        a: lower and upper bound.
        b: likewise.
        delta: likewise.
        a_line: slope and intercept of the upper line of a.
        b_lower_slope: slope of the lower line of b.

    Returns:
        The coefficients on a, b and δ, and the constant.
    """
    (a_lower, a_upper), (b_lower, b_upper), (d_lower, d_upper) = a, b, delta
    slope, intercept = _chord(d_lower, d_upper)
    if (d_upper <= 0 and d_lower >= 0) or (a_upper <= 0 and b_upper <= 0):
        return 0.0, 0.0, 0.0, 0.0
    ca, cb, cd, constant = 0.0, 0.0, slope, intercept
    a_middle, b_middle = (a_lower + a_upper) / 2, (b_lower + b_upper) / 2
    d_middle = (d_lower + d_upper) / 2
    value = slope * d_middle + intercept
    margin = TIE * (max(abs(a_lower), abs(a_upper)) + max(abs(b_lower), abs(b_upper)))
    other = a_line[0] * a_middle - b_lower_slope * b_middle + a_line[1]
    if other < value - margin:
        value, ca, cb, cd, constant = other, a_line[0], -b_lower_slope, 0.0, a_line[1]
    other = (a_line[0] - 1) * a_middle + d_middle + a_line[1]
    if other < value - margin:
        value, ca, cb, cd, constant = other, a_line[0] - 1, 0.0, 1.0, a_line[1]
    if a_lower >= 0:
        beta = 1.0 if b_middle < 0 else 0.0
        other = beta * b_middle + d_middle
        if other < value - margin:
            ca, cb, cd, constant = 0.0, beta, 1.0, 0.0
    return ca, cb, cd, constant


@_inner
def _relax(bounds: Float, size: int, relu: bool, planes: Float, k: int, active: Integer) -> int:
    """Write lines and planes of the neurons of a layer that are not 0 in both networks.

    Args:
        bounds: (6, N) of what the rectifiers read.
        size: neurons of the layer.
        relu: whether there are rectifiers; without them all neurons stay.
        planes: (L, N, 17), written in the order of ``active``; see :mod:`..relu`.
        k: the layer.
        active: (L + 1, N), the neurons that stay.

    Returns:
        How many these are; at least one, so that no matrix is empty.
    """
    count = 0
    factor = (2 * size + 64) * UNIT_ROUNDOFF * 1.01
    for i in range(size):
        a, b, delta = (bounds[0, i], bounds[3, i]), (bounds[1, i], bounds[4, i]), (0.0, 0.0)
        if relu and a[1] <= 0 and b[1] <= 0:
            continue
        n, count = count, count + 1
        active[k + 1, n] = i
        if not relu:
            continue
        delta = bounds[2, i], bounds[5, i]
        a_line, b_line = _chord(a[0], a[1]), _chord(b[0], b[1])
        a_lower_slope = 1.0 if a[1] > -a[0] else 0.0
        b_lower_slope = 1.0 if b[1] > -b[0] else 0.0
        a_size, b_size = max(abs(a[0]), abs(a[1])), max(abs(b[0]), abs(b[1]))
        d_size = max(abs(delta[0]), abs(delta[1]))
        upper = _plane(a, b, delta, a_line, b_lower_slope)
        lower = _plane(b, a, (-delta[1], -delta[0]), b_line, a_lower_slope)
        planes[k, n, 0], planes[k, n, 1], planes[k, n, 2] = a_line[0], a_line[1], a_lower_slope
        planes[k, n, 3] = factor * (a_size + a_line[1])
        planes[k, n, 4], planes[k, n, 5], planes[k, n, 6] = b_line[0], b_line[1], b_lower_slope
        planes[k, n, 7] = factor * (b_size + b_line[1])
        planes[k, n, 8], planes[k, n, 9] = upper[0], upper[1]
        planes[k, n, 10], planes[k, n, 11] = upper[2], upper[3]
        planes[k, n, 12], planes[k, n, 13] = -lower[1], -lower[0]
        planes[k, n, 14], planes[k, n, 15] = lower[2], -lower[3]
        size_of = max(abs(upper[0]), abs(lower[1])) * a_size
        size_of += max(abs(upper[1]), abs(lower[0])) * b_size
        size_of += max(abs(upper[2]), abs(lower[2])) * d_size
        planes[k, n, 16] = factor * (size_of + max(abs(upper[3]), abs(lower[3])))
    if count == 0:
        active[k + 1, 0], count = 0, 1
        for term in range(17):
            planes[k, 0, term] = 0.0
    return count


@_inner
def _forward(layers: Layers, k: int, before: Float, after: Float, errors: Float) -> float:
    """Bound layer ``k`` by intervals: before (6, N) to after (6, N), errors (3, N).

    Returns:
        What coefficients and constants may lose to underflow at this layer.
    """
    width = before.shape[1]
    size, columns = layers.sizes[k + 1], layers.columns
    biases, bias_sizes, flushed = layers.biases, layers.bias_sizes, layers.flushed
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
        _add_operand(columns, k, j, middle, half, reach, sums, size)
    for part in range(3):
        # Products may underflow, unless the operand is zero everywhere.
        present = largest[part] != 0
        if part == 2 and layers.changed[k]:
            present = present or largest[1] != 0
        underflow = (4 * width + 16) * SMALLEST if present else 0.0
        gamma_of, roundoff = layers.gammas[part // 2, k], 0.0
        flush = 0.0
        if part < 2:
            roundoff, flush = layers.roundoff[part, k, 0], layers.roundoff[part, k, 1]
        exact = layers.exact[k]
        for i in range(size):
            bias = biases[part, k, i]
            bias_size = bias_sizes[k, i] if part == 2 else abs(bias)
            magnitude = sums[6 + part, i] + bias_size
            error = gamma_of * magnitude + underflow
            radius = sums[3 + part, i] + 2 * error
            if roundoff > 0:
                runtime = roundoff * magnitude + flushed[part, k, i] + flush * largest[part]
                if not magnitude < FLOAT32_LARGEST:
                    runtime = np.inf
                runtime *= 1 + 2.0**-40
                radius += runtime
                error += runtime
            if part == 2 and not exact:
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
def _add_operand(
    columns: Float,
    k: int,
    j: int,
    middle: Float,
    half: Float,
    reach: Float,
    sums: Float,
    size: int,
) -> None:
    """Add to the sums (9, N) of layer ``k`` what operand ``j`` gives.

    Each loop writes one array, which keeps it a vector loop.
    """
    for part in range(3):
        own, x, radius, most = part % 2, middle[part], half[part], reach[part]
        if most != 0:
            for i in range(size):
                sums[part, i] += columns[k, j, own, i] * x
            for i in range(size):
                sums[3 + part, i] += abs(columns[k, j, own, i]) * radius
            for i in range(size):
                sums[6 + part, i] += abs(columns[k, j, own, i]) * most
    x, radius, most = middle[1], half[1], reach[1]
    if most != 0:
        for i in range(size):
            sums[2, i] += columns[k, j, 2, i] * x
        for i in range(size):
            sums[5, i] += abs(columns[k, j, 2, i]) * radius
        for i in range(size):
            sums[8, i] += abs(columns[k, j, 2, i]) * most


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
    rows, columns = known.counts[k], known.counts[k + 1]
    active, weights = known.active, layers.columns
    f, g, g_alone = known.f, known.g, known.g_alone
    for row in range(rows):
        j, place = active[k, row], row * columns
        for column in range(columns):
            i = active[k + 1, column]
            f[k, place + column] = weights[k, j, 0, i]
            g_alone[k, place + column] = g[k, 2 * place + column] = weights[k, j, 1, i]
            g[k, 2 * place + columns + column] = weights[k, j, 2, i]
    biases, errors = layers.biases, known.errors
    active_biases, active_errors = known.biases, known.active_errors
    for part in range(3):
        for column in range(columns):
            i = active[k + 1, column]
            active_biases[k, part, column] = biases[part, k, i]
            active_errors[k, part, column] = errors[k, part, i]


@_inner
def _along_lines(c: Float, planes: Float, k: int, part: int, constant: Float) -> None:
    """Replace coefficients on relu(x) by coefficients on x.

    Args:
        c: (n, rows), changed in place.
        planes: (L, N, 17), see :mod:`..relu`.
        k: the layer.
        part: 0 for a, 1 for b.
        constant: (rows,), added to.
    """
    n, rows = c.shape
    for i in range(n):
        slope, intercept = planes[k, i, 4 * part], planes[k, i, 4 * part + 1]
        lower_slope, error = planes[k, i, 4 * part + 2], planes[k, i, 4 * part + 3]
        for row in range(rows):
            value = c[i, row]
            up, down = max(value, 0.0), min(value, 0.0)
            # 0 · value: infinity or NaN must not get lost in a comparison.
            constant[row] += up * intercept + abs(value) * error + 0.0 * value
            c[i, row] = up * slope + down * lower_slope


@_inner
def _along_planes(c: Float, planes: Float, k: int, constant: Float) -> None:
    """Replace coefficients on relu(a), relu(b), Δ by coefficients on a, b, δ.

    Args:
        c: (3 n, rows), changed in place.
        planes: (L, N, 17), see :mod:`..relu`.
        k: the layer.
        constant: (rows,), added to.
    """
    n, rows = c.shape[0] // 3, c.shape[1]
    for i in range(n):
        a_slope, a_intercept = planes[k, i, 0], planes[k, i, 1]
        a_lower, a_error = planes[k, i, 2], planes[k, i, 3]
        b_slope, b_intercept = planes[k, i, 4], planes[k, i, 5]
        b_lower, b_error = planes[k, i, 6], planes[k, i, 7]
        upper_a, upper_b = planes[k, i, 8], planes[k, i, 9]
        upper_delta, upper_constant = planes[k, i, 10], planes[k, i, 11]
        lower_a, lower_b = planes[k, i, 12], planes[k, i, 13]
        lower_delta, lower_constant = planes[k, i, 14], planes[k, i, 15]
        error = planes[k, i, 16]
        for row in range(rows):
            cf, cg, cd = c[i, row], c[n + i, row], c[2 * n + i, row]
            total = abs(cf) * a_error + abs(cg) * b_error + 0.0 * (cf + cg + cd)
            # Of opposite signs, the smaller of both moves into δ, with the sign of c_f.
            moved = max(min(cf, -cg), 0.0) + min(max(cf, -cg), 0.0)
            cf, cg, cd = cf - moved, cg + moved, cd + moved
            f_up, f_down = max(cf, 0.0), min(cf, 0.0)
            g_up, g_down = max(cg, 0.0), min(cg, 0.0)
            up, down = max(cd, 0.0), min(cd, 0.0)
            total += f_up * a_intercept + g_up * b_intercept
            total += up * upper_constant + down * lower_constant + (up - down) * error
            constant[row] += total
            c[i, row] = f_up * a_slope + f_down * a_lower + up * upper_a + down * lower_a
            c[n + i, row] = g_up * b_slope + g_down * b_lower + up * upper_b + down * lower_b
            c[2 * n + i, row] = up * upper_delta + down * lower_delta


@_inner
def _add_constant(
    c: Float, first: int, n: int, biases: Float, errors: Float, k: int, part: int, constant: Float
) -> None:
    """Add c · bias + |c| · error to ``constant``, of n rows of ``c`` (.., rows) from one on."""
    for i in range(n):
        bias, error = biases[k, part, i], errors[k, part, i]
        for row in range(c.shape[1]):
            constant[row] += c[first + i, row] * bias + abs(c[first + i, row]) * error


@_inner
def _alone(
    layers: Layers, part: int, start: int, rows: int, known: Known, work: Work, constant: Float
) -> Float:
    """Carry rows on what follows layer ``start`` of one network to the input.

    Coefficients are (n, rows), n the neurons that are active there, read from ``work.first``.
    """
    first, second = work.first, work.second
    planes, biases, errors = known.planes, known.biases, known.active_errors
    weights = known.f if part == 0 else known.g_alone
    counts, relus = known.counts, layers.relus
    for k in range(start, -1, -1):
        n, m = counts[k + 1], counts[k]
        c, into = first[: n * rows].reshape(n, rows), second[: m * rows].reshape(m, rows)
        if relus[k]:
            _along_lines(c, planes, k, part, constant)
        _add_constant(c, 0, n, biases, errors, k, part, constant)
        np.dot(weights[k, : m * n].reshape(m, n), c, into)
        first, second = second, first
    return first


@_inner
def _together(
    layers: Layers, start: int, rows: int, known: Known, work: Work, constant: Float
) -> Float:
    """Carry rows of all three blocks on what follows layer ``start`` to the input.

    The blocks of a, b and δ are read from ``work.first``, (n, rows) each, one after the other.
    """
    first, second = work.first, work.second
    planes, biases, errors = known.planes, known.biases, known.active_errors
    counts, relus, f, g = known.counts, layers.relus, known.f, known.g
    for k in range(start, -1, -1):
        n, m = counts[k + 1], counts[k]
        blocks = first[: 3 * n * rows].reshape(3 * n, rows)
        into = second[: 3 * m * rows].reshape(3 * m, rows)
        if relus[k]:
            _along_planes(blocks, planes, k, constant)
        for part in range(3):
            _add_constant(blocks, part * n, n, biases, errors, k, part, constant)
        f_weights = f[k, : m * n].reshape(m, n)
        np.dot(f_weights, blocks[:n], into[:m])
        # δ' = W_f δ + (W_f − W_g) b
        np.dot(g[k, : 2 * m * n].reshape(m, 2 * n), blocks[n:], into[m : 2 * m])
        np.dot(f_weights, blocks[2 * n :], into[2 * m :])
        first, second = second, first
    return first


@_inner
def _concretise(c: Float, box: Float, constant: Float) -> None:
    """Add the maximum of (c_f + c_g) · x over the box (2, inputs), rounding included.

    The coefficients are (2 · inputs, rows), those of f first.
    """
    inputs, rows = box.shape[1], len(constant)
    factor = (8 * inputs + 64) * UNIT_ROUNDOFF * 1.01
    for j in range(inputs):
        middle = (box[0, j] + box[1, j]) / 2
        half = max(box[1, j] - middle, middle - box[0, j]) * (1 + _WIDEN)
        size = factor * max(abs(box[0, j]), abs(box[1, j]))
        for row in range(rows):
            f, g = c[j, row], c[inputs + j, row]
            constant[row] += (f + g) * middle + abs(f + g) * half + size * (abs(f) + abs(g))
    for row in range(rows):
        # A sum that overflowed, to −∞ too, is no bound.
        constant[row] = constant[row] if np.isfinite(constant[row]) else np.inf


@_inner
def _padded(rows: int) -> int:
    """Return a number of rows that fills vector registers."""
    return -(-rows // 8) * 8


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
    rows = _padded(2 * count)
    columns, active, blocks = layers.columns, known.active, 1 if part < 2 else 3
    c = work.first[: blocks * m * rows].reshape(blocks * m, rows)
    for column in range(blocks * m):
        for row in range(rows):
            c[column, row] = 0.0
    for column in range(m):
        j = active[k, column]
        for row in range(count):
            i = wanted[row]
            if part < 2:
                weight = columns[k, j, part, i]
                c[column, row], c[column, count + row] = weight, -weight
            else:
                weight, other = columns[k, j, 0, i], columns[k, j, 2, i]
                c[m + column, row], c[m + column, count + row] = other, -other
                c[2 * m + column, row], c[2 * m + column, count + row] = weight, -weight
    constant = work.constant[:rows]
    constant[2 * count :] = 0.0
    biases, errors = layers.biases, known.errors
    for row in range(count):
        bias, error = biases[part, k, wanted[row]], errors[k, part, wanted[row]]
        constant[row], constant[count + row] = error + bias + underflow, error - bias + underflow
    if part < 2:
        slope = _alone(layers, part, k - 1, rows, known, work, constant)
        slope[inputs * rows : 2 * inputs * rows] = 0.0
    else:
        slope = _together(layers, k - 1, rows, known, work, constant)
    _concretise(slope[: 2 * inputs * rows].reshape(2 * inputs, rows), box, constant)
    for row in range(count):
        _meet(bounds, part, wanted[row], -constant[count + row], constant[row])


@_inner
def _refine_layer(
    layers: Layers,
    k: int,
    box: Float,
    bounds: Float,
    known: Known,
    work: Work,
    underflow: float,
) -> None:
    """Bound symbolically what intervals leave unstable, as :meth:`Propagator._refine`."""
    size = layers.sizes[k + 1]
    wanted = work.wanted
    for part in range(3):
        if part == 2:
            _meet_difference(bounds, size)
        count = 0
        for i in range(size):
            if _is_unsettled(bounds, part, i):
                wanted[count] = i
                count += 1
        _refine(layers, k, part, wanted[:count], box, bounds, known, work, underflow)
    _meet_sums(bounds, size)


@_inner
def _is_unsettled(bounds: Float, part: int, i: int) -> bool:
    """Whether a plane of neuron ``i`` reads its bounds of a, b or δ."""
    if part < 2:
        return bool(bounds[part, i] < 0 and bounds[3 + part, i] > 0)
    active = bounds[0, i] >= 0 and bounds[1, i] >= 0
    inactive = bounds[3, i] <= 0 and bounds[4, i] <= 0
    return not (active or inactive or bounds[2, i] >= bounds[5, i])


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
    last, inputs, count = layers.relus.shape[0] - 1, layers.sizes[0], functions.shape[1]
    size, rows = layers.sizes[last + 1], _padded(2 * functions.shape[1])
    constant = work.constant[:rows]
    constant[:] = underflow
    c = work.first
    c[: 3 * size * rows] = 0.0
    for part in range(3):
        for i in range(size):
            at = (part * size + i) * rows
            for row in range(count):
                value = functions[part, row, i]
                c[at + row], c[at + count + row] = value, -value
    slope = _together(layers, last, rows, known, work, constant)
    both = slope[: 2 * inputs * rows].reshape(2 * inputs, rows)
    _concretise(both, box, constant)
    for side in range(2):
        for row in range(count):
            at = side * count + row
            bounds[side, row] = bounds[2 + side, row] = constant[at]
            for j in range(inputs):
                slopes[side, row, j] = both[j, at] + both[inputs + j, at]
    # The product network: c_δ (f − g) is c_δ f − c_δ g.
    constant[:] = underflow
    for network in range(2):
        c[: size * rows] = 0.0
        for i in range(size):
            for row in range(count):
                own, delta = functions[network, row, i], functions[2, row, i]
                value = own - delta if network else own + delta
                c[i * rows + row], c[i * rows + count + row] = value, -value
        slope = _alone(layers, network, last, rows, known, work, constant)
        at = network * inputs * rows
        work.other[at : at + inputs * rows] = slope[: inputs * rows]
    both = work.other[: 2 * inputs * rows].reshape(2 * inputs, rows)
    _concretise(both, box, constant)
    for side in range(2):
        for row in range(count):
            bounds[side, row] = min(bounds[side, row], constant[side * count + row])
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
    known: Known,
    work: Work,
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound boxes one after the other.

    Args:
        layers: the pair.
        functions: (3, S, N) coefficients on f, g and f − g at the outputs.
        equal: whether the networks are the same and only differences are asked for.
        boxes: (B, 2, inputs).
        inherited: (B, 6, neurons), read and overwritten.
        known: for what is learned of the layers.
        work: for rows of coefficients.
        bounds: (B, 4, S), the maxima of the functions and of their negatives; then those of the
            linear bounds alone.
        slopes: (B, 2, S, inputs), the linear bounds behind them.
    """
    before, after = work.before, work.after
    for b in range(len(boxes)):
        before[:], after[:] = 0.0, 0.0
        for j in range(layers.sizes[0]):
            before[0, j] = before[1, j] = boxes[b, 0, j]
            before[3, j] = before[4, j] = boxes[b, 1, j]
            known.active[0, j] = j
        known.counts[0] = layers.sizes[0]
        used, underflow = 0, 0.0
        for k in range(layers.relus.shape[0]):
            size = layers.sizes[k + 1]
            underflow += _forward(layers, k, before, after, known.errors[k])
            if layers.refined[k]:
                own = inherited[b, :, used : used + size]
                for i in range(size):
                    for part in range(3):
                        _meet(after, part, i, float(own[part, i]), float(own[3 + part, i]))
                if not equal:
                    _refine_layer(layers, k, boxes[b], after, known, work, underflow)
                _inherit(own, after, size)
                used += size
            known.counts[k + 1] = _relax(
                after, size, layers.relus[k], known.planes, k, known.active
            )
            _compact(layers, k, known)
            _activate(after, before, size, layers.relus[k])
        _bound_functions(
            layers, functions, boxes[b], before, known, work, underflow, bounds[b], slopes[b]
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
        inherits = np.empty((count, 6, self.neurons), dtype=np.float32)
        inherits[:, :3], inherits[:, 3:] = -np.inf, np.inf
        if inherited is not None:
            inherits[...] = inherited.numpy()
        bounds, slopes = np.empty((count, 4, rows)), np.empty((count, 2, rows, inputs))
        known, work = _room(len(self._layers.relus), self._functions.shape[2], rows)
        _bound_boxes(
            self._layers,
            self._functions,
            self._equal,
            boxes,
            inherits,
            known,
            work,
            bounds,
            slopes,
        )
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
            torch.from_numpy(inherits),
            [],
        )
