"""Bounds that a box passes on to its parts, in float32, rounded outward."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.intervals import meet
from simcert.bounds.dense.lanes import (
    WIDTH,
    Lanes,
    load,
    magnitude,
    single,
    spread,
    store,
    where_at_most,
    where_less,
)
from simcert.bounds.dense.room import Float

Float32 = NDArray[np.float32]

_STEP, _LEAST = 1.5 * 2.0**-24, 2.0**-149


@inner
def inherit(own: Float32, passed: Float, bounds: Float) -> None:
    """Intersect bounds (6, N) with those that were passed on, (6, size)."""
    size, width = own.shape[1], bounds.shape[1]
    for part in range(6):
        for i in range(size):
            passed[part, i] = own[part, i]
    for part in range(3):
        for i in range(0, size, WIDTH):
            lower, upper = part * width + i, (3 + part) * width + i
            meet(bounds, part, i, load(passed, lower), load(passed, upper))


@inner
def pass_on(bounds: Float, passed: Float, own: Float32) -> None:
    """Write bounds (6, N) to what parts of the box inherit, (6, size)."""
    size, width = own.shape[1], bounds.shape[1]
    for part in range(3):
        for i in range(0, size, WIDTH):
            lower, upper = part * width + i, (3 + part) * width + i
            store(passed, lower, _below(load(bounds, lower)))
            store(passed, upper, 0.0 - _below(0.0 - load(bounds, upper)))
    for part in range(6):
        for i in range(size):
            own[part, i] = passed[part, i]


@inner
def _below(value: Lanes) -> Lanes:
    """Return float32 numbers not above the given ones, and at most two steps below."""
    near = single(value)
    # Three quarters of a step to one and a half, which rounds to one step or two.
    lower = single(near - (magnitude(near) * _STEP + _LEAST))
    lower = where_less(lower, near, lower, spread(-np.inf))  # where ``near`` is infinite
    return where_at_most(near, value, near, lower)
