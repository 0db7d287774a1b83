"""Smooth functions of each element; see ``curves``."""

from __future__ import annotations

import numpy as np

from simcert.checker import relu
from simcert.checker.interval import Interval
from simcert.checker.program import Smooth
from simcert.checker.rules.layer import (
    CURVE_ERROR,
    FLOAT32_SMALLEST,
    Layer,
    Rows,
    Setting,
    known,
)


def alone(step: Smooth, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return the interval of φ(x) and the lines around it."""
    curve = step.curve
    setting.require(f"the function {curve.name}")
    image, strip = curve.image(x), curve.lines(x)
    noise = setting.noise(np.abs(strip.slope) * x.size + np.abs(strip.middle) + strip.half)
    if setting.float32:
        error = CURVE_ERROR * curve.scale(x, image) + 2 * FLOAT32_SMALLEST
        error = error + FLOAT32_SMALLEST * curve.steepness(x)
        image, noise = image.widened(error), noise + error
    return image, setting.lift(strip.packed(noise))


def together(f: Smooth, g: Smooth, before: Layer, setting: Setting) -> Layer:
    """Return δ' = φ'(ξ) δ, ξ between a and b."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    curve = f.curve
    (image_a, lines_f), (image_b, lines_g) = alone(f, a, setting), alone(g, b, setting)
    slope, radius = curve.slopes(a, b)
    spread = np.where(d.size > 0, radius * d.size * (1 + 2.0**-40), 0.0)
    noise = setting.noise(np.abs(slope) * d.size + spread)
    if setting.apart:
        for x, image in ((a, image_a), (b, image_b)):
            noise = noise + CURVE_ERROR * curve.scale(x, image) + 2 * FLOAT32_SMALLEST
            noise = noise + FLOAT32_SMALLEST * curve.steepness(x)
    zero = np.zeros_like(slope)
    upper = np.stack([zero, zero, slope, spread])
    lower = np.stack([zero, zero, slope, -spread])
    ends = slope * d.lower, slope * d.upper
    image_d = Interval(np.minimum(*ends), np.maximum(*ends)).widened(spread + noise)
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    image_d = image_a.minus(image_b).meet(image_d.snapped())
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)
