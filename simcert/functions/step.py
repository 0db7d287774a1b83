"""A step at 0: what comparisons are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simcert.functions.float32 import flushed

_ULPS = 8 * 2.0**-53


@dataclass(frozen=True)
class Step:
    """0 for negative and 1 for positive x.

    At 0 itself the bounds admit both values, however strict the comparison is.

    Attributes:
        at_zero: the value at 0: 0 for x > 0, 1 for x ≥ 0.
    """

    at_zero: float

    @property
    def name(self) -> str:
        """What it is called: comparisons of either strictness are paired."""
        return "Step"

    def value(self, x: Tensor) -> Tensor:
        """Return 0 or 1."""
        return torch.heaviside(x.detach(), x.new_tensor(self.at_zero))  # which has no gradient

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x by the ends and, where the interval holds 0, by 0 and 1."""
        low = (lower > 0).to(lower.dtype)
        high = (upper >= 0).to(lower.dtype)
        lines = torch.where(slope == 0, 0.0, slope * torch.stack([lower, upper]))
        first, last = low - lines[0], high - lines[1]
        error = torch.where(slope == 0, 0.0, (lines.abs().amax(0) + 1.0) * _ULPS)
        meets = (lower <= 0) & (upper >= 0)
        least, greatest = torch.minimum(first, last), torch.maximum(first, last)
        least = torch.where(meets, least.clamp(max=0.0), least)
        greatest = torch.where(meets, greatest.clamp(min=1.0), greatest)
        least, greatest = least - error, greatest + error
        return torch.nan_to_num(least, nan=-torch.inf), torch.nan_to_num(greatest, nan=torch.inf)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 where the interval does not hold 0, else no bound."""
        zero = torch.zeros_like(lower)
        return zero, torch.where((lower > 0) | (upper < 0), zero, torch.inf)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x) − f(y) is 1 at most, and 0 where no step lies between or x ≤ y."""
        flat = (lower > 0) | (upper < 0) | (above <= 0)
        zero = torch.zeros_like(above)
        return zero, torch.where(flat, zero, 1.0)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval holds 0."""
        return (lower <= 0) & (upper >= 0)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The argument may be flushed to 0; nothing else is rounded."""
        return flushed(lower, upper), torch.zeros_like(lower)
