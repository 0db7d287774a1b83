"""Rectifiers: lines around relu(x) and planes around Δ = relu(a) − relu(b), with δ = a − b.

    s x ≤ relu(x) ≤ t x + k on [l, u], and one of
    Δ ≤ t_a a + k_a − s_b b                   (two networks side by side)
    Δ ≤ t_δ δ + k_δ                           (relu(a) − relu(b) ≤ max(0, δ))
    Δ ≤ δ + relu(−a) ≤ δ + (t_a − 1) a + k_a  (relu(b) ≥ b)
    Δ ≤ δ + (1 − s) b where a ≥ 0             (relu(b) ≥ s b, s in {0, 1})

whichever is least at the centre; from below with a and b exchanged. Slopes are multiples of 2^-24,
so that means and differences of two slopes are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simcert.checker.interval import SMALL, UNIT, Float, Interval

_GRID = 2.0**24


class Lines(NamedTuple):
    """below x ≤ relu(x) ≤ slope x + intercept."""

    below: Float
    slope: Float
    intercept: Float


def rectified(x: Interval) -> Interval:
    """Return the interval of relu(x)."""
    return Interval(np.maximum(x.lower, 0.0), np.maximum(x.upper, 0.0))


def lines(x: Interval) -> Lines:
    """Return the lines around relu; the upper one is checked at both ends, relu being convex."""
    lower, upper = x
    bends = x.unstable
    width = np.where(bends, upper - lower, 1.0)
    slope = np.where(bends, np.rint(upper / width * _GRID) / _GRID, (lower >= 0).astype(np.float64))
    needed = np.maximum(-slope * lower, upper - slope * upper)
    raised = needed * (1 + 8 * UNIT) + 8 * UNIT * upper + SMALL
    intercept = np.where(bends, raised, 0.0)
    unbounded = ~np.isfinite(slope) | ~np.isfinite(intercept)
    slope, intercept = np.where(unbounded, 1.0, slope), np.where(unbounded, np.inf, intercept)
    return Lines((upper > -lower).astype(np.float64), slope, intercept)


def packed_lines(found: Lines, noise: Float) -> Float:
    """Return (boxes, 4, n): mean and half-difference of the slopes, then of the intercepts.

    So c relu(x) ≤ (c · mean + |c| · half) x + c · mean' + |c| · half' for c of either sign.
    """
    half = found.intercept / 2
    mean, bend = (found.slope + found.below) / 2, (found.slope - found.below) / 2
    return np.stack([mean, bend, half, half + noise], 1)


def packed_planes(upper: Float, lower: Float, noise: Float) -> Float:
    """Return (boxes, 8, n): means, then half-differences, of the planes (4, boxes, n)."""
    planes = np.concatenate([(upper + lower) / 2, (upper - lower) / 2])
    planes[7] += noise + 4 * UNIT * (np.abs(upper[3]) + np.abs(lower[3]))
    return np.ascontiguousarray(planes.transpose(1, 0, 2))


def planes(
    a: Interval, b: Interval, d: Interval, lines_a: Lines, lines_b: Lines
) -> tuple[Float, Float]:
    """Return an upper and a lower plane of Δ, each (4, boxes, n): on a, b, δ, and the constant."""
    upper = _plane(a, b, d, lines_a, lines_b)
    mirrored = _plane(b, a, d.negated(), lines_b, lines_a)
    return upper, np.stack([-mirrored[1], -mirrored[0], mirrored[2], -mirrored[3]])


def _plane(a: Interval, b: Interval, d: Interval, lines_a: Lines, lines_b: Lines) -> Float:
    """Return the upper plane of Δ that is least at the centres."""
    zero, one = np.zeros_like(a.lower), np.ones_like(a.lower)
    lines_d = lines(d)
    active = (b.lower + b.upper < 0).astype(np.float64)
    candidates = np.stack(
        [
            np.stack([zero, zero, lines_d.slope, lines_d.intercept]),
            np.stack([lines_a.slope, -lines_b.below, zero, lines_a.intercept]),
            np.stack([lines_a.slope - 1.0, zero, one, lines_a.intercept]),
            np.stack([zero, active, one, np.where(a.lower >= 0, 0.0, np.inf)]),
        ]
    )
    centres = np.stack([x.lower / 2 + x.upper / 2 for x in (a, b, d)])
    values = (candidates[:, :3] * centres).sum(axis=1) + candidates[:, 3]
    best = np.nan_to_num(values, nan=np.inf).argmin(axis=0)
    plane: Float = np.take_along_axis(candidates, best[None, None], axis=0)[0]
    # Equal in both networks, or inactive in both: exactly 0.
    null = np.logical_or((d.lower >= 0) & (d.upper <= 0), (a.upper <= 0) & (b.upper <= 0))
    return np.where(null, 0.0, plane)
