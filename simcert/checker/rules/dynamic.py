"""DynamicQuantizeLinear, read back: off by half a step of the whole tensor's range.

The zero point is itself rounded, so that x/s + z lies between −½ and 255½ and no code that
saturates is off by more than ½ either.
"""

from __future__ import annotations

import numpy as np

from simcert.checker import relu
from simcert.checker.curves import Strip
from simcert.checker.interval import SMALL, Float, Interval
from simcert.checker.program import DynamicQuantiser
from simcert.checker.rules.layer import (
    FLOAT32_LARGEST,
    FLOAT32_SMALLEST,
    Layer,
    Rows,
    Setting,
    known,
)

_HALF = (0.5 + 2.0**-12) / 255.0
"""Half a step of the range, and room for a scale, a quotient and a zero point that are rounded."""


def alone(_step: DynamicQuantiser, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return the interval of what is made of x, and the lines around it."""
    half = jump(x, setting)
    zero, one = np.zeros_like(half), np.ones_like(half)
    lines = Strip(one, zero, half).packed(setting.noise(x.size + half))
    return x.widened(half), setting.lift(lines)


def together(f: DynamicQuantiser, g: DynamicQuantiser, before: Layer, setting: Setting) -> Layer:
    """Return δ' = δ up to both halves of a step; 0 only where all that is read is the same."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    (image_a, lines_f), (image_b, lines_g) = alone(f, a, setting), alone(g, b, setting)
    both = jump(a, setting) + jump(b, setting)
    if not setting.apart:
        differ = d.size.any(axis=1, keepdims=True) | np.isinf(both)
        both = np.where(differ, both, 0.0)
    zero, one = np.zeros_like(both), np.ones_like(both)
    noise = setting.noise(d.size + both)
    upper, lower = (np.stack([zero, zero, one, sign * both]) for sign in (1, -1))
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    image_d = image_a.minus(image_b).meet(d.widened(both))
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)


def jump(x: Interval, setting: Setting) -> Float:
    """Return how far an element is moved at most."""
    low = np.minimum(x.lower.min(axis=1, keepdims=True), 0.0)
    high = np.maximum(x.upper.max(axis=1, keepdims=True), 0.0)
    half = _HALF * (high - low) + SMALL + np.zeros_like(x.lower)
    if not setting.float32:
        return np.asarray(half)
    fits = x.size.max(axis=1, keepdims=True) < FLOAT32_LARGEST  # else the range overflows
    return np.asarray(np.where(fits, half + 2.0**-20 * x.size + 4 * FLOAT32_SMALLEST, np.inf))
