"""What the symbolic search leaves to sampling: undecided leaves, and what is known of the rest."""

import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simcert.numerals import exact
from simcert.sampling.rounding import above, up

Float: TypeAlias = NDArray[np.float64]

_TICKET_BITS = 61
"""The tickets of all leaves together are fewer than 2^62, so that they fit in int64."""


@dataclass(frozen=True)
class Leaves:
    """Sub-boxes that the search could not decide; U is their union.

    Draws choose a leaf in proportion to ``tickets``, integers, and hence exactly. A leaf's tickets
    are worth at least its probability, so with ``weight`` = W, the worth of all tickets,

        P(A and U) <= W P(a draw lies in A)    for every event A,

    whatever was rounded up on the way: the masses, and the tickets themselves.

    Attributes:
        lower: (leaves, inputs), lower corner of each leaf.
        upper: (leaves, inputs), upper corner; equal to ``lower`` in a point.
        masses: (leaves,), numbers >= the probability of each leaf under the claim's distribution
            (not conditioned on anything); not all zero.
        box: (leaves,), index of the region's box that each leaf is a part of.
        box_lower: (boxes, inputs), lower corners of the region's boxes.
        box_upper: (boxes, inputs), upper corners of the region's boxes.
        ranges: (leaves,), proved upper bound of d on each leaf: from the symbolic analysis, never
            from samples; infinite where there is none. d is never negative.
    """

    lower: Float
    upper: Float
    masses: Float
    box: NDArray[np.int64]
    box_lower: Float
    box_upper: Float
    ranges: Float

    def __post_init__(self) -> None:
        count, inputs = self.lower.shape
        if count == 0:
            raise ValueError("there is no leaf to draw from")
        if not (
            self.upper.shape == (count, inputs)
            and self.masses.shape == self.box.shape == self.ranges.shape == (count,)
            and self.box_lower.shape == self.box_upper.shape == (len(self.box_lower), inputs)
        ):
            raise ValueError("the arrays of the leaves do not fit together")
        if not np.all(self.lower <= self.upper):
            raise ValueError("a leaf is empty or not a number")
        if not (np.all(self.masses >= 0.0) and 0.0 < float(self.masses.sum()) < math.inf):
            raise ValueError("masses must be finite and not negative, and not all zero")
        if not np.all((self.box >= 0) & (self.box < len(self.box_lower))):
            raise ValueError("a leaf lies in a box that the region does not have")
        if not np.all(self.ranges >= 0.0):
            raise ValueError("a proved bound of d is negative or not a number")

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.lower.shape[1])

    @property
    def range(self) -> float:
        """Proved upper bound of d on all leaves; infinite when there is none."""
        return float(self.ranges.max())

    @cached_property
    def ticket(self) -> float:
        """Worth of one ticket: a power of two, so that dividing by it is exact."""
        exponent = math.frexp(math.fsum(self.masses.tolist()))[1]
        return math.ldexp(1.0, exponent - _TICKET_BITS)

    @cached_property
    def tickets(self) -> NDArray[np.int64]:
        """(leaves,), the masses in units of ``ticket``, rounded up; a mass of 0 has none."""
        return np.ceil(self.masses / self.ticket).astype(np.int64)

    @cached_property
    def weight(self) -> float:
        """W of the class, rounded up; at least P(U), and above 1 only by rounding."""
        return above(Fraction(self.ticket) * int(self.tickets.sum()))

    def capped(self, price: float) -> tuple[float, float]:
        """Return a cap c > 0 and a number >= E[max(0, R - c)], R the proved range of a draw's leaf.

        E[d] <= E[min(d, c)] + E[max(0, R - c)]: leaves with large ranges that are rarely drawn
        need not set the range of an inequality that pays ``price`` for each unit of it. The sum
        of both is least where P(R > c) is the price. Nothing here depends on a draw.
        """
        order = np.argsort(-self.ranges, kind="stable")
        total = int(self.tickets.sum())
        above = np.cumsum(self.tickets[order]) - self.tickets[order]
        last = max(0, int(np.searchsorted(above, price * total, side="right")) - 1)
        cap = float(self.ranges[order[last]])
        if not 0.0 < cap < math.inf:
            return self.range, 0.0
        excess = self.tickets * np.maximum(0.0, self.ranges - cap)
        if not excess.any():
            return cap, 0.0
        return cap, up(math.fsum(excess.tolist()) / total)

    @property
    def are_points(self) -> bool:
        """Whether every leaf is a single point, so that the support is finite."""
        return bool(np.all(self.lower == self.upper))


@dataclass(frozen=True)
class Remainder:
    """The region after the search, as sampling needs it.

    Attributes:
        leaves: the undecided part U.
        mass_upper: number >= P(U), at most 1.
        violated_upper: number >= the probability F of the leaves proved to violate.
        proved_bound: d is at most this on all leaves proved to satisfy the claim.
        decided_mean: number >= E[d restricted to all decided leaves, proved and violating]: the
            sum of mass times proved bound of d; infinite when unknown.
        mass_lower: number <= P(U); without it nothing that was drawn bounds P(d > eps) from below.
        violated_lower: number <= F.
        range_source: where ``leaves.ranges`` come from, in words.
        integrated_mass: number >= the probability of the undecided leaves that are not drawn from,
            I, because linear bounds integrated over them say more than draws could.
        integrated_upper: number >= P(d > eps and x in I), with certainty.
        positions: (leaves,) index of each leaf among the undecided boxes of the search; None where
            the leaves are others.
    """

    leaves: Leaves
    mass_upper: float
    violated_upper: float
    proved_bound: float
    decided_mean: float
    mass_lower: float = 0.0
    violated_lower: float = 0.0
    range_source: str = "symbolic bound"
    integrated_mass: float = 0.0
    integrated_upper: float = 0.0
    positions: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.mass_lower <= self.mass_upper <= 1.0:
            raise ValueError("P(U) must be bounded by 0 <= mass_lower <= mass_upper <= 1")
        if not 0.0 <= self.violated_lower <= self.violated_upper < math.inf:
            raise ValueError("F must be bounded by 0 <= violated_lower <= violated_upper")
        if not 0.0 <= self.integrated_upper <= self.integrated_mass < math.inf:
            raise ValueError("P(d > eps) on what is integrated must be bounded by its mass")
        if not (self.proved_bound >= 0.0 and self.decided_mean >= 0.0):
            raise ValueError("bounds of d must not be negative or NaN")

    @property
    def certain_upper(self) -> Fraction:
        """Number >= P(d > eps) outside of what is drawn from."""
        return Fraction(self.violated_upper) + Fraction(self.integrated_upper)

    @property
    def certain_mean(self) -> float:
        """Number >= the mean of d over the draws that needs no draw: the mean of the ranges."""
        leaves = self.leaves
        if math.isinf(leaves.range):
            return math.inf
        total = math.fsum((leaves.tickets * leaves.ranges).tolist())
        return min(leaves.range, up(total / int(leaves.tickets.sum())))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of what turns bounds of draws into bounds of the claim."""
        return {
            "leaves": len(self.leaves),
            **exact("weight", self.leaves.weight),
            **exact("mass_upper", self.mass_upper),
            **exact("mass_lower", self.mass_lower),
            **exact("violated_upper", self.violated_upper),
            **exact("violated_lower", self.violated_lower),
            **exact("proved_bound", self.proved_bound),
            **exact("decided_mean", self.decided_mean),
            **exact("range", self.leaves.range),
            **exact("certain_mean", self.certain_mean),
            "range_source": self.range_source,
            **exact("integrated_mass", self.integrated_mass),
            **exact("integrated_upper", self.integrated_upper),
        }

    def digest(self) -> str:
        """Lower-case hexadecimal SHA-256 of every number of the leaves and of ``to_dict``."""
        state = hashlib.sha256()
        leaves = self.leaves
        for array in (
            leaves.lower,
            leaves.upper,
            leaves.masses,
            leaves.box,
            leaves.box_lower,
            leaves.box_upper,
            leaves.ranges,
        ):
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            state.update(f"{little.dtype.str}{little.shape}".encode())
            state.update(little.data)
        state.update(json.dumps(self.to_dict(), sort_keys=True, allow_nan=False).encode())
        return state.hexdigest()
