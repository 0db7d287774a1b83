"""DynamicQuantizeLinear, read back: rounding to a scale that the tensor's own range gives.

s = (max(x, 0) − min(x, 0))/255 over the whole tensor, z = round(−min(x, 0)/s), and the numbers that
the codes clip(round(x/s) + z, 0, 255) stand for are s (code − z). Since z is itself rounded,
x/s + z lies between −½ and 255½, and no code is off by more than ½.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.float32 import LARGEST, SMALLEST
from simcert.functions.identity import Identity

_CODES = 255
_HALF = 0.5 + 2.0**-13
"""Half a step, and room for a scale, a quotient and a zero point that float32 rounded: each is off
by a few units in the last place of 255 steps."""


@dataclass(frozen=True)
class DynamicQuantizer:
    """The identity but for half a step; one whole tensor of a sample has one scale."""

    name: ClassVar[str] = "DynamicQuantizer"

    def value(self, x: Tensor) -> Tensor:
        """Return s (code − z) for each row of (..., size)."""
        low = x.amin(-1, keepdim=True).clamp(max=0.0)
        high = x.amax(-1, keepdim=True).clamp(min=0.0)
        scale = (high - low) / _CODES
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        zero = torch.round(-low / scale).clamp(0, _CODES)
        return scale * ((torch.round(x / scale) + zero).clamp(0, _CODES) - zero)

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound as the identity, half the greatest possible step farther out."""
        low, high = Identity().residual(lower, upper, slope)
        error = self._error(lower, upper)
        return low - error, high + error

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return no bound: the function jumps."""
        return torch.zeros_like(lower), torch.full_like(lower, torch.inf)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both are off by half a step of their own."""
        return torch.ones_like(below), (2 * self._error(lower, upper)).expand_as(below)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Only the range of the whole tensor matters."""
        return torch.zeros_like(lower, dtype=torch.bool)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The quotient and the product with s are rounded; s overflows where the range does."""
        size = torch.maximum(lower.abs(), upper.abs())
        error = 8 * 2.0**-24 * size + SMALLEST
        fits = size.amax(-1, keepdim=True) < LARGEST
        return torch.zeros_like(size), torch.where(fits, error, torch.inf)

    def _error(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return half the greatest step, (B, 1), rounded up."""
        low = lower.amin(-1, keepdim=True).clamp(max=0.0)
        high = upper.amax(-1, keepdim=True).clamp(min=0.0)
        return _HALF * (high - low) / _CODES
