"""What is known of one node of a pair on a batch of boxes, and in which arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simcert.checker.interval import Float, Interval, gamma
from simcert.checker.linear import Index

Rows = Any
"""Coefficients (rows, size): float64, or exact numbers that add and multiply alike."""

FLOAT32_UNIT, FLOAT32_SMALLEST, FLOAT32_LARGEST = 2.0**-24, 2.0**-126, 2.0**127

CURVE_ERROR = 2.0**-20
"""What a runtime's elementary functions are assumed to be off by, relative to their scale."""

TINY = 2.0**-40
"""More than float64's elementary functions and a few operations on them lose, relatively."""


@dataclass
class Layer:
    """Intervals of a, b and δ of one node, and terms for the way back.

    ``noise_*`` and ``error`` (of a float32 runtime), (boxes, size), belong to affine steps;
    ``lines_*`` (boxes, 4, size) and ``planes`` (boxes, 8, size), see ``relu``, to functions of
    each element; to steps that join elements, ``Link`` takes the place of both.
    """

    a: Interval | None = None
    b: Interval | None = None
    d: Interval | None = None
    error: Float | float = 0.0
    noise_f: Rows | None = None
    noise_g: Rows | None = None
    noise_d: Rows | None = None
    lines_f: Rows | None = None
    lines_g: Rows | None = None
    planes: Rows | None = None


class Blocks(NamedTuple):
    """Coefficients on a, b and δ of one node; None where there are none."""

    f: Rows | None = None
    g: Rows | None = None
    d: Rows | None = None

    def plus(self, other: Blocks) -> Blocks:
        """Return the sum."""
        return Blocks(*(added(x, y) for x, y in zip(self, other, strict=True)))

    def together(self) -> Blocks:
        """Move coefficients of opposite sign from a and b into δ, since a − b − δ = 0."""
        f, g, d = self
        if f is None or g is None:
            return self
        # The median of c_f, 0 and −c_g moves: nothing unless the signs are opposite.
        other = -g
        low, high = np.minimum(f, other), np.maximum(f, other)
        moved = np.maximum(low, np.minimum(high, 0))
        return Blocks(f - moved, g + moved, added(d, moved))

    def apart(self) -> Blocks:
        """Write δ as a − b."""
        if self.d is None:
            return self
        return Blocks(added(self.f, self.d), added(self.g, -self.d))


def added(x: Rows | None, y: Rows | None) -> Rows | None:
    """Return the sum of coefficients that may not be there."""
    if x is None:
        return y
    return x if y is None else x + y


class Link(ABC):
    """Linear bounds of a step that joins elements: of one network, or of the difference."""

    @abstractmethod
    def into(self, c: Float, box: Index, side: str) -> tuple[Sequence[Blocks], Float]:
        """Replace coefficients c (rows, size) on the result by some on each operand.

        Args:
            c: coefficients.
            box: of each row.
            side: "f", "g" or "d": what the result is of.

        Returns:
            The coefficients, and what they leave of c · result at most, (rows,).
        """


class Setting:
    """float64 with analysed rounding errors.

    Args:
        float32: whether a and b are what a float32 runtime computes.
        equal: whether one runtime computes both networks in the same way.
        terms: room in γ for the sums over all steps.
    """

    def __init__(self, float32: bool, equal: bool, terms: int) -> None:
        self.float32, self.equal, self.terms = float32, equal, terms

    @property
    def apart(self) -> bool:
        """Whether a runtime's errors in a and in b differ."""
        return self.float32 and not self.equal

    def lift(self, values: Float) -> Rows:
        """Return numbers that coefficients can be multiplied with."""
        return values

    def noise(self, size: Float, terms: int = 0) -> Float:
        """Return what float64 may lose per unit of coefficient on terms of a size."""
        return gamma(size.shape[1] + self.terms + terms) * size

    def require(self, kind: str) -> None:
        """Say whether steps of a kind can be bounded in this arithmetic."""

    def check_lines(self, x: Interval, lines: Rows) -> None:
        """Require lines around a rectifier to hold, where that is no matter of rounding errors."""

    def check_planes(self, before: Layer, planes: Rows) -> None:
        """Require planes around two rectifiers to hold, likewise."""


def known(value: Any) -> Any:
    """Return what a layer must have."""
    if value is None:
        raise AssertionError("a layer lacks what its kind of step has")
    return value


def scaled(factor: Float, x: Interval) -> Interval:
    """Return the interval of factor · x."""
    ends = factor * x.lower, factor * x.upper
    return Interval(np.minimum(*ends), np.maximum(*ends))
