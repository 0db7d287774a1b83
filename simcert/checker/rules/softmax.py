"""Softmax: its derivative at the centre, and how far that changes on the box.

With weights s, mean μ and covariance taken with them, along x = c + t h and with u = h − μ(h),
v = δ − μ(δ),

    s_i' = s_i u_i,   s_i'' = s_i (u_i² − Var(h)),
    G_i = s_i v_i,    G_i' = s_i (u_i v_i − Cov(h, δ)) = D_i(h, δ),
    G_i'' = s_i (u_i² v_i − 2 u_i Cov(h, δ) − v_i Var(h) − E[u² v]).

With |h_j| ≤ r_j: |u_i| ≤ (1 − s_i) (r_i + max r), and Var(h) ≤ Σ s_j r_j² and ≤ max r². So, with ŝ
at the centre and s̲ ≤ s ≤ s̄ on the box,

    s_i = ŝ_i + ŝ_i (h_i − μ̂(h)) + [−½ s̄_i Var, ½ s̄_i (1 − s̲_i)² (r_i + max r)²].

Δ_i is the mean of G_i over the way from b to a. With m = (a + b)/2 and δ = e ± q it is

    Δ_i = Ĝ_i(δ) + D̂_i(m − c, e), up to |D_i(r, q)| and ½ |G_i''|.

By the mean value theorem besides |Δ_i| ≤ s_i (1 − s_i) (max δ − min δ). Where a level strip is
narrower it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simcert.checker.curves import hull
from simcert.checker.interval import SMALL, Float, Interval
from simcert.checker.linear import Index
from simcert.checker.program import Softmax
from simcert.checker.rules.layer import (
    CURVE_ERROR,
    FLOAT32_SMALLEST,
    FLOAT32_UNIT,
    TINY,
    Blocks,
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

    def into(self, c: Float, box: Index, side: str) -> tuple[Sequence[Blocks], Float]:
        """Return coefficients on x."""
        flat = (len(box), -1)
        rest = np.einsum("rn,rn->r", c, self.middle[box].reshape(flat))
        rest = rest + np.einsum("rn,rn->r", np.abs(c), self.half[box].reshape(flat))
        s = self.s[box]
        own = c.reshape(s.shape) * self.along[box] * s
        row = (own - s * own.sum(axis=-1, keepdims=True)).reshape(flat)
        return [Blocks(**{side: row})], rest


@dataclass(frozen=True, eq=False)
class Change(Tangent):
    """Ĝ(δ) where ``along``, D̂(m, e) where ``bent``, plus middle ± half.

    Attributes:
        bent: (boxes, groups, n).
        own: e − μ̂(e).
    """

    bent: Float
    own: Float

    def into(self, c: Float, box: Index, side: str) -> tuple[Sequence[Blocks], Float]:
        """Return coefficients on δ, and the same ones on a and b."""
        (found,), rest = super().into(c, box, side)
        s, own = self.s[box], self.own[box]
        weighted = c.reshape(s.shape) * self.bent[box] * s
        with_own = weighted * own
        row = with_own - s * with_own.sum(axis=-1, keepdims=True)
        row = (row - s * own * weighted.sum(axis=-1, keepdims=True)).reshape(len(box), -1) / 2
        return [found._replace(f=row, g=row)], rest


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
    both = hull(a, b)
    low, high = _weights(both)
    centre, radius, s = _centre(both)
    middle, deviation = d.halves()
    size, rest = d.size, 1 - low
    first, second = _mixed(high, rest, radius, deviation), _bent(high, rest, radius, size)
    plain = _mixed(high, rest, radius, size)
    most = _most(size)
    rounding = TINY * high * (size + most) * (1 + radius + _most(radius))
    own = middle - (s * middle).sum(axis=-1, keepdims=True)
    terms = high * (size + _most(size)) * (1 + np.abs(centre) + _most(np.abs(centre)))
    noise = _noise(setting, 4 * terms) + rounding + SMALL
    bent = ((first + second) < plain) & (_most(np.abs(centre) + size) <= _LARGEST)
    half = np.where(bent, first + second, plain) * (1 + TINY) + noise
    half = np.where(most > 0, half, 0.0)
    image = _image(d, s, plain * (1 + TINY) + noise)
    steep = np.maximum(low * (1 - low), high * (1 - high))
    steep = np.where((low <= 0.5) & (high >= 0.5), 0.25, steep) * (1 + TINY)
    rise = np.maximum(d.upper - d.lower.min(axis=-1, keepdims=True), 0.0)
    fall = np.maximum(d.upper.max(axis=-1, keepdims=True) - d.lower, 0.0)
    image = image.meet(Interval(-steep * fall, steep * rise).outward())
    error = layer.error if setting.apart else 0.0
    layer.d = _flat(image).widened(error).meet(known(layer.d))
    level = _grouped(layer.d, step.count).halves()
    along = half < level[1]
    bent = bent & along
    shift = -_derivative(s, own, centre)
    layer.planes = Change(
        s,
        along.astype(np.float64),
        np.where(along, np.where(bent, shift, 0.0), level[0]),
        np.where(along, half + np.reshape(error, half.shape), level[1] * (1 + TINY))
        if setting.apart
        else np.where(along, half, level[1] * (1 + TINY)),
        bent.astype(np.float64),
        np.where(np.isfinite(own), own, 0.0),
    )


def _derivative(s: Float, own: Float, h: Float) -> Float:
    """Return D(h, e) for own = e − μ(e)."""
    moved = h - (s * h).sum(axis=-1, keepdims=True)
    return np.asarray(s * (moved * own - (s * moved * own).sum(axis=-1, keepdims=True)))


def _mixed(high: Float, rest: Float, radius: Float, size: Float) -> Float:
    """Return at least |D(h, δ)| for |h| ≤ radius, |δ| ≤ size, and 1 − s ≤ rest."""
    one, two = rest * (radius + _most(radius)), rest * (size + _most(size))
    covariance = np.sqrt(_variance(high, radius) * _variance(high, size))
    return np.asarray(high * (one * two + covariance))


def _bent(high: Float, rest: Float, radius: Float, size: Float) -> Float:
    """Return at least |G''|/2."""
    one, two = rest * (radius + _most(radius)), rest * (size + _most(size))
    variance = _variance(high, radius)
    covariance = np.sqrt(variance * _variance(high, size))
    third = (np.square(one) + variance) * two + 2 * one * covariance + 2 * variance * _most(size)
    return np.asarray(high * third / 2)


def _image(d: Interval, s: Float, half: Float) -> Interval:
    """Return the interval of s (δ − μ(δ)) ± half."""
    mean_low, mean_high = ((s * end).sum(axis=-1, keepdims=True) for end in d)
    least = s * ((1 - s) * d.lower - (mean_high - s * d.upper))
    greatest = s * ((1 - s) * d.upper - (mean_low - s * d.lower))
    return Interval(least, greatest).widened(half)


def _most(x: Float) -> Float:
    return np.asarray(x.max(axis=-1, keepdims=True))


def _weights(x: Interval) -> Interval:
    """Return the interval of each weight, 1/Σ exp(x_j − x_i); none where ∞ − ∞ is no number."""
    low, high = _odds(x.upper, x.lower), _odds(x.lower, x.upper)
    lower = np.maximum((1 - TINY) / (1 + low) - SMALL, 0.0)
    upper = np.minimum((1 + TINY) / (1 + high) + SMALL, 1.0)
    finite = np.isfinite(x.lower + x.upper).all(axis=-1, keepdims=True)
    return Interval(np.where(finite, lower, -np.inf), np.where(finite, upper, np.inf))


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
