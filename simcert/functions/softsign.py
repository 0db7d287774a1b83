"""The softsign function."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Softsign(Smooth):
    """x/(1 + |x|): convex left of 0, concave right of it; its derivative is 1/(1 + |x|)²."""

    name: ClassVar[str] = "Softsign"
    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    span: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    monotone: ClassVar[int] = 1

    def value(self, x: Tensor) -> Tensor:
        """Return x/(1 + |x|)."""
        return x / (1.0 + x.abs())

    def derivative(self, x: Tensor) -> Tensor:
        """Return 1/(1 + |x|)²."""
        root = 1.0 / (1.0 + x.abs())
        return root * root
