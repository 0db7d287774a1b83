"""Softmax: its derivative at the centre, and how far that changes on the box.

With weights s, mean μ and covariance taken with them, along x = c + t h

    s_i' = s_i (h_i − μ(h)),   s_i'' = s_i ((h_i − μ(h))² − Var(h)),
    d/dt [s_i (δ_i − μ(δ))] = s_i ((h_i − μ(h)) (δ_i − μ(δ)) − Cov(h, δ)).

With |h_j| ≤ r_j: |h_i − μ| ≤ (1 − s_i) (r_i + max r), and Var(h) ≤ Σ s_j r_j² and ≤ max r². So

    s_i = ŝ_i + ŝ_i (h_i − μ̂(h)) + [−½ s̄_i Var, ½ s̄_i (1 − s̲_i)² (r_i + max r)²],
    Δ_i = ŝ_i (δ_i − μ̂(δ)) ± s̄_i ((1 − s̲_i)² (r_i + max r) (|δ_i| + max |δ|) + √(Var Var)),

with ŝ at the centre, s̲ ≤ s ≤ s̄ on the box. By the mean value theorem besides

    |Δ_i| ≤ s_i (1 − s_i) (max δ − min δ).

Where a level strip is narrower it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simcert.checker.interval import SMALL, Float, Interval
from simcert.checker.linear import Index
from simcert.checker.program import Softmax
from simcert.checker.rules.layer import (
    CURVE_ERROR,
    FLOAT32_SMALLEST,
    FLOAT32_UNIT,
    TINY,
    Layer,
    Link,
    Setting,
    known,
)

_MOST = 700.0
"""Exponents beyond ± this are cut, which moves no weight by more than SMALL."""

_LARGEST = 2.0**40
"""Above it there is no linear bound."""


@dataclass(frozen=True, eq=False)
class Tangent(Link):
    """s (x_i − μ(x)) where ``along``, plus middle ± half; all (boxes, groups, n)."""

    s: Float
    along: Float
    middle: Float
    half: Float

    def into(self, c: Float, box: Index) -> tuple[Sequence[Float], Float]:
        """Return coefficients on x."""
        flat = (len(box), -1)
        rest = np.einsum("rn,rn->r", c, self.middle[box].reshape(flat))
        rest = rest + np.einsum("rn,rn->r", np.abs(c), self.half[box].reshape(flat))
        s = self.s[box]
        own = c.reshape(s.shape) * self.along[box] * s
        return (((own - s * own.sum(axis=-1, keepdims=True)).reshape(flat)),), rest


def alone(
    step: Softmax, operands: Sequence[Interval], setting: Setting
) -> tuple[Interval, Tangent, Float]:
    """Return the interval of a softmax, linear bounds, and a runtime's error."""
    setting.require("Softmax")
    x = _grouped(operands[0], step.count)
    low, high = image = _weights(x)
    centre, radius, s = _centre(x)
    reach = radius + radius.max(axis=-1, keepdims=True)
    above = 0.5 * high * np.square((1 - low) * reach)
    below = 0.5 * high * _variance(high, radius)
    most = np.abs(centre).max(axis=-1, keepdims=True)
    rounding = TINY * high * (1 + reach + most)
    half = (above + below) / 2 * (1 + TINY) + rounding
    middle = s * (1 - (centre - (s * centre).sum(axis=-1, keepdims=True))) + (above - below) / 2
    size = high * (np.abs(centre) + 2 * most + reach + 2) + half
    half = half + _noise(setting, size) + SMALL
    error = _runtime_error(high) if setting.float32 and step.computed else np.zeros_like(high)
    level = (high + low) / 2, (high - low) / 2 * (1 + TINY) + SMALL
    along = (half < level[1]) & (most <= _LARGEST)
    link = Tangent(
        s,
        along.astype(np.float64),
        np.where(along, middle, level[0]),
        np.where(along, half, level[1] + _noise(setting, high)) + error,
    )
    return _flat(image).widened(_flat_of(error)), link, _flat_of(error)


def together(step: Softmax, layer: Layer, operands: Sequence[Layer], setting: Setting) -> None:
    """Bound the difference: δ' in ``layer.d``, linear bounds of it in ``layer.planes``."""
    before = operands[0]
    a, b, d = (_grouped(known(i), step.count) for i in (before.a, before.b, before.d))
    hull = Interval(np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper))
    low, high = _weights(hull)
    _, radius, s = _centre(hull)
    size = d.size
    most = size.max(axis=-1, keepdims=True)
    reach = radius + radius.max(axis=-1, keepdims=True)
    spread = np.sqrt(_variance(high, radius) * _variance(high, size))
    half = high * (np.square(1 - low) * reach * (size + most) + spread) * (1 + TINY)
    half = half + TINY * high * (size + most)
    half = half + _noise(setting, high * (size + 2 * most))
    half = np.where(most > 0, half + SMALL, 0.0)
    # What the linear bound says by itself, and the mean value theorem.
    mean_low, mean_high = ((s * end).sum(axis=-1, keepdims=True) for end in d)
    least = s * ((1 - s) * d.lower - (mean_high - s * d.upper))
    greatest = s * ((1 - s) * d.upper - (mean_low - s * d.lower))
    linear = Interval(least, greatest)
    linear = linear.widened(half + TINY * high * most)
    steep = np.maximum(low * (1 - low), high * (1 - high))
    steep = np.where((low <= 0.5) & (high >= 0.5), 0.25, steep) * (1 + TINY)
    rise = np.maximum(d.upper - d.lower.min(axis=-1, keepdims=True), 0.0)
    fall = np.maximum(d.upper.max(axis=-1, keepdims=True) - d.lower, 0.0)
    image = linear.meet(Interval(-steep * fall, steep * rise).outward())
    error = layer.error if setting.apart else 0.0
    layer.d = _flat(image).widened(error).meet(known(layer.d))
    middle, level = _grouped(layer.d, step.count).halves()
    error = np.reshape(error, half.shape) if setting.apart else 0.0
    along = half < level
    layer.planes = Tangent(
        s,
        along.astype(np.float64),
        np.where(along, 0.0, middle),
        np.where(along, half + error, level * (1 + TINY)),
    )


def _weights(x: Interval) -> Interval:
    """Return the interval of each weight, 1/Σ exp(x_j − x_i)."""
    low, high = _odds(x.upper, x.lower), _odds(x.lower, x.upper)
    lower = np.maximum((1 - TINY) / (1 + low) - SMALL, 0.0)
    upper = np.minimum((1 + TINY) / (1 + high) + SMALL, 1.0)
    finite = np.isfinite(x.lower + x.upper).all(axis=-1, keepdims=True)
    return Interval(np.where(finite, lower, 0.0), np.where(finite, upper, 1.0))


def _odds(numerator: Float, denominator: Float) -> Float:
    """Return Σ_{j ≠ i} exp(numerator_j − denominator_i)."""
    power = np.clip(numerator[..., None, :] - denominator[..., :, None], -_MOST, _MOST)
    each = np.exp(power)
    count = each.shape[-1]
    each[..., np.arange(count), np.arange(count)] = 0.0
    return np.asarray(each.sum(axis=-1))


def _centre(x: Interval) -> tuple[Float, Float, Float]:
    """Return the centre, the radius, and the weights at the centre."""
    centre, radius = x.halves()
    centre = np.where(np.isfinite(centre), centre, 0.0)
    radius = np.where(np.isnan(radius), np.inf, radius)
    powers = np.exp(centre - centre.max(axis=-1, keepdims=True))
    return centre, radius, powers / powers.sum(axis=-1, keepdims=True)


def _variance(high: Float, radius: Float) -> Float:
    """Return at least Var(h) for |h| ≤ radius."""
    squares = np.square(radius)
    weighted = np.where(squares > 0, high * squares, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(np.minimum(weighted * (1 + TINY), squares.max(axis=-1, keepdims=True)))


def _noise(setting: Setting, size: Float) -> Float:
    """Return what rounding of coefficients may cost, of terms that one group adds up."""
    found = setting.noise(_flat_of(size), 4 * size.shape[-1])
    return np.asarray(found.reshape(size.shape))


def _runtime_error(high: Float) -> Float:
    """Return what a float32 runtime's softmax may be off by, whatever the usual formula.

    exp(x_j − max x) is off by |x_j − max x| u + A relative to itself, A that of an elementary
    function. Weighted with s these distances sum up to log n at most, and s_i |x_i − max x| ≤ 1/e.
    """
    count = high.shape[-1]
    relative = 2 * CURVE_ERROR + (math.log(count) + 2.0 * (count + 8)) * FLOAT32_UNIT
    relative, absolute = relative * (1 + 2.0**-10), FLOAT32_UNIT / math.e * (1 + 2.0**-10)
    return np.asarray(relative * high + absolute + 2 * count * FLOAT32_SMALLEST)


def _grouped(x: Interval, count: int) -> Interval:
    return Interval(*(end.reshape(len(end), -1, count) for end in x))


def _flat(x: Interval) -> Interval:
    return Interval(*(_flat_of(end) for end in x))


def _flat_of(values: Float) -> Float:
    return np.asarray(values.reshape(len(values), -1))
