"""Intervals of a (in the original), b (in the compressed network) and δ = a − b."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds.rounding import UNIT_ROUNDOFF


class Interval(NamedTuple):
    """Lower and upper bounds of a tensor, each (boxes, size). NaN never stays in one."""

    lower: Tensor
    upper: Tensor

    @property
    def magnitude(self) -> Tensor:
        """Return max |x| over the interval."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    def centre_radius(self) -> tuple[Tensor, Tensor]:
        """Return a midpoint and a radius that together contain the interval."""
        centre = (self.lower + self.upper) / 2
        radius = torch.maximum(self.upper - centre, centre - self.lower)
        return centre, radius * (1 + 4 * UNIT_ROUNDOFF)

    def intersect(self, other: Interval) -> Interval:
        """Return what both say.

        Two valid bounds always overlap; where rounding noise of a point-wide box would leave an
        empty interval, the first one is kept.
        """
        lower = torch.maximum(self.lower, other.lower)
        upper = torch.minimum(self.upper, other.upper)
        empty = lower > upper
        return Interval(
            torch.where(empty, self.lower, lower), torch.where(empty, self.upper, upper)
        )

    def plus(self, other: Interval) -> Interval:
        """Return the interval of the sum, rounded outward."""
        return Interval(self.lower + other.lower, self.upper + other.upper).widen_relative()

    def minus(self, other: Interval) -> Interval:
        """Return the interval of the difference, rounded outward."""
        return Interval(self.lower - other.upper, self.upper - other.lower).widen_relative()

    def widen_relative(self) -> Interval:
        """Move both ends outward by a few units in the last place; zeros stay."""
        return Interval(
            self.lower - self.lower.abs() * (4 * UNIT_ROUNDOFF),
            self.upper + self.upper.abs() * (4 * UNIT_ROUNDOFF),
        )

    def without_nan(self) -> Interval:
        """Replace what overflowed: NaN is no information, +∞ is no lower bound, −∞ no upper one."""
        infinity, largest = float("inf"), torch.finfo(self.lower.dtype).max
        return Interval(
            torch.nan_to_num(self.lower, nan=-infinity, posinf=largest, neginf=-infinity),
            torch.nan_to_num(self.upper, nan=infinity, posinf=infinity, neginf=-largest),
        )


def around(centre: Tensor, radius: Tensor) -> Interval:
    """Return centre ± radius; no information where a sum overflowed on the way."""
    valid = torch.isfinite(centre) & torch.isfinite(radius)
    infinite = torch.full_like(centre, float("inf"))
    return Interval(
        torch.where(valid, centre - radius, -infinite),
        torch.where(valid, centre + radius, infinite),
    )


class Triple(NamedTuple):
    """The intervals of a dual node's a, b and δ; None where a network lacks the tensor."""

    a: Interval | None
    b: Interval | None
    delta: Interval | None

    def intersect(self, other: Triple) -> Triple:
        """Return what both say of the quantities that this triple has."""
        return Triple(
            *(
                None if x is None or y is None else x.intersect(y)
                for x, y in zip(self, other, strict=True)
            )
        )

    def pack(self) -> Tensor:
        """Return the six bounds in one tensor (boxes, 6, size), in float32, rounded outward."""
        size = next(interval for interval in self if interval is not None).lower
        unknown = Interval(torch.full_like(size, -torch.inf), torch.full_like(size, torch.inf))
        known = [unknown if interval is None else interval for interval in self]
        lower = torch.stack([interval.lower for interval in known], 1)
        upper = torch.stack([interval.upper for interval in known], 1)
        low, high = lower.to(torch.float32), upper.to(torch.float32)
        down, up = low.new_tensor(-torch.inf), high.new_tensor(torch.inf)
        low = torch.where(low.to(torch.float64) > lower, torch.nextafter(low, down), low)
        high = torch.where(high.to(torch.float64) < upper, torch.nextafter(high, up), high)
        return torch.cat([low, high], 1)

    @staticmethod
    def unpack(packed: Tensor) -> Triple:
        """Return the triple of :meth:`pack`, with all three intervals."""
        return Triple(*(Interval(packed[:, i], packed[:, 3 + i]) for i in range(3)))


def known(interval: Interval | None) -> Interval:
    """Return an interval that the construction of the dual program guarantees.

    Raises:
        AssertionError: the dual program is ill-formed.
    """
    if interval is None:
        raise AssertionError("a network reads a tensor that it does not have")
    return interval
