"""Functions that jump: roundings to whole numbers, and comparisons with 0.

At a jump both values are possible, so that strictness does not matter. A level strip, or for
roundings one along x: x ≤ ⌈x⌉ ≤ x + 1, x − 1 ≤ ⌊x⌋ ≤ x, |round(x) − x| ≤ ½.
"""

from __future__ import annotations

import numpy as np

from simcert.checker import relu
from simcert.checker.curves import Strip
from simcert.checker.interval import Interval
from simcert.checker.program import Stair
from simcert.checker.rules.layer import Layer, Rows, Setting, known

_ALONG = {"Ceil": 0.5, "Floor": -0.5, "Round": 0.0}
"""How far above x the middle of the strip is."""

_SLACK = 2.0**-40
_SMALLEST = 2.0**-126


def alone(step: Stair, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return the interval of the values, and the lines around them."""
    image = _image(step, x, setting)
    middle, half = image.halves()
    slope = np.zeros_like(middle)
    if step.kind in _ALONG:
        own = 0.5 + _SLACK * (1 + x.size)
        along = own < half
        slope = np.where(along, 1.0, 0.0)
        middle, half = np.where(along, _ALONG[step.kind], middle), np.where(along, own, half)
    strip = Strip(slope, middle, half)
    noise = setting.noise(slope * x.size + np.abs(middle) + half)
    return image, setting.lift(strip.packed(noise))


def together(f: Stair, g: Stair, before: Layer, setting: Setting) -> Layer:
    """Return Δ: along δ, or level; 0 where δ is."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    image_a, lines_f = alone(f, a, setting)
    image_b, lines_g = alone(g, b, setting)
    same = (d.size == 0) & (not setting.apart)
    image_d = image_a.minus(image_b)
    image_d = Interval(np.where(same, 0.0, image_d.lower), np.where(same, 0.0, image_d.upper))
    middle, radius = image_d.halves()
    jump = 1.0 + _SLACK * (1 + a.size + b.size) if f.kind in _ALONG else np.inf
    along = (jump < radius) & ~same
    zero, half = np.zeros_like(middle), np.where(along, jump, radius)
    slope, level = np.where(along, 1.0, 0.0), np.where(along, 0.0, middle)
    upper, lower = (np.stack([zero, zero, slope, level + sign * half]) for sign in (1, -1))
    noise = setting.noise(np.where(same, 0.0, d.size * slope + np.abs(level) + half))
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)


def _image(step: Stair, x: Interval, setting: Setting) -> Interval:
    """Return the values on x, on both sides of a jump."""
    slack = _SMALLEST if setting.float32 else 0.0
    lower, upper = x.lower - slack, x.upper + slack
    if step.kind not in _ALONG:
        return Interval((lower > 0).astype(np.float64), (upper >= 0).astype(np.float64))
    shift = {"Ceil": (0.0, 1.0), "Floor": (-1.0, 0.0), "Round": (-0.5, 0.5)}[step.kind]
    margin = _SLACK * (1 + x.size)
    first, last = np.ceil(lower + shift[0] - margin), np.floor(upper + shift[1] + margin)
    return Interval(first, np.maximum(first, last))
