"""Functions between two lines and differences between two planes, on the way back.

Whatever relaxes y = f(a), z = g(b) and Δ = y − z, rectifier or other function, says so in lines
around y and z and in planes around Δ. Coefficients on y, z and Δ become coefficients on a, b and
δ = a − b here, the upper line or plane for positive ones and the lower one for negative ones.

The relaxations of an operator are packed into one tensor, (B, 5, n) or (B, 19, n), which the
compiled loops of :mod:`~simcert.bounds.fused` read once. The same steps as tensor operations serve
gradients and other devices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds import fused
from simcert.bounds.blocks import Blocks, dot


class Lines(NamedTuple):
    """lower_slope x + lower_intercept ≤ f(x) ≤ upper_slope x + upper_intercept, (B, n) each.

    ``error`` is the rounding per unit of coefficient.
    """

    upper_slope: Tensor
    upper_intercept: Tensor
    lower_slope: Tensor
    lower_intercept: Tensor
    error: Tensor

    def packed(self) -> Tensor:
        """Return them as one tensor (B, 5, n)."""
        return torch.stack(self, 1)

    @classmethod
    def unpacked(cls, terms: Tensor) -> Lines:
        """Return the lines of :meth:`packed`."""
        return cls(*terms.unbind(1))


class Plane(NamedTuple):
    """a · (coefficient) + b · (coefficient) + δ · (coefficient) + constant, each (B, n)."""

    a: Tensor
    b: Tensor
    delta: Tensor
    constant: Tensor


class Planes(NamedTuple):
    """The lines around y and z, the planes above and below Δ, and the rounding of these."""

    f: Lines
    g: Lines
    upper: Plane
    lower: Plane
    error: Tensor

    def packed(self) -> Tensor:
        """Return them as one tensor (B, 19, n)."""
        return torch.stack([*self.f, *self.g, *self.upper, *self.lower, self.error], 1)

    @classmethod
    def unpacked(cls, terms: Tensor) -> Planes:
        """Return the planes of :meth:`packed`."""
        each = terms.unbind(1)
        f, g, upper, lower = Lines(*each[:5]), Lines(*each[5:10]), each[10:14], each[14:18]
        return cls(f, g, Plane(*upper), Plane(*lower), each[18])


def along_lines(c: Tensor, terms: Tensor, box: Tensor, constant: Tensor) -> Tensor:
    """Return coefficients (R, n) on x for coefficients on f(x).

    Args:
        c: (R, n).
        terms: packed lines (B, 5, n).
        box: the box of each row (R,).
        constant: (R,), to which intercepts and rounding are added.
    """
    if fused.applies(c, terms, constant):
        return fused.along_lines(c, terms, box, constant)
    own = Lines.unpacked(_of_rows(terms, box))
    _add(constant, c.abs(), own.error)
    return _along(c, own, constant)


def along_planes(blocks: Blocks, terms: Tensor, box: Tensor, constant: Tensor) -> Blocks:
    """Return coefficients on a, b, δ for those on y, z, Δ; packed planes (B, 19, n).

    Opposite coefficients on y and z are moved into that on Δ first.
    """
    zero = torch.zeros_like(next(c for c in blocks if c is not None))
    f, g, delta = (zero if c is None else c for c in blocks)
    if fused.applies(f, g, delta, terms, constant):
        return Blocks(*fused.along_planes(f, g, delta, terms, box, constant))
    own = Planes.unpacked(_of_rows(terms, box))
    # Before the move, whose rounding these errors cover too.
    _add(constant, f.abs(), own.f.error)
    _add(constant, g.abs(), own.g.error)
    # c_f a + c_g b + c_δ (a − b) is unchanged by (c_f − m, c_g + m, c_δ + m).
    moved = torch.where(f * g < 0, torch.sign(f) * torch.minimum(f.abs(), g.abs()), zero)
    f, g, delta = f - moved, g + moved, delta + moved
    up, down = delta.clamp(min=0), delta.clamp(max=0)
    _add(constant, up, own.upper.constant)
    _add(constant, down, own.lower.constant)
    _add(constant, up - down, own.error)
    f = _along(f, own.f, constant) + up * own.upper.a + down * own.lower.a
    g = _along(g, own.g, constant) + up * own.upper.b + down * own.lower.b
    return Blocks(f, g, up * own.upper.delta + down * own.lower.delta)


def _along(c: Tensor, own: Lines, constant: Tensor) -> Tensor:
    up, down = c.clamp(min=0), c.clamp(max=0)
    _add(constant, up, own.upper_intercept)
    _add(constant, down, own.lower_intercept)
    return up * own.upper_slope + down * own.lower_slope


def _of_rows(terms: Tensor, box: Tensor) -> Tensor:
    """Return the terms of each row's box; no copy of one box's."""
    return terms.expand(len(box), -1, -1) if len(terms) == 1 else terms[box]


def _add(constant: Tensor, c: Tensor, values: Tensor) -> None:
    """Add Σ_i c_i · value_i of each row; a line that no coefficient uses need not exist."""
    total = dot(c, values)
    if not bool(torch.isfinite(total).all()):
        total = torch.where(c == 0, torch.zeros_like(c), c * values).sum(1)
    constant += total
