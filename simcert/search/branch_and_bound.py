"""Branch and bound over the inputs: proves d ≤ ε box by box, or narrows the worst case."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from simcert.bounds import OutOfTimeError, RowBounds
from simcert.claim import Claim
from simcert.claim.vnnlib2 import Condition
from simcert.integration import Integrator
from simcert.pairing import DualProgram
from simcert.progress import Progress
from simcert.result import Stopped
from simcert.search.boxes import UP, Boxes, Float, Integer, Splits, roots, split
from simcert.search.frontier import Frontier
from simcert.search.goals import goals_of
from simcert.search.job import Job, Part
from simcert.search.state import State
from simcert.search.witness import Candidate, Evaluate, best_of
from simcert.search.workers import Threads, Workers

GAP = 0.01
"""Without a tolerance the search ends when the proved worst case is this close to a witness."""

_COMPILE_AFTER, _COMPILED_AFTER = 32, 64
"""Boxes after which the loops of :mod:`simcert.bounds.dense` are compiled beside the search, and
after which they are used: both fixed, so that no result depends on how long that takes."""

_FEW_INPUTS = 16
"""With more inputs, splitting boxes is hopeless, and wide networks are tuned instead."""

_FAR = 2.0
"""Boxes whose bound is so many times the tolerance are cut twice at once."""

_LARGEST_BATCH = 512
_BATCH_ELEMENTS = 1 << 22

_BYTES_OF_A_NEURON = 6 * 4
_INHERITED_BYTES = 1 << 30
"""Of the bounds of neurons of a region's boxes: fixed, so that no result depends on a machine."""


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
        threads: how many threads share a batch; the result does not depend on it.
        work: of :class:`~simcert.bounds.Propagator`.
        workers: who bounds the boxes, instead of threads; likewise. They are closed at the end.
        memory: bytes that waiting boxes may take, see :class:`~simcert.search.frontier.Frontier`.
        keep: whether :meth:`state` will be asked for.
    """

    def __init__(
        self,
        dual: DualProgram,
        claim: Claim,
        evaluate: Evaluate,
        dtype: DTypeLike,
        threads: int = 1,
        work: float = math.inf,
        workers: Workers | None = None,
        memory: float = math.inf,
        keep: bool = False,
    ) -> None:
        self._claim = claim
        self._evaluate = evaluate
        self._dtype = dtype
        self._wanted = claim.divergence.rows(dual.outputs)
        rows = self._wanted.f, self._wanted.g, self._wanted.difference
        own = workers if isinstance(workers, Threads) else Threads(threads)
        self._workers: Workers = own if workers is None else workers
        self._job = Job(
            dual, rows, float32=claim.arithmetic == "float32", work=work, parallel=own.map
        )
        self._work, self._outputs = work, dual.outputs
        self._compiling: threading.Thread | None = None
        per_box = max(node.size for node in dual.nodes) * (16 + 2 * len(rows[0]))
        self._batch = max(1, min(_LARGEST_BATCH, _BATCH_ELEMENTS // per_box))
        self._integrator = Integrator(claim, dtype, len(rows[0]))
        self._inherits = self._job.neurons if self._can_inherit() else 0
        linear = self._integrator.width
        whole = roots(claim.region, claim.distribution, len(rows[0]), self._inherits, linear)
        self._open = Frontier(whole, by_bound=claim.tolerance is None, memory=memory)
        self._none = whole.take(slice(0, 0))
        self._current, self._stuck = self._none, self._none.bare
        self._closed_bound = self._closed_mean = 0.0
        self._closed_rows = np.zeros(len(rows[0]))
        self._violated_lower = self._violated_upper = 0.0
        self._splits: list[Splits] = []
        self._violated: list[int] = []
        self._nodes = self._roots = len(whole)
        self._done = 0
        self._boxes = 0
        self._candidate: Candidate | None = None
        self._first: RowBounds | None = None
        self._integrate = True
        self._settling = False
        self._keep = keep
        self._kept: State | None = None

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
        self._kept = None
        stopped: Stopped
        try:
            stopped = self._search(deadline, max_boxes, progress)
        except KeyboardInterrupt:
            if self._settling:
                raise  # half of a batch is written down: nothing can be said
            stopped = "interrupted"
        except OutOfTimeError:
            stopped = "time limit"
        # A batch that was cut short waits again; nothing is lost.
        if len(self._current):
            self._push(self._current)
            self._current = self._none
        if self._keep and self._kept is None and not self._settling:
            self._kept = self._state()
        if self._leaves != self._done + self._waiting:
            raise RuntimeError("the search lost boxes; nothing can be said")
        undecided = Boxes.concatenated(
            [self._stuck.bare, *(part.bare for part in self._open.parts())]
        )
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
            if self._keep and size < min(self._batch, len(self._open)):
                self._kept = self._state()  # the last one between whole batches
            self._current = self._open.pop(size)
            self._drop_settled()
            bounds = self._bound(deadline)
            if bounds is not None:
                self._settle(bounds)
            undecided = self._undecided_mass()
            progress.update(
                "searching",
                proved=max(0.0, 1.0 - undecided - self._violated_upper),
                undecided=undecided,
                boxes=self._boxes,
                bound=max(self._closed_bound, self._open.bound),
            )
        return "finished"

    def settles_at_once(self, deadline: float) -> bool:
        """Bound the region if it is one box and that takes a moment; say whether that settles it.

        What is found is kept for the search.
        """
        tolerance = self._claim.tolerance
        if tolerance is None or self._boxes or len(self._open) != 1 or not self._job.is_quick:
            return False
        box = next(part for part in self._open.parts() if len(part))
        try:
            bounds = self._answers([box], compiled=False, deadline=deadline)[0]
        except OutOfTimeError:
            return False
        if bounds is None or time.monotonic() > deadline:
            return False
        self._first = bounds
        above = self._claim.divergence.upper(bounds.lower.numpy(), bounds.upper.numpy())
        return bool(above[0] <= tolerance)

    def offer(self, candidate: Candidate | None) -> None:
        """Take the input if it is better than the best one that is known."""
        known = self._candidate
        if known is None or (candidate is not None and candidate.divergence > known.divergence):
            self._candidate = candidate

    def close(self) -> None:
        """End the workers and delete what was stored on disk."""
        self._workers.close()
        self._open.close()

    def _can_inherit(self) -> bool:
        """Whether boxes keep the bounds of neurons for their parts.

        Of a wide network not, where those of the region's own boxes would not fit in memory.
        """
        size = self._claim.region.boxes * self._job.neurons * _BYTES_OF_A_NEURON
        return self._job.part is not None or size <= _INHERITED_BYTES

    @property
    def _leaves(self) -> int:
        """Boxes that were not split: a cut makes two of one."""
        return self._roots + (self._nodes - self._roots) // 2

    @property
    def _waiting(self) -> int:
        """Boxes on which nothing is decided."""
        return len(self._open) + len(self._current) + len(self._stuck)

    @property
    def like(self) -> Boxes:
        """No boxes, of the types and sizes that this search has."""
        return self._none

    @property
    def state(self) -> State | None:
        """What a later search needs to go on; None where this one was not asked to ``keep`` it.

        It is that after the last whole batch: then both searches together cut the region as one
        that was never interrupted.
        """
        return self._kept

    def resume(self, state: State) -> None:
        """Go on from the state of an earlier search of the same pair, claim and seed."""
        self._open.settled(math.inf)
        self._push(state.open)
        self._stuck = state.stuck
        bound, mean, lower, upper = (float(number) for number in state.closed)
        self._closed_bound, self._closed_mean = bound, mean
        self._violated_lower, self._violated_upper = lower, upper
        self._closed_rows = state.closed_rows
        self._splits, self._violated = [state.splits], state.violated.tolist()
        self._nodes, self._boxes = state.nodes, state.boxes
        self._done = 0
        self._done = self._leaves - self._waiting
        self._candidate = state.candidate

    def _state(self) -> State:
        numbers = (
            self._closed_bound,
            self._closed_mean,
            self._violated_lower,
            self._violated_upper,
        )
        return State(
            Boxes.concatenated([self._none, *self._open.parts()]),
            self._stuck,
            Splits.joined(self._splits),
            np.array(self._violated, dtype=np.int64),
            self._nodes,
            self._boxes,
            np.array(numbers),
            self._closed_rows,
            self._candidate,
        )

    def _push(self, boxes: Boxes) -> None:
        """Let boxes wait; those for which there is no room are stuck."""
        self._stuck = Boxes.concatenated([self._stuck, self._open.push(boxes).bare])

    def _decided(self) -> bool:
        """Whether the claim is decided although boxes are left."""
        tolerance, allowed = self._claim.tolerance, self._claim.max_violation
        if tolerance is None:
            return False
        if allowed is None:
            return self._candidate is not None and self._candidate.divergence > tolerance
        possible = self._violated_upper + (
            self._open.possible + float(self._stuck.possible.sum())
            if self._integrate
            else self._undecided_mass()
        )
        return self._violated_lower > allowed or possible * UP <= allowed

    def _undecided_mass(self) -> float:
        return self._open.mass + float(self._current.mass.sum() + self._stuck.mass.sum())

    def _limit(self) -> float:
        """Return the bound at which a box is settled."""
        if self._claim.tolerance is not None:
            return self._claim.tolerance
        return 0.0 if self._candidate is None else self._candidate.divergence * (1 + GAP)

    def _drop_settled(self) -> None:
        """Close boxes of ``_current`` that a witness settled while they were stored on disk."""
        if self._claim.tolerance is None:
            settled = self._current.bound <= self._limit()
            self._close(self._current.take(settled))
            self._current = self._current.take(~settled)

    def _bound(self, deadline: float) -> RowBounds | None:
        """Bound the boxes of ``_current``, in parts that do not depend on who bounds them.

        Where a worker was lost, its boxes are taken out of ``_current`` and stuck.
        """
        job, boxes = self._job, self._current
        if job.compiles and self._compiling is None and self._boxes >= _COMPILE_AFTER:
            self._compiling = job.prepare()
        compiled = self._compiling is not None and self._boxes >= _COMPILED_AFTER
        if compiled and self._compiling is not None:
            self._compiling.join(max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX)))
            if self._compiling.is_alive():
                raise OutOfTimeError
        size = (job.compiled.part if compiled else job.part) or len(boxes)
        if not len(boxes):
            return None
        parts = [boxes.take(slice(i, i + size)) for i in range(0, len(boxes), size)]
        answers: list[RowBounds | None] = [self._first]
        if self._first is None:
            answers = self._answers(parts, compiled=compiled, deadline=deadline)
        self._first = None
        bounded = [own for own, bounds in zip(parts, answers, strict=True) if bounds is not None]
        lost = [own for own, bounds in zip(parts, answers, strict=True) if bounds is None]
        self._stuck = Boxes.concatenated([self._stuck, *(own.bare for own in lost)])
        self._current = Boxes.concatenated([self._none, *bounded]) if lost else boxes
        if not bounded:
            return None
        joined = RowBounds.joined([bounds for bounds in answers if bounds is not None])
        tunes = job.part is None and self._claim.region.inputs > _FEW_INPUTS
        return self._tuned(joined, deadline) if tunes else joined

    def _answers(
        self, parts: list[Boxes], *, compiled: bool, deadline: float
    ) -> list[RowBounds | None]:
        """Let the workers bound parts; None where one was lost."""
        seconds = deadline - time.monotonic()
        return self._workers.bound(self._job, [Part.of(own) for own in parts], compiled, seconds)

    def _tuned(self, bounds: RowBounds, deadline: float) -> RowBounds:
        """Tune slopes and planes on boxes of a wide network, unless their bounds settle them."""
        above = self._claim.divergence.upper(bounds.lower.numpy(), bounds.upper.numpy())
        if (above <= self._limit()).all():
            return bounds
        lower, upper = torch.as_tensor(self._current.lower), torch.as_tensor(self._current.upper)
        try:
            own = self._job.tuner.bound(lower, upper, bounds.inherited, deadline)
        except OutOfTimeError:
            return bounds
        return self._branched(bounds.tightened(own)._replace(triples=[]), deadline)

    def _branched(self, bounds: RowBounds, deadline: float) -> RowBounds:
        """Branch on the phases of rectifiers, box by box."""
        goals = goals_of(self._claim.divergence, self._outputs, self._limit())
        if goals is None:
            return bounds
        parts = []
        for i in range(len(self._current)):
            box = self._current.take(slice(i, i + 1))
            lower, upper = torch.as_tensor(box.lower), torch.as_tensor(box.upper)
            own = bounds.of(slice(i, i + 1))
            parts.append(self._job.brancher.branch(lower, upper, own, goals, deadline, self._work))
        return RowBounds.joined(parts)

    def _settle(self, bounds: RowBounds) -> None:
        """Close, mark as violated, or split the boxes of ``_current``."""
        boxes, divergence = self._current, self._claim.divergence
        lower, upper = bounds.lower.cpu().numpy(), bounds.upper.cpu().numpy()
        bound = divergence.upper(lower, upper)
        bound = np.fmin(boxes.bound, np.where(np.isnan(bound), np.inf, bound))
        rows = np.fmin(boxes.rows, np.maximum(np.abs(lower), np.abs(upper)))
        inherited = bounds.inherited[..., : self._inherits].cpu().numpy()
        slope, offset = self._integrator.linear(bounds)
        boxes = replace(
            boxes, bound=bound, rows=rows, inherited=inherited, slope=slope, offset=offset
        )
        self._try_corners(boxes, bounds)

        violated = np.zeros(len(boxes), dtype=bool)
        if self._claim.tolerance is not None:
            violated = divergence.lower(lower, upper) > self._claim.tolerance
        closed = (bound <= self._limit()) | violated
        score = self._score(boxes, bounds, lower, upper)
        twice = bounds.gap.shape[2] > 0
        halves, narrow, cuts = self._split(boxes.take(~closed), score[~closed], twice=twice)
        halves = replace(halves, possible=self._integrator.possible(halves))
        self._settling = True  # an interruption from here on leaves no state to go on from
        self._close(boxes.take(closed))
        self._violated.extend(boxes.node[violated].tolist())
        self._violated_upper += float(boxes.mass[violated].sum())
        self._violated_lower += boxes.take(violated).mass_lower
        self._splits.append(cuts)
        self._nodes += 2 * len(cuts)
        self._boxes += len(boxes)
        self._stuck = Boxes.concatenated([self._stuck, narrow])
        self._push(halves)
        self._current = self._none
        if self._claim.tolerance is None:  # a better witness may have settled other boxes
            self._close(self._open.settled(self._limit()))
        self._settling = False

    def _close(self, boxes: Boxes) -> None:
        """Remember what is proved on boxes that are not split further."""
        self._done += len(boxes)
        self._closed_bound = max(self._closed_bound, float(boxes.bound.max(initial=0.0)))
        self._closed_rows = np.maximum(self._closed_rows, boxes.rows.max(axis=0, initial=0.0))
        with np.errstate(over="ignore", invalid="ignore"):
            self._closed_mean += float(np.nan_to_num(boxes.mass * boxes.bound, nan=np.inf).sum())

    def _split(self, boxes: Boxes, score: Float, *, twice: bool) -> tuple[Boxes, Boxes, Splits]:
        """Cut boxes in two where ``score`` (B, inputs) promises most, in four where far from done.

        Not ``twice`` where the score sees slopes alone, and not without a tolerance: what is enough
        depends on a witness then, and when that is found on which boxes are in memory.

        Returns:
            The parts, the boxes that are too narrow to be cut, and the cuts.
        """
        law = self._claim.region, self._claim.distribution, self._dtype
        halves, promised, narrow, cuts = split(boxes, score, *law, self._nodes)
        enough = self._claim.tolerance
        far = halves.bound > (_FAR * enough if twice and enough is not None else math.inf)
        first = self._nodes + 2 * len(cuts)
        quarters, _, whole, own = split(halves.take(far), promised[far], *law, first)
        parts = Boxes.concatenated([halves.take(~far), whole, quarters])
        return parts, narrow.bare, Splits.joined([cuts, own])

    def _score(self, boxes: Boxes, bounds: RowBounds, lower: Float, upper: Float) -> Float:
        """Return what a cut in each dimension promises, (B, inputs).

        The sum over the functions that matter of the squared share that a dimension has in the
        distance between its linear bounds: their spread (|lower slope| + |upper slope|) · width,
        and what relaxations add, as far as it is known where it goes back to.
        """
        slope = (bounds.lower_slope.abs() + bounds.upper_slope.abs()).cpu().numpy()
        size = np.maximum(np.maximum(np.abs(lower), np.abs(upper)), np.finfo(np.float64).tiny)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = slope * (boxes.upper - boxes.lower)[:, None]
            if bounds.gap.shape[2]:
                distance = distance + bounds.gap.cpu().numpy()
            share = distance / size[..., None]
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
