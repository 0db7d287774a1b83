"""The law of an input within a box, seen from one of its sides.

x = side ∓ w U with U in [0, 1]. Of the truncated normal, mean and variance of U are closed
expressions in exp(−z²/2) and its integral, evaluated in fixed-point arithmetic of 640 bits, in
which nothing cancels; the transform E[e^{−tU}] is bounded piece by piece with a density that is
nowhere below the true one: −x²/2 ≤ x₀²/2 − x₀ x, the tangent at x₀.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from simcert.checker.claim import Claim
from simcert.checker.interval import Bool, Float
from simcert.checker.mass import FAR, gauss, integral, standardised
from simcert.checker.tree import Leaves

SLACK = 2.0**-40
_PIECES = 8
_LEAST = Fraction(1, 2**60)
"""Narrower intervals, in deviations, and less probable ones are left to the trivial bound 1."""


class Law(NamedTuple):
    """Bounds for M rows of n independent U_j, each (M, n); pieces (K, M, n) of their densities.

    On piece k, u in [k/K, (k+1)/K], the density of U_j is at most exp(level + tilt u).
    """

    mean_lower: Float
    mean_upper: Float
    variance: Float
    density: Float
    level: Float
    tilt: Float

    def log_transform(self, t: Float) -> Float:
        """Return at least log E[e^{−tU}], (M, n)."""
        width = 1.0 / len(self.level)
        pieces = []
        for k, (level, tilt) in enumerate(zip(self.level, self.tilt, strict=True)):
            fall = t - tilt
            log = level - fall * (k * width) + np.log(width) + _log_uniform(fall * width)
            pieces.append(log + SLACK * (1 + np.abs(level) + np.abs(fall)))
        return np.asarray(np.logaddexp.reduce(pieces) + SLACK)


def _log_uniform(t: Float) -> Float:
    """Return log ∫_0^1 e^{−tu} du = log((1 − e^{−t})/t)."""
    size = np.maximum(np.abs(t), 2.0**-200)
    return np.asarray(np.log(-np.expm1(-size) / size) + np.maximum(-t, 0.0))


class _Numbers(NamedTuple):
    """Of one interval of a normal law: what ``Law`` holds of one U."""

    mean: tuple[float, float]
    variance: float
    density: float
    level: tuple[float, ...]
    tilt: tuple[float, ...]


_TRIVIAL = _Numbers((0.0, 1.0), 0.25, np.inf, (np.inf,) * _PIECES, (0.0,) * _PIECES)


def law(claim: Claim, leaves: Leaves, from_above: Bool) -> Law:
    """Return the law of the inputs within leaves, seen from the side that is named, (M, n)."""
    if claim.scale is None:
        one = np.ones(leaves.lower.shape)
        zero = np.zeros((1, *one.shape))
        return Law(one / 2, one / 2, one * ((1 + 2.0**-50) / 12), one, zero, zero)
    boxes = claim.region
    rows = []
    for lower, upper, root, above in zip(
        leaves.lower.tolist(),
        leaves.upper.tolist(),
        leaves.root.tolist(),
        from_above.tolist(),
        strict=True,
    ):
        ends = boxes.lower[root].tolist(), boxes.upper[root].tolist()
        axes = zip(lower, upper, *ends, above, strict=True)
        rows.append([_numbers(*axis, claim.scale) for axis in axes])
    mean, variance, density, level, tilt = (
        np.array([[getattr(one, name) for one in row] for row in rows]) for name in _Numbers._fields
    )
    pieces = np.moveaxis(level, -1, 0), np.moveaxis(tilt, -1, 0)
    return Law(mean[..., 0], mean[..., 1], variance, density, *pieces)


@cache
def _numbers(
    lower: float, upper: float, box_lower: float, box_upper: float, above: bool, scale: float
) -> _Numbers:
    """Return the numbers of the normal law on [lower, upper], seen from an end."""
    if lower == upper:
        return _Numbers((0.0, 1.0), 0.25, 1.0, (0.0,) * _PIECES, (0.0,) * _PIECES)
    a, b = standardised((lower, upper), box_lower, box_upper, scale)
    if not above:
        a, b = -b, -a
    width, whole = b - a, integral(b) - integral(a)
    if max(-a, b) > FAR or min(width, whole) < _LEAST:
        return _TRIVIAL
    first = (gauss(a) - gauss(b)) / whole
    second = 1 + (a * gauss(a) - b * gauss(b)) / whole
    mean, variance = float((b - first) / width), float((second - first**2) / width**2)
    # x = b − width · u at the middle of each piece.
    points = [b - width * Fraction(2 * k + 1, 2 * _PIECES) for k in range(_PIECES)]
    scaled = float(width / whole)
    nearest = min(max(a, Fraction(0)), b)
    return _Numbers(
        (max(0.0, mean - SLACK), min(1.0, mean + SLACK)),
        min(0.25, variance + SLACK),
        scaled * float(gauss(nearest)) * (1 + SLACK),
        tuple(float(x * x / 2 - x * b) + float(np.log(scaled)) for x in points),
        tuple(float(x * width) for x in points),
    )
