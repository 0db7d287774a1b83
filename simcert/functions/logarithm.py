"""The natural logarithm."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Logarithm(Smooth):
    """ln x for x > 0: concave; ln′ = 1/x."""

    name: ClassVar[str] = "Log"
    first: ClassVar[bool] = False
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return ln x."""
        return torch.log(x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return 1/x."""
        return 1.0 / x

    def defined(self, lower: Tensor, upper: Tensor) -> Tensor:
        """There is no logarithm of 0."""
        return lower > 0
