"""Rounding to the nearest multiple of a step s, at most s/2 off; numbers lie in the range already.

A float32 runtime rounds the quotient x/s, which moves the places where it jumps, and the product
of s and the code.
"""

from __future__ import annotations

import numpy as np

from simcert.checker.curves import Strip
from simcert.checker.interval import Bool, Float, Interval
from simcert.checker.program import Quantiser

_FLOAT64 = 2.0**-40
"""What float64 may lose here, with room to spare."""

_QUOTIENT, _PRODUCT = 2.0**-22, 2.0**-23
"""Of |x| and of the largest number: what a float32 runtime rounds, also with an inverse of s."""

_FLUSHED = 2.0**-124


def jump(step: Quantiser, float32: bool) -> Float:
    """Return how far rounding to multiples moves a number at most, (size,)."""
    half = step.scale / 2 * (1 + _FLOAT64)
    return half + (_QUOTIENT + _PRODUCT) * step.largest + 2 * _FLUSHED if float32 else half


def strip(step: Quantiser, x: Interval, float32: bool) -> tuple[Interval, Strip]:
    """Return the interval of what is made of x, and a strip: along x, or level if narrower."""
    first, last = codes(step, x, float32)
    noise = _PRODUCT * step.largest + _FLUSHED if float32 else np.zeros_like(step.largest)
    image = Interval(step.scale * first - noise, step.scale * last + noise)
    middle = step.scale * ((first + last) / 2)
    half = step.scale * ((last - first) / 2) * (1 + _FLOAT64) + noise
    along = jump(step, float32) * np.ones_like(half)
    level = half <= along
    found = np.where(level, 0.0, 1.0), np.where(level, middle, 0.0), np.where(level, half, along)
    return image.outward(), Strip(*found)


def codes(step: Quantiser, x: Interval, float32: bool) -> Interval:
    """Return the least and the greatest multiple that may be the nearest, as whole numbers."""
    first, last = _possible(step, x, float32)
    if step.only is None:
        return Interval(first, last)
    free = np.isnan(step.only)
    return Interval(np.where(free, first, step.only), np.where(free, last, step.only))


def excluded(step: Quantiser, x: Interval, float32: bool) -> Bool:
    """Whether no number of x has the only code that is looked at, (boxes,)."""
    if step.only is None:
        return np.zeros(len(x.lower), dtype=np.bool_)
    first, last = _possible(step, x, float32)
    return np.asarray(((step.only < first) | (step.only > last)).any(axis=1))


def _possible(step: Quantiser, x: Interval, float32: bool) -> Interval:
    scale = np.where(step.scale > 0, step.scale, 1.0)
    slack = _FLOAT64 * (x.size / scale + 1)
    if float32:
        slack = slack + (_QUOTIENT * x.size + _FLUSHED) / scale
    first = np.ceil(x.lower / scale - 0.5 - slack)
    return Interval(first, np.maximum(first, np.floor(x.upper / scale + 0.5 + slack)))
