"""Floor, Ceil and Round: the value is n from one corner to the next, 1 further on.

On a step f(x) − kx is a line, and its extremes over all steps lie at the first or the last one,
since its values at the corners of step n are linear in n. Both ends of a step count as its own:
which of two steps a corner belongs to does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simcert.functions.float32 import flushed

_ULPS = 16 * 2.0**-53
_ROUND = {-1.0: torch.ceil, -0.5: torch.round, 0.0: torch.floor}


@dataclass(frozen=True)
class Staircase:
    """Whole numbers: f is n on [n + start, n + start + 1].

    Attributes:
        start: −1 for Ceil, −½ for Round (half to even), 0 for Floor.
    """

    start: float

    @property
    def name(self) -> str:
        """What it is called."""
        return f"Staircase {self.start}"

    def value(self, x: Tensor) -> Tensor:
        """Return the whole number."""
        return _ROUND[self.start](x)

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x by the ends and the corners of the first and the last step."""
        first, last = self.value(lower), self.value(upper)
        values = [first - slope * lower, last - slope * upper]
        for step, side in ((first + 1, 0.0), (last, 0.0), (first, 1.0), (last - 1, 1.0)):
            corner = (step + (self.start + side)).clamp(lower, upper)
            values.append(torch.where(first < last, step - slope * corner, values[0]))
        reach = torch.maximum(lower.abs(), upper.abs())
        error = (reach + 2.0 + slope.abs() * reach) * _ULPS
        error = torch.where((slope == 0) & (reach < 2.0**52), 0.0, error)
        low, high = (torch.stack(values).amin(0), torch.stack(values).amax(0))
        low, high = low - error, high + error
        # With slope 0 each end stands for itself: one may be infinite.
        low = torch.where(slope == 0, first - error, low)
        high = torch.where(slope == 0, last + error, high)
        return torch.nan_to_num(low, nan=-torch.inf), torch.nan_to_num(high, nan=torch.inf)

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 where there is no step, no bound where there is one."""
        flat = self.value(lower) == self.value(upper)
        zero = torch.zeros_like(lower)
        return zero, torch.where(flat, zero, torch.inf)

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """f(x) − f(y) ≤ δ + 1, a whole number, at most 0 where x ≤ y, and f has no more steps."""
        steps = torch.floor(above + above.abs() * _ULPS) + 1.0
        steps = torch.where(above <= 0, torch.zeros_like(above), steps)
        reach = self.value(upper) - self.value(lower)
        constant = torch.minimum(steps, reach + reach.abs() * _ULPS)
        constant = torch.nan_to_num(constant, nan=torch.inf)
        flat = ~(constant > (below + above) / 2 + 1.0)
        one = torch.ones_like(above)
        return torch.where(flat, 0.0, one), torch.where(flat, constant, one)

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval meets two steps."""
        return self.value(lower) < self.value(upper)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The argument may be flushed to 0; nothing else is rounded."""
        return flushed(lower, upper), torch.zeros_like(lower)
