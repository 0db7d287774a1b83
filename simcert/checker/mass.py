"""Probabilities of parts of a region: upper bounds as exact fractions.

Uniform: ratios of widths, exactly. Truncated normal: ratios of integrals of exp(−t²/2), each in
fixed-point arithmetic with a bounded error. Weights are divided by their exact sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np

from simcert.checker.claim import Claim
from simcert.checker.tree import Leaves

_BITS = 640
_ERROR = Fraction(1, 2**320)
"""At most what :func:`integral` errs by: fewer than 2^11 terms, each wrong by fewer than 2^200
units of 2^-640 (|z| ≤ 16, so no factor exceeds exp(128) < 2^186)."""

FAR = 16
_TAIL = Fraction(1, 2**184)
"""The integral beyond 16 is below exp(−128)/16 < 2^-188."""


def masses(claim: Claim, leaves: Leaves) -> list[Fraction]:
    """Return a number at least the probability of each leaf; exactly it for the uniform law."""
    region = claim.region
    total = sum(map(Fraction, region.weights.tolist()), Fraction(0))
    weights = [Fraction(weight) / total for weight in region.weights.tolist()]
    found = []
    for lower, upper, root in zip(
        leaves.lower.tolist(), leaves.upper.tolist(), leaves.root.tolist(), strict=True
    ):
        mass = weights[root]
        box_lower, box_upper = region.lower[root].tolist(), region.upper[root].tolist()
        for part in zip(lower, upper, box_lower, box_upper, strict=True):
            if part[:2] != part[2:]:
                mass *= _share(*part, claim.scale)
        found.append(mass)
    return found


@cache
def _share(
    lower: float, upper: float, box_lower: float, box_upper: float, scale: float | None
) -> Fraction:
    """Return at least the probability of [lower, upper] within [box_lower, box_upper]."""
    if scale is None:
        return _width(lower, upper) / _width(box_lower, box_upper)
    ends = standardised((lower, upper, box_lower, box_upper), box_lower, box_upper, scale)
    slack = 2 * _ERROR + (2 * _TAIL if max(map(abs, ends)) > FAR else 0)
    part, whole = integral(ends[1]) - integral(ends[0]), integral(ends[3]) - integral(ends[2])
    return min(Fraction(1), (part + slack) / (whole - slack))


def standardised(
    points: Sequence[float], box_lower: float, box_upper: float, scale: float
) -> list[Fraction]:
    """Return (x − mean)/deviation of the normal law that is truncated to a box."""
    # Mean and deviation are defined as these float64 values.
    mean = Fraction(box_lower / 2 + box_upper / 2)
    deviation = Fraction(
        float(np.maximum(scale * ((box_upper - box_lower) / 2), np.finfo(np.float64).tiny))
    )
    return [(Fraction(x) - mean) / deviation for x in points]


def _width(lower: float, upper: float) -> Fraction:
    return Fraction(upper) - Fraction(lower)


@cache
def integral(z: Fraction) -> Fraction:
    """Return ∫ exp(−t²/2) dt from 0 to z, within 2^-320 for |z| ≤ 16; beyond, that at ±16.

    By the series Σ (−1)^k z^(2k+1) / (2^k k! (2k+1)), in integers.
    """
    if z < 0:
        return -integral(-z)
    fixed = int(min(z, Fraction(FAR)) * 2**_BITS)
    square = fixed * fixed >> _BITS
    power, k, total = fixed, 0, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        k += 1
        power = power * square // (2 * k) >> _BITS
    return Fraction(total, 2**_BITS)


@cache
def gauss(z: Fraction) -> Fraction:
    """Return exp(−z²/2) within 2^-320 for |z| ≤ 16, by its series as in :func:`integral`."""
    square = int(z * z * 2**_BITS)
    term, k, total = 1 << _BITS, 0, 0
    while term:
        total += (-1) ** k * term
        k += 1
        term = term * square // (2 * k) >> _BITS
    return Fraction(total, 2**_BITS)
