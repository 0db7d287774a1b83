"""The rectifier: linear relaxations of y = relu(a), z = relu(b) and Δ = relu(a) − relu(b) on a box.

Upper planes of Δ, with ``chord(l, u)`` the upper line of relu on [l, u]; lower planes are upper
planes with a and b exchanged, negated:

1. independent: chord_a(a) − α b with α in {0, 1}
2. difference:  chord of max(0, δ) on [l_δ, u_δ]
3. δ + chord of relu(−a), since relu(b) ≥ b
4. where a ≥ 0: δ + β b with β in {0, 1}

Plane 2 is the differential bound of ReluDiff (Paulsen, Wang and Wang, ICSE 2020) and NeuroDiff (ASE
2020) as a line; plane 1 is CROWN's (Zhang et al., NeurIPS 2018) on the product network; 3 and 4
keep δ where one network is linear. The plane with the least value at the interval centres is
taken, so that the result is exact where both neurons are stable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds import fused
from simcert.bounds.blocks import Blocks, dot
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma

_SLACK = 1 + 8 * UNIT_ROUNDOFF
TIE = 1e-12
"""Planes closer than this, relative to the neurons, are alike; the first one is kept.

Where nothing is known of δ but a − b, planes 1 and 3 tie at the centres up to rounding."""


class Lines(NamedTuple):
    """lower_slope · x ≤ relu(x) ≤ slope · x + intercept, and the rounding error per coefficient."""

    slope: Tensor
    intercept: Tensor
    lower_slope: Tensor
    error: Tensor


class Plane(NamedTuple):
    """a · (coefficient) + b · (coefficient) + δ · (coefficient) + constant, each (boxes, size)."""

    a: Tensor
    b: Tensor
    delta: Tensor
    constant: Tensor


def chord(x: Interval) -> tuple[Tensor, Tensor]:
    """Return slope and intercept of the upper line of relu on each interval.

    The intercept is rounded up until the line lies above relu at both ends, which is enough for a
    convex function. Slope 1 for l ≥ 0, slope 0 for u ≤ 0; where the interval is unbounded the
    intercept is infinite.
    """
    lower, upper = x
    unstable = (lower < 0) & (upper > 0)
    slope = torch.where(unstable, upper / (upper - lower), (lower >= 0).to(upper.dtype))
    slope = torch.nan_to_num(slope, nan=1.0)
    ends = torch.maximum(-slope * lower, upper - slope * upper)
    # u − slope u cancels: its rounding error is relative to u, not to the result.
    raised = ends * _SLACK + (4 * UNIT_ROUNDOFF) * upper + UNDERFLOW
    intercept = torch.where(unstable, raised, torch.zeros_like(ends))
    return slope, torch.nan_to_num(intercept, nan=float("inf"), posinf=float("inf"))


def _gamma(x: Interval) -> float:
    """Return γ for sums over the elements of a layer; see :mod:`..affine`."""
    return gamma(2 * x.lower.shape[1] + 64)


def lines(x: Interval) -> Lines:
    """Return the lines around relu; the lower slope is CROWN's (the smaller area)."""
    slope, intercept = chord(x)
    lower_slope = (x.upper > -x.lower).to(slope.dtype)
    return Lines(slope, intercept, lower_slope, _gamma(x) * (x.magnitude + intercept))


def difference_plane(
    a: Interval, b: Interval, delta: Interval, a_lines: Lines, b_lines: Lines
) -> Plane:
    """Return the upper plane of relu(a) − relu(b) that is least at the centres."""
    zero = torch.zeros_like(a.lower)
    one = torch.ones_like(zero)
    a_centre = (a.lower + a.upper) / 2
    b_centre = (b.lower + b.upper) / 2
    d_centre = (delta.lower + delta.upper) / 2

    d_slope, d_intercept = chord(delta)
    plane = Plane(zero, zero, d_slope, d_intercept)
    value = d_slope * d_centre + d_intercept

    # relu(−a) = relu(a) − a, so its chord has the slope of relu's minus one.
    candidates = [
        Plane(a_lines.slope, -b_lines.lower_slope, zero, a_lines.intercept),
        Plane(a_lines.slope - 1, zero, one, a_lines.intercept),
    ]
    beta = (b_centre < 0).to(one.dtype)
    positive = torch.where(a.lower >= 0, zero, one * float("inf"))
    candidates.append(Plane(zero, beta, one, positive))
    margin = TIE * (a.magnitude + b.magnitude)
    for candidate in candidates:
        at_centre = (
            candidate.a * a_centre
            + candidate.b * b_centre
            + candidate.delta * d_centre
            + candidate.constant
        )
        better = at_centre < value - margin
        plane = Plane(
            *(torch.where(better, new, old) for new, old in zip(candidate, plane, strict=True))
        )
        value = torch.where(better, at_centre, value)
    # Equal pre-activations, or two inactive neurons: exactly 0, without rounding terms.
    null = (delta.upper <= 0) & (delta.lower >= 0) | (a.upper <= 0) & (b.upper <= 0)
    return Plane(*(torch.where(null, zero, term) for term in plane))


def relax(x: Interval) -> Tensor:
    """Return :class:`Lines` as one tensor, (B, 4, n)."""
    return torch.stack(lines(x), 1)


def relax_together(
    a: Interval, b: Interval, delta: Interval, a_lines: Lines, b_lines: Lines
) -> Tensor:
    """Return all lines and planes of an aligned node as one tensor, (B, 17, n).

    In this order: the lines of a, the lines of b, the upper plane of Δ, the lower plane of Δ, and
    the rounding error per coefficient on Δ.
    """
    upper = difference_plane(a, b, delta, a_lines, b_lines)
    mirrored = difference_plane(b, a, Interval(-delta.upper, -delta.lower), b_lines, a_lines)
    lower = Plane(-mirrored.b, -mirrored.a, mirrored.delta, -mirrored.constant)
    # Rounding is relative to the absolute terms of the plane that is used, of the greater one here.
    weight_a, weight_b, weight_delta, constant = (
        torch.maximum(x.abs(), y.abs()) for x, y in zip(upper, lower, strict=True)
    )
    size = weight_a * a.magnitude + weight_b * b.magnitude + weight_delta * delta.magnitude
    return torch.stack([*a_lines, *b_lines, *upper, *lower, _gamma(a) * (size + constant)], 1)


class ReluRule:
    """max(x, 0) in one network."""

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Tensor]:
        """Return the interval and the lines."""
        (x,) = operands
        return Interval(x.lower.clamp(min=0), x.upper.clamp(min=0)), relax(x)

    def unsettled(self, x: Interval) -> Tensor:
        """Return where the interval crosses 0."""
        return (x.lower < 0) & (x.upper > 0)

    def backward(
        self, c: Tensor, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Tensor]:
        """Take the upper line for positive and the lower line for negative coefficients."""
        if fused.applies(c):
            return [fused.along_lines(c, relaxation, box, constant)]
        own = Lines(*relaxation[box].unbind(1))
        constant += dot(c.abs(), own.error)
        return [_along_lines(c, own, constant)]


class ReluDualRule:
    """max(x, 0) in both networks."""

    def forward(self, operands: Sequence[Triple], f: Tensor, g: Tensor) -> tuple[Interval, Tensor]:
        """Return the interval of Δ, between min(0, δ) and max(0, δ), and the planes."""
        a, b, delta = (known(interval) for interval in operands[0])
        interval = Interval(delta.lower.clamp(max=0), delta.upper.clamp(min=0))
        return interval, relax_together(a, b, delta, Lines(*f.unbind(1)), Lines(*g.unbind(1)))

    def unsettled(self, operand: Triple) -> Tensor:
        """No plane reads δ where both neurons are active (Δ = δ) or both inactive (Δ = 0)."""
        a, b, delta = (known(interval) for interval in operand)
        settled = (a.lower >= 0) & (b.lower >= 0) | (a.upper <= 0) & (b.upper <= 0)
        return ~settled & (delta.lower < delta.upper)

    def backward(
        self, blocks: Blocks, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Blocks]:
        """Move opposite coefficients into c_Δ, then replace relu by lines and planes."""
        zero = torch.zeros_like(next(c for c in blocks if c is not None))
        f, g, delta = (zero if c is None else c for c in blocks)
        if fused.applies(zero):
            return [Blocks(*fused.along_planes(f, g, delta, relaxation, box, constant))]
        terms = relaxation[box].unbind(1)
        a, b = Lines(*terms[:4]), Lines(*terms[4:8])
        upper, lower, error = Plane(*terms[8:12]), Plane(*terms[12:16]), terms[16]
        # Before the move, whose rounding these errors cover too.
        constant += dot(f.abs(), a.error) + dot(g.abs(), b.error)
        # c_f a + c_g b + c_δ (a − b) is unchanged by (c_f − m, c_g + m, c_δ + m).
        moved = torch.where(f * g < 0, torch.sign(f) * torch.minimum(f.abs(), g.abs()), zero)
        f, g, delta = f - moved, g + moved, delta + moved
        up, down = delta.clamp(min=0), delta.clamp(max=0)
        constant += dot(up, upper.constant) + dot(down, lower.constant) + dot(up - down, error)
        f = _along_lines(f, a, constant) + up * upper.a + down * lower.a
        g = _along_lines(g, b, constant) + up * upper.b + down * lower.b
        return [Blocks(f, g, up * upper.delta + down * lower.delta)]


def _along_lines(c: Tensor, own: Lines, constant: Tensor) -> Tensor:
    up, down = c.clamp(min=0), c.clamp(max=0)
    constant += dot(up, own.intercept)
    return up * own.slope + down * own.lower_slope
