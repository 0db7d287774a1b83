"""Sufficient statistics of a sample, with the rounding of their own sums accounted for."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simcert.sampling.rounding import up

BLOCK = 65_536
LARGEST = 2.0**400
"""Values above this would overflow when squared and summed; their moments are called infinite."""

SUM_ERROR = Fraction(1, 2**50)
"""Relative error of the sums: of each square, each block's correctly rounded sum, and their sum."""


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of non-negative values; infinite sums where there is no mean.

    Both sums are within the relative error SUM_ERROR (the squares also within n units of underflow)
    and depend only on the values and their order, not on how they were computed.
    """

    n: int
    sum: float
    squares: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Sums up ``values`` (n,), each >= 0 or +inf, by ``math.fsum`` of blocks, then of those."""
        if values.size and not float(values.max()) <= LARGEST:
            return cls(values.size, math.inf, math.inf)
        blocks = [values[i : i + BLOCK] for i in range(0, values.size, BLOCK)]
        return cls(
            n=values.size,
            sum=math.fsum(math.fsum(block.tolist()) for block in blocks),
            squares=math.fsum(math.fsum((block * block).tolist()) for block in blocks),
        )

    @property
    def mean(self) -> float:
        """The sample mean, to the nearest."""
        return self.sum / self.n

    @property
    def mean_upper(self) -> float:
        """A number not below the sample mean."""
        return up(self.mean)

    @property
    def variance_upper(self) -> float:
        """A number not below the unbiased sample variance; n must be at least 2."""
        if math.isinf(self.squares):
            return math.inf
        squares = Fraction(self.squares) * (1 + SUM_ERROR) + self.n * Fraction(1, 2**1074)
        correction = (Fraction(self.sum) * (1 - SUM_ERROR)) ** 2 / self.n
        return up(float(max(Fraction(0), (squares - correction) / (self.n - 1))))
