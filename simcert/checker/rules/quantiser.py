"""Quantisers; see ``quantisers`` for the strips."""

from __future__ import annotations

import numpy as np

from simcert.checker import quantisers, relu
from simcert.checker.curves import Strip
from simcert.checker.interval import Interval
from simcert.checker.program import Quantiser
from simcert.checker.rules.layer import Layer, Rows, Setting, known


def alone(step: Quantiser, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return the interval of what is made of x, and the lines around it."""
    image, _, lines = _strip(step, x, setting)
    return image, lines


def together(f: Quantiser, g: Quantiser, before: Layer, setting: Setting) -> Layer:
    """Return δ' = δ up to both jumps, or the difference of both strips where they are level."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    image_a, one, lines_f = _strip(f, a, setting)
    image_b, two, lines_g = _strip(g, b, setting)
    jump = quantisers.jump(f, setting.float32) + quantisers.jump(g, setting.float32)
    jump = jump * np.ones_like(d.lower)
    if np.array_equal(f.scale, g.scale) and not setting.apart:
        jump = np.where(d.size == 0, 0.0, jump)
    level = (one.slope == 0) & (two.slope == 0) & (one.half + two.half < jump)
    slope = np.where(level, 0.0, 1.0)
    middle = np.where(level, one.middle - two.middle, 0.0)
    half = np.where(level, (one.half + two.half) * (1 + 2.0**-40), jump)
    half = half + 2.0**-50 * np.abs(middle)
    zero = np.zeros_like(slope)
    upper, lower = (np.stack([zero, zero, slope, middle + s * half]) for s in (1, -1))
    noise = setting.noise(np.where(d.size + half > 0, d.size + np.abs(middle) + half, 0.0))
    image_d = image_a.minus(image_b).meet(d.widened(jump))
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)


def _strip(step: Quantiser, x: Interval, setting: Setting) -> tuple[Interval, Strip, Rows]:
    image, strip = quantisers.strip(step, x, setting.float32)
    noise = setting.noise(x.size + np.abs(strip.middle) + strip.half)
    return image, strip, setting.lift(strip.packed(noise))
