"""Rectifiers; see ``relu`` for the lines and planes."""

from __future__ import annotations

import numpy as np

from simcert.checker import relu
from simcert.checker.interval import Interval
from simcert.checker.program import Relu
from simcert.checker.rules.layer import FLOAT32_SMALLEST, Layer, Rows, Setting, known


def alone(_step: Relu, x: Interval, setting: Setting) -> tuple[Interval, Rows]:
    """Return the interval of relu(x) and the lines around it."""
    image, _, lines = _lines(x, setting)
    return image, lines


def together(_f: Relu, _g: Relu, before: Layer, setting: Setting) -> Layer:
    """Bound both and their difference."""
    a, b, d = known(before.a), known(before.b), known(before.d)
    (image_a, one, lines_f), (image_b, two, lines_g) = _lines(a, setting), _lines(b, setting)
    upper, lower = relu.planes(a, b, d, one, two)
    most = np.maximum(np.abs(upper), np.abs(lower))
    noise = setting.noise(most[0] * a.size + most[1] * b.size + most[2] * d.size + most[3])
    image_d = Interval(np.minimum(d.lower, 0.0), np.maximum(d.upper, 0.0))
    if setting.apart:
        noise = noise + 2 * FLOAT32_SMALLEST
        image_d = image_d.widened(2 * FLOAT32_SMALLEST)
    image_d = image_d.meet(image_a.minus(image_b))
    planes = setting.lift(relu.packed_planes(upper, lower, noise))
    setting.check_planes(before, planes)
    return Layer(image_a, image_b, image_d, lines_f=lines_f, lines_g=lines_g, planes=planes)


def _lines(x: Interval, setting: Setting) -> tuple[Interval, relu.Lines, Rows]:
    """Return the interval of relu(x), the lines around it, and the lines as they are kept."""
    found, image = relu.lines(x), relu.rectified(x)
    noise = setting.noise(x.size + found.intercept)
    if setting.float32:  # a subnormal number may be flushed to 0
        image = Interval(np.where(image.lower < FLOAT32_SMALLEST, 0.0, image.lower), image[1])
        noise = noise + FLOAT32_SMALLEST
    lines = setting.lift(relu.packed_lines(found, noise))
    setting.check_lines(x, lines)
    return image, found, lines
