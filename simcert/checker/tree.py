"""Replaying the cuts: the leaves cover the region, without gap and without overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker import document
from simcert.checker.claim import Region
from simcert.checker.errors import CheckError
from simcert.checker.interval import Float

Integer = NDArray[np.int64]

MAX_CUTS = 20_000_000


@dataclass(frozen=True, eq=False)
class Leaves:
    """Some leaves of the tree.

    Attributes:
        lower: (leaves, inputs).
        upper: (leaves, inputs).
        root: (leaves,) the box of the region that each is a part of.
    """

    lower: Float
    upper: Float
    root: Integer

    def __len__(self) -> int:
        return len(self.root)

    def take(self, which: NDArray[Any]) -> Leaves:
        """Return some of them: by numbers, or where ``which`` is true."""
        return Leaves(self.lower[which], self.upper[which], self.root[which])

    def with_more(self, other: Leaves) -> Leaves:
        """Return these and others."""
        pairs = zip(
            (self.lower, self.upper, self.root), (other.lower, other.upper, other.root), strict=True
        )
        return Leaves(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True, eq=False)
class Tree:
    """All leaves, by what is said of them; ``cuts`` is how many cuts made them."""

    proved: Leaves
    undecided: Leaves
    violated: Leaves
    cuts: int


def replay(region: Region, content: dict[str, Any], input_type: np.dtype[np.floating]) -> Tree:
    """Cut the region as the evidence says.

    The boxes of the region are nodes 0, 1, …; cut k makes the nodes boxes + 2 k (below) and
    boxes + 2 k + 1 (above). A cut must be of a node that is there and was not cut, strictly inside
    it, and at a value of the networks' input type: then every input belongs to a leaf.

    Raises:
        CheckError: a cut is not like that, or a leaf is named twice or does not exist.
    """
    packed = content["tree"]
    node = document.array(packed["node"], "int64")
    dimension = document.array(packed["dimension"], "int64")
    cut = document.array(packed["cut"], "float64")
    boxes, inputs = region.lower.shape
    if not len(node) == len(dimension) == len(cut) <= MAX_CUTS:
        raise CheckError("the arrays of the tree do not fit together")
    _check_type(region, cut, input_type)
    if ((dimension < 0) | (dimension >= inputs)).any():
        raise CheckError("a cut is of an input that the networks do not have")
    total = boxes + 2 * len(node)
    made = boxes + 2 * np.arange(len(node))
    if ((node < 0) | (node >= made)).any():
        raise CheckError("a cut is of a node that is not there yet")
    if len(np.unique(node)) != len(node):
        raise CheckError("a node is cut twice")
    lower, upper = np.empty((2, total, inputs))
    root = np.empty(total, dtype=np.int64)
    lower[:boxes], upper[:boxes], root[:boxes] = region.lower, region.upper, np.arange(boxes)
    for k, (parent, axis, at) in enumerate(
        zip(node.tolist(), dimension.tolist(), cut.tolist(), strict=True)
    ):
        if not lower[parent, axis] < at < upper[parent, axis]:
            raise CheckError(f"cut {k} is not inside its box")
        below, above = boxes + 2 * k, boxes + 2 * k + 1
        lower[below], upper[below], root[below] = lower[parent], upper[parent], root[parent]
        lower[above], upper[above], root[above] = lower[parent], upper[parent], root[parent]
        upper[below, axis] = lower[above, axis] = at

    leaf = np.ones(total, dtype=bool)
    leaf[node] = False
    proved = leaf.copy()
    named: list[Leaves] = []
    for what in ("undecided", "violated"):
        numbers = document.array(content[what], "int64")
        inside = (numbers >= 0) & (numbers < total)
        if not inside.all() or len(np.unique(numbers)) != len(numbers):
            raise CheckError(f"an {what} leaf does not exist or is named twice")
        if not proved[numbers].all():
            raise CheckError(f"an {what} leaf is no leaf, or also named otherwise")
        proved[numbers] = False
        named.append(Leaves(lower[numbers], upper[numbers], root[numbers]))
    rest = np.flatnonzero(proved)
    return Tree(Leaves(lower[rest], upper[rest], root[rest]), named[0], named[1], len(node))


def _check_type(region: Region, cut: Float, input_type: np.dtype[np.floating]) -> None:
    for what, values in (("a bound", region.lower), ("a bound", region.upper), ("a cut", cut)):
        with np.errstate(over="ignore"):
            representable = values.astype(input_type).astype(np.float64) == values
        if not representable.all():
            raise CheckError(f"{what} of the region is not a value of {input_type}")
