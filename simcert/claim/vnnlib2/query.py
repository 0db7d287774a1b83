"""What a query says: networks, and cases of inputs with what their outputs are asked to satisfy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from simcert.claim.region import Region
from simcert.claim.rounding import Float
from simcert.claim.vnnlib2.condition import Condition
from simcert.claim.vnnlib2.interval import Interval
from simcert.claim.vnnlib2.linear import Direction

REAL = "real"
"""The element type of queries about the networks over the reals (standard, section 3.5)."""


@dataclass(frozen=True)
class Tensor:
    """A declared input or output.

    Attributes:
        name: of the variable.
        element: element type in lower case: "real", "float32", ...
        shape: sizes; empty for a scalar.
    """

    name: str
    element: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Network:
    """A declared network.

    Attributes:
        name: what a file is given to.
        relation: "isomorphic-to", "equal-to" or empty.
        other: the network that the relation names.
        inputs: in the order of the model.
        outputs: in the order of the model.
    """

    name: str
    relation: str
    other: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Boxes of inputs, and what is asked of the outputs there.

    Attributes:
        boxes: for each box an exact interval for each input.
        conjunctions: a disjunction of them; each bounds directions of outputs.
    """

    boxes: tuple[tuple[Interval, ...], ...]
    conjunctions: tuple[Mapping[Direction, Interval], ...]

    def region(self, source: str) -> Region:
        """The boxes as a closed region of float64, rounded outward."""
        lower = [[_below(side.lower) for side in box] for box in self.boxes]
        upper = [[-_below(_negated(side.upper)) for side in box] for box in self.boxes]
        return Region.from_boxes(lower, upper, source=source)

    def condition(self, outputs: int) -> Condition:
        """What is asked of the outputs, as a divergence that is positive where it is satisfied."""
        return Condition.of(self.conjunctions, outputs)

    def holds(self, x: Float, box: int, f: Float, g: Float) -> bool:
        """Whether an input in a box, with the outputs that files gave, satisfies all: exactly.

        Args:
            x: (inputs,).
            box: index of the box.
            f: (outputs,) of the first network.
            g: (outputs,) of the second one.
        """
        if not (np.isfinite(x).all() and np.isfinite(f).all() and np.isfinite(g).all()):
            return False
        inside = zip(self.boxes[box], x.tolist(), strict=True)
        if not all(side.contains(Fraction(value)) for side, value in inside):
            return False
        outputs = f.tolist(), g.tolist()

        def value(direction: Direction) -> Fraction:
            return sum(
                (Fraction(outputs[e.network][e.position]) * c for e, c in direction), Fraction(0)
            )

        return any(
            all(side.contains(value(direction)) for direction, side in conjunction.items())
            for conjunction in self.conjunctions
        )

    def nearest(self, x: Float, box: int, dtype: np.dtype[np.generic]) -> Float:
        """The point next to x, of type ``dtype``, that lies in the box.

        Where an interval holds no number of the type (``(== X 0.45)`` in float32), the nearest one
        stands for it.
        """
        point = [
            _inside(side, value, dtype)
            for side, value in zip(self.boxes[box], x.tolist(), strict=True)
        ]
        return np.array(point)

    def widened(self, dtype: np.dtype[np.generic]) -> Case:
        """The case with the nearest number of the type in intervals that hold none."""
        return Case(
            tuple(tuple(_with_number(side, dtype) for side in box) for box in self.boxes),
            self.conjunctions,
        )


@dataclass(frozen=True, eq=False)
class Query:
    """A query: is there an input that satisfies one of the cases?

    Attributes:
        source: the file.
        networks: one or two.
        cases: at least one.
    """

    source: str
    networks: tuple[Network, ...]
    cases: tuple[Case, ...]

    @property
    def element(self) -> str:
        """The element type of the first input."""
        return self.networks[0].inputs[0].element


def _negated(value: Fraction | None) -> Fraction | None:
    return None if value is None else -value


def _below(value: Fraction | None) -> float:
    """The largest float64 that is at most ``value``."""
    return Interval(upper=value).greatest


def _inside(side: Interval, value: float, dtype: np.dtype[np.generic]) -> float:
    """The number of the type in the interval that is next to ``value``."""
    least, greatest = _numbers(side, dtype)
    if least > greatest:
        return _representative(side, dtype)
    return min(max(float(np.array(value, dtype)), least), greatest)


def _with_number(side: Interval, dtype: np.dtype[np.generic]) -> Interval:
    least, greatest = _numbers(side, dtype)
    if least <= greatest:
        return side
    number = Fraction(_representative(side, dtype))
    return Interval(number, number)


def _numbers(side: Interval, dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """The least and the greatest number of the type in the interval."""
    bounds: NDArray[np.generic] = np.array([side.least, side.greatest]).astype(dtype)
    inf = np.array(np.inf, dtype)
    least, greatest = bounds[0], bounds[1]
    if float(least) < side.least:
        least = np.nextafter(least, inf)
    if float(greatest) > side.greatest:
        greatest = np.nextafter(greatest, -inf)
    return float(least), float(greatest)


def _representative(side: Interval, dtype: np.dtype[np.generic]) -> float:
    """The number of the type nearest to an interval that holds none."""
    assert side.lower is not None  # noqa: S101 - boxes are bounded
    assert side.upper is not None  # noqa: S101
    return float(np.array(float((side.lower + side.upper) / 2), dtype))
