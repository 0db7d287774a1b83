"""Boxes of the search, as arrays: what is known of each, and how one is split in two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simcert.claim import Distribution, Region

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

UP = 1 + 2.0**-30
"""Covers the rounding of sums of masses, of any number of boxes that fits in memory."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Parts of a region.

    Attributes:
        node: (B,) number of each in the split tree, see :class:`Splits`.
        lower: (B, inputs), values of the networks' input type.
        upper: (B, inputs), likewise.
        root: (B,) the box of the region that each lies in.
        mass: (B,) probability of each under the distribution on the region, rounded up.
        bound: (B,) proved upper bound of the divergence on each.
        rows: (B, S) proved bounds of the absolute values of the divergence's linear functions.
        inherited: (B, 6, neurons) float32, what the propagator knows of the neurons on each box or
            on a box around it.
        slope: (B, T, inputs) linear bounds of the functions and of −them on each box; T may be 0.
        offset: (B, T) their constants.
        possible: (B,) at least P(d > ε and x in the box) by these linear bounds.
    """

    node: Integer
    lower: Float
    upper: Float
    root: Integer
    mass: Float
    bound: Float
    rows: Float
    inherited: NDArray[np.float32]
    slope: Float
    offset: Float
    possible: Float

    def __len__(self) -> int:
        return len(self.root)

    @property
    def bare(self) -> Self:
        """The boxes without the bounds of neurons, for which nobody asks any more."""
        return replace(self, inherited=self.inherited[:, :, :0])

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """Return some of the boxes."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    @classmethod
    def concatenated(cls, parts: Sequence[Self]) -> Self:
        """Return the boxes of all parts, of which there is one at least.

        Where one of them has no bounds of neurons, none has in the result.
        """
        bare = min(part.inherited.shape[2] for part in parts)
        parts = [replace(part, inherited=part.inherited[:, :, :bare]) for part in parts]
        return cls(
            *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls))
        )

    @property
    def mass_upper(self) -> float:
        """The probability of all boxes, rounded up, at most 1."""
        return min(1.0, math.fsum(self.mass) * UP)

    @property
    def mass_lower(self) -> float:
        """The probability of all boxes, rounded down, at most 1.

        A mass is rounded up by 2^-38 per input; one that underflowed stands at the smallest normal
        number, whatever it was.
        """
        inputs: int = self.lower.shape[1]
        share = max(0.0, 1.0 - (inputs + 2) * 2.0**-36)
        return min(1.0, share * math.fsum(np.maximum(self.mass - 2 * np.finfo("f8").tiny, 0.0)))

    @property
    def centre(self) -> Float:
        """The midpoints, (B, inputs)."""
        return self.lower + (self.upper - self.lower) / 2


def roots(
    region: Region, distribution: Distribution, rows: int, neurons: int, linear: int = 0
) -> Boxes:
    """Return the boxes of a region, nothing known of them; ``linear`` is T of the class."""
    mass = region.weights * distribution.mass(
        region.lower, region.upper, region.lower, region.upper
    )
    unknown = np.repeat(np.array([-np.inf, np.inf], dtype=np.float32), 3)
    return Boxes(
        np.arange(region.boxes),
        region.lower,
        region.upper,
        np.arange(region.boxes),
        mass,
        np.full(region.boxes, np.inf),
        np.full((region.boxes, rows), np.inf),
        np.broadcast_to(unknown[:, None], (region.boxes, 6, neurons)),
        np.zeros((region.boxes, linear, region.inputs)),
        np.full((region.boxes, linear), np.inf),
        mass,
    )


@dataclass(frozen=True, eq=False)
class Splits:
    """The split tree: which node was cut where, in the order of the cuts.

    The boxes of the region are nodes 0, 1, …, boxes − 1; cut k makes the nodes boxes + 2 k (below
    the cut) and boxes + 2 k + 1 (above it). Nodes that were not cut are the leaves.

    Attributes:
        node: (cuts,) the node that was cut.
        dimension: (cuts,) the input that was cut.
        cut: (cuts,) where.
    """

    node: Integer
    dimension: Integer
    cut: Float

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def none(cls) -> Self:
        """Return the tree in which nothing is cut."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the cuts of all parts, in order."""
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def split(
    boxes: Boxes,
    score: Float,
    region: Region,
    distribution: Distribution,
    dtype: DTypeLike,
    first: int,
) -> tuple[Boxes, Float, Boxes, Splits]:
    """Cut each box in two where splitting promises most.

    The cut is a value of ``dtype``, so that inputs of the networks, and draws rounded to it, belong
    to a half exactly (see :mod:`simcert.claim.distributions`).

    Args:
        boxes: the boxes.
        score: (B, inputs) what a cut in each dimension promises, not negative.
        region: the region that the boxes are parts of.
        distribution: the law that gives the halves their masses.
        dtype: the networks' input type.
        first: number of the first new node.

    Returns:
        The halves, what a cut of these promises, the boxes that are too narrow to be cut in any
        dimension, and the cuts.
    """
    middle = boxes.centre.astype(dtype).astype(np.float64)
    possible = (boxes.lower < middle) & (middle < boxes.upper)
    # Where no bound depends on an input, the widest one is as good as any.
    width = boxes.upper - boxes.lower
    useful = np.where(possible, np.nan_to_num(score, nan=0.0, posinf=1e300), -1.0)
    flat = useful.max(axis=1) <= 0
    useful[flat] = np.where(possible[flat], width[flat], -1.0)
    stuck: NDArray[np.bool_] = np.logical_not(possible.any(axis=1))
    boxes, narrow = boxes.take(~stuck), boxes.take(stuck)
    dimension = useful[~stuck].argmax(axis=1)
    cut = middle[~stuck][np.arange(len(boxes)), dimension]
    left, right = boxes.upper.copy(), boxes.lower.copy()
    left[np.arange(len(boxes)), dimension] = right[np.arange(len(boxes)), dimension] = cut
    number = first + 2 * np.arange(len(boxes))
    below, above = (
        replace(boxes, node=number, upper=left),
        replace(boxes, node=number + 1, lower=right),
    )
    halves = Boxes.concatenated([below, above])
    root = halves.root
    share = distribution.mass(halves.lower, halves.upper, region.lower[root], region.upper[root])
    cuts = Splits(boxes.node, dimension, cut)
    # A squared share of the spread goes with the squared width.
    promised = np.concatenate([useful[~stuck]] * 2)
    promised[np.arange(len(halves)), np.concatenate([dimension] * 2)] /= 4
    return replace(halves, mass=region.weights[root] * share), promised, narrow, cuts
