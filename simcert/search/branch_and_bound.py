"""Branch and bound over the inputs: proves d ≤ ε box by box, or narrows the worst case."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from simcert.bounds import OutOfTimeError, Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.claim import Claim
from simcert.claim.vnnlib2 import Condition
from simcert.integration import Integrator
from simcert.pairing import DualProgram
from simcert.progress import Progress
from simcert.result import Stopped
from simcert.search.boxes import UP, Boxes, Float, Integer, Splits, roots, split
from simcert.search.witness import Candidate, Evaluate, best_of
from simcert.search.workers import Workers

GAP = 0.01
"""Without a tolerance the search ends when the proved worst case is this close to a witness."""

_COMPILE_AFTER = 8192
"""Boxes after which the loops of :mod:`simcert.bounds.dense` are worth their compilation."""

_LARGEST_BATCH = 512
_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class Found:
    """What a search established.

    Attributes:
        undecided: the boxes on which the claim is neither proved nor refuted.
        splits: how the region was cut; every leaf is undecided, violated or proved.
        violated: (leaves,) numbers of the leaves on which d > ε is proved.
        bound: proved upper bound of the divergence on the region.
        rows: (S,) proved bounds of the divergence's linear functions, in absolute value.
        boxes: how many boxes were bounded.
        decided_bound: proved upper bound of the divergence on all decided boxes.
        decided_mean: at least the expectation of d restricted to the decided boxes.
        violated_mass: probability of the boxes on which d > ε is proved, rounded down.
        violated_upper: the same, rounded up.
        candidate: the input with the greatest divergence seen, if any input was run.
        stopped: why the search ended.
    """

    undecided: Boxes
    splits: Splits
    violated: Integer
    bound: float
    rows: Float
    boxes: int
    decided_bound: float
    decided_mean: float
    violated_mass: float
    violated_upper: float
    candidate: Candidate | None
    stopped: Stopped

    @property
    def undecided_lower(self) -> float:
        """Probability of the undecided boxes, rounded down."""
        return self.undecided.mass_lower

    @property
    def undecided_mass(self) -> float:
        """Probability of the undecided boxes, rounded up."""
        return self.undecided.mass_upper


class BranchAndBound:
    """Splits boxes of inputs until the claim is decided on each of them, or a budget is spent.

    With a tolerance a box is settled once its bound is at most ε. Without one, it is settled once
    its bound is within :data:`GAP` of the largest divergence seen, which narrows the worst case
    from both sides.

    Args:
        dual: the aligned pair.
        claim: what is to be shown; its region has bounds of type ``dtype``.
        evaluate: runs both files.
        dtype: the networks' input type.
        candidate: the best input that is known.
        threads: how many threads share a batch; the result does not depend on it.
        work: of :class:`~simcert.bounds.Propagator`.
    """

    def __init__(
        self,
        dual: DualProgram,
        claim: Claim,
        evaluate: Evaluate,
        dtype: DTypeLike,
        candidate: Candidate | None = None,
        threads: int = 1,
        work: float = math.inf,
    ) -> None:
        self._claim = claim
        self._evaluate = evaluate
        self._dtype = dtype
        self._wanted = claim.divergence.rows(dual.outputs)
        rows = self._wanted.f, self._wanted.g, self._wanted.difference
        f, g, delta = (torch.as_tensor(c) for c in rows)
        self._functions = f, g, delta
        float32 = claim.arithmetic == "float32"
        self._workers = Workers(threads)
        self._propagator: Propagator | DensePropagator = Propagator(
            dual, f, g, delta, float32=float32, work=work, parallel=self._workers.map
        )
        self._dense = layers_of(dual, float32=float32)
        per_box = max(node.size for node in dual.nodes) * (16 + 2 * len(rows[0]))
        self._batch = max(1, min(_LARGEST_BATCH, _BATCH_ELEMENTS // per_box))
        neurons = self._propagator.neurons
        self._integrator = Integrator(claim, dtype, len(rows[0]))
        self._open = roots(
            claim.region, claim.distribution, len(rows[0]), neurons, self._integrator.width
        )
        self._current = self._stuck = self._open.take(slice(0, 0))
        self._closed_bound = self._closed_mean = 0.0
        self._closed_rows = np.zeros(len(rows[0]))
        self._violated_lower = self._violated_upper = 0.0
        self._splits: list[Splits] = []
        self._violated: list[int] = []
        self._nodes = len(self._open)
        self._boxes = 0
        self._candidate = candidate
        self._integrate = True

    def run(
        self,
        *,
        deadline: float,
        max_boxes: int | None,
        progress: Progress,
        integrate: bool = True,
    ) -> Found:
        """Search, and return what was found also when interrupted.

        Args:
            deadline: value of ``time.monotonic()`` at which to stop.
            max_boxes: how many boxes to bound at most.
            progress: is told about each batch.
            integrate: whether a claim about a probability is decided, and the search over, once
                integrated linear bounds show it; else what is proved alone must show it.
        """
        self._integrate = integrate
        # What an earlier run was cut short on is taken up again.
        self._open = self._current.joined(self._open)
        self._current = self._current.take(slice(0, 0))
        stopped: Stopped
        try:
            stopped = self._search(deadline, max_boxes, progress)
        except KeyboardInterrupt:
            stopped = "interrupted"
        except OutOfTimeError:
            stopped = "time limit"
        # A batch that was cut short is in ``_current``; nothing is lost.
        undecided = self._open.joined(self._current).joined(self._stuck)
        return Found(
            undecided,
            Splits.joined(self._splits),
            np.array(self._violated, dtype=np.int64),
            float(max(self._closed_bound, undecided.bound.max(initial=0.0))),
            np.maximum(self._closed_rows, undecided.rows.max(axis=0, initial=0.0)),
            self._boxes,
            self._closed_bound,
            self._closed_mean * UP,
            self._violated_lower,
            min(1.0, self._violated_upper * UP),
            self._candidate,
            stopped,
        )

    def _search(self, deadline: float, max_boxes: int | None, progress: Progress) -> Stopped:
        while len(self._open):
            if self._decided():
                return "target reached"
            if time.monotonic() > deadline:
                return "time limit"
            size = self._batch
            if max_boxes is not None:
                size = min(size, max_boxes - self._boxes)
            if size <= 0:
                return "box limit"
            self._take(size)
            self._settle(self._bound(deadline))
            progress.update(
                "searching",
                proved=max(0.0, 1.0 - self._undecided_mass() - self._violated_upper),
                undecided=self._undecided_mass(),
                boxes=self._boxes,
                bound=max(self._closed_bound, self._open.bound.max(initial=0.0)),
            )
        return "finished"

    def _decided(self) -> bool:
        """Whether the claim is decided although boxes are left."""
        tolerance, allowed = self._claim.tolerance, self._claim.max_violation
        if tolerance is None:
            return False
        if allowed is None:
            return self._candidate is not None and self._candidate.divergence > tolerance
        parts = self._open, self._current, self._stuck
        shares = (part.possible if self._integrate else part.mass for part in parts)
        possible = math.fsum(share.sum() for share in shares) + self._violated_upper
        return self._violated_lower > allowed or possible * UP <= allowed

    def _undecided_mass(self) -> float:
        return float(self._open.mass.sum() + self._current.mass.sum() + self._stuck.mass.sum())

    def _limit(self) -> float:
        """Return the bound at which a box is settled."""
        if self._claim.tolerance is not None:
            return self._claim.tolerance
        return 0.0 if self._candidate is None else self._candidate.divergence * (1 + GAP)

    def _take(self, size: int) -> None:
        """Move the most urgent boxes to ``_current``: by what may violate, else by bound."""
        key = self._open.bound if self._claim.tolerance is None else self._open.possible
        order = np.argsort(-key, kind="stable")
        self._current = self._open.take(order[:size])
        self._open = self._open.take(np.sort(order[size:]))

    def _bound(self, deadline: float) -> RowBounds:
        """Bound the boxes of ``_current``, in parts that do not depend on the number of threads."""
        if self._dense is not None and self._boxes >= _COMPILE_AFTER:
            self._propagator = DensePropagator(self._dense, *self._functions)
            self._dense = None
        propagator, boxes = self._propagator, self._current
        size = propagator.part

        def bound(own: Boxes) -> RowBounds:
            lower, upper = torch.as_tensor(own.lower), torch.as_tensor(own.upper)
            return propagator.bound(lower, upper, torch.as_tensor(own.inherited), deadline)

        if size is None:  # a wide network: its operations use torch's own threads
            return bound(boxes)
        parts = [boxes.take(slice(i, i + size)) for i in range(0, len(boxes), size)]
        return RowBounds.joined(self._workers.map(bound, parts))

    def _settle(self, bounds: RowBounds) -> None:
        """Close, mark as violated, or split the boxes of ``_current``."""
        boxes, divergence = self._current, self._claim.divergence
        lower, upper = bounds.lower.cpu().numpy(), bounds.upper.cpu().numpy()
        bound = np.fmin(boxes.bound, np.nan_to_num(divergence.upper(lower, upper), nan=np.inf))
        rows = np.fmin(boxes.rows, np.maximum(np.abs(lower), np.abs(upper)))
        inherited, (slope, offset) = bounds.inherited.cpu().numpy(), self._integrator.linear(bounds)
        boxes = replace(
            boxes, bound=bound, rows=rows, inherited=inherited, slope=slope, offset=offset
        )
        self._try_corners(boxes, bounds)

        violated = np.zeros(len(boxes), dtype=bool)
        if self._claim.tolerance is not None:
            violated = divergence.lower(lower, upper) > self._claim.tolerance
        settled = bound <= self._limit()
        closed = settled | violated
        self._close(boxes.take(closed))
        self._violated.extend(boxes.node[violated].tolist())
        mass = float(boxes.mass[violated].sum())
        self._violated_upper += mass
        self._violated_lower += boxes.take(violated).mass_lower

        score = self._score(boxes, bounds, lower, upper)
        halves, narrow, cuts = split(
            boxes.take(~closed),
            score[~closed],
            self._claim.region,
            self._claim.distribution,
            self._dtype,
            self._nodes,
        )
        self._splits.append(cuts)
        halves = replace(halves, possible=self._integrator.possible(halves))
        self._nodes += 2 * len(cuts)
        self._boxes += len(boxes)
        self._stuck = self._stuck.joined(narrow)
        self._open = self._open.joined(halves)
        self._current = boxes.take(slice(0, 0))
        if self._claim.tolerance is None:  # a better witness may have settled other boxes
            settled = self._open.bound <= self._limit()
            self._close(self._open.take(settled))
            self._open = self._open.take(~settled)

    def _close(self, boxes: Boxes) -> None:
        """Remember what is proved on boxes that are not split further."""
        self._closed_bound = max(self._closed_bound, float(boxes.bound.max(initial=0.0)))
        self._closed_rows = np.maximum(self._closed_rows, boxes.rows.max(axis=0, initial=0.0))
        with np.errstate(over="ignore", invalid="ignore"):
            self._closed_mean += float(np.nan_to_num(boxes.mass * boxes.bound, nan=np.inf).sum())

    def _score(self, boxes: Boxes, bounds: RowBounds, lower: Float, upper: Float) -> Float:
        """Return what a cut in each dimension promises, (B, inputs).

        The sum over the functions that matter of the squared share that a dimension has in the
        spread of its linear bounds: ((|lower slope| + |upper slope|) · width / bound)².
        """
        slope = (bounds.lower_slope.abs() + bounds.upper_slope.abs()).cpu().numpy()
        size = np.maximum(np.maximum(np.abs(lower), np.abs(upper)), np.finfo(np.float64).tiny)
        with np.errstate(over="ignore", invalid="ignore"):
            share = slope * (boxes.upper - boxes.lower)[:, None] / size[..., None]
            score: Float = np.where(self._keeping(lower, upper)[..., None], share**2, 0.0).sum(1)
        return score

    def _keeping(self, lower: Float, upper: Float) -> NDArray[np.bool_]:
        """Return which functions (B, S) a cut should tighten.

        Of decisions those whose sign is open. Of differences and of queries all, also those that
        are small enough: on ACAS Xu that needs fewer boxes than the open ones alone, whose linear
        bounds may not depend on an input that their relaxations do depend on.
        """
        of_differences = not (self._wanted.f.any() or self._wanted.g.any())
        if of_differences or isinstance(self._claim.divergence, Condition):
            return np.ones_like(lower, dtype=bool)
        keeping = (lower <= 0) & (upper >= 0)
        keeping[~keeping.any(axis=1)] = True
        return keeping

    def _try_corners(self, boxes: Boxes, bounds: RowBounds) -> None:
        """Run both files where the linear bounds are greatest."""
        above = bounds.upper.abs().cpu().numpy() >= bounds.lower.abs().cpu().numpy()
        row = boxes.rows.argmax(axis=1)
        index = np.arange(len(boxes))
        slope = np.where(
            above[index, row][:, None],
            bounds.upper_slope.cpu().numpy()[index, row],
            -bounds.lower_slope.cpu().numpy()[index, row],
        )
        points = np.where(slope > 0, boxes.upper, boxes.lower)
        self._candidate = best_of(self._candidate, points, boxes.root, self._evaluate(points))
