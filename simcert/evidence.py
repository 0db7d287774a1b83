"""What backs a verdict, as arrays: how the region was cut, and what became of every part."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from simcert.claim import Region
    from simcert.sampling import Statistics
    from simcert.search import Found

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

_TYPES = {"f": "<f8", "i": "<i8"}


@dataclass(frozen=True, eq=False)
class Evidence:
    """A region, the tree of its cuts, and the leaves that are not proved.

    The boxes of the region are nodes 0, 1, …, boxes − 1; cut k makes the nodes boxes + 2 k (below
    the cut) and boxes + 2 k + 1 (above it). Nodes that were not cut are the leaves. A leaf that is
    neither undecided nor violated is proved.

    Attributes:
        lower: (boxes, inputs) of the region.
        upper: (boxes, inputs).
        weights: (boxes,).
        node: (cuts,) the node that was cut.
        dimension: (cuts,) the input that was cut.
        cut: (cuts,) where.
        undecided: numbers of the undecided leaves, in the order in which draws count them.
        violated: numbers of the leaves on which d > ε is proved.
        tickets: (undecided,) with how many tickets a draw falls into each; empty without draws.
        ticket: worth of one ticket; 0 without draws.
    """

    lower: Float
    upper: Float
    weights: Float
    node: Integer
    dimension: Integer
    cut: Float
    undecided: Integer
    violated: Integer
    tickets: Integer
    ticket: float

    @classmethod
    def of(cls, region: Region, found: Found | None, statistics: Statistics | None) -> Self:
        """Collect what a search left and what was drawn from; without a search nothing is cut."""
        if found is None:
            nothing = np.zeros(0, np.int64)
            node, dimension, cut, violated = nothing, nothing, np.zeros(0), nothing
            undecided = np.arange(region.boxes)
        else:
            node, dimension, cut = found.splits.node, found.splits.dimension, found.splits.cut
            violated, undecided = found.violated, found.undecided.node
        tickets, ticket = np.zeros(0, np.int64), 0.0
        if statistics is not None:
            leaves, positions = statistics.remainder.leaves, statistics.remainder.positions
            if positions is not None:
                tickets, ticket = np.zeros(len(undecided), np.int64), leaves.ticket
                tickets[positions] = leaves.tickets
        return cls(
            region.lower,
            region.upper,
            region.weights,
            node,
            dimension,
            cut,
            undecided,
            violated,
            tickets,
            ticket,
        )

    def content(self) -> dict[str, Any]:
        """Return plain JSON; arrays as base64 of little-endian numbers, hence exactly."""
        return {
            "region": {
                "lower": _packed(self.lower),
                "upper": _packed(self.upper),
                "weights": _packed(self.weights),
            },
            "tree": {
                "node": _packed(self.node),
                "dimension": _packed(self.dimension),
                "cut": _packed(self.cut),
            },
            "undecided": _packed(self.undecided),
            "violated": _packed(self.violated),
            "tickets": _packed(self.tickets),
            "ticket_hex": self.ticket.hex(),
        }

    def encoded(self) -> bytes:
        """Return the canonical bytes of :meth:`content`: sorted keys, no spaces."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode("ascii")

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes and the digest of the bytes of :meth:`encoded`."""
        data = self.encoded()
        return {
            "cuts": len(self.node),
            "leaves": len(self.lower) + len(self.node),
            "undecided": len(self.undecided),
            "violated": len(self.violated),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, dtype=_TYPES[array.dtype.kind])
    return {
        "type": "float64" if array.dtype.kind == "f" else "int64",
        "shape": list(array.shape),
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }
