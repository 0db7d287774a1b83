"""Normal draws truncated to a leaf, by inverting the distribution function in logarithms."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.interval import Float

_erfc = np.frompyfunc(math.erfc, 1, 1)

_FAR = -10.0
"""Below it the tail is found by its continued fraction, which erfc would lose to underflow."""

_STEPS = 60


def drawn(lower: Float, upper: Float, mean: Float, deviation: Float, position: Float) -> Float:
    """Return draws from N(mean, deviation²) truncated to [lower, upper], before rounding.

    Args:
        lower: ends of the leaves, (n, inputs).
        upper: as ``lower``.
        mean: as ``lower``.
        deviation: as ``lower``.
        position: uniform numbers in [0, 1), as ``lower``.
    """
    a, b = (lower - mean) / deviation, (upper - mean) / deviation
    # On the left of the mean the logarithm of the distribution function keeps its digits.
    mirror = np.where(a + b > 0, -1.0, 1.0)
    a, b = np.minimum(mirror * a, mirror * b), np.maximum(mirror * a, mirror * b)
    log_a, log_b = log_probability(a), log_probability(b)
    ratio = np.exp(log_a - log_b)
    level = 1.0 - position
    z = quantile(log_b + np.log(ratio + level * (1.0 - ratio)), a, b)
    return np.asarray(mean + deviation * mirror * z)


def log_probability(z: Float) -> Float:
    """Return log P(N(0, 1) ≤ z)."""
    near = np.log(np.asarray(_erfc(np.maximum(z, _FAR) * -math.sqrt(0.5)), dtype=np.float64) / 2)
    far = -np.square(z) / 2 - math.log(2 * math.pi) / 2 + np.log(_mills(np.minimum(z, _FAR)))
    return np.where(z < _FAR, far, near)


def _mills(z: Float) -> Float:
    """Return P(N ≤ z)/φ(z) for z ≤ −10: 1/(x + 1/(x + 2/(x + 3/(x + …)))), x = −z."""
    x = -z
    rest = x
    for k in range(30, 0, -1):
        rest = x + k / rest
    return np.asarray(1.0 / rest)


def quantile(level: Float, lower: Float, upper: Float) -> Float:
    """Return z in [lower, upper] with log P(N(0, 1) ≤ z) = level: Newton's method, kept inside.

    The logarithm of the distribution function is concave and grows, so from below Newton's steps
    never pass the solution by more than rounding, and from above the first step falls below it.
    """
    z = np.clip(-np.sqrt(np.maximum(0.0, -2 * level)), lower, upper)
    for _ in range(_STEPS):
        now = log_probability(z)
        slope = np.exp(-np.square(z) / 2 - math.log(2 * math.pi) / 2 - now)
        step = np.where(slope > 0, (level - now) / np.where(slope > 0, slope, 1.0), 0.0)
        moved = np.clip(z + step, lower, upper)
        if (np.abs(moved - z) <= 4e-16 * np.maximum(1.0, np.abs(z))).all():
            return np.asarray(moved)
        z = moved
    return np.asarray(z)
