"""max(x, 0) as a function among others: for a rectifier that a quantiser's limit replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_ULPS = 8 * 2.0**-53


@dataclass(frozen=True)
class Rectifier:
    """f(x) = max(x, 0). A rectifier in both networks has a rule of its own (``bounds/relu.py``)."""

    name: ClassVar[str] = "Relu"

    def value(self, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return torch.relu(x)

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound max(x, 0) − slope · x: its extremes lie at the ends or at the bend."""
        ends = [torch.relu(x) - slope * x for x in (lower, upper)]
        bend = torch.where((lower < 0) & (upper > 0), torch.zeros_like(lower), ends[0])
        values = torch.stack([*ends, bend])
        error = (1.0 + slope.abs()) * torch.maximum(lower.abs(), upper.abs()) * _ULPS
        return values.amin(0) - error, values.amax(0) + error

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 and 1, or one of both where the interval does not cross 0."""
        return (lower >= 0).to(lower.dtype), (upper > 0).to(lower.dtype)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """relu(x) − relu(y) ≤ max(0, δ), and that is below its chord."""
        active, inactive = lower >= 0, upper <= 0
        mixed = (below < 0) & (above > 0)
        chord = torch.nan_to_num(above / (above - below), nan=1.0)
        slope = torch.where(mixed, chord, (below >= 0).to(above.dtype))
        slope = torch.where(active, torch.ones_like(slope), slope)
        slope = torch.where(inactive, torch.zeros_like(slope), slope)
        raised = torch.maximum(-slope * below, above - slope * above)
        raised = raised + (below.abs() + above.abs()) * _ULPS
        bent = mixed & ~active & ~inactive
        intercept = torch.where(bent, raised, torch.zeros_like(raised))
        return slope, torch.nan_to_num(intercept, nan=torch.inf)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval crosses 0."""
        return (lower < 0) & (upper > 0)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing is rounded."""
        zero = torch.zeros_like(lower)
        return zero, zero
