"""Functions that are another smooth function on either side of some breaks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from simcert.functions.float32 import flushed, rounded
from simcert.functions.slopes import line_of
from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Piecewise(ABC):
    """A continuous function: the first part left of the first break, and so on."""

    @property
    def name(self) -> str:
        """What it is called."""
        return type(self).__name__

    @property
    @abstractmethod
    def breaks(self) -> tuple[float, ...]:
        """Where one part gives way to the next, increasing."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Smooth, ...]:
        """The functions, one more than there are breaks."""

    @property
    def blur(self) -> float:
        """By how much two parts may differ at a break that float64 rounds."""
        return 0.0

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return what the error of a float32 runtime on [lower, upper] is relative to."""
        low, high = self.residual(lower, upper, torch.zeros_like(lower))
        return torch.maximum(low.abs(), high.abs())

    def value(self, x: Tensor) -> Tensor:
        """Return f(x)."""
        result = self.parts[0].value(x)
        for point, part in zip(self.breaks, self.parts[1:], strict=True):
            result = torch.where(x < point, result, part.value(x))
        return result

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x by what the parts are on their own pieces."""
        least = torch.full_like(lower, math.inf)
        greatest = torch.full_like(lower, -math.inf)
        for part, inside, p, q in self._met(lower, upper):
            low, high = part.residual(p, q, slope)
            least = torch.where(inside, torch.minimum(least, low), least)
            greatest = torch.where(inside, torch.maximum(greatest, high), greatest)
        return least - self.blur, greatest + self.blur

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest slope of all parts."""
        least = torch.full_like(lower, math.inf)
        greatest = torch.full_like(lower, -math.inf)
        for part, inside, p, q in self._met(lower, upper):
            low, high = part.slopes(p, q)
            least = torch.where(inside, torch.minimum(least, low), least)
            greatest = torch.where(inside, torch.maximum(greatest, high), greatest)
        return least, greatest

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A chord's slope is a mean of slopes; the parts' distance at a rounded break is added."""
        slope, intercept = line_of(*self.slopes(lower, upper), below, above)
        return slope, intercept + 2 * len(self.breaks) * self.blur

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where the interval is more than a point, and f no line there."""
        least, greatest = self.slopes(lower, upper)
        return (upper > lower) & (least < greatest)

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """As for a smooth function."""
        return flushed(lower, upper), rounded(self.scale(lower, upper))

    def _met(self, lower: Tensor, upper: Tensor) -> Iterator[tuple[Smooth, Tensor, Tensor, Tensor]]:
        """Yield each part, where its piece meets [lower, upper], and the interval they share."""
        edges = [-math.inf, *self.breaks, math.inf]
        for (left, right), part in zip(pairwise(edges), self.parts, strict=True):
            inside = (lower <= right) & (upper >= left)
            yield part, inside, lower.clamp(left, right), upper.clamp(left, right)
