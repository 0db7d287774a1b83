"""QuantizeLinear followed by DequantizeLinear: a staircase.

q(x) = s (clip(round(x/s) + z, low, high) − z), half to even, with s > 0. On the steps of a
staircase h(x) = q(x) − kx is a line, and its extremes over all steps lie at the first or the last
one, since the value ns − k(n ∓ ½)s at step n is linear in n.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_ULPS = 8 * 2.0**-53
_FLOAT32 = 2.0**-24


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Rounding to multiples of a scale, saturating.

    Attributes:
        scale: s > 0 of each element, (size,).
        least: (low − z) of each element, a whole number, (size,).
        greatest: (high − z).
    """

    name: ClassVar[str] = "Quantizer"

    scale: Tensor
    least: Tensor
    greatest: Tensor

    def __eq__(self, other: object) -> bool:
        """Whether each element is quantised alike."""
        return isinstance(other, Quantizer) and all(
            torch.equal(a, b) for a, b in zip(self._parts(), other._parts(), strict=True)
        )

    def __hash__(self) -> int:
        """Agree with equality."""
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in self._parts()))
        return hash(digest.digest())

    def value(self, x: Tensor) -> Tensor:
        """Return q(x)."""
        scale = self.scale.to(x.dtype)
        return self._clipped(torch.round(x / scale)).to(x.dtype) * scale

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound q(x) − slope · x; the first and the last step and the ends tell."""
        # A quotient may round to the other side of a step: both sides are considered.
        first = self._step(lower, -1.0)
        last = self._step(upper, 1.0)
        ends = [first * self.scale - slope * lower, last * self.scale - slope * upper]
        size = (torch.maximum(first.abs(), last.abs()) + 1.0) * self.scale
        size = size + slope.abs() * torch.maximum(lower.abs(), upper.abs())
        inner = [
            self._corner(step, side, slope, lower, upper)
            for step, side in ((first + 1, -0.5), (last, -0.5), (first, 0.5), (last - 1, 0.5))
        ]
        jumps = first < last
        least = torch.minimum(ends[0], ends[1])
        greatest = torch.maximum(ends[0], ends[1])
        for value in inner:
            least = torch.where(jumps, torch.minimum(least, value), least)
            greatest = torch.where(jumps, torch.maximum(greatest, value), greatest)
        error = size * _ULPS
        return least - error, greatest + error

    def codes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest code less z; at a boundary both of its sides count."""
        return self._step(lower, -1.0), self._step(upper, 1.0)

    def cell(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of all x that have a code less z, rounded outward."""
        slack = (code.abs() + 1.0) * self.scale * _ULPS
        lower, upper = (code - 0.5) * self.scale - slack, (code + 0.5) * self.scale + slack
        lower = lower.masked_fill(code == self.least, -torch.inf)
        return lower, upper.masked_fill(code == self.greatest, torch.inf)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 where there is no step, no bound where there is one."""
        flat = self._step(lower, -1.0) == self._step(upper, 1.0)
        zero, infinite = torch.zeros_like(lower), torch.full_like(lower, torch.inf)
        return zero, torch.where(flat, zero, infinite)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bound q(x) − q(y) by δ + s, or by a whole number of steps.

        Unclipped, each of both is off by at most s/2, so that the difference is at most δ + s and,
        as a multiple of s, at most (⌊δ/s⌋ + 1) s. A clip takes a difference nearer to 0, never past
        it. And q is monotone: where x ≤ y the difference is not positive.
        """
        whole = torch.floor(above / self.scale + (above / self.scale).abs() * _ULPS) + 1.0
        steps = torch.where(above <= 0, torch.zeros_like(above), whole)
        reach = (self.greatest - self.least).to(above.dtype)
        constant = torch.minimum(steps, reach) * self.scale * (1 + _ULPS)
        step = self.scale * (1 + _ULPS)
        clipped = (lower < (self.least - 0.5) * step) | (upper > (self.greatest + 0.5) * step)
        # Above max(0, δ + s), which is convex: its chord.
        bent = clipped & (below < -step)
        top = (above + step).clamp(min=0.0)
        chord = torch.nan_to_num(top / (above - below), nan=0.0, posinf=0.0)
        slope = torch.where(bent, chord, torch.ones_like(above))
        size = slope.abs() * torch.maximum(below.abs(), above.abs()) + top
        ends = torch.maximum(-slope * below, top - slope * above) + size * _ULPS
        intercept = torch.where(bent, ends, step.expand_as(above))
        flat = constant <= slope * (below + above) / 2 + intercept
        slope = torch.where(flat, torch.zeros_like(slope), slope)
        return slope, torch.where(flat, constant, intercept)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval crosses a limit, as at a rectifier."""
        low, high = self.scale * self.least, self.scale * self.greatest
        return (lower < low) & (upper > low) | (lower < high) & (upper > high)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The quotient and the product with s are rounded; the code is exact.

        Nothing is known where s is subnormal: a runtime may flush it and divide by zero.
        """
        size = torch.maximum(lower.abs(), upper.abs())
        limits = torch.maximum(self.least.abs(), self.greatest.abs()) * self.scale
        error = (2 * _FLOAT32 * limits + 2.0**-126).masked_fill(self.scale < 2.0**-126, torch.inf)
        return 4 * _FLOAT32 * size + 2.0**-126, error

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.scale, self.least, self.greatest

    def _clipped(self, code: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(code, self.least), self.greatest)

    def _step(self, x: Tensor, direction: float) -> Tensor:
        """Return the step at x, at a boundary the one on the side of ``direction``."""
        quotient = x / self.scale
        nudged = quotient + direction * (quotient.abs() + 1.0) * _ULPS
        rounded = torch.floor(nudged + 0.5) if direction > 0 else torch.ceil(nudged - 0.5)
        return self._clipped(rounded)

    def _corner(
        self, step: Tensor, side: float, slope: Tensor, lower: Tensor, upper: Tensor
    ) -> Tensor:
        """Return h at the left (−½) or right (+½) end of a step that ends inside the interval."""
        x = torch.minimum(torch.maximum((step + side) * self.scale, lower), upper)
        return step * self.scale - slope * x
