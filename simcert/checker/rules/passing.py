"""The identity of one network beside a rectifier or a quantiser R of the other.

With the identity in the original Δ = a − R(b) = δ + (b − R(b)), and in the compressed network
Δ = R(a) − b = δ − (a − R(a)); x − R(x) is min(x, 0) or no more than what rounding moves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simcert.checker import quantisers, relu
from simcert.checker.interval import Float, Interval
from simcert.checker.program import DynamicQuantiser, Pass, Quantiser, Relu
from simcert.checker.rules import dynamic, quantiser, rectifier
from simcert.checker.rules.layer import FLOAT32_SMALLEST, Layer, Rows, Setting, known


class _Gap(NamedTuple):
    """Bounds (slope, constant) of x − R(x), its interval, and what a runtime may add."""

    upper: tuple[Float, Float]
    lower: tuple[Float, Float]
    image: Interval
    error: float = 0.0


def alone(_step: Pass, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return x and the line through it."""
    zero, one = np.zeros_like(x.lower), np.ones_like(x.lower)
    return x, setting.lift(np.stack([one, zero, zero, zero], 1))


def together(
    f: Pass | Relu | Quantiser | DynamicQuantiser,
    g: Pass | Relu | Quantiser | DynamicQuantiser,
    before: Layer,
    setting: Setting,
) -> Layer:
    """Return Δ = δ ± (x − R(x)), x being what the network with R has."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    (image_a, lines_f), (image_b, lines_g) = _own(f, a, setting), _own(g, b, setting)
    gap = _gap(g, b, setting) if isinstance(f, Pass) else _gap(f, a, setting)
    zero, one = np.zeros_like(d.lower), np.ones_like(d.lower)
    if isinstance(f, Pass):
        moved = d.plus(gap.image)
        upper, lower = (np.stack([zero, s, one, c]) for s, c in (gap.upper, gap.lower))
    else:
        moved = d.minus(gap.image)
        upper, lower = (np.stack([-s, zero, one, -c]) for s, c in (gap.lower, gap.upper))
    most = np.maximum(np.abs(upper), np.abs(lower))
    noise = setting.noise(most[0] * a.size + most[1] * b.size + d.size + most[3]) + gap.error
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    image_d = image_a.minus(image_b).meet(moved.widened(gap.error))
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)


def _own(
    step: Pass | Relu | Quantiser | DynamicQuantiser, x: Interval, setting: Setting
) -> tuple[Interval, Rows]:
    match step:
        case Relu():
            return rectifier.alone(step, x, setting)
        case Quantiser():
            return quantiser.alone(step, x, setting)
        case DynamicQuantiser():
            return dynamic.alone(step, x, setting)
    return alone(step, x, setting)


def _gap(step: Pass | Relu | Quantiser | DynamicQuantiser, x: Interval, setting: Setting) -> _Gap:
    zero = np.zeros_like(x.lower)
    image, _ = _own(step, x, setting)
    match step:
        case Relu():
            lines = relu.lines(x)
            image = Interval(np.minimum(x.lower, 0.0), np.minimum(x.upper, 0.0))
            error = FLOAT32_SMALLEST if setting.float32 else 0.0
            return _Gap((1 - lines.below, zero), (1 - lines.slope, -lines.intercept), image, error)
        case Quantiser():
            jump = zero + quantisers.jump(step, setting.float32)
            strip = quantisers.strip(step, x, setting.float32)[1]
            level = (strip.slope == 0) & (strip.half < jump / 2)  # one code only
            gap = Interval(-jump, jump).meet(x.minus(image))
            slope = np.where(level, 1.0, 0.0)
            up = np.where(level, strip.half - strip.middle, gap.upper)
            low = np.where(level, -strip.half - strip.middle, gap.lower)
            return _Gap((slope, up), (slope, low), gap)
        case DynamicQuantiser():
            jump = dynamic.jump(x, setting)
        case _:
            jump = zero
    image = Interval(-jump, jump).meet(x.minus(image))
    return _Gap((zero, image.upper), (zero, image.lower), image)
