"""The softplus function."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Softplus(Smooth):
    """ln(1 + e^x): convex; its derivative is the logistic function."""

    name: ClassVar[str] = "Softplus"
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return ln(1 + e^x), as max(x, 0) + ln(1 + e^−|x|)."""
        return torch.relu(x) + torch.log1p(torch.exp(-x.abs()))

    def derivative(self, x: Tensor) -> Tensor:
        """Return σ(x)."""
        return torch.sigmoid(x)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """A runtime may add 1 to e^x before it takes the logarithm."""
        return torch.clamp(upper, min=0.0) + 1.0
