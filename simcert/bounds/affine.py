"""Affine steps, alone and as a difference: exact but for rounding.

a' = W_f a + α,   b' = W_g b + β,   δ' = W_f δ + (W_f − W_g) b + (α − β)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds import fused
from simcert.bounds.blocks import Blocks, add, weighted
from simcert.bounds.interval import Interval, Triple, around, known
from simcert.bounds.rounding import (
    FLOAT32_EXTRA,
    FLOAT32_LARGEST,
    FLOAT32_ROUNDOFF,
    FLOAT32_SMALLEST,
    FLOAT32_USUAL,
    SMALLEST,
    UNDERFLOW,
    gamma,
)
from simcert.bounds.single import Rounding, Transposed
from simcert.bounds.softmax import softmax_difference
from simcert.model.linear import LinearMap, Zero, parts, rows
from simcert.model.program import Affine, Noise
from simcert.pairing import DualNode

_WIDE = 1e9
"""Sizes beyond which the two ends of a sum are computed each by itself."""

_HUGE = 1e150
"""Ends of intervals beyond this are taken for infinite: sums of products of them may overflow."""


@dataclass(frozen=True)
class Roundoff:
    """What a float32 runtime may be off by in one step: γ (Σ |W||x| + |bias|) + flushed.

    Where subnormals are flushed to zero, each product and each partial sum loses at most 2^-126, a
    weight |x| · 2^-126 and an operand |W| · 2^-126, all the more where the sum is held as a smaller
    multiple of itself: see :class:`~simcert.model.program.Held`. The step's noise is added.

    Attributes:
        gamma: γ of the products of one sum.
        flushed: (size,) what is lost, but for the part with |x|.
        flushed_weight: (size,) what is lost per unit of the largest |x|.
        largest: (size,) what Σ |W||x| + |bias| must stay below.
        noise: of the step.
    """

    gamma: float
    flushed: Tensor
    flushed_weight: Tensor
    largest: Tensor
    noise: tuple[Noise, ...] = ()

    @classmethod
    def of(cls, absolute: Sequence[LinearMap], bias: Tensor, step: Affine) -> Roundoff:
        """Return it for a step with the given |W| and bias, on their device."""
        terms = sum(linear.terms for linear in absolute) + FLOAT32_EXTRA
        weights = torch.zeros_like(bias)
        for linear in absolute:
            weights += linear.forward(bias.new_ones(linear.inputs))
        least, greatest = (end.to(bias.device).expand_as(bias) for end in step.held)
        lost = 2 * FLOAT32_SMALLEST / least
        # Weights that a runtime computes overflow whatever they are multiplied with.
        fits = weights * greatest < FLOAT32_LARGEST
        largest = torch.where(fits, FLOAT32_LARGEST / greatest, 0.0)
        return cls(
            gamma(terms, FLOAT32_ROUNDOFF),
            lost * (weights + 2.0 * terms),
            lost * terms,
            largest,
            step.noise,
        )

    def error(self, magnitude: Tensor, operands: Sequence[Interval]) -> Tensor:
        """Return the error (B, size), infinite where a sum may overflow.

        Args:
            magnitude: Σ |W||x| + |bias|, (B, size).
            operands: the intervals of the x.
        """
        largest = sum(operand.magnitude.amax(1, keepdim=True) for operand in operands)
        error = self.gamma * magnitude + self.flushed
        error = error + self.flushed_weight * largest
        for operand, factor, power, count in self.noise:
            largest = operands[operand].magnitude
            largest = largest.reshape(len(largest), count, -1).amax(2)
            largest = largest.repeat_interleave(magnitude.shape[1] // count, dim=1)
            # Sums of such numbers do not overflow either.
            usual = largest ** max(power, 1) < FLOAT32_USUAL
            error = error + torch.where(usual, factor * largest**power, torch.inf)
        return torch.where(magnitude < self.largest, error * (1 + 2.0**-40), torch.inf)


class AffineRule:
    """Σ_k W_k x_k + bias of one network."""

    def __init__(
        self,
        step: Affine,
        depth: int,
        device: torch.device,
        *,
        float32: bool = False,
        single: bool = False,
    ) -> None:
        """Prepare ``step`` of a program with ``depth`` steps.

        It is bounded over the reals, or as any float32 runtime computes it. ``single`` prepares
        for coefficients that are carried back in single precision.
        """
        self.maps = [linear.to(device) for linear in step.maps]
        self.transposed = Transposed(self.maps, single=single)
        self.absolute = [linear.absolute() for linear in self.maps]
        self.bias = step.bias.to(device)
        self.gamma = _gamma(self.maps, len(step.bias), depth)
        self.roundoff: Roundoff | None = None
        if float32 and step.rounds:
            self.roundoff = Roundoff.of(self.absolute, self.bias, step)

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Rounding]:
        """Return the interval (B, size) and the rounding."""
        interval, error, magnitude = interval_of(
            self.maps,
            self.absolute,
            operands,
            self.bias,
            self.bias.abs(),
            self.gamma,
            self.roundoff,
        )
        return interval, self.transposed.rounding(error, magnitude, operands)

    def unsettled(self, x: Interval) -> Tensor:
        """Affine steps are exact; where one repeats elements for others, all elements matter."""
        return x.lower < x.upper

    def backward(
        self, c: Tensor, relaxation: Rounding, box: Tensor, constant: Tensor
    ) -> list[Tensor]:
        """Return c W for each operand."""
        _add_constant(c, self.bias, relaxation, box, constant)
        return [self.transposed.carry(k, c, relaxation) for k in range(len(self.maps))]

    def pick(self, element: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return single elements (R,) of the result as rows of coefficients, and their biases."""
        return [rows(linear, element) for linear in self.maps], self.bias[element]


class DualRounding(NamedTuple):
    """The rounding of a', b' and δ'."""

    f: Rounding
    g: Rounding
    delta: Rounding

    def in_single(self) -> DualRounding:
        """Return the same where convolutions are computed in float32."""
        return DualRounding(*(part.in_single() for part in self))


class AffineDualRule:
    """An aligned affine node."""

    def __init__(
        self,
        node: DualNode,
        f: AffineRule,
        g: AffineRule,
        depth: int,
        *,
        same: bool = False,
        single: bool = False,
    ) -> None:
        """Prepare an aligned node, with its own rules, of a dual program with ``depth`` nodes.

        ``same`` says that one runtime computes both networks in one way: its rounding cancels.
        ``single`` is that of the two rules.
        """
        self.f, self.g = f, g
        self.differences = [linear.to(f.bias.device) for linear in node.differences]
        self.bias = f.bias - g.bias
        self.maps = [*self.f.maps, *self.differences]
        self.transposed = Transposed(self.maps, single=single)
        self.absolute = [linear.absolute() for linear in self.maps]
        # Constants computed in float64 carry a rounding error of their own, which does not cancel.
        self.bias_size = self.bias.abs() if node.exact else self.f.bias.abs() + self.g.bias.abs()
        self.softmax = _common_softmax(node)
        rounds = f.roundoff is not None or g.roundoff is not None
        self.exact = node.exact and (same or not rounds)
        self.gamma = _gamma(self.maps, node.size, depth)

    def forward(
        self, operands: Sequence[Triple], f: Rounding, g: Rounding
    ) -> tuple[Interval, DualRounding]:
        """Return the interval of δ' (B, size) and the rounding."""
        before = [*(known(t.delta) for t in operands), *(known(t.b) for t in operands)]
        interval, error, magnitude = interval_of(
            self.maps, self.absolute, before, self.bias, self.bias_size, self.gamma
        )
        if not self.exact:
            error = error + f.error + g.error
            interval = Interval(interval.lower - error, interval.upper + error).without_nan()
        if self.softmax is not None:
            own = softmax_difference(operands[1], self.softmax)
            if not self.exact:
                own = Interval(own.lower - error, own.upper + error).without_nan()
            interval = interval.intersect(own)
        return interval, DualRounding(f, g, self.transposed.rounding(error, magnitude, before))

    def unsettled(self, operand: Triple) -> Tensor:
        """As for one network."""
        delta = known(operand.delta)
        return delta.lower < delta.upper

    def backward(
        self, blocks: Blocks, relaxation: DualRounding, box: Tensor, constant: Tensor
    ) -> list[Blocks]:
        """Return the three blocks for each operand."""
        count = len(self.differences)
        f: list[Tensor | None] = [None] * count
        g: list[Tensor | None] = [None] * count
        delta: list[Tensor | None] = [None] * count
        if blocks.f is not None:
            f = list(self.f.backward(blocks.f, relaxation.f, box, constant))
        if blocks.g is not None:
            g = list(self.g.backward(blocks.g, relaxation.g, box, constant))
        if blocks.delta is not None:
            _add_constant(blocks.delta, self.bias, relaxation.delta, box, constant)
            for k, difference in enumerate(self.differences):
                delta[k] = self.transposed.carry(k, blocks.delta, relaxation.delta)
                if not isinstance(difference, Zero):
                    own = self.transposed.carry(count + k, blocks.delta, relaxation.delta)
                    g[k] = add(g[k], own)
        return [Blocks(*c) for c in zip(f, g, delta, strict=True)]

    def pick(self, element: Tensor) -> tuple[list[Blocks], Tensor]:
        """Return single elements (R,) of δ' as rows of coefficients, and their biases."""
        picked = [
            Blocks(
                g=None if isinstance(difference, Zero) else rows(difference, element),
                delta=rows(linear, element),
            )
            for linear, difference in zip(self.f.maps, self.differences, strict=True)
        ]
        return picked, self.bias[element]


def _common_softmax(node: DualNode) -> Tensor | None:
    """Return the groups over which both networks take a softmax here, if they do."""
    if not (isinstance(node.f, Affine) and isinstance(node.g, Affine)):
        return None
    f, g = node.f.softmax, node.g.softmax
    return f if f is not None and g is not None and torch.equal(f, g) else None


def _add_constant(
    c: Tensor, bias: Tensor, rounding: Rounding, box: Tensor, constant: Tensor
) -> None:
    """Add c · bias and the rounding |c| · error of each row's box to ``constant``."""
    if rounding.chosen:
        constant += rounding.floor[box]
    if fused.applies(c, constant):
        fused.add_constant(c, bias, rounding.error, box, constant)
    else:
        constant += c @ bias + weighted(c.abs(), rounding.error, box)


def _gamma(maps: Sequence[LinearMap], size: int, depth: int) -> float:
    """Return γ for one step.

    Sums run over the products of the maps, over the step's ``size`` elements (c · bias), and over
    all steps of a program; twice that covers the rounding of the error terms themselves.
    """
    return gamma(2 * (sum(linear.terms for linear in maps) + size) + 8 * depth + 64)


def interval_of(
    maps: Sequence[LinearMap],
    absolute: Sequence[LinearMap],
    operands: Sequence[Interval],
    bias: Tensor,
    bias_size: Tensor,
    factor: float,
    roundoff: Roundoff | None = None,
) -> tuple[Interval, Tensor, Tensor]:
    """Bound Σ W x + bias; the rounding error is γ (Σ |W| max |x| + |bias|), a runtime's added.

    An operand that is bounded on one side only bounds the sum on one side. The third result is
    Σ |W| max |x| + |bias|, up to rounding, without what is not bounded.
    """
    below, above = _lost(maps, operands)
    operands = [_bounded(operand) for operand in operands]
    boxes = len(operands[0].lower)
    centre = bias.expand(boxes, -1)
    radius = torch.zeros_like(centre)
    magnitude = bias_size.expand(boxes, -1)
    underflow = torch.zeros_like(magnitude[:, :1])
    for linear, size, operand in zip(maps, absolute, operands, strict=True):
        if isinstance(linear, Zero):
            continue
        middle, half = operand.centre_radius()
        centre = centre + linear.forward(middle)
        half = size.forward(half)
        radius = radius + half
        magnitude = magnitude + size.forward(middle.abs()) + half
        # Products may underflow, unless the operand is zero everywhere.
        present = operand.magnitude.any(dim=1, keepdim=True).to(bias.dtype)
        underflow = underflow + (linear.terms + 8) * SMALLEST * present
    error = (factor * magnitude + underflow).contiguous()
    radius = radius + 2 * error
    if roundoff is not None:
        runtime = roundoff.error(magnitude, operands)
        radius, error = radius + runtime, error + runtime
    interval = around(centre, radius)
    if bool((magnitude > _WIDE).any()):
        interval = _side_by_side(maps, operands, bias, bias_size, factor, interval)
        if roundoff is not None:
            interval = Interval(interval.lower - runtime, interval.upper + runtime).without_nan()
    if below is None or above is None:
        return interval, error, magnitude
    lower = interval.lower.masked_fill(below, -torch.inf)
    upper = interval.upper.masked_fill(above, torch.inf)
    return Interval(lower, upper), error.masked_fill(below | above, torch.inf), magnitude


def _side_by_side(
    maps: Sequence[LinearMap],
    operands: Sequence[Interval],
    bias: Tensor,
    bias_size: Tensor,
    factor: float,
    interval: Interval,
) -> Interval:
    """Intersect with bounds whose lower end is not rounded relative to the upper end.

    A sum of exponentials is at least 1 also where it may be 10^20.
    """
    ends = []
    for near, far in ((0, 1), (1, 0)):
        total = bias.expand(len(operands[0].lower), -1)
        size = bias_size.expand_as(total)
        for linear, operand in zip(maps, operands, strict=True):
            rising, falling = parts(linear)
            total = total + rising.forward(operand[near]) - falling.forward(operand[far])
            size = size + rising.forward(operand[near].abs()) + falling.forward(operand[far].abs())
        ends.append((total, 2 * factor * size + UNDERFLOW))
    own = Interval(ends[0][0] - ends[0][1], ends[1][0] + ends[1][1]).without_nan()
    return interval.intersect(own)


def _bounded(x: Interval) -> Interval:
    """Return an interval with its infinite ends put to the other end, or to 0."""
    lower_lost, upper_lost = x.lower < -_HUGE, x.upper > _HUGE
    zero = torch.zeros_like(x.lower)
    lower = torch.where(lower_lost, torch.where(upper_lost, zero, x.upper), x.lower)
    upper = torch.where(upper_lost, torch.where(lower_lost, zero, x.lower), x.upper)
    # What lies beyond in whole is lost on both sides.
    beyond = (x.lower > _HUGE) | (x.upper < -_HUGE)
    return Interval(torch.where(beyond, zero, lower), torch.where(beyond, zero, upper))


def _lost(
    maps: Sequence[LinearMap], operands: Sequence[Interval]
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return where (B, size) the sum has no lower and no upper bound; None where it always has."""
    found = []
    for x in operands:
        beyond = (x.lower > _HUGE) | (x.upper < -_HUGE)
        found.append(((x.lower < -_HUGE) | beyond, (x.upper > _HUGE) | beyond))
    if not any(bool(mask.any()) for masks in found for mask in masks):
        return None, None
    below, above = torch.zeros(1), torch.zeros(1)
    for linear, masks in zip(maps, found, strict=True):
        if isinstance(linear, Zero):
            continue
        rising, falling = parts(linear)
        low, high = (mask.to(torch.float64) for mask in masks)
        below = below + rising.forward(low) + falling.forward(high)
        above = above + rising.forward(high) + falling.forward(low)
    return below > 0, above > 0
