"""Branching on the phases of rectifiers inside one box: what cutting inputs is for few of them.

A cut on a neuron makes two parts of a box, {a ≥ 0} and {a ≤ 0} (or of b), which together are all of
it, so that the worst bound of all leaves is a bound on the box. On a leaf the intervals of the
neuron are clipped: its relaxation is exact there, and the other network's neuron, at most δ away,
is nearly decided too. The constraint itself joins the function that is bounded with a multiplier,

    max c·y on {s a ≥ 0}  ≤  max (c·y + β s a) on the box,   β ≥ 0,

that descends together with slopes and planes (β-CROWN, Wang et al., NeurIPS 2021, here on both
networks of a pair). Any β ≥ 0 gives a bound.

The neuron that is cut next is the one whose relaxation is farthest from the rectifier in the corner
where the linear bound is greatest: these distances sum up to what the bound is too large by there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.bounds.blocks import Blocks
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.lines import Lines, Planes
from simcert.bounds.propagator import OutOfTimeError, Propagator, RowBounds, _Batch
from simcert.bounds.tuning import FreeRelaxations, Relaxations, tune
from simcert.model.program import Input, Product, Relu, Step, Univariate

STEPS = 10
"""Of descent on each leaf."""

_TOGETHER = 16
"""Leaves that are cut at once."""

_GAIN = 0.002
"""Where every neuron is decided, the descent goes on while it gains more than this share."""

_SCALE = 8.0
"""Multipliers are measured in units of so many times the bound, over the neuron's width."""

_COST = 2
"""What one step of descent costs, of one substitution."""

Goals = Callable[[Tensor, Tensor], tuple[Tensor, Tensor] | None]
"""Which bounds shall be tightened: takes the lower and the upper bounds (S,) that are known.

Returns for each function's upper bound and for its lower bound, (2, S), how urgent it is (the least
number first, infinite where it is of no use), and at which value of the upper bound, or of minus
the lower bound, it is done; None where nothing is left to do.
"""


class Cut(NamedTuple):
    """s x ≥ 0 for one neuron x that a rectifier reads: of f (network 0) or of g (1)."""

    node: int
    network: int
    neuron: int
    sign: float


@dataclass(frozen=True)
class _Leaf:
    """A part of the box, for one function: ``end`` is its number, S more for minus the function.

    ``multipliers`` (cuts,) are those that the descent ended with, relative to their unit; ``next``
    is the neuron to cut next. Where all are ``decided`` the descent goes on until it is ``final``.
    """

    end: int
    cuts: tuple[Cut, ...] = ()
    multipliers: tuple[float, ...] = ()
    bound: float = math.inf
    next: Cut | None = None
    decided: bool = False
    final: bool = False


@dataclass
class _LeafBatch(_Batch):
    """Leaves as boxes of a batch, with the multipliers of their cuts."""

    cuts: _Cuts | None = None
    arrived: dict[int, Blocks] = field(default_factory=dict)
    """The coefficients (leaves, size) that the wanted functions have on each node."""


class _Cuts:
    """The cuts of a list of leaves as arrays, with a multiplier each."""

    def __init__(self, leaves: Sequence[_Leaf], root: Sequence[Triple]) -> None:
        depth = max((len(leaf.cuts) for leaf in leaves), default=0)
        self.multipliers = torch.zeros(len(leaves), depth, dtype=torch.float64)
        unit = torch.zeros_like(self.multipliers)
        places: dict[tuple[int, int], list[tuple[int, int, int, float]]] = {}
        for row, leaf in enumerate(leaves):
            for k, (cut, value) in enumerate(zip(leaf.cuts, leaf.multipliers, strict=True)):
                places.setdefault((cut.node, cut.network), []).append(
                    (row, k, cut.neuron, cut.sign)
                )
                x = known(root[cut.node][cut.network])
                width = float(x.upper[0, cut.neuron] - x.lower[0, cut.neuron])
                unit[row, k] = min(_SCALE * abs(leaf.bound) / max(width, 1e-300), 1e30)
                self.multipliers[row, k] = value
        self._unit = unit.nan_to_num(nan=0.0)
        self._places = {
            key: tuple(torch.tensor(column) for column in zip(*found, strict=True))
            for key, found in places.items()
        }
        self.parameters = [self.multipliers.requires_grad_()] if depth else []

    @torch.no_grad()
    def project(self) -> None:
        """No multiplier is negative."""
        self.multipliers.clamp_(min=0.0)

    def clipped(self, node: int, triple: Triple) -> Triple:
        """Return the intervals of a node on the leaves."""
        parts: list[Interval | None] = []
        for network, x in enumerate(triple[:2]):
            place = self._places.get((node, network))
            if place is None or x is None:
                parts.append(x)
                continue
            row, _, neuron, sign = place
            lower, upper = x.lower.clone(), x.upper.clone()
            # A leaf may be empty; then its intervals say nothing, but they stay intervals.
            up, down = sign > 0, sign < 0
            lower[row[up], neuron[up]] = lower[row[up], neuron[up]].clamp(min=0)
            upper[row[up], neuron[up]] = upper[row[up], neuron[up]].clamp(min=0)
            lower[row[down], neuron[down]] = lower[row[down], neuron[down]].clamp(max=0)
            upper[row[down], neuron[down]] = upper[row[down], neuron[down]].clamp(max=0)
            parts.append(Interval(lower, upper))
        return Triple(parts[0], parts[1], triple.delta)

    def terms(self, node: int, size: int) -> Blocks:
        """Return β s for the neurons of a node, as coefficients (leaves, size)."""
        blocks: list[Tensor | None] = []
        for network in (0, 1):
            place = self._places.get((node, network))
            if place is None:
                blocks.append(None)
                continue
            row, k, neuron, sign = place
            values = (self.multipliers * self._unit)[row, k] * sign
            zero = values.new_zeros(len(self.multipliers), size)
            blocks.append(zero.index_put((row, neuron), values, accumulate=True))
        return Blocks(*blocks)


class _Free:
    """Slopes, planes and multipliers, which descend together."""

    def __init__(self, relaxations: FreeRelaxations, cuts: _Cuts) -> None:
        self._parts = relaxations, cuts
        self.parameters = [*relaxations.parameters, *cuts.parameters]

    def project(self) -> None:
        for part in self._parts:
            part.project()


class PhasePropagator(Propagator):
    """Tightens bounds on a box by branching on phases; arguments as of :class:`Propagator`."""

    def branch(
        self,
        lower: Tensor,
        upper: Tensor,
        bounds: RowBounds,
        goals: Goals,
        deadline: float = math.inf,
        work: float = math.inf,
    ) -> RowBounds:
        """Tighten the bounds of the wanted functions on one box.

        Args:
            lower: lower corner (1, inputs), float64.
            upper: upper corner (1, inputs).
            bounds: what is known of the box.
            goals: which functions matter.
            deadline: value of ``time.monotonic()`` at which to end.
            work: multiplications to spend, about.
        """
        box = Interval(lower, upper)
        root = self._root(box, bounds.inherited)
        ends = torch.stack([bounds.upper[0], -bounds.lower[0]]).clone()
        leaves = [[_Leaf(end, bound=float(b))] for end, b in enumerate(ends.flatten())]
        while work > 0 and time.monotonic() < deadline:
            goal = goals(-ends[1], ends[0])
            chosen = [] if goal is None else _urgent(leaves, *goal)
            if not chosen:
                break
            children = [child for leaf in chosen for child in _children(leaf)]
            try:
                children = self._bound_leaves(children, box, root, deadline)
            except OutOfTimeError:
                break
            done = {id(leaf) for leaf in chosen}
            for end in {leaf.end for leaf in chosen}:
                leaves[end] = [leaf for leaf in leaves[end] if id(leaf) not in done]
                leaves[end] += [child for child in children if child.end == end]
                ends.view(-1)[end] = max(leaf.bound for leaf in leaves[end])
            work -= self._leaf_work * len(children)
        return bounds.tightened(bounds._replace(lower=-ends[1:], upper=ends[:1]))

    @property
    def _leaf_work(self) -> float:
        """Multiplications of a leaf's descent; its inner tensors may take as many."""
        return 3 * self._costs[-1] * (1 + _COST * STEPS)

    def _batch(self, box: Interval, deadline: float) -> _LeafBatch:
        nothing = torch.zeros(len(box.lower), dtype=torch.float64)
        return _LeafBatch(box, deadline, nothing, self._leaf_work * len(box.lower))

    def _root(self, box: Interval, inherited: Tensor) -> list[Triple]:
        """Return the intervals of all nodes on the whole box."""
        batch = self._batch(box, math.inf)
        for index, layer in enumerate(self._layers):
            self._forward(layer, batch)
            if index in self._refined:
                known_before = Triple.unpack(inherited[..., self._refined[index]].double())
                batch.triples[index] = batch.triples[index].intersect(known_before)
        return batch.triples

    def _bound_leaves(
        self, leaves: Sequence[_Leaf], box: Interval, root: Sequence[Triple], deadline: float
    ) -> list[_Leaf]:
        """Return leaves with their bounds and the neurons to cut next."""
        count = len(leaves)
        batch = self._batch(Interval(*(end.expand(count, -1) for end in box)), deadline)
        cuts = _Cuts(leaves, root)
        for index, layer in enumerate(self._layers):
            self._forward(layer, batch)
            own = batch.triples[index].intersect(_expanded(root[index], count))
            batch.triples[index] = _joined(cuts.clipped(index, own))
            if index in self._refined:
                batch.triples[index] = self._refine(index, batch)
        batch.cuts = cuts
        rows, last = len(self._coefficients[0]), len(self._layers) - 1
        row = torch.tensor([leaf.end % rows for leaf in leaves])
        sign = torch.tensor([1.0 if leaf.end < rows else -1.0 for leaf in leaves]).double()
        blocks = Blocks(*(_none_if_zero(sign[:, None] * c[row]) for c in self._coefficients))
        start = self._flushed[row]
        own_box = torch.arange(count)
        relaxed = FreeRelaxations(self._rectifiers(last, batch, tracked=math.inf), own_box)

        def bound() -> tuple[Tensor, Tensor]:
            constant = torch.zeros(count, dtype=torch.float64) + start
            own = relaxed.relaxations()
            rows = {last: blocks}
            return self._substitute(rows, constant, own_box, batch, tracked=math.inf, relaxed=own)

        value = tune(bound, _Free(relaxed, cuts), STEPS)[1]
        with torch.no_grad():
            slope, final = bound()
            value = torch.fmin(value, final)
            corner = torch.where(slope > 0, batch.box.upper, batch.box.lower)
            following = self._next_cuts(batch, relaxed.relaxations(), corner)
        return [
            _Leaf(
                leaf.end,
                leaf.cuts,
                tuple(multipliers[: len(leaf.cuts)]),
                min(leaf.bound, own),
                cut,
                cut is None,
                cut is None and leaf.decided and not own < leaf.bound - _GAIN * abs(leaf.bound),
            )
            for leaf, multipliers, own, cut in zip(
                leaves, cuts.multipliers.tolist(), value.tolist(), following, strict=True
            )
        ]

    def _arrived(self, index: int, blocks: Blocks, batch: _Batch) -> Blocks:
        """Add the multipliers of the cuts, and remember what is carried on."""
        if isinstance(batch, _LeafBatch) and batch.cuts is not None:
            blocks = blocks.plus(batch.cuts.terms(index, self._layers[index].node.size))
            batch.arrived[index] = blocks
        return blocks

    def _next_cuts(self, batch: _LeafBatch, relaxed: Relaxations, x: Tensor) -> list[Cut | None]:
        """Return for each leaf the neuron that costs most where its bound is greatest, at x."""
        values = self._values(x)
        best: list[tuple[float, Cut | None]] = [(-math.inf, None)] * len(x)
        for index, layer in enumerate(self._layers):
            node, blocks = layer.node, batch.arrived.get(index, Blocks())
            for network, step, operands in (
                (0, node.f, node.f_operands),
                (1, node.g, node.g_operands),
            ):
                if not isinstance(step, Relu):
                    continue
                interval = known(batch.triples[operands[0]][network])
                unstable = (interval.lower < 0) & (interval.upper > 0)
                if not bool(unstable.any()):
                    continue
                if layer.dual is None:
                    kind = "g" if network else "f"
                    fixed = (batch.g if network else batch.f)[index]
                    lines = Lines.unpacked(relaxed.get((index, kind), fixed))
                    c = blocks.without_delta()[network]
                    cost = _excess(c, values[network][operands[0]], lines)
                else:
                    terms = relaxed.get((index, "dual"), batch.dual[index])
                    pre = values[0][operands[0]], values[1][operands[0]]
                    cost = _excess_of_pair(blocks, *pre, terms)
                # Where nothing is lost at x, any neuron that is not decided; the widest first.
                width = (interval.upper - interval.lower).nan_to_num(posinf=1e300)
                cost = cost.nan_to_num(nan=0.0) + 1e-12 * width / (1.0 + width)
                top = cost.masked_fill(~unstable, -math.inf).max(1)
                for row, (value, neuron) in enumerate(
                    zip(top.values.tolist(), top.indices.tolist(), strict=True)
                ):
                    if value > best[row][0]:
                        best[row] = value, Cut(operands[0], network, neuron, 1.0)
        return [cut for _, cut in best]

    def _values(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Run both networks on points (n, inputs), node by node."""
        values: tuple[list[Tensor], list[Tensor]] = ([], [])
        nothing = x.new_zeros(len(x), 0)
        for layer in self._layers:
            node = layer.node
            for own, step, operands in (
                (values[0], node.f, node.f_operands),
                (values[1], node.g, node.g_operands),
            ):
                read = [own[o] for o in operands]
                own.append(nothing if step is None else value_of(step, read or [x]))
        return values


def value_of(step: Step, operands: Sequence[Tensor]) -> Tensor:
    """Return what a step makes of its operands (n, size); the input makes itself of x."""
    match step:
        case Input():
            return operands[0]
        case Relu():
            return torch.relu(operands[0])
        case Univariate():
            return step.function.value(operands[0])
        case Product():
            return operands[0] * operands[1]
        case _:
            value = step.bias.expand(len(operands[0]), -1)
            for linear, operand in zip(step.maps, operands, strict=True):
                value = value + linear.forward(operand)
            return value


def _urgent(leaves: list[list[_Leaf]], order: Tensor, target: Tensor) -> list[_Leaf]:
    """Return the leaves to cut: of the most urgent ends, those with the greatest bounds."""
    ends = list(zip(leaves, order.flatten().tolist(), target.flatten().tolist(), strict=True))
    # Of ends of equal rank the greatest matters: no less than one that is as good as it gets.
    least = {rank: -math.inf for _, rank, _ in ends}
    for own, rank, _ in ends:
        least[rank] = max(least[rank], *(leaf.bound for leaf in own if leaf.final), -math.inf)
    waiting = [
        (rank, -leaf.bound, leaf)
        for own, rank, enough in ends
        if math.isfinite(rank)
        for leaf in own
        if leaf.bound > max(enough, least[rank])
    ]
    waiting.sort(key=itemgetter(0, 1))
    return [leaf for *_, leaf in waiting[:_TOGETHER]]


def _children(leaf: _Leaf) -> list[_Leaf]:
    """Return the parts of a leaf; itself, where the neuron to cut is not known or there is none."""
    cut = leaf.next
    if cut is None:
        return [leaf]
    return [
        replace(
            leaf,
            cuts=(*leaf.cuts, cut._replace(sign=sign)),
            multipliers=(*leaf.multipliers, 0.0),
            next=None,
        )
        for sign in (1.0, -1.0)
    ]


def _expanded(triple: Triple, boxes: int) -> Triple:
    """Return the triple of one box for each of some boxes."""
    return Triple(*(x and Interval(*(end.expand(boxes, -1) for end in x)) for x in triple))


def _joined(triple: Triple) -> Triple:
    """Return what the three intervals say of each other, δ being a − b."""
    a, b, delta = triple
    if a is None or b is None or delta is None:
        return triple
    delta = delta.intersect(a.minus(b).without_nan())
    a = a.intersect(b.plus(delta).without_nan())
    return Triple(a, b.intersect(a.minus(delta).without_nan()), delta)


def _excess(c: Tensor | None, x: Tensor, own: Lines) -> Tensor:
    """Return how much the lines are above c · relu at x, (n, size)."""
    if c is None:
        return torch.zeros_like(x)
    y = torch.relu(x)
    above, below = own.upper_slope * x + own.upper_intercept - y, own.lower_slope * x - y
    return c.clamp(min=0) * above + c.clamp(max=0) * below


def _excess_of_pair(blocks: Blocks, a: Tensor, b: Tensor, terms: Tensor) -> Tensor:
    """Return the same of c_f relu(a) + c_g relu(b) + c_δ Δ, as :class:`ReluDualRule` bounds it."""
    own = Planes.unpacked(terms)
    f, g, delta = (torch.zeros_like(a) if c is None else c for c in blocks)
    moved = torch.where(f * g < 0, torch.sign(f) * torch.minimum(f.abs(), g.abs()), 0.0)
    f, g, delta = f - moved, g + moved, delta + moved
    difference = torch.relu(a) - torch.relu(b)
    upper, lower = (
        p.a * a + p.b * b + p.delta * (a - b) + p.constant - difference
        for p in (own.upper, own.lower)
    )
    excess = delta.clamp(min=0) * upper + delta.clamp(max=0) * lower
    return excess + _excess(f, a, own.f) + _excess(g, b, own.g)


def _none_if_zero(c: Tensor) -> Tensor | None:
    return c if bool(c.any()) else None
