"""Univariate functions, applied to each element of a tensor: what the propagator asks of one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Function(Protocol):
    """A function f: R → R, the same or with parameters of its own for each element of a tensor.

    Two functions are equal only if they are the same function for every element.

    Everything that is proved of a function rests on :meth:`residual`: a line with slope k lies
    above f on an interval if its intercept is at least the greatest value of f(x) − kx there.
    """

    @property
    def name(self) -> str:
        """What it is called."""

    def value(self, x: Tensor) -> Tensor:
        """Return f(x) in the arithmetic of ``x``: (..., size) → (..., size)."""

    def residual(self, lower: Tensor, upper: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Bound f(x) − slope · x for lower ≤ x ≤ upper.

        Args:
            lower: (B, size), finite.
            upper: (B, size), finite.
            slope: (B, size).

        Returns:
            A lower and an upper bound, (B, size), rounded outward; infinite where there is none.
        """

    def slopes(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound the slopes (f(x) − f(y))/(x − y) of chords in [lower, upper], rounded outward.

        Infinite for a function that jumps there.
        """

    def difference(
        self, lower: Tensor, upper: Tensor, below: Tensor, above: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return slope and intercept of a line in δ above f(x) − f(y).

        Args:
            lower: of x and of y, (B, size).
            upper: of x and of y.
            below: lower bound of δ = x − y.
            above: upper bound of δ.

        Returns:
            s and t, (B, size), with f(x) − f(y) ≤ s δ + t for all such x and y, rounded outward;
            an infinite t where there is no such line.
        """

    def unsettled(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Return where (B, size) tighter bounds of x would make tighter bounds of f."""

    def roundoff(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bound what a float32 runtime makes of f.

        Returns:
            Absolute errors (B, size): of the argument, as if f were computed at a point that is off
            by so much, and of the result.
        """
