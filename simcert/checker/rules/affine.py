"""Affine steps: W x + bias in one network, and the difference of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simcert.checker.association import Held
from simcert.checker.interval import Float, Interval, gamma
from simcert.checker.linear import LinearMap
from simcert.checker.program import Affine
from simcert.checker.rules.layer import FLOAT32_LARGEST, FLOAT32_SMALLEST, FLOAT32_UNIT, Rows

_FLOAT32_EXTRA = 8
"""Roundings of one term beyond its sum's: bias, scale, division, a folded BatchNormalization."""


class AffineRule:
    """Σ W x + bias of one network, or the difference Σ (W − V) x + (α − β) of two.

    Args:
        maps: one W for each operand.
        bias: (size,).
        bias_size: at least the absolute terms that the bias is made of.
        terms: room in γ for the sums over all steps.
        extra: further maps whose sizes |V| x count for rounding (``Affine.rounded``).
    """

    def __init__(
        self,
        maps: Sequence[LinearMap],
        bias: Float,
        bias_size: Float,
        terms: int,
        extra: Sequence[LinearMap] = (),
    ) -> None:
        self.maps = [linear if linear.weight.any() else None for linear in maps]
        self.absolute = [None if linear is None else linear.absolute for linear in self.maps]
        self.extra = [linear.absolute for linear in extra]
        self.bias, self.bias_size = bias, bias_size
        # Forward a sum has as many terms as W has columns, backward as it has rows.
        self.factor = gamma(sum(sum(linear.shape) for linear in maps) + terms)

    def interval(
        self, operands: Sequence[Interval], *, bias: bool = True
    ) -> tuple[Interval, Float, Float]:
        """Bound W x, plus the bias if wanted.

        Returns:
            The interval; noise; and the size Σ |W||x| + |bias| of what is added up.
        """
        middle = np.zeros((len(operands[0].lower), len(self.bias)))
        radius, size = np.zeros_like(middle), np.zeros_like(middle)
        if bias:
            middle, size = middle + self.bias, size + self.bias_size
        for linear, absolute, x in zip(self.maps, self.absolute, operands, strict=True):
            if linear is None or absolute is None:
                continue
            centre, half = x.halves()
            middle = middle + linear.apply(centre)
            spread = absolute.apply(half)
            radius, size = radius + spread, size + (absolute.apply(np.abs(centre)) + spread)
        for linear, x in zip(self.extra, operands, strict=False):
            size = size + linear.apply(x.size)
        noise = self.factor * size
        return Interval(middle - radius, middle + radius).widened(2 * noise), noise, size

    def back(self, c: Rows) -> list[Rows | None]:
        """Return c W for each operand."""
        return [None if linear is None else linear.back(c) for linear in self.maps]


def runtime_error(step: Affine, size: Float, operands: Sequence[Interval], held: Held) -> Float:
    """Return what a float32 runtime may be off by in one step, (boxes, size).

    γ_m (|W||x| + |bias|) with m = terms + 8, and 2^-126 for each operand, weight, product and
    partial sum that may be flushed to zero; infinite where a sum may overflow.

    Args:
        step: the step.
        size: Σ |W||x| + |bias|.
        operands: intervals of the computed operands.
        held: in what multiples a runtime may hold the sums.
    """
    if step.terms is None:
        return np.zeros_like(size)
    if step.terms == 0:
        return np.full_like(size, 4 * FLOAT32_SMALLEST)
    m = step.terms + _FLOAT32_EXTRA
    if m * FLOAT32_UNIT > 0.5:
        return np.full_like(size, np.inf)
    relative = m * FLOAT32_UNIT / (1 - m * FLOAT32_UNIT) * (1 + 2.0**-20)
    heaviest = sum(float(np.abs(linear.weight).max(initial=0.0)) for linear in step.maps)
    largest = sum(x.size.max(axis=1, keepdims=True) for x in operands)
    flushed = 2 * FLOAT32_SMALLEST * (m * heaviest + m * largest + 2 * m) / held.least
    error = relative * size + flushed
    for operand, factor, power, parts in step.noise:
        rows = operands[operand].size.reshape(len(size), parts, -1)
        largest = np.repeat(rows.max(axis=2), step.size // parts, axis=1)
        error = error + factor * largest**power
    # Weights that a runtime computes overflow whatever they are multiplied with.
    most = np.maximum(size * (1 + 2 * relative), heaviest) * held.greatest
    return np.where(most < FLOAT32_LARGEST, error, np.inf)
