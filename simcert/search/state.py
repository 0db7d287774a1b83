"""A search that stopped, as a file, so that a later one can go on from it.

The file is a .npz of arrays without pickles; a JSON header says to which models, claim and seed it
belongs. Its bytes may come from anywhere, so that sizes, types, the split tree and the corners of
all boxes are checked. That the boxes which are not in it were proved cannot be checked without
proving them again: whoever goes on from a state trusts who wrote it.
"""

from __future__ import annotations

import json
import secrets
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simcert.claim import Region
from simcert.errors import ClaimError
from simcert.regular import open_regular
from simcert.search.boxes import Boxes, Float, Integer, Splits
from simcert.search.witness import Candidate

FORMAT = "simcert-search/1"

_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class State:
    """What is left to do and what was shown, between two batches.

    Attributes:
        open: the boxes that wait.
        stuck: the boxes that cannot be decided.
        splits: how the region was cut.
        violated: (leaves,) numbers of the leaves on which d > ε is proved.
        nodes: how many nodes the split tree has.
        boxes: how many boxes were bounded.
        closed: (4,) proved bound and mean of d on decided boxes, mass of the violated ones rounded
            down and up.
        closed_rows: (S,) proved bounds of the linear functions on decided boxes.
        candidate: the input with the greatest divergence seen.
    """

    open: Boxes
    stuck: Boxes
    splits: Splits
    violated: Integer
    nodes: int
    boxes: int
    closed: Float
    closed_rows: Float
    candidate: Candidate | None

    def save(self, path: Path, identity: dict[str, Any], runs: int) -> None:
        """Write the state, whole or not at all.

        Args:
            path: where to.
            identity: what the search belongs to, see :meth:`load`.
            runs: how many runs came to this state.

        Raises:
            OSError: it cannot be written.
        """
        header = json.dumps({"format": FORMAT, "runs": runs, **identity}).encode()
        candidate = self.candidate
        seen = [] if candidate is None else [candidate.divergence, *candidate.input]
        arrays: dict[str, NDArray[Any]] = {
            "header": np.frombuffer(header, dtype=np.uint8),
            "violated": self.violated,
            "counts": np.array(
                [self.nodes, self.boxes, -1 if candidate is None else candidate.root]
            ),
            "closed": self.closed,
            "closed_rows": self.closed_rows,
            "candidate": np.array(seen, dtype=np.float64),
        }
        for name, part in (("open", self.open), ("stuck", self.stuck), ("splits", self.splits)):
            arrays |= {f"{name}.{f.name}": getattr(part, f.name) for f in fields(part)}
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with temporary.open("xb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(
        cls, path: Path, identity: dict[str, Any], like: Boxes, region: Region
    ) -> tuple[Self, int]:
        """Read a state, and how many runs came to it.

        Args:
            path: the file.
            identity: what the state must belong to: a digest of everything that decides a search.
            like: boxes with the types and sizes that the state's must have.
            region: the region that all boxes are parts of.

        Raises:
            ClaimError: it is no state, or of another search, or it contradicts itself.
        """
        try:
            arrays = _arrays(path)
            header = json.loads(arrays["header"].tobytes()[:_HEADER_BYTES])
            if header.get("format") != FORMAT:
                raise ClaimError(f"{path} is no state of a search, or one of another version")
            other = [name for name, value in identity.items() if header.get(name) != value]
            if other:
                raise ClaimError(
                    f"{path} is the state of another search: {', '.join(other)} differ"
                )
            runs = int(header["runs"])
            nodes, boxes, root = (int(number) for number in arrays["counts"])
            divergence, *x = arrays["candidate"].tolist() or [0.0]
            state = cls(
                _boxes(arrays, "open", like),
                _boxes(arrays, "stuck", like.bare),
                Splits(*(arrays[f"splits.{f.name}"] for f in fields(Splits))),
                arrays["violated"],
                nodes,
                boxes,
                arrays["closed"],
                arrays["closed_rows"],
                Candidate(np.array(x), root, divergence) if x else None,
            )
            state._check(region)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError) as error:
            raise ClaimError(f"{path} is no state of a search: {error}") from error
        except (OSError, zipfile.BadZipFile, RecursionError) as error:
            raise ClaimError(f"{path} cannot be read as a state of a search: {error}") from error
        return state, runs

    def _check(self, region: Region) -> None:
        """Rebuild the split tree and compare the corners of all boxes with it.

        Raises:
            ValueError: they contradict each other.
        """
        count = len(self.splits)
        # A box that was bounded is cut once, or it and both halves.
        if self.nodes != region.boxes + 2 * count or 3 * self.boxes < count:
            raise ValueError("its counts contradict each other")
        lower, upper = (
            np.concatenate([corner, np.zeros((2 * count, region.inputs))])
            for corner in (region.lower, region.upper)
        )
        root = np.concatenate([np.arange(region.boxes), np.zeros(2 * count, dtype=np.int64)])
        leaf = np.ones(self.nodes, dtype=bool)
        cuts = zip(self.splits.node, self.splits.dimension, self.splits.cut, strict=True)
        for index, (node, dimension, cut) in enumerate(cuts):
            below = region.boxes + 2 * index
            if not (0 <= node < below and leaf[node] and 0 <= dimension < region.inputs):
                raise ValueError("its split tree is none")
            if not lower[node, dimension] < cut < upper[node, dimension]:
                raise ValueError("a cut lies outside its box")
            leaf[node] = False
            lower[below : below + 2], upper[below : below + 2] = lower[node], upper[node]
            upper[below, dimension] = lower[below + 1, dimension] = cut
            root[below : below + 2] = root[node]
        listed = np.concatenate([self.open.node, self.stuck.node, self.violated])
        if len(np.unique(listed)) != len(listed) or not leaf[listed].all():
            raise ValueError("its boxes are not leaves of its split tree")
        for boxes in (self.open, self.stuck):
            same = (lower[boxes.node] == boxes.lower) & (upper[boxes.node] == boxes.upper)
            if not (same.all() and (root[boxes.node] == boxes.root).all()):
                raise ValueError("a box is not where its split tree puts it")
        candidate = self.candidate
        if candidate is not None and (
            not 0 <= candidate.root < region.boxes or len(candidate.input) != region.inputs
        ):
            raise ValueError("its candidate is outside the region")
        if self.closed.shape != (4,) or np.isnan(self.closed).any():
            raise ValueError("what it says of decided boxes is no number")


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file, of which none may unpack to more than is there."""
    with open_regular(path) as file:
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("its arrays are compressed")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def _boxes(arrays: dict[str, NDArray[Any]], name: str, like: Boxes) -> Boxes:
    boxes = Boxes(**{f.name: arrays[f"{name}.{f.name}"] for f in fields(Boxes)})
    for f in fields(Boxes):
        own, wanted = getattr(boxes, f.name), getattr(like, f.name)
        if own.dtype != wanted.dtype or own.shape != (len(boxes), *wanted.shape[1:]):
            raise ValueError(f"{name}.{f.name} is an array of {own.dtype} {own.shape}")
        if np.isnan(own).any():
            raise ValueError(f"{name}.{f.name} holds no number")
    return boxes
