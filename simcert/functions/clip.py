"""min(max(x, l), u): as one function, so that its result is never thought to leave [l, u].

Written with two rectifiers, l + relu(x − l) − relu(x − u), an interval of it is the difference of
two intervals, and grows from layer to layer although each of them saturates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

_ULPS = 8 * 2.0**-53


@dataclass(frozen=True)
class Clip:
    """x where l ≤ x ≤ u, else the limit that is nearer.

    Attributes:
        low: l, finite.
        high: u ≥ l, finite.
    """

    name: ClassVar[str] = "Clip"

    low: float
    high: float

    def value(self, x: Tensor) -> Tensor:
        """Return the clipped tensor."""
        return x.clamp(self.low, self.high)

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound clip(x) − slope · x: its extremes lie at the ends or at the bends."""
        points = [lower, upper, *(lower.clamp(min=bend).minimum(upper) for bend in self._bends)]
        # With slope 0 an end may be infinite.
        lines = [torch.where(slope == 0, 0.0, slope * x) for x in points]
        values = torch.stack([self.value(x) - y for x, y in zip(points, lines, strict=True)])
        sizes = [self.value(x).abs() + y.abs() for x, y in zip(points, lines, strict=True)]
        error = torch.where(slope == 0, 0.0, torch.stack(sizes).amax(0) * _ULPS)
        return values.amin(0) - error, values.amax(0) + error

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 and 1, or one of both where the interval crosses no limit."""
        inside = (lower >= self.low) & (upper <= self.high)
        outside = (upper <= self.low) | (lower >= self.high)
        return inside.to(lower.dtype), (~outside).to(lower.dtype)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """clip(x) − clip(y) ≤ max(0, δ), below its chord, and at most what clip can rise."""
        inside = (lower >= self.low) & (upper <= self.high)
        mixed = (below < 0) & (above > 0)
        chord = torch.nan_to_num(above / (above - below), nan=1.0)
        slope = torch.where(mixed, chord, (below >= 0).to(above.dtype))
        slope = torch.where(inside, torch.ones_like(slope), slope)
        ends = torch.maximum(-slope * below, above - slope * above)
        raised = ends + (below.abs() + above.abs()) * _ULPS
        intercept = torch.where(mixed & ~inside, raised, torch.zeros_like(raised))
        intercept = torch.nan_to_num(intercept, nan=torch.inf)
        rise = (self.value(upper) - self.value(lower)) * (1 + _ULPS)
        flat = ~inside & ~(rise > slope * (below + above) / 2 + intercept)
        return torch.where(flat, 0.0, slope), torch.where(flat, rise, intercept)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval crosses a limit."""
        least, greatest = self.slopes(lower, upper)
        return least < greatest

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing is rounded."""
        zero = torch.zeros_like(lower)
        return zero, zero

    @property
    def _bends(self) -> tuple[float, float]:
        return self.low, self.high
