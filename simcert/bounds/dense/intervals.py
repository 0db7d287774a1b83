"""Interval arithmetic through the layers: the bounds that symbolic ones start from.

Bounds of a, b and δ are arrays (6, N): the lower ones, then the upper ones.
"""

from __future__ import annotations

import numpy as np

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.lanes import (
    WIDTH,
    Lanes,
    larger,
    load,
    magnitude,
    number,
    smaller,
    spread,
    store,
    where_at_most,
    where_less,
)
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.room import Float, Known, Work
from simcert.bounds.rounding import FLOAT32_LARGEST, SMALLEST, UNIT_ROUNDOFF

WIDEN = 4 * UNIT_ROUNDOFF
"""What a sum or a difference of two bounds is widened by, of its size."""


@inner
def forward(layers: Layers, k: int, known: Known, work: Work) -> float:
    """Bound layer ``k`` by intervals, from ``work.before`` to ``work.after``.

    Returns:
        What coefficients and constants may lose to underflow at this layer.
    """
    count, operands, columns = known.counts[k], work.operands, layers.columns
    width, size = columns.shape[3], layers.sizes[k + 1]
    total = _read(k, count, known, work)
    for i in range(0, size, WIDTH):
        # W · centre, |W| · radius and |W| · size; of δ those of W_f δ + (W_f − W_g) b.
        a = a_radius = a_size = b = b_radius = b_size = d = d_radius = d_size = spread(0.0)
        for n in range(count):
            at, x = (k * width + known.active[k, n]) * 3 * width + i, n * 9
            f, g, c = load(columns, at), load(columns, at + width), load(columns, at + 2 * width)
            a = a + f * number(operands, x)
            b = b + g * number(operands, x + 1)
            d = d + f * number(operands, x + 2) + c * number(operands, x + 1)
            f, g, c = magnitude(f), magnitude(g), magnitude(c)
            a_radius = a_radius + f * number(operands, x + 3)
            b_radius = b_radius + g * number(operands, x + 4)
            d_radius = d_radius + f * number(operands, x + 5) + c * number(operands, x + 4)
            a_size = a_size + f * number(operands, x + 6)
            b_size = b_size + g * number(operands, x + 7)
            d_size = d_size + f * number(operands, x + 8) + c * number(operands, x + 7)
        _bound(layers, k, 0, i, a, a_radius, a_size, known, work)
        _bound(layers, k, 1, i, b, b_radius, b_size, known, work)
        _bound(layers, k, 2, i, d, d_radius, d_size, known, work)
    meet_difference(work.after, size)
    return float(SMALLEST * ((4 * width + 32) * total + 8 * width))


@inner
def _read(k: int, count: int, known: Known, work: Work) -> float:
    """Write centre, radius and size of a, b and δ of the operands that stay; return all sizes' sum.

    The others are 0 in both networks.
    """
    before, operands, largest, total = work.before, work.operands, work.largest, 0.0
    largest[:] = 0.0
    for n in range(count):
        j = known.active[k, n]
        for part in range(3):
            lower, upper = before[part, j], before[3 + part, j]
            middle = (lower + upper) / 2
            half = max(upper - middle, middle - lower) * (1 + WIDEN)
            size = abs(middle) + half
            operands[n, part], operands[n, 3 + part], operands[n, 6 + part] = middle, half, size
            largest[part] = max(largest[part], size)
            total += size
    return total


@inner
def _bound(
    layers: Layers,
    k: int,
    part: int,
    i: int,
    centre: Lanes,
    radius: Lanes,
    size: Lanes,
    known: Known,
    work: Work,
) -> None:
    """Write the bounds of a, b or δ (``part``) of eight neurons from ``i`` on, and their rounding.

    Args:
        layers: the pair.
        k: the layer.
        part: 0, 1 or 2.
        i: the first of the neurons.
        centre: of their sums.
        radius: likewise.
        size: of all absolute products together.
        known: of which the errors are written.
        work: for ``largest``; ``after`` is written.
    """
    width = work.after.shape[1]
    at, own = (part * layers.biases.shape[1] + k) * width + i, (k * 3 + part) * width + i
    bias, largest = load(layers.biases, at), work.largest[part]
    present = largest != 0
    if part == 2:
        size = size + load(layers.bias_sizes, k * width + i)
        present = present or (layers.changed[k] and work.largest[1] != 0)
    else:
        size = size + magnitude(bias)
    error = size * layers.gammas[part // 2, k]
    if present:  # products may underflow, unless the operand is zero everywhere
        error = error + (4 * width + 16) * SMALLEST
    radius = radius + error * 2.0
    if part < 2 and layers.roundoff[part, k] > 0:
        apart = (part * layers.biases.shape[1] + k) * 2 * width + i
        flushed = load(layers.flushed, apart) + load(layers.flushed, apart + width) * largest
        runtime = (size * layers.roundoff[part, k] + flushed) * (1 + 2.0**-40)
        runtime = where_less(size, load(layers.largest, at), runtime, spread(np.inf))
        radius, error = radius + runtime, error + runtime
    if part == 2 and not layers.exact[k]:
        errors = load(known.errors, own - 2 * width) + load(known.errors, own - width)
        error = error + errors
        radius = radius + error
    store(known.errors, own, error)
    centre = centre + bias
    # 0 · x is 0 where x is finite.
    finite, zero = (magnitude(centre) + radius) * 0.0, spread(0.0)
    lower = where_at_most(finite, zero, centre - radius, spread(-np.inf))
    upper = where_at_most(finite, zero, centre + radius, spread(np.inf))
    store(work.after, part * width + i, lower)
    store(work.after, (3 + part) * width + i, upper)


@inner
def meet(bounds: Float, part: int, i: int, lower: Lanes, upper: Lanes) -> None:
    """Intersect intervals of eight neurons from ``i`` on; NaN and an empty one say nothing."""
    width = bounds.shape[1]
    at, above = part * width + i, (3 + part) * width + i
    low, high = load(bounds, at), load(bounds, above)
    lower, upper = larger(lower, low), smaller(upper, high)
    store(bounds, at, where_at_most(lower, upper, lower, low))
    store(bounds, above, where_at_most(lower, upper, upper, high))


@inner
def _meet_widened(bounds: Float, part: int, i: int, lower: Lanes, upper: Lanes) -> None:
    """Intersect with what sums of two bounds gave."""
    meet(bounds, part, i, lower - magnitude(lower) * WIDEN, upper + magnitude(upper) * WIDEN)


@inner
def meet_difference(bounds: Float, size: int) -> None:
    """Intersect δ with a − b, rounded outward."""
    width = bounds.shape[1]
    for i in range(0, size, WIDTH):
        lower = load(bounds, i) - load(bounds, 4 * width + i)
        upper = load(bounds, 3 * width + i) - load(bounds, width + i)
        _meet_widened(bounds, 2, i, lower, upper)


@inner
def meet_sums(bounds: Float, size: int) -> None:
    """Intersect a with b + δ, then b with a − δ, rounded outward."""
    width = bounds.shape[1]
    for i in range(0, size, WIDTH):
        lower = load(bounds, width + i) + load(bounds, 2 * width + i)
        upper = load(bounds, 4 * width + i) + load(bounds, 5 * width + i)
        _meet_widened(bounds, 0, i, lower, upper)
        lower = load(bounds, i) - load(bounds, 5 * width + i)
        upper = load(bounds, 3 * width + i) - load(bounds, 2 * width + i)
        _meet_widened(bounds, 1, i, lower, upper)


@inner
def activate(before: Float, after: Float, size: int, relu: bool) -> None:
    """Bound relu, or nothing, by intervals: (6, N) to (6, N)."""
    width, zero = before.shape[1], spread(0.0)
    for part in range(6):
        for i in range(part * width, part * width + size, WIDTH):
            value = load(before, i)
            if relu:
                value = smaller(value, zero) if part == 2 else larger(value, zero)
            store(after, i, value)
    if relu:
        meet_difference(after, size)


@inner
def overflows(bounds: Float, size: int) -> bool:
    """Whether a number of either network may overflow in float32."""
    for part in (0, 1, 3, 4):
        for i in range(size):
            if not abs(bounds[part, i]) < FLOAT32_LARGEST:
                return True
    return False


@inner
def forget(bounds: Float, size: int) -> None:
    """Give up what follows on a number that may overflow: NaN goes through all operators."""
    for part in range(3):
        bounds[part, :size], bounds[3 + part, :size] = -np.inf, np.inf
