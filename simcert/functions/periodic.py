"""Sin, Cos and Tan, whose inflections are without end: those near an interval are made for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Piece, Smooth

_FAR = 2.0**20
"""Arguments beyond this have only the bounds of the whole function."""


@dataclass(frozen=True)
class _Wave(Smooth):
    """sin(x + phase): concave and convex in turn between its zeros, which are nπ − phase."""

    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    blur: ClassVar[float] = 2.0**-58
    phase: ClassVar[float]

    def magnitude(self, x: Tensor) -> Tensor:
        """It is exact relative to 1."""
        return torch.ones_like(x)

    def steepness(self, x: Tensor) -> Tensor:
        """It is exact relative to 1."""
        return torch.ones_like(x)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """It is exact relative to 1."""
        return torch.ones_like(lower)

    def pieces(self, lower: Tensor, upper: Tensor) -> list[Piece]:
        """Return the half waves that an interval of one period meets."""
        number = torch.floor((lower + self.phase) / math.pi - 2.0**-30)
        pieces = []
        for _ in range(4):
            left, right = (n * math.pi - self.phase for n in (number, number + 1))
            sign = torch.where(torch.remainder(number, 2.0) == 0, -1.0, 1.0).to(lower.dtype)
            pieces.append(Piece(left, right, sign))
            number = number + 1
        return pieces

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x; between −1 and 1 on more than a period."""
        near = self._near(lower, upper)
        p, q = torch.where(near, lower, 0.0), torch.where(near, upper, 0.0)
        low, high = super().residual(p, q, slope)
        lines = torch.where(slope == 0, 0.0, slope * torch.stack([lower, upper]))
        error = (lines.abs().amax(0) + 1.0) * 2.0**-50 * (slope != 0)
        least, greatest = -1.0 - lines.amax(0) - error, 1.0 - lines.amin(0) + error
        low, high = torch.where(near, low, least), torch.where(near, high, greatest)
        return torch.nan_to_num(low, nan=-torch.inf), torch.nan_to_num(high, nan=torch.inf)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f′; between −1 and 1 on more than a period."""
        near = self._near(lower, upper)
        low, high = super().slopes(torch.where(near, lower, 0.0), torch.where(near, upper, 0.0))
        low = torch.where(near, low, -1.0).clamp(min=-1.0)
        return low, torch.where(near, high, 1.0).clamp(max=1.0)

    def _near(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval is at most a period, not far from 0."""
        far = torch.maximum(lower.abs(), upper.abs()) > _FAR
        return ~far & (upper - lower <= 2 * math.pi)


@dataclass(frozen=True)
class Sine(_Wave):
    """sin x."""

    name: ClassVar[str] = "Sin"
    phase: ClassVar[float] = 0.0

    def value(self, x: Tensor) -> Tensor:
        """Return sin x."""
        return torch.sin(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return cos x."""
        return torch.cos(x)


@dataclass(frozen=True)
class Cosine(_Wave):
    """cos x."""

    name: ClassVar[str] = "Cos"
    phase: ClassVar[float] = math.pi / 2

    def value(self, x: Tensor) -> Tensor:
        """Return cos x."""
        return torch.cos(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return −sin x."""
        return -torch.sin(x)


@dataclass(frozen=True)
class Tangent(Smooth):
    """tan x between two poles: concave, then convex, with an inflection at nπ; tan′ = 1 + tan²."""

    name: ClassVar[str] = "Tan"
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return tan x."""
        return torch.tan(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return 1 + tan² x."""
        return 1.0 + torch.tan(x) ** 2

    def magnitude(self, x: Tensor) -> Tensor:
        """Near a pole its slope is the square."""
        return 1.0 + torch.tan(x) ** 2

    def pieces(self, lower: Tensor, upper: Tensor) -> list[Piece]:
        """Return both sides of the inflection."""
        point = torch.round((lower / 2 + upper / 2) / math.pi) * math.pi
        infinite, one = torch.full_like(lower, math.inf), torch.ones_like(lower)
        return [Piece(-infinite, point, -one), Piece(point, infinite, one)]

    @property
    def blur(self) -> float:
        """The third derivative is 2 at nπ, which is rounded to 2^-31."""
        return 2.0**-58

    def defined(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where no pole (n + ½)π is in the interval or next to it."""
        number = torch.round((lower / 2 + upper / 2) / math.pi)
        reach = math.pi / 2 * (1 - 2.0**-40) - number.abs() * 2.0**-48
        inside = (lower - number * math.pi > -reach) & (upper - number * math.pi < reach)
        return inside & (torch.maximum(lower.abs(), upper.abs()) < _FAR)
