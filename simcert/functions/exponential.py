"""The exponential function."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Exponential(Smooth):
    """e^x: convex, its own derivative."""

    name: ClassVar[str] = "Exp"
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return e^x."""
        return torch.exp(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return e^x."""
        return torch.exp(x)
