"""The piecewise quadratic approximation of Swish."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from simcert.functions.line import Line
from simcert.functions.piecewise import Piecewise
from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class Parabola(Smooth):
    """square · x² + rate · x, convex."""

    square: float
    rate: float

    def value(self, x: Tensor) -> Tensor:
        """Return the parabola."""
        return x * (self.square * x + self.rate)

    def derivative(self, x: Tensor) -> Tensor:
        """Return its slope."""
        return 2.0 * self.square * x + self.rate

    def magnitude(self, x: Tensor) -> Tensor:
        """The two terms may cancel."""
        return self.square * x * x + (self.rate * x).abs()

    def steepness(self, x: Tensor) -> Tensor:
        """The two terms may cancel."""
        return (2.0 * self.square * x).abs() + abs(self.rate)


@dataclass(frozen=True)
class HardSwish(Piecewise):
    """x · clip(alpha x + ½, 0, 1), Howard et al., ICCV 2019.

    Attributes:
        alpha: 1/6, as float32 has it.
    """

    alpha: float
    blur: ClassVar[float] = 2.0**-48

    @property
    def breaks(self) -> tuple[float, ...]:
        """Where the clip begins and ends."""
        return -0.5 / self.alpha, 0.5 / self.alpha

    @property
    def parts(self) -> tuple[Smooth, ...]:
        """0, a parabola, x."""
        return Line(0.0), Parabola(self.alpha, 0.5), Line(1.0)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """The clipped factor is exact relative to 1."""
        return lower.abs().maximum(upper.abs())
