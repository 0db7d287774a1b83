"""The advisory map: where, around the own ship, two networks are proved to advise the same.

Heading and speeds are fixed; what is left is the intruder's position (ρ, θ). A cell is a box in ρ
and θ, hence a box of the networks' inputs, and on the ground a sector of a ring: what is proved on
the box holds for every position in the sector. The plane starts as a grid of such cells, and
`simcert.verify` cuts them further. Each round asks about all cells that are still undecided whether
the networks differ on more than half of them: whatever the answer, at least half is decided.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acasxu import units
from simcert.claim import Claim, Divergence, Region
from simcert.errors import ClaimError, SimcertError
from simcert.evidence import Evidence
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.progress import Progress
from simcert.result import ModelReference, Result
from simcert.verification import verify

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

REACH = 60760.0
"""Greatest distance for which the networks were made, in ft."""

_HALF = 0.5
_CENTRES = 50_000
"""At most so many centres of cells are run."""


class Status(IntEnum):
    """What is known of a cell."""

    PROVED = 0
    """The claim holds at every position in the cell."""
    VIOLATED = 1
    """It fails at every position in the cell; proved, too."""
    UNDECIDED = 2


@dataclass(frozen=True)
class Plane:
    """The positions of the intruder, everything else being fixed.

    Attributes:
        psi: heading of the intruder relative to the own one, in rad.
        v_own: own speed, in ft/s.
        v_int: speed of the intruder, in ft/s.
        reach: greatest distance, in ft.

    Raises:
        ClaimError: a value outside the networks' domain.
    """

    psi: float = math.pi
    v_own: float = 800.0
    v_int: float = 800.0
    reach: float = REACH

    def __post_init__(self) -> None:
        for name, value, least, greatest in (
            ("psi", self.psi, -math.pi, math.pi),
            ("v_own", self.v_own, 100.0, 1200.0),
            ("v_int", self.v_int, 0.0, 1200.0),
            ("reach", self.reach, 1.0, REACH),
        ):
            if not least <= value <= greatest:
                raise ClaimError(f"{name} must be {least:g} to {greatest:g}, not {value:g}")

    def boxes(self, polar: Float) -> tuple[Float, Float]:
        """Input boxes of cells (n, 4) of ρ from, ρ to, θ from, θ to: (n, 5) each, outward."""
        fixed = [self.psi, self.v_own, self.v_int]
        bounds = [
            units.normalised_box([low, right, *fixed], [high, left, *fixed])
            for low, high, right, left in polar.tolist()
        ]
        return np.array([low for low, _ in bounds]), np.array([high for _, high in bounds])

    def inputs(self, rho: Float, theta: Float) -> Float:
        """Network inputs (n, 5) at positions."""
        fixed = np.broadcast_to([self.psi, self.v_own, self.v_int], (len(rho), 3))
        return units.normalise(np.column_stack([rho, theta, fixed]))

    def grid(self, rings: int, sectors: int) -> Float:
        """Cells (rings · sectors, 4) that cover the plane."""
        rho = np.linspace(0.0, self.reach, rings + 1)
        theta = np.linspace(-math.pi, math.pi, sectors + 1)
        ring, sector = (index.ravel() for index in np.indices((rings, sectors)))
        return np.column_stack([rho[ring], rho[ring + 1], theta[sector], theta[sector + 1]])


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the plane.

    Attributes:
        lower: (n, 5) as the networks read them.
        upper: (n, 5).
        block: (n,) the cell of the first grid that each lies in.
        status: (n,) of :class:`Status`.
    """

    lower: Float
    upper: Float
    block: Integer
    status: Integer

    def __len__(self) -> int:
        return len(self.block)

    def take(self, index: NDArray[np.bool_]) -> Cells:
        """Return some of the cells."""
        return Cells(self.lower[index], self.upper[index], self.block[index], self.status[index])

    def joined(self, other: Cells) -> Cells:
        """Return the cells of both."""
        return Cells(
            np.concatenate([self.lower, other.lower]),
            np.concatenate([self.upper, other.upper]),
            np.concatenate([self.block, other.block]),
            np.concatenate([self.status, other.status]),
        )

    @property
    def polar(self) -> Float:
        """(n, 4) ρ from, ρ to (ft), θ from, θ to (rad)."""
        low, high = units.denormalise(self.lower), units.denormalise(self.upper)
        return np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]])

    @property
    def area(self) -> Float:
        """(n,) on the ground, in square feet."""
        return area_of(self.polar)


def area_of(polar: Float) -> Float:
    """Areas (n,) of cells (n, 4) on the ground, in square feet."""
    inner, outer, right, left = np.maximum(polar.T, [[0.0], [0.0], [-np.inf], [-np.inf]])
    return np.asarray((outer**2 - inner**2) / 2 * (left - right))


@dataclass(frozen=True)
class Witness:
    """A position at which both files were run and do not agree.

    Attributes:
        rho: in ft.
        theta: in rad.
        original: index of the original's advisory.
        compressed: index of the compressed network's advisory.
        divergence: of the two outputs.
        proved: whether it lies in a cell on which the claim is proved to fail.
    """

    rho: float
    theta: float
    original: int
    compressed: int
    divergence: float
    proved: bool


@dataclass(frozen=True, eq=False)
class AdvisoryMap:
    """What is known of every position.

    Attributes:
        plane: what is fixed.
        decision: whether advisories are compared, or else scores.
        tolerance: up to which scores count as the same.
        event: what would contradict the claim, in words.
        cells: a partition of the plane, as far as float32 goes.
        blocks: (blocks, 4) the first grid, polar.
        allowed: share of a block's area up to which it counts as bounded.
        witnesses: positions where the files differ.
        original: which file.
        compressed: which file.
        arithmetic: that the proofs speak of.
        boxes: that were bounded.
        rounds: of verification.
        seconds: for all of them.
        stopped: why the last one ended.
    """

    plane: Plane
    decision: bool
    tolerance: float
    event: str
    cells: Cells
    blocks: Float
    allowed: float
    witnesses: tuple[Witness, ...]
    original: ModelReference
    compressed: ModelReference
    arithmetic: str
    boxes: int
    rounds: int
    seconds: float
    stopped: str

    @property
    def unproved(self) -> Float:
        """(blocks,) the share of each block's area that is not proved: P(d > ε) is at most that."""
        lost = np.where(self.cells.status == Status.PROVED, 0.0, self.cells.area)
        lost = np.bincount(self.cells.block, lost, len(self.blocks))
        share: Float = np.minimum(1.0, lost / area_of(self.blocks) * (1 + 1e-6))
        return share

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """(blocks,) the blocks that are not proved as a whole, but all except ``allowed``."""
        return np.asarray((self.unproved > 0) & (self.unproved <= self.allowed))

    def share(self, status: Status) -> float:
        """Share of the plane's area with a status."""
        area = self.cells.area
        return float(area[self.cells.status == status].sum() / area.sum())


def explore(
    original: Path,
    compressed: Path,
    plane: Plane,
    divergence: Divergence,
    *,
    tolerance: float = 0.0,
    arithmetic: str | None = None,
    rings: int = 16,
    sectors: int = 48,
    allowed: float = 0.05,
    undecided: float = 0.005,
    time_limit: float = 60.0,
    max_boxes: int | None = None,
    threads: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> AdvisoryMap:
    """Verify every part of the plane.

    Args:
        original: an ONNX file.
        compressed: an ONNX file.
        plane: what is fixed.
        divergence: how outputs are compared.
        tolerance: up to which they count as the same.
        arithmetic: of the claim; its default if None.
        rings: of the first grid.
        sectors: of the first grid.
        allowed: share of a block up to which it counts as bounded.
        undecided: share of the plane's area at which to stop.
        time_limit: seconds.
        max_boxes: boxes to bound at most; a map that ends by it is the same on every machine.
        threads: for each verification.
        seed: of its draws.
        progress: is told how far a verification is.

    Raises:
        SimcertError: files or options are rejected, or runs contradict a proof.
    """
    if rings < 1 or sectors < 3 or not 0 <= allowed < 1 or not 0 <= undecided < 1:
        raise ClaimError("at least 1 ring and 3 sectors; shares from 0 to below 1")
    start = time.monotonic()
    blocks = plane.grid(rings, sectors)
    lower, upper = plane.boxes(blocks)
    left = Cells(lower, upper, np.arange(len(blocks)), np.full(len(blocks), int(Status.UNDECIDED)))
    done, total = left.take(np.zeros(len(left), bool)), float(left.area.sum())
    boxes = rounds = 0
    while True:
        claim = _claim(left, divergence, tolerance, arithmetic)
        result = verify(
            original,
            compressed,
            claim,
            samples=0,
            time_limit=max(1.0, time_limit - (time.monotonic() - start)),
            max_boxes=None if max_boxes is None else max_boxes - boxes,
            threads=threads,
            seed=seed,
            progress=progress,
        )
        _check(result)
        leaves = _leaves(result.evidence, left)
        is_open = leaves.status == Status.UNDECIDED
        before, left = float(left.area.sum()), leaves.take(is_open)
        done = done.joined(leaves.take(~is_open))
        boxes, rounds = boxes + result.proof.boxes, rounds + 1
        area = float(left.area.sum())
        out_of_time = time.monotonic() - start > time_limit
        out_of_boxes = max_boxes is not None and boxes >= max_boxes
        stuck = result.proof.stopped in ("interrupted", "unavailable") or area >= before
        if area <= undecided * total or out_of_time or out_of_boxes or stuck:
            break
    found = AdvisoryMap(
        plane=plane,
        decision=divergence.decision is not None,
        tolerance=tolerance,
        event=divergence.event(tolerance),
        cells=done.joined(left),
        blocks=blocks,
        allowed=allowed,
        witnesses=(),
        original=result.original,
        compressed=result.compressed,
        arithmetic=result.claim.arithmetic,
        boxes=boxes,
        rounds=rounds,
        seconds=time.monotonic() - start,
        stopped=(
            result.proof.stopped
            if stuck
            else "time limit"
            if out_of_time
            else "box limit"
            if out_of_boxes
            else "finished"
        ),
    )
    run = files_runner(original, compressed)
    return replace(found, witnesses=_witnesses(found, divergence, tolerance, run))


def _claim(cells: Cells, divergence: Divergence, tolerance: float, arithmetic: str | None) -> Claim:
    region = Region.from_boxes(
        cells.lower,
        cells.upper,
        weights=cells.area,
        source="cells of an advisory map",
        names=units.INPUTS,
    )
    claim = Claim(region, divergence=divergence, tolerance=tolerance, max_violation=_HALF)
    return claim if arithmetic is None else replace(claim, arithmetic=arithmetic)


def _check(result: Result) -> None:
    """A proof that runs contradict is none."""
    for sentence in result.explanation:
        if "contradict" in sentence:
            raise SimcertError(sentence)


def _leaves(evidence: Evidence | None, roots: Cells) -> Cells:
    """The cells into which a verification cut its region, with what it found out about each."""
    if evidence is None:
        raise SimcertError("the verification left no evidence of what it proved where")
    if np.isin(np.concatenate([evidence.undecided, evidence.violated]), evidence.node).any():
        return roots  # interrupted between two steps: the tree is not whole, and counts for nothing
    count, cuts = len(evidence.lower), len(evidence.node)
    lower = np.concatenate([evidence.lower, np.zeros((2 * cuts, 5))])
    upper = np.concatenate([evidence.upper, np.zeros((2 * cuts, 5))])
    root = np.concatenate([np.arange(count), np.zeros(2 * cuts, np.int64)])
    status = np.full(count + 2 * cuts, int(Status.PROVED))
    for k, (node, dimension, cut) in enumerate(
        zip(evidence.node.tolist(), evidence.dimension.tolist(), evidence.cut.tolist(), strict=True)
    ):
        below = count + 2 * k
        lower[below : below + 2], upper[below : below + 2] = lower[node], upper[node]
        root[below : below + 2] = root[node]
        upper[below, dimension] = lower[below + 1, dimension] = cut
    status[evidence.violated] = Status.VIOLATED
    status[evidence.undecided] = Status.UNDECIDED
    is_leaf = np.ones(len(status), bool)
    is_leaf[evidence.node] = False
    _merge(evidence.node, count, status, is_leaf)
    return Cells(lower, upper, roots.block[root], status).take(is_leaf)


def _merge(node: Integer, count: int, status: Integer, is_leaf: NDArray[np.bool_]) -> None:
    """Put together the two halves of a cell where both were decided alike, last cut first."""
    for k in range(len(node) - 1, -1, -1):
        halves = slice(count + 2 * k, count + 2 * k + 2)
        one, other = status[halves]
        if is_leaf[halves].all() and one == other != Status.UNDECIDED:
            is_leaf[halves], is_leaf[node[k]], status[node[k]] = False, True, one


Run = Callable[[Float], tuple[Float, Float]]
"""Runs both files on inputs (n, 5) and returns their outputs (n, 5)."""


def files_runner(original: Path, compressed: Path) -> Run:
    """Both files in ONNX Runtime."""
    f, g = Runtime(load(original)), Runtime(load(compressed))
    return lambda inputs: (f.run(inputs), g.run(inputs))


def _witnesses(
    found: AdvisoryMap, divergence: Divergence, tolerance: float, run: Run
) -> tuple[Witness, ...]:
    """The centres of cells that are not proved, largest first, where the two files differ."""
    cells = found.cells.take(found.cells.status != Status.PROVED)
    cells = cells.take(_largest(cells.area, _CENTRES))
    if not len(cells):
        return ()
    inputs = (cells.lower + cells.upper) / 2
    f, g = run(inputs)
    d = divergence.evaluate(f, g)
    raw, one, other = units.denormalise(inputs), units.advisory(f), units.advisory(g)
    order = np.argsort(-cells.area, kind="stable")
    return tuple(
        Witness(
            float(raw[i, 0]),
            float(raw[i, 1]),
            int(one[i]),
            int(other[i]),
            float(d[i]),
            bool(cells.status[i] == Status.VIOLATED),
        )
        for i in order
        if d[i] > tolerance
    )


def _largest(values: Float, count: int) -> NDArray[np.bool_]:
    chosen = np.zeros(len(values), bool)
    chosen[np.argsort(-values, kind="stable")[:count]] = True
    return chosen
