"""1/x for positive x."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Reciprocal(Smooth):
    """1/x on x > 0: convex; f′ = −1/x². There are no bounds where x may be 0 or negative."""

    name: ClassVar[str] = "Reciprocal"
    domain: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def value(self, x: Tensor) -> Tensor:
        """Return 1/x."""
        return 1.0 / x

    def derivative(self, x: Tensor) -> Tensor:
        """Return −1/x²."""
        return -1.0 / (x * x)
