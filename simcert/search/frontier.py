"""The boxes that wait to be bounded, the most urgent first, within a limit of memory.

What does not fit is written to a temporary folder and read back when its turn comes, so that the
limit changes neither the order of the boxes nor the result of a search.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from simcert.search.boxes import Boxes, Float, Integer

CACHE = "SIMCERT_CACHE"
"""Environment variable that moves the folder in which boxes are stored for the time of a run."""

_SEGMENT = 4096
"""Boxes of one file."""


@dataclass(frozen=True)
class _Segment:
    """A file of boxes in the order of urgency, and what of them is needed without reading it.

    Attributes:
        path: of the file.
        count: how many boxes.
        best: key and number of the most urgent box.
        bound: the largest bound.
        mass: the sum of the masses.
        possible: the sum of what may violate.
    """

    path: Path
    count: int
    best: tuple[float, int]
    bound: float
    mass: float
    possible: float


class Frontier:
    """Boxes by urgency: those with the greatest key, of these those with the least number.

    Args:
        boxes: the first ones.
        by_bound: whether the key is a box's bound; else it is what of it may violate.
        memory: bytes that boxes in memory may take.
        folder: where the others go; by default into $SIMCERT_CACHE or the user's cache.
    """

    def __init__(
        self, boxes: Boxes, *, by_bound: bool, memory: float = math.inf, folder: Path | None = None
    ) -> None:
        self._key = "bound" if by_bound else "possible"
        self._memory = memory
        self._none = boxes.take(slice(0, 0))
        self._columns = {f.name: np.array(getattr(self._none, f.name)) for f in fields(Boxes)}
        self._alive = np.zeros(0, dtype=bool)
        self._segments: list[_Segment] = []
        self._parent = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0
        self.push(boxes)

    def __len__(self) -> int:
        return int(self._alive.sum()) + sum(segment.count for segment in self._segments)

    @property
    def on_disk(self) -> int:
        """How many boxes are on disk."""
        return sum(segment.count for segment in self._segments)

    @property
    def mass(self) -> float:
        """Sum of the masses."""
        return self._sum("mass") + math.fsum(segment.mass for segment in self._segments)

    @property
    def possible(self) -> float:
        """Sum of what may violate."""
        return self._sum("possible") + math.fsum(segment.possible for segment in self._segments)

    @property
    def bound(self) -> float:
        """The largest bound, 0 where there is none."""
        stored = max((segment.bound for segment in self._segments), default=0.0)
        return max(stored, float(self._columns["bound"][self._alive].max(initial=0.0)))

    def push(self, boxes: Boxes) -> Boxes:
        """Add boxes, and return those for which there is no room, neither in memory nor on disk."""
        free = np.flatnonzero(~self._alive)
        if len(free) < len(boxes):
            self._grow(len(self._alive) + len(boxes) - len(free))
            free = np.flatnonzero(~self._alive)
        slots = free[: len(boxes)]
        for name, column in self._columns.items():
            column[slots] = getattr(boxes, name)
        self._alive[slots] = True
        if self._alive.sum() * self._bytes_of_a_box <= self._memory:
            return self._none
        return self._store()

    def pop(self, count: int) -> Boxes:
        """Remove and return the most urgent boxes, at most ``count``, in order of urgency."""
        while True:
            slots = self._first(count)
            worst = self._urgency(slots[-1]) if len(slots) == count else (math.inf, 0)
            due = [s for s in self._segments if (-s.best[0], s.best[1]) < worst]
            if not due:
                break
            segment = min(due, key=lambda s: (-s.best[0], s.best[1]))
            # In this order: an interruption may leave boxes twice, and never loses one.
            self._insert(_read(segment.path, self._none))
            self._segments.remove(segment)
            segment.path.unlink()
        popped = self._gather(slots)
        self._alive[slots] = False
        return popped

    def settled(self, limit: float) -> Boxes:
        """Remove and return the boxes in memory whose bound is at most ``limit``."""
        slots = np.flatnonzero(self._alive & (self._columns["bound"] <= limit))
        settled = self._gather(slots)
        self._alive[slots] = False
        return settled

    def parts(self) -> Iterator[Boxes]:
        """Yield all boxes, in memory and on disk; they stay."""
        yield self._gather(np.flatnonzero(self._alive))
        for segment in self._segments:
            yield _read(segment.path, self._none)

    def close(self) -> None:
        """Delete what is on disk; the boxes there are lost."""
        self._segments.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def _bytes_of_a_box(self) -> int:
        return sum(c.itemsize * math.prod(c.shape[1:]) for c in self._columns.values())

    def _sum(self, name: str) -> float:
        return float(self._columns[name][self._alive].sum())

    def _gather(self, slots: NDArray[np.intp]) -> Boxes:
        return Boxes(**{name: column[slots] for name, column in self._columns.items()})

    def _insert(self, boxes: Boxes) -> None:
        memory, self._memory = self._memory, math.inf
        try:
            self.push(boxes)
        finally:
            self._memory = memory

    def _grow(self, least: int) -> None:
        size = max(least, 2 * len(self._alive), 16)
        if math.isfinite(self._memory):  # not twice of what may be used
            size = max(least, min(size, int(self._memory / self._bytes_of_a_box)))
        for name, column in self._columns.items():
            grown = np.empty((size, *column.shape[1:]), dtype=column.dtype)
            grown[: len(column)] = column
            self._columns[name] = grown
        self._alive = np.concatenate([self._alive, np.zeros(size - len(self._alive), dtype=bool)])

    def _urgency(self, slot: int) -> tuple[float, int]:
        """What orders the boxes: smaller is more urgent."""
        return -float(self._columns[self._key][slot]), int(self._columns["node"][slot])

    def _first(self, count: int) -> NDArray[np.intp]:
        """Return the slots of the most urgent boxes in memory, in order."""
        slots = np.flatnonzero(self._alive)
        key: Float = -self._columns[self._key][slots]
        node: Integer = self._columns["node"][slots]
        if count < len(slots):
            border = np.partition(key, count)[count]
            near = key <= border
            slots, key, node = slots[near], key[near], node[near]
        return slots[np.lexsort((node, key))[:count]]

    def _store(self) -> Boxes:
        """Write the less urgent half to disk; return what fails, without bounds of neurons."""
        slots = self._first(int(self._alive.sum()))
        slots = slots[len(slots) // 2 :]
        lost = [self._none]
        for start in range(0, len(slots), _SEGMENT):
            part = slots[start : start + _SEGMENT]
            boxes = self._gather(part)
            try:
                self._segments.append(self._write(boxes))
            except OSError:
                lost.append(replace(boxes, inherited=boxes.inherited[:, :, :0]))
            self._alive[part] = False
        return Boxes.concatenated(lost)

    def _write(self, boxes: Boxes) -> _Segment:
        if self._folder is None:
            parent = self._parent or Path(os.environ.get(CACHE) or user_cache_path("simcert"))
            parent.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix="search-", dir=parent)
        self._files += 1
        path = Path(self._folder.name) / f"{self._files}.npz"
        try:
            np.savez(
                path, allow_pickle=False, **{f.name: getattr(boxes, f.name) for f in fields(Boxes)}
            )
        except OSError:
            path.unlink(missing_ok=True)
            raise
        best = float(getattr(boxes, self._key)[0]), int(boxes.node[0])
        return _Segment(
            path,
            len(boxes),
            best,
            float(boxes.bound.max()),
            float(boxes.mass.sum()),
            float(boxes.possible.sum()),
        )


def _read(path: Path, like: Boxes) -> Boxes:
    with np.load(path, allow_pickle=False) as arrays:
        return Boxes(**{f.name: arrays[f.name] for f in fields(like)})
