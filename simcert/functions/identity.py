"""x itself: what stands in one network where the other has a quantiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_ULPS = 8 * 2.0**-53


@dataclass(frozen=True)
class Identity:
    """f(x) = x."""

    name: ClassVar[str] = "Identity"

    def value(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound (1 − slope) x, which is 0 for slope 1."""
        ends = torch.stack([(1.0 - slope) * lower, (1.0 - slope) * upper])
        error = ends.abs().amax(0) * _ULPS
        return ends.amin(0) - error, ends.amax(0) + error

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1."""
        one = torch.ones_like(lower)
        return one, one

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The difference is δ itself."""
        return torch.ones_like(below), torch.zeros_like(below)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Nothing is lost at the identity."""
        return torch.zeros_like(lower, dtype=torch.bool)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing is computed."""
        zero = torch.zeros_like(lower)
        return zero, zero
