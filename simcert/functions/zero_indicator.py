"""1 at 0 and 0 elsewhere: what equalities are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.float32 import flushed

_ULPS = 8 * 2.0**-53


@dataclass(frozen=True)
class ZeroIndicator:
    """1 where x is 0, else 0."""

    name: ClassVar[str] = "ZeroIndicator"

    def value(self, x: Tensor) -> Tensor:
        """Return 0 or 1."""
        return (x == 0).to(x.dtype)

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x: a line, and 1 where the interval holds 0."""
        lines = torch.where(slope == 0, 0.0, slope * torch.stack([lower, upper]))
        error = torch.where(slope == 0, 0.0, (lines.abs().amax(0) + 1.0) * _ULPS)
        least, greatest = -lines.amax(0) - error, -lines.amin(0) + error
        meets = (lower <= 0) & (upper >= 0)
        point = (lower == 0) & (upper == 0)
        greatest = torch.where(meets, greatest.clamp(min=1.0), greatest)
        least = torch.where(point, 1.0, least)
        return torch.nan_to_num(least, nan=-torch.inf), torch.nan_to_num(greatest, nan=torch.inf)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 where the interval does not hold 0 or nothing else, else no bound."""
        high = torch.where(self.unsettled(lower, upper), torch.inf, torch.zeros_like(lower))
        return -high, high

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x) − f(y) is 1 at most, and 0 where both are equal or neither can be 0."""
        zero = torch.zeros_like(above)
        flat = ~self.unsettled(lower, upper) | ((below == 0) & (above == 0))
        return zero, torch.where(flat, zero, 1.0)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval holds 0 and other numbers."""
        return (lower <= 0) & (upper >= 0) & (lower < upper)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The argument may be flushed to 0; nothing else is rounded."""
        return flushed(lower, upper), torch.zeros_like(lower)
