"""Exponential linear units: Elu, Selu and Celu."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from simcert.functions.line import Line
from simcert.functions.piecewise import Piecewise
from simcert.functions.smooth import Smooth


@dataclass(frozen=True)
class ShiftedExponential(Smooth):
    """weight · (e^(rate · x) − 1): convex for a positive weight, its slopes of one sign."""

    weight: float
    rate: float

    @property
    def first(self) -> bool:
        """Whether it is convex."""
        return self.weight >= 0

    @property
    def span(self) -> tuple[float, float]:
        """On one side of −weight."""
        return (-self.weight, math.inf) if self.weight >= 0 else (-math.inf, -self.weight)

    @property
    def monotone(self) -> int:
        """By the sign of the slope."""
        return 1 if self.weight * self.rate >= 0 else -1

    def value(self, x: Tensor) -> Tensor:
        """Return weight · (e^(rate · x) − 1)."""
        return self.weight * torch.expm1(self.rate * x)

    def derivative(self, x: Tensor) -> Tensor:
        """Return weight · rate · e^(rate · x)."""
        return self.weight * self.rate * torch.exp(self.rate * x)

    def magnitude(self, x: Tensor) -> Tensor:
        """Where rate · x is rounded, e^(rate · x) is off by |rate · x| e^(rate · x) ulps."""
        value = self.value(x).abs()
        return value + (self.weight * self.rate * x).abs() * torch.exp(self.rate * x)

    def steepness(self, x: Tensor) -> Tensor:
        """As for the value."""
        return self.derivative(x).abs() * (1.0 + (self.rate * x).abs())


@dataclass(frozen=True)
class ExponentialLinear(Piecewise):
    """slope · x for x ≥ 0, and weight · (e^(rate · x) − 1) for x < 0.

    Clevert, Unterthiner and Hochreiter, ICLR 2016 (Elu); Klambauer et al., NeurIPS 2017 (Selu);
    Barron, arXiv 1704.07483 (Celu).

    Attributes:
        weight: of the exponential.
        rate: positive or negative.
        slope: of the line.
    """

    weight: float
    rate: float = 1.0
    slope: float = 1.0

    @property
    def breaks(self) -> tuple[float, ...]:
        """At 0."""
        return (0.0,)

    @property
    def parts(self) -> tuple[Smooth, ...]:
        """The exponential and the line."""
        return ShiftedExponential(self.weight, self.rate), Line(self.slope)

    def scale(self, lower: Tensor, upper: Tensor) -> Tensor:
        """A runtime may compute e^x − 1 by a subtraction."""
        return super().scale(lower, upper) + torch.where(lower < 0, abs(self.weight), 0.0)
