"""Products of two tensors: xy on a box, and the difference x₁y₁ − x₂y₂ of two networks.

With centres m and radii r, (x − mₓ)(y − m_y) lies within ± rₓ r_y, so that

    xy = m_y x + mₓ y − mₓ m_y ± rₓ r_y,

the mean of the two planes of McCormick (Mathematical Programming 10, 1976) on either side, which
are equally good at the centre. For the difference, with dx = x₁ − x₂ and dy = y₁ − y₂,

    x₁y₁ − x₂y₂ = x₁ dy + y₂ dx = x₂ dy + y₁ dx,

each a sum of two products that are bounded as above; the one with the smaller radii is taken. A
difference that is small stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds.blocks import Blocks, at, weighted
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.rounding import (
    FLOAT32_LARGEST,
    FLOAT32_ROUNDOFF,
    FLOAT32_SMALLEST,
    SMALLEST,
    gamma,
)


class Planes(NamedTuple):
    """xy = x_weight · x + y_weight · y + constant ± radius, (B, size) each."""

    x_weight: Tensor
    y_weight: Tensor
    constant: Tensor
    radius: Tensor


class DualPlanes(NamedTuple):
    """Δ as a linear function of x₁, x₂, dx, y₁, y₂, dy, plus constant ± radius; (B, size) each."""

    f: Planes
    g: Planes
    x: Blocks
    y: Blocks
    constant: Tensor
    radius: Tensor


class ProductRule:
    """x · y, element by element, in one network."""

    def __init__(self, *, float32: bool = False) -> None:
        self.float32 = float32

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Planes]:
        """Return the interval of the product and the planes around it."""
        x, y = operands
        ends = torch.stack([a * b for a in x for b in y])
        error = self._roundoff(x, y)
        size = x.magnitude * y.magnitude
        slack = 8 * 2.0**-53 * size + SMALLEST + error
        low = torch.nan_to_num(ends.amin(0) - slack, nan=-torch.inf)
        high = torch.nan_to_num(ends.amax(0) + slack, nan=torch.inf)
        exact = ~(x.magnitude.bool() & y.magnitude.bool()) & (error == 0)
        interval = Interval(low.masked_fill(exact, 0.0), high.masked_fill(exact, 0.0))
        planes = bilinear(x, y)
        return interval.without_nan(), planes._replace(radius=planes.radius + error)

    def unsettled(self, x: Interval) -> Tensor:
        """Return where the operand is not a point."""
        return x.lower < x.upper

    def backward(
        self, c: Tensor, relaxation: Planes, box: Tensor, constant: Tensor
    ) -> list[Tensor]:
        """Return coefficients on x and on y."""
        x, y, middle, radius = relaxation
        constant += weighted(c, middle, box) + weighted(c.abs(), radius, box)
        return [c * at(x, box), c * at(y, box)]

    def _roundoff(self, x: Interval, y: Interval) -> Tensor:
        """Return what a float32 runtime may be off by."""
        size = x.magnitude * y.magnitude
        if not self.float32:
            return torch.zeros_like(size)
        flushed = FLOAT32_SMALLEST * (x.magnitude + y.magnitude + 2.0)
        # What may overflow has no bound.
        error = 2 * FLOAT32_ROUNDOFF * size + flushed
        return torch.where(size < FLOAT32_LARGEST, error, torch.inf)


class ProductDualRule:
    """x · y in both networks."""

    def __init__(self, f: ProductRule, g: ProductRule, *, same: bool = False) -> None:
        """Prepare a pair; ``same`` says that one runtime computes both in one way."""
        self.f, self.g, self.same = f, g, same

    def forward(
        self, operands: Sequence[Triple], f: Planes, g: Planes
    ) -> tuple[Interval, DualPlanes]:
        """Return the interval of Δ and the planes."""
        (x1, x2, dx), (y1, y2, dy) = ([known(i) for i in triple] for triple in operands)
        first, second = bilinear(x1, dy), bilinear(dx, y2)
        third, fourth = bilinear(x2, dy), bilinear(dx, y1)
        left = first.radius + second.radius <= third.radius + fourth.radius
        zero = torch.zeros_like(first.radius)

        def either(one: Tensor, other: Tensor) -> Tensor:
            return torch.where(left, one, other)

        x = Blocks(
            either(first.x_weight, zero),
            either(zero, third.x_weight),
            either(second.x_weight, fourth.x_weight),
        )
        y = Blocks(
            either(zero, fourth.y_weight),
            either(second.y_weight, zero),
            either(first.y_weight, third.y_weight),
        )
        constant = either(first.constant + second.constant, third.constant + fourth.constant)
        radius = either(first.radius + second.radius, third.radius + fourth.radius)
        if not self.same:
            radius = radius + self.f._roundoff(x1, y1) + self.g._roundoff(x2, y2)
        low, high = constant - radius, constant + radius
        size = constant.abs() + radius
        for blocks, intervals in ((x, (x1, x2, dx)), (y, (y1, y2, dy))):
            for weight, interval in zip(blocks, intervals, strict=True):
                assert weight is not None  # noqa: S101 - for the type checker
                ends = torch.stack([weight * interval.lower, weight * interval.upper])
                low, high = low + ends.amin(0), high + ends.amax(0)
                size = size + ends.abs().amax(0)
        error = 32 * 2.0**-53 * size
        interval = Interval(low - error, high + error).without_nan()
        null = ~(dx.magnitude.bool() | dy.magnitude.bool()) & (radius == 0)
        interval = Interval(
            interval.lower.masked_fill(null, 0.0), interval.upper.masked_fill(null, 0.0)
        )
        return interval, DualPlanes(f, g, x, y, constant, radius)

    def unsettled(self, operand: Triple) -> Tensor:
        """Return where δ is not a point."""
        delta = known(operand.delta)
        return delta.lower < delta.upper

    def backward(
        self, blocks: Blocks, relaxation: DualPlanes, box: Tensor, constant: Tensor
    ) -> list[Blocks]:
        """Move opposite coefficients into c_Δ, then replace the products by planes."""
        zero = torch.zeros_like(next(c for c in blocks if c is not None))
        f, g, delta = (zero if c is None else c for c in blocks)
        moved = torch.where(f * g < 0, torch.sign(f) * torch.minimum(f.abs(), g.abs()), zero)
        # The move rounds relative to its results; the planes' radii cover that.
        f, g, delta = f - moved, g + moved, delta + moved
        f_x, f_y = self.f.backward(f, relaxation.f, box, constant)
        g_x, g_y = self.g.backward(g, relaxation.g, box, constant)
        constant += weighted(delta, relaxation.constant, box)
        constant += weighted(delta.abs(), relaxation.radius, box)
        x = [delta * at(weight, box) for weight in relaxation.x if weight is not None]
        y = [delta * at(weight, box) for weight in relaxation.y if weight is not None]
        return [Blocks(f_x + x[0], g_x + x[1], x[2]), Blocks(f_y + y[0], g_y + y[1], y[2])]


def bilinear(x: Interval, y: Interval) -> Planes:
    """Return xy = m_y x + mₓ y − mₓ m_y ± (rₓ r_y + rounding)."""
    (x_centre, x_radius), (y_centre, y_radius) = x.centre_radius(), y.centre_radius()
    size = x.magnitude * y.magnitude
    rounding = gamma(2 * size.shape[1] + 64) * 4 * size
    radius = x_radius * y_radius * (1 + 2.0**-50) + rounding
    present = x.magnitude.bool() & y.magnitude.bool()
    radius = torch.where(present, radius + SMALLEST, torch.zeros_like(radius))
    constant = -x_centre * y_centre
    return Planes(y_centre, x_centre, constant, torch.nan_to_num(radius, nan=torch.inf))
