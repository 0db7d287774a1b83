"""Lines and planes in place of rectifiers, of eight neurons at once.

The formulas are those of :mod:`simcert.bounds.relu`.
"""

from __future__ import annotations

import numpy as np

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.intervals import WIDEN
from simcert.bounds.dense.lanes import (
    WIDTH,
    Lanes,
    gather,
    larger,
    magnitude,
    spread,
    store,
    where_at_most,
    where_less,
)
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.room import RECORD, Float, Integer, Known, Work
from simcert.bounds.relu import TIE
from simcert.bounds.rounding import UNDERFLOW, UNIT_ROUNDOFF

Pair = tuple[Lanes, Lanes]

_SLACK = 1 + 8 * UNIT_ROUNDOFF


@inner
def relax(layers: Layers, k: int, known: Known, work: Work) -> None:
    """Write what is known of the neurons of layer ``k`` that are not 0 in both networks.

    Without rectifiers all of them stay, and at least one always, so that no product is empty. Their
    bounds are read from ``work.after``.
    """
    neurons, active, bounds, records = known.neurons, known.active, work.after, work.records
    width, relu, count = bounds.shape[1], layers.relus[k], 0
    for i in range(layers.sizes[k + 1]):
        if not relu or bounds[3, i] > 0 or bounds[4, i] > 0:
            active[k + 1, count] = i
            count += 1
    known.counts[k + 1] = max(count, 1)
    if count == 0:
        active[k + 1, 0] = 0
        neurons[k, 0, :] = 0.0
    place = (k + 1) * active.shape[1]
    for first in range(0, count, WIDTH):
        if relu:
            a = _bounds_of(bounds, 0, active, place + first)
            b = _bounds_of(bounds, 1, active, place + first)
            delta = _bounds_of(bounds, 2, active, place + first)
            # Added up with those of the layer, then with the sums of all layers of both networks.
            terms = layers.sizes[k + 1] + 4 * layers.relus.shape[0]
            _write_planes(a, b, delta, terms, records)
        for part in range(3):
            at = (part * layers.biases.shape[1] + k) * width
            bias = gather(layers.biases, at, active, place + first)
            error = gather(known.errors, (k * 3 + part) * width, active, place + first)
            store(records, (17 + part) * WIDTH, bias)
            store(records, (20 + part) * WIDTH, error)
        for lane in range(min(WIDTH, count - first)):
            for term in range(RECORD):
                neurons[k, first + lane, term] = records[term, lane]


@inner
def _bounds_of(bounds: Float, part: int, active: Integer, place: int) -> Pair:
    """Return lower and upper bounds of a, b or δ (``part``) of eight neurons."""
    width = bounds.shape[1]
    lower = gather(bounds, part * width, active, place)
    return lower, gather(bounds, (3 + part) * width, active, place)


@inner
def _write_planes(a: Pair, b: Pair, delta: Pair, terms: int, records: Float) -> None:
    """Write the lines and planes of eight neurons, and their rounding errors.

    Args:
        a: lower and upper bounds.
        b: likewise.
        delta: likewise.
        terms: that a constant is added up with, of the layer, and of others.
        records: (24, 8), see `Known.neurons`.
    """
    zero, one, opposite = spread(0.0), spread(1.0), (0.0 - delta[1], 0.0 - delta[0])
    a_slope, a_intercept = _chord(a[0], a[1])
    b_slope, b_intercept = _chord(b[0], b[1])
    a_lower_slope = where_less(0.0 - a[0], a[1], one, zero)
    b_lower_slope = where_less(0.0 - b[0], b[1], one, zero)
    up_a, up_b, up_d, up = _plane(a, b, delta, (a_slope, a_intercept), b_lower_slope)
    low_b, low_a, low_d, low = _plane(b, a, opposite, (b_slope, b_intercept), a_lower_slope)
    factor = (2 * terms + 64) * UNIT_ROUNDOFF * 1.01
    a_size, b_size, d_size = _size(a), _size(b), _size(delta)
    store(records, 0, a_slope)
    store(records, WIDTH, a_intercept)
    store(records, 2 * WIDTH, a_lower_slope)
    store(records, 3 * WIDTH, (a_size + a_intercept) * factor)
    store(records, 4 * WIDTH, b_slope)
    store(records, 5 * WIDTH, b_intercept)
    store(records, 6 * WIDTH, b_lower_slope)
    store(records, 7 * WIDTH, (b_size + b_intercept) * factor)
    store(records, 8 * WIDTH, up_a)
    store(records, 9 * WIDTH, up_b)
    store(records, 10 * WIDTH, up_d)
    store(records, 11 * WIDTH, up)
    store(records, 12 * WIDTH, 0.0 - low_a)
    store(records, 13 * WIDTH, 0.0 - low_b)
    store(records, 14 * WIDTH, low_d)
    store(records, 15 * WIDTH, 0.0 - low)
    lost = larger(magnitude(up_a), magnitude(low_a)) * a_size
    lost = lost + larger(magnitude(up_b), magnitude(low_b)) * b_size
    lost = lost + larger(magnitude(up_d), magnitude(low_d)) * d_size
    store(records, 16 * WIDTH, (lost + larger(magnitude(up), magnitude(low))) * factor)


@inner
def _size(bounds: Pair) -> Lanes:
    """Return the largest absolute number between two bounds."""
    return larger(magnitude(bounds[0]), magnitude(bounds[1]))


@inner
def _chord(lower: Lanes, upper: Lanes) -> Pair:
    """Slope and intercept of the upper line of relu, as :func:`simcert.bounds.relu.chord`."""
    zero, one, infinite = spread(0.0), spread(1.0), spread(np.inf)
    slope = upper / (upper - lower)
    slope = where_less(slope, infinite, slope, one)  # NaN, of infinite bounds
    at_lower, at_upper = 0.0 - slope * lower, upper - slope * upper
    intercept = larger(at_lower, at_upper) * _SLACK + upper * WIDEN + UNDERFLOW
    intercept = where_less(at_lower + at_upper, infinite, intercept, infinite)
    slope = where_at_most(upper, zero, zero, slope)
    intercept = where_at_most(upper, zero, zero, intercept)
    slope = where_at_most(zero, lower, one, slope)
    return slope, where_at_most(zero, lower, zero, intercept)


@inner
def _plane(
    a: Pair, b: Pair, delta: Pair, a_line: Pair, b_lower_slope: Lanes
) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Return the upper plane of relu(a) − relu(b), as :func:`..relu.difference_plane`.

    Args:
        a: lower and upper bounds.
        b: likewise.
        delta: likewise.
        a_line: slope and intercept of the upper line of a.
        b_lower_slope: slope of the lower line of b.

    Returns:
        The coefficients on a, b and δ, and the constant.
    """
    zero, one, infinite = spread(0.0), spread(1.0), spread(np.inf)
    a_middle, b_middle = (a[0] + a[1]) * 0.5, (b[0] + b[1]) * 0.5
    d_middle = (delta[0] + delta[1]) * 0.5
    margin = (_size(a) + _size(b)) * TIE
    # Δ ≤ chord of relu(δ)
    cd, constant = _chord(delta[0], delta[1])
    ca, cb, value = zero, zero, cd * d_middle + constant
    # Δ ≤ chord of relu(a) − lower line of relu(b)
    other, limit = a_line[0] * a_middle - b_lower_slope * b_middle + a_line[1], value - margin
    ca, cb = (
        where_less(other, limit, a_line[0], ca),
        where_less(other, limit, 0.0 - b_lower_slope, cb),
    )
    cd, constant = where_less(other, limit, zero, cd), where_less(other, limit, a_line[1], constant)
    value = where_less(other, limit, other, value)
    # Δ ≤ δ + chord of relu(−a)
    other, limit = (a_line[0] - 1.0) * a_middle + d_middle + a_line[1], value - margin
    ca, cb = where_less(other, limit, a_line[0] - 1.0, ca), where_less(other, limit, zero, cb)
    cd, constant = where_less(other, limit, one, cd), where_less(other, limit, a_line[1], constant)
    value = where_less(other, limit, other, value)
    # a ≥ 0: Δ ≤ δ + β b
    beta, limit = where_less(b_middle, zero, one, zero), value - margin
    other = where_at_most(zero, a[0], beta * b_middle + d_middle, infinite)
    ca, cb = where_less(other, limit, zero, ca), where_less(other, limit, beta, cb)
    cd, constant = where_less(other, limit, one, cd), where_less(other, limit, zero, constant)
    # Δ = 0
    null = larger(delta[1], 0.0 - delta[0])
    inactive = larger(a[1], b[1])
    null = where_at_most(inactive, zero, zero, null)
    ca, cb = where_at_most(null, zero, zero, ca), where_at_most(null, zero, zero, cb)
    cd = where_at_most(null, zero, zero, cd)
    return ca, cb, cd, where_at_most(null, zero, zero, constant)
