"""Smooth functions of each element; see ``curves``."""

from __future__ import annotations

import numpy as np

from simcert.checker import relu
from simcert.checker.curves import hull
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
    """Bound δ' = δ · (the mean of φ' between a and b), whose deviations are small beside both.

    With m = (a + b)/2, c and r the centre and radius of all of a and b, φ'' = k ± ρ and δ = e ± q:
    the mean of φ' is φ'(c) + k (m − c) ± ρ r, and δ (m − c) is e (m − c) ± q r.
    """
    a, b, d = known(before.a), known(before.b), known(before.d)
    curve = f.curve
    (image_a, lines_f), (image_b, lines_g) = alone(f, a, setting), alone(g, b, setting)
    slope, radius, bend = curve.slopes(a, b)
    (centre, reach), (middle, deviation) = hull(a, b).halves(), d.halves()
    bent = np.where(d.size > 0, bend.middle * middle, 0.0)
    spread = bend.half * reach * d.size + np.abs(bend.middle) * reach * deviation
    spread = spread * (1 + 2.0**-40) + bend.error * d.size
    plain = np.where(d.size > 0, radius * d.size * (1 + 2.0**-40), 0.0)
    worse = ~((spread < plain) & (np.abs(bent) <= curve.steepest))
    bent, spread = np.where(worse, 0.0, bent), np.where(worse, plain, spread)
    shift = -bent * centre
    noise = setting.noise(
        np.abs(slope) * d.size + spread + np.abs(bent) * (np.abs(centre) + a.size + b.size)
    )
    if setting.apart:
        for x, image in ((a, image_a), (b, image_b)):
            noise = noise + CURVE_ERROR * curve.scale(x, image) + 2 * FLOAT32_SMALLEST
            noise = noise + FLOAT32_SMALLEST * curve.steepness(x)
    upper = np.stack([bent / 2, bent / 2, slope, shift + spread])
    lower = np.stack([bent / 2, bent / 2, slope, shift - spread])
    ends = slope * d.lower, slope * d.upper
    image_d = Interval(np.minimum(*ends), np.maximum(*ends)).widened(plain + noise)
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    image_d = image_a.minus(image_b).meet(image_d.snapped())
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)
