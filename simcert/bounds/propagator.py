"""The dual-network symbolic propagator: bounds of f, g and f − g on batches of boxes.

A linear function c_f·a + c_g·b + c_δ·δ of the tensors of one dual node is carried backward to the
input, where a = b = x and δ = 0, so that the three blocks add up to one linear function of x.
Affine steps are exact, relu is replaced by lines and planes. Because a − b − δ = 0, coefficients
may be moved between the blocks: c_f and c_g of opposite sign are moved into c_δ, which is what
keeps small differences small; without it this is the product network.

Coefficients are packed: each row belongs to one box, so that only the neurons that are unstable on
a box cost work there, and a step through a layer is one large matrix product for the whole batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simcert.bounds.affine import AffineDualRule, AffineRule, DualRounding, interval_of
from simcert.bounds.blocks import Blocks, add, weighted
from simcert.bounds.cells import BLOCKS, Coded, InputQuantisers
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.product import ProductDualRule, ProductRule
from simcert.bounds.relu import SPREAD, ReluDualRule, ReluRule
from simcert.bounds.rounding import FLOAT32_LARGEST, FLOAT32_SMALLEST, SMALLEST, gamma
from simcert.bounds.rule import DualRule, Rule
from simcert.bounds.single import Rounding, gains
from simcert.bounds.tuning import FreeRelaxations, Relaxations, tune
from simcert.bounds.univariate import UnivariateDualRule, UnivariateRule
from simcert.functions import DynamicQuantizer, Exponential, Quantizer
from simcert.model.linear import Dense, Diagonal, LinearMap, Selection, Zero
from simcert.model.linear import work as work_of
from simcert.model.program import Affine, Product, Relu, Step, Univariate
from simcert.pairing import DualNode, DualProgram

_CHUNK_ELEMENTS = 1 << 18
"""Coefficients of one block handled at once: about what stays in a core's cache."""


_SPREAD = 512
"""Elements up to which repeated ones are bounded symbolically one by one."""

_SMALL, _SMALL_PART = 256, 128
"""Networks up to this width share a batch among threads in parts of so many boxes; of wider ones
the rows of coefficients are shared."""


Parallel = Callable[[Callable[[slice], Any], Sequence[slice]], list[Any]]


def _one_by_one(function: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
    return [function(part) for part in parts]


_GAIN = 0.95
"""Of the widths of a − b: what those of δ must be below, for it to be tracked any further."""

_REFINING = 0.6
"""Of the time for a box of a wide network: when the last of its inner neurons is bounded."""

_BLOCKS = {"f": 1, "g": 1, "delta": 3}
"""What is bounded at a node, in this order, and how many blocks of coefficients a row has there."""

_SINGLE = 1 / 32
"""What a multiplication of a convolution costs in single precision."""

_STEP = 4
"""What one step of tuning costs, of one substitution: forward and gradient, without fused loops."""


class OutOfTimeError(Exception):
    """The deadline passed in the middle of a batch; its boxes stay undecided."""


class RowBounds(NamedTuple):
    """Bounds of S linear functions of the outputs on each of B boxes.

    ``lower`` and ``upper`` are (B, S). On each box a function is at least lower_slope·x +
    lower_offset and at most upper_slope·x + upper_offset, rounding included; slopes (B, S, inputs)
    say where to split and where to look for a witness, with the offsets (B, S) they can be
    integrated. ``gap`` (B, S, inputs), or (B, S, 0) where nobody knows, is how much of what
    relaxations add between the two goes back to each input. The tighter of several methods gave
    ``lower`` and ``upper``, so that a linear bound alone may say less. ``inherited``
    (B, 6, neurons) holds the intervals of what relu reads, for parts of the boxes to start from.
    ``triples`` are the intervals of all dual nodes, where they were kept.
    """

    lower: Tensor
    upper: Tensor
    lower_slope: Tensor
    upper_slope: Tensor
    lower_offset: Tensor
    upper_offset: Tensor
    gap: Tensor
    inherited: Tensor
    triples: list[Triple]

    @classmethod
    def joined(cls, parts: Sequence[RowBounds]) -> RowBounds:
        """Return the bounds of all parts of a batch, in order."""
        names = [name for name in cls._fields if name != "triples"]
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(**tensors, triples=[])

    def of(self, boxes: slice) -> RowBounds:
        """Return the bounds of some of the boxes."""
        names = [name for name in self._fields if name != "triples"]
        return RowBounds(**{name: getattr(self, name)[boxes] for name in names}, triples=[])

    def within(self, parts: RowBounds, box: Tensor) -> RowBounds:
        """Return these bounds, or those of a box's parts where they say more.

        Args:
            parts: bounds of the functions on parts, or for cases, which together make a box.
            box: the box of each (P,); boxes without any stay as they are.
        """
        each = box[:, None].expand_as(parts.lower)
        lower = self.lower.scatter_reduce(0, each, parts.lower, "amin", include_self=False)
        upper = self.upper.scatter_reduce(0, each, parts.upper, "amax", include_self=False)
        lower, upper = torch.maximum(self.lower, lower), torch.minimum(self.upper, upper)
        return self._replace(lower=lower, upper=upper)

    def tightened(self, other: RowBounds) -> RowBounds:
        """Return other bounds of the same boxes, no looser than these."""
        lower = torch.maximum(self.lower, other.lower)
        return other._replace(lower=lower, upper=torch.minimum(self.upper, other.upper))


@dataclass
class _Batch:
    """What is known about a batch of boxes, node by node.

    ``lost`` (B,) are the boxes on which a number may be undefined, or overflow in float32.
    ``tracked`` is the last node whose difference is worth a block of its own, ``enough`` the time
    after which no more neurons are bounded symbolically, ``unsettled`` which part of a tensor was
    to be, the last time, by block and by whether the tensor was a sum.
    """

    box: Interval
    deadline: float
    underflow: Tensor
    work: float
    tracked: float = math.inf
    enough: float = math.inf
    triples: list[Triple] = field(default_factory=list)
    f: list[Any] = field(default_factory=list)
    g: list[Any] = field(default_factory=list)
    dual: list[Any] = field(default_factory=list)
    unsettled: dict[tuple[str, bool], float] = field(default_factory=dict)
    lost: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Start with no box lost."""
        self.lost = torch.isinf(self.underflow)


class _Layer:
    """A dual node with its rules."""

    def __init__(
        self, dual: DualProgram, index: int, device: torch.device, *, float32: bool, single: bool
    ) -> None:
        self.node = node = dual.nodes[index]
        depth = len(dual.nodes)
        self.f, self.g = (
            _rule(step, depth, device, float32=float32, single=single) for step in (node.f, node.g)
        )
        self.dual: DualRule | None = None
        if not node.aligned:
            return
        if isinstance(self.f, AffineRule) and isinstance(self.g, AffineRule):
            self.dual = AffineDualRule(node, self.f, self.g, depth, same=dual.same, single=single)
        elif isinstance(self.f, UnivariateRule) and isinstance(self.g, UnivariateRule):
            self.dual = UnivariateDualRule(self.f, self.g, same=dual.same)
        elif isinstance(self.f, ProductRule) and isinstance(self.g, ProductRule):
            self.dual = ProductDualRule(self.f, self.g, same=dual.same)
        elif isinstance(self.f, ReluRule):
            self.dual = ReluDualRule(SPREAD if quantises(dual) else 0.0)

    def coded(self, index: int, coded: Coded) -> _Layer:
        """Return the layer, node ``index``, with other quantisers where there are any for it."""
        own = {block: coded[index, block] for block in BLOCKS if (index, block) in coded}
        if not own:
            return self
        layer = copy(self)
        for block, quantiser in own.items():
            setattr(layer, block, UnivariateRule(quantiser, float32=getattr(self, block).float32))
        if isinstance(layer.f, UnivariateRule) and isinstance(layer.g, UnivariateRule):
            same = isinstance(self.dual, UnivariateDualRule) and self.dual.same
            layer.dual = UnivariateDualRule(layer.f, layer.g, same=same) if self.dual else None
        return layer


class Propagator:
    """Bounds linear functions f·c_f + g·c_g + (f − g)·c_δ of the outputs over boxes of inputs.

    Args:
        dual: the aligned pair.
        f: coefficients c_f (S, outputs).
        g: coefficients c_g (S, outputs).
        delta: coefficients c_δ (S, outputs).
        float32: bound what any float32 runtime computes instead of the networks over the reals.
        device: where to compute.
        work: multiplications that the symbolic bounds of one box's inner tensors may take, about.
            What they leave out, the widest last, has the bounds of intervals.
        steps: of gradient descent on the relaxations for the wanted functions; see
            :mod:`~simcert.bounds.tuning`.
        parallel: runs a function on each of a list, in order; with it the rows of a wide network
            are shared among threads. The result does not depend on it.
        single: carry the rows of inner neurons through convolutions in single precision; see
            :mod:`~simcert.bounds.single`. By default in wide networks.
    """

    def __init__(
        self,
        dual: DualProgram,
        f: Tensor,
        g: Tensor,
        delta: Tensor,
        *,
        float32: bool = False,
        device: torch.device | str = "cpu",
        work: float = math.inf,
        steps: int = 0,
        parallel: Parallel = _one_by_one,
        single: bool | None = None,
    ) -> None:
        self._device = torch.device(device)
        count = len(dual.nodes)
        self._width = max(node.size for node in dual.nodes)
        self.part = _SMALL_PART if self._width <= _SMALL else None
        self._single = self.part is None if single is None else single
        self._layers = [
            _Layer(dual, index, self._device, float32=float32, single=self._single)
            for index in range(count)
        ]
        self._coefficients = [c.to(self._device, torch.float64) for c in (f, g, delta)]
        self._refined: dict[int, slice] = {}
        self._readers = _readers(dual)
        apart, exact = _exact_by_intervals(dual)
        self._quantisers = InputQuantisers(dual, apart, float32=float32)
        for index in sorted(set(self._readers) - exact):
            self._refined[index] = slice(self.neurons, self.neurons + dual.nodes[index].size)
        # A small network's batch is shared in parts; a part within a part would wait for itself.
        self._parallel = _one_by_one if self.part else parallel
        self._work, self._costs, self._steps = work, _costs(dual, single=self._single), steps
        # In a copy that rounds its activations, what roundings may add up to soon exceeds what two
        # networks side by side may differ by: f and g come first, if the work is not for all.
        self._tracked = 0.0 if quantises(dual) and work < self.full_work else math.inf
        # Each output may be flushed to zero, of a network beside itself the same ones; what later
        # steps read is covered by their own terms.
        f_size, g_size, size = (c.abs().sum(1) for c in self._coefficients)
        flushed = f_size + g_size if dual.same else f_size + g_size + size
        self._flushed = 2 * FLOAT32_SMALLEST * flushed if float32 else 0.0 * flushed
        self._float32, self._same = float32, dual.same
        equal = dual.same if float32 else is_equal(dual)
        self._equal = equal and not bool(f.any() or g.any())
        self._functions: list[LinearMap] = [
            Dense(c) if bool(c.any()) else Zero(*c.T.shape) for c in self._coefficients
        ]

    def bound(
        self,
        lower: Tensor,
        upper: Tensor,
        inherited: Tensor | None = None,
        deadline: float = math.inf,
    ) -> RowBounds:
        """Bound the S functions on each box.

        Args:
            lower: lower corners (B, inputs), float64.
            upper: upper corners (B, inputs), float64.
            inherited: ``RowBounds.inherited`` of boxes that contain these, (B, 6, neurons).
            deadline: value of ``time.monotonic()`` after which to give up.

        Raises:
            OutOfTimeError: the deadline passed.
        """
        box = Interval(lower.to(self._device), upper.to(self._device))
        bounds = self._bound(box, inherited, deadline, {})
        cells = self._quantisers.cells(bounds.triples)
        if cells is None:
            return bounds
        own = bounds.inherited[cells.box]
        try:
            parts = self._bound(cells.inputs, own, deadline, cells.coded)
        except OutOfTimeError:
            return bounds
        return bounds.within(parts, cells.box)

    def _bound(
        self, box: Interval, inherited: Tensor | None, deadline: float, coded: Coded
    ) -> RowBounds:
        """Bound the functions on each box, quantisers being as ``coded``."""
        work = self._work * len(box.lower)
        nothing = torch.zeros_like(box.lower[:, 0])
        batch = _Batch(box, deadline, nothing, work, tracked=self._tracked)
        if self.part is None:
            # One box of a wide network may take all the time: what is left is for the outputs.
            now = time.monotonic()
            batch.enough = now + _REFINING * (deadline - now)
        for index, layer in enumerate(self._layers):
            self._forward(layer.coded(index, coded), batch)
            if index in self._refined:
                if inherited is not None:
                    part = inherited[..., self._refined[index]].to(self._device, torch.float64)
                    batch.triples[index] = batch.triples[index].intersect(Triple.unpack(part))
                batch.triples[index] = self._refine(index, batch)
        return self._bound_rows(batch)

    @property
    def neurons(self) -> int:
        """Length of the last axis of what is inherited."""
        return max((part.stop for part in self._refined.values()), default=0)

    @property
    def full_work(self) -> float:
        """The limit of work with which nothing is left out, about."""
        ends = 2.0 * (1 + 1 + 3) * (1 + _STEP * self._steps)
        return ends * sum(
            self._costs[index] * self._layers[index].node.size for index in self._refined
        )

    # -- forward: intervals and relaxations ------------------------------------------------------

    def _forward(self, layer: _Layer, batch: _Batch) -> None:
        """Append the intervals and the relaxations of one node."""
        node = layer.node
        a = b = delta = f = g = dual = None
        if not batch.triples:
            zero = torch.zeros_like(batch.box.lower)
            a, b, delta = batch.box, batch.box, Interval(zero, zero)
        if layer.f is not None:
            a, f = layer.f.forward([known(batch.triples[o].a) for o in node.f_operands])
        if layer.g is not None:
            b, g = layer.g.forward([known(batch.triples[o].b) for o in node.g_operands])
        if delta is None and a is not None and b is not None:
            delta = a.minus(b).without_nan()
            if layer.dual is not None:
                operands = [batch.triples[o] for o in node.f_operands]
                own, dual = layer.dual.forward(operands, f, g)
                delta = own.without_nan().intersect(delta)
        batch.triples.append(Triple(a, b, delta))
        batch.underflow += self._underflow(layer, batch)
        batch.triples[-1] = self._without_lost(node, batch)
        batch.f.append(f)
        batch.g.append(g)
        batch.dual.append(dual)

    def _without_lost(self, node: DualNode, batch: _Batch) -> Triple:
        """Give up what follows on a number that may be undefined, or in float32 may overflow.

        NaN goes through all operators: no weight of 0 mends it. Nor do networks that are NaN at one
        input agree there, even one and the same network twice.
        """
        a, b, delta = batch.triples[-1]
        lost = batch.lost
        for step, x, operands in ((node.f, a, node.f_operands), (node.g, b, node.g_operands)):
            if x is not None and not self._is_safe(step, operands):
                largest = FLOAT32_LARGEST if self._float32 else torch.inf
                lost = lost | ~(x.magnitude < largest).all(1)
        if not bool(lost.any()):
            return batch.triples[-1]
        batch.lost = lost
        batch.underflow.masked_fill_(lost, torch.inf)
        lost = lost[:, None]
        return Triple(*(_unknown_where(lost, x) for x in (a, b, delta)))

    def _is_safe(self, step: Step | None, operands: Sequence[int]) -> bool:
        """Whether a number that has no bound is nevertheless one.

        Over the reals only functions are not defined everywhere. In float32, the exponentials of a
        softmax and their sum are no numbers that a runtime computes.
        """
        if not self._float32:
            undefined = isinstance(step, Univariate) and not isinstance(step.function, Exponential)
            return not undefined
        if isinstance(step, Affine) and not step.rounds:
            nodes = [self._layers[operand].node for operand in operands]
            read = [own for node in nodes for own in (node.f, node.g) if own is not None]
            return bool(read) and all(_is_softmax_exponential(own) for own in read)
        return _is_softmax_exponential(step)

    def _underflow(self, layer: _Layer, batch: _Batch) -> Tensor:
        """Return what coefficients and constants may lose to underflow at one node, (B,)."""
        node = layer.node
        maps = [m for step in (node.f, node.g) if isinstance(step, Affine) for m in step.maps]
        products = sum(linear.terms for linear in maps) + 32
        operands = {*node.f_operands, *node.g_operands}
        intervals = [i for o in operands for i in batch.triples[o] if i is not None]
        size = torch.zeros_like(batch.underflow)
        for interval in intervals:
            size += interval.magnitude.sum(1)
        return SMALLEST * (products * size + 8 * node.size)

    def _refine(self, index: int, batch: _Batch) -> Triple:
        """Bound symbolically the neurons of one node where its readers gain by tighter bounds."""
        a, b, delta = batch.triples[index]
        if self._equal:
            return Triple(a, b, delta)  # δ is 0 everywhere
        readers = [self._layers[reader] for reader in self._readers[index]]
        if a is not None:
            rules = [r.f for r in readers if r.f is not None and index in r.node.f_operands]
            a = self._refine_block(
                index, a, _any([rule.unsettled(a) for rule in rules]), "f", batch
            )
        if b is not None:
            rules = [r.g for r in readers if r.g is not None and index in r.node.g_operands]
            b = self._refine_block(
                index, b, _any([rule.unsettled(b) for rule in rules]), "g", batch
            )
        if a is None or b is None or delta is None:
            return Triple(a, b, delta)
        delta = delta.intersect(a.minus(b).without_nan())
        if index > batch.tracked:
            return Triple(a, b, delta)
        unsettled = [r.dual.unsettled(Triple(a, b, delta)) for r in readers if r.dual is not None]
        delta = self._refine_block(index, delta, _any(unsettled), "delta", batch)
        if self.part is None and unsettled and not _says_more(delta, a, b):
            batch.tracked = index
        a = a.intersect(b.plus(delta).without_nan())
        b = b.intersect(a.minus(delta).without_nan())
        return Triple(a, b, delta)

    def _refine_block(
        self, index: int, interval: Interval, wanted: Tensor | None, block: str, batch: _Batch
    ) -> Interval:
        """Intersect the interval of a, b or δ with symbolic bounds where ``wanted`` (B, size)."""
        if wanted is None:
            return interval
        boxes, elements = self._affordable(index, interval, wanted, block, batch)
        lower, upper = interval.lower.clone(), interval.upper.clone()

        def bound(part: slice) -> tuple[Tensor, Tensor]:
            box, element = boxes[part], elements[part]
            pending, bias, error = self._pick(index, block, box, element, batch)
            negated = {operand: blocks.negated() for operand, blocks in pending.items()}
            best = partial(
                self._best, box=box, batch=batch, tracked=batch.tracked, single=self._single
            )
            return best(negated, error - bias)[1], best(pending, error + bias)[1]

        def bound_in_time(part: slice) -> tuple[Tensor, Tensor]:
            if time.monotonic() <= batch.enough:
                try:
                    return bound(part)
                except OutOfTimeError:
                    if self.part is not None:
                        raise
            unknown = torch.full_like(boxes[part], math.inf, dtype=torch.float64)
            return unknown, unknown

        parts = list(self._chunks(len(boxes), index))
        for part, (below, above) in zip(parts, self._parallel(bound_in_time, parts), strict=True):
            box, element = boxes[part], elements[part]
            upper[box, element] = torch.fmin(upper[box, element], above)
            lower[box, element] = torch.fmax(lower[box, element], -below)
        return interval.intersect(Interval(lower, upper))

    def _affordable(
        self, index: int, interval: Interval, wanted: Tensor, block: str, batch: _Batch
    ) -> tuple[Tensor, Tensor]:
        """Return box and number of the elements that are bounded symbolically, within the work.

        What is left of it is shared among this tensor and those that are still to come, as what
        they would take if as many of their elements are unsettled as lately.
        """
        boxes, elements = wanted.nonzero(as_tuple=True)
        if math.isinf(batch.work):
            return boxes, elements
        each = 2.0 * self._costs[index] * _BLOCKS[block] * (1 + _STEP * self._steps)
        batch.unsettled[block, self._is_sum(index)] = len(boxes) / wanted.numel()
        to_come = max(self._to_come(index, block, batch) * len(batch.box.lower), each)
        count = int(batch.work / to_come * len(boxes))
        if count < len(boxes):
            width = (interval.upper - interval.lower)[boxes, elements]
            widest = torch.sort(width.nan_to_num(posinf=math.inf), descending=True, stable=True)
            kept = torch.sort(widest.indices[:count]).values
            boxes, elements = boxes[kept], elements[kept]
        batch.work -= each * len(boxes)
        return boxes, elements

    def _to_come(self, index: int, block: str, batch: _Batch) -> float:
        """Return the work that one box may take from a block of a node on."""
        total, names = 0.0, list(_BLOCKS)
        late = names[names.index(block) :]
        for node in range(index, len(self._layers)):
            if node in self._refined:
                each = 2.0 * self._costs[node] * (1 + _STEP * self._steps)
                tracks = node <= batch.tracked and self._has_dual_reader(node)
                rows = sum(
                    _BLOCKS[name] * batch.unsettled.get((name, self._is_sum(node)), 1.0)
                    for name in (late if node == index else names)
                    if name != "delta" or tracks
                )
                total += each * self._layers[node].node.size * rows
        return total

    def _is_sum(self, index: int) -> bool:
        """Whether a node is affine: what reads these, rectifiers, and what reads others differ."""
        return isinstance(self._layers[index].node.f or self._layers[index].node.g, Affine)

    def _has_dual_reader(self, index: int) -> bool:
        """Whether a node's difference decides a relaxation; in a product network none does."""
        return any(self._layers[reader].dual is not None for reader in self._readers[index])

    def _pick(
        self, index: int, block: str, box: Tensor, element: Tensor, batch: _Batch
    ) -> tuple[dict[int, Blocks], Tensor, Tensor]:
        """Write single elements of a node as functions of its operands.

        Returns:
            Coefficients on the operands, biases (R,) and rounding errors (R,).
        """
        layer, node = self._layers[index], self._layers[index].node
        if block == "delta" and isinstance(layer.dual, AffineDualRule):
            parts, bias = layer.dual.pick(element)
            error = batch.dual[index].delta.error[box, element]
            return _gathered(node.f_operands, parts), bias, error
        if block == "f" and isinstance(layer.f, AffineRule):
            rows, bias = layer.f.pick(element)
            parts = [Blocks(f=c) for c in rows]
            return _gathered(node.f_operands, parts), bias, batch.f[index].error[box, element]
        if block == "g" and isinstance(layer.g, AffineRule):
            rows, bias = layer.g.pick(element)
            parts = [Blocks(g=c) for c in rows]
            return _gathered(node.g_operands, parts), bias, batch.g[index].error[box, element]
        unit = torch.zeros(len(box), node.size, dtype=torch.float64, device=self._device)
        unit.scatter_(1, element[:, None], 1.0)
        zero = unit.new_zeros(len(box))
        return {index: Blocks(**{block: unit})}, zero, zero

    # -- backward: linear bounds ------------------------------------------------------------------

    def _bound_rows(self, batch: _Batch) -> RowBounds:
        """Bound the wanted functions of the outputs, dually and on the product network."""
        boxes, inputs = batch.box.lower.shape
        rows = len(self._coefficients[0])
        bounds, slopes, offsets = [], [], []
        for sign in (1.0, -1.0):
            bound = torch.empty(boxes * rows, dtype=torch.float64, device=self._device)
            slope = torch.empty(boxes * rows, inputs, dtype=torch.float64, device=self._device)
            linear = torch.empty_like(bound)
            parts = list(self._chunks(boxes * rows, len(self._layers) - 1))
            carried = self._parallel(partial(self._bound_part_in_time, sign, batch), parts)
            for part, result in zip(parts, carried, strict=True):
                slope[part], linear[part], bound[part] = result
            bounds.append(bound.reshape(boxes, rows))
            slopes.append(slope.reshape(boxes, rows, inputs))
            offsets.append(offset_of(slopes[-1], linear.reshape(boxes, rows), batch.box))
        plain = self._plain_rows(batch)
        lower, upper = torch.maximum(-bounds[1], plain.lower), torch.minimum(bounds[0], plain.upper)
        inherited = torch.empty(boxes, 6, self.neurons, dtype=torch.float32, device=self._device)
        for index, part in self._refined.items():
            inherited[..., part] = batch.triples[index].pack()
        return RowBounds(
            lower,
            upper,
            -slopes[1],
            slopes[0],
            -offsets[1],
            offsets[0],
            slopes[0][..., :0],
            inherited,
            batch.triples,
        )

    def _bound_part_in_time(
        self, sign: float, batch: _Batch, part: slice
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bound some of the wanted functions; late in a wide network, leave them to intervals."""
        try:
            return self._bound_part(sign, batch, part)
        except OutOfTimeError:
            if self.part is not None:
                raise
        count = part.stop - part.start
        unknown = torch.full((count,), math.inf, dtype=torch.float64, device=self._device)
        return unknown.new_zeros(count, batch.box.lower.shape[1]), unknown, unknown

    def _bound_part(self, sign: float, batch: _Batch, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Bound some of the wanted functions: slope and maximum of a line, and the best bound.

        The difference is tracked through all layers, as far as it said more than the two networks
        do, and not at all.
        """
        rows = len(self._coefficients[0])
        number = torch.arange(part.start, part.stop, device=self._device)
        box, row = number // rows, number % rows
        blocks = Blocks(*(_none_if_zero(sign * c[row]) for c in self._coefficients))
        last = len(self._layers) - 1
        start = self._flushed[row]
        slope, linear = self._best({last: blocks}, start, box, batch, tracked=math.inf)
        best = linear
        if blocks.delta is not None:
            for tracked in {0.0, batch.tracked} - {math.inf}:
                _, other = self._best({last: blocks}, start, box, batch, tracked=tracked)
                best = torch.fmin(best, other)
        return slope, linear, best

    def _best(
        self,
        pending: dict[int, Blocks],
        constant: Tensor,
        box: Tensor,
        batch: _Batch,
        *,
        tracked: float,
        single: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Carry rows back to the input; with ``steps`` along tuned slopes and planes too."""
        carry = partial(self._substitute, tracked=tracked, single=single)
        start = constant.clone()
        slope, value = carry(pending, constant.clone(), box, batch)
        rectifiers = self._rectifiers(max(pending), batch, tracked=tracked) if self._steps else []
        if rectifiers:
            free = FreeRelaxations(rectifiers, box)

            def bound() -> tuple[Tensor, Tensor]:
                return carry(pending, start.clone(), box, batch, relaxed=free.relaxations())

            tuned = tune(bound, free, self._steps)
            slope = torch.where((tuned[1] < value)[:, None], tuned[0], slope)
            value = torch.fmin(value, tuned[1])
        return slope, value

    def _rectifiers(
        self, last: int, batch: _Batch, *, tracked: float
    ) -> list[tuple[int, Triple, str]]:
        """Return the rectifiers up to a node, with what they read and how they are relaxed."""
        rectifiers = []
        for index, layer in enumerate(self._layers[: last + 1]):
            node = layer.node
            if isinstance(layer.dual, ReluDualRule) and index <= tracked:
                rectifiers.append((index, batch.triples[node.f_operands[0]], "dual"))
                continue
            if isinstance(node.f, Relu):
                rectifiers.append((index, batch.triples[node.f_operands[0]], "f"))
            if isinstance(node.g, Relu):
                rectifiers.append((index, batch.triples[node.g_operands[0]], "g"))
        return rectifiers

    def _plain_rows(self, batch: _Batch) -> Interval:
        """Bound the wanted functions by the intervals of the outputs: exact where these are 0."""
        absolute = [linear.absolute() for linear in self._functions]
        outputs = [known(interval) for interval in batch.triples[-1]]
        zero = torch.zeros(len(self._coefficients[0]), dtype=torch.float64, device=self._device)
        factor = gamma(2 * sum(linear.terms for linear in self._functions) + 64)
        lower, upper = interval_of(self._functions, absolute, outputs, zero, zero, factor)[0]
        lower, upper = lower - self._flushed, upper + self._flushed
        # Functions of δ alone, where δ is 0: exactly 0, without rounding terms.
        f, g, _ = self._coefficients
        alone = ~(f.any(1) | g.any(1)) & (self._flushed == 0)
        null = ~outputs[2].magnitude.any(1, keepdim=True) & alone
        return Interval(lower.masked_fill(null, 0.0), upper.masked_fill(null, 0.0))

    def _substitute(
        self,
        pending: dict[int, Blocks],
        constant: Tensor,
        box: Tensor,
        batch: _Batch,
        *,
        tracked: float,
        relaxed: Relaxations | None = None,
        single: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Carry rows of coefficients back to the input.

        Args:
            pending: coefficients (R, size) on some nodes.
            constant: (R,), added; it is changed in place.
            box: the box of each row (R,).
            batch: the boxes and their relaxations.
            tracked: the last node whose difference is; above it the pair is two networks side by
                side, without δ, and with 0 it is the product network throughout.
            relaxed: relaxations of each row that stand in for those of its box.
            single: whether in single precision, where that is prepared.

        Returns:
            The coefficients (R, inputs) of a linear upper bound, and its maximum (R,) on the
            rows' boxes, rounding included; infinite where there is none.
        """
        if time.monotonic() > batch.deadline:
            raise OutOfTimeError
        pending, relaxed, own = dict(pending), relaxed or {}, torch.arange(len(box))

        def relaxation(kind: str, of_boxes: list[Any]) -> tuple[Any, Tensor]:
            found = relaxed.get((index, kind))
            if found is not None:
                return found, own
            of_box = of_boxes[index]
            if single and isinstance(of_box, Rounding | DualRounding):
                of_box = of_box.in_single()
            return of_box, box

        for index in range(max(pending), 0, -1):
            if index not in pending:
                continue
            blocks = self._arrived(index, pending.pop(index), batch)
            layer, node = self._layers[index], self._layers[index].node
            if layer.dual is not None and index <= tracked and _is_dual(blocks):
                parts = layer.dual.backward(blocks, *relaxation("dual", batch.dual), constant)
                _gather(pending, node.f_operands, parts)
                continue
            blocks = blocks.without_delta()
            if blocks.f is not None and layer.f is not None:
                rows = layer.f.backward(blocks.f, *relaxation("f", batch.f), constant)
                _gather(pending, node.f_operands, [Blocks(f=c) for c in rows])
            if blocks.g is not None and layer.g is not None:
                rows = layer.g.backward(blocks.g, *relaxation("g", batch.g), constant)
                _gather(pending, node.g_operands, [Blocks(g=c) for c in rows])
        return self._concretise(pending.get(0, Blocks()), constant, box, batch)

    def _arrived(self, index: int, blocks: Blocks, batch: _Batch) -> Blocks:  # noqa: ARG002
        """Return the coefficients that are carried on from a node: those that arrived there."""
        return blocks

    def _concretise(
        self, blocks: Blocks, constant: Tensor, box: Tensor, batch: _Batch
    ) -> tuple[Tensor, Tensor]:
        """Maximise c·x + constant over the rows' boxes; δ is 0 at the input."""
        slope = add(blocks.f, blocks.g)
        maximum = constant + batch.underflow[box]
        if slope is None:
            slope = constant.new_zeros(len(constant), self._layers[0].node.size)
        else:
            centre, radius = batch.box.centre_radius()
            maximum += weighted(slope, centre, box) + weighted(slope.abs(), radius, box)
            factor = gamma(8 * slope.shape[1] + 64)
            for c in (blocks.f, blocks.g):
                if c is not None:
                    maximum += factor * weighted(c.abs(), batch.box.magnitude, box)
        # A sum that overflowed, to −∞ too, is no bound.
        return slope, torch.where(torch.isfinite(maximum), maximum, math.inf)

    def _chunks(self, rows: int, index: int) -> Iterator[slice]:
        """Split rows of a node so that one block of coefficients stays small on the way back."""
        width = max(layer.node.size for layer in self._layers[: index + 1])
        size = max(1, _CHUNK_ELEMENTS // width)
        return (slice(i, min(i + size, rows)) for i in range(0, rows, size))


def _rule(
    step: Step | None, depth: int, device: torch.device, *, float32: bool, single: bool
) -> Rule | None:
    """Return the rule of one network's step; the input has none."""
    if isinstance(step, Affine):
        return AffineRule(step, depth, device, float32=float32, single=single)
    if isinstance(step, Univariate):
        return UnivariateRule(step.function, float32=float32 and step.rounds)
    if isinstance(step, Product):
        return ProductRule(float32=float32 and step.rounds)
    return ReluRule() if isinstance(step, Relu) else None


def _is_softmax_exponential(step: Step | None) -> bool:
    """Whether a step is an exponential that stands inside a softmax."""
    return (
        isinstance(step, Univariate) and isinstance(step.function, Exponential) and not step.rounds
    )


def _gathered(operands: Sequence[int], parts: Sequence[Blocks]) -> dict[int, Blocks]:
    """Return coefficients by operand; an operand that occurs twice has their sum."""
    pending: dict[int, Blocks] = {}
    _gather(pending, operands, parts)
    return pending


def _gather(pending: dict[int, Blocks], operands: Sequence[int], parts: Sequence[Blocks]) -> None:
    """Add coefficients to those that wait at the operands."""
    for operand, part in zip(operands, parts, strict=True):
        pending[operand] = pending.get(operand, Blocks()).plus(part)


def _is_dual(blocks: Blocks) -> bool:
    """Whether a dual rule can do more than the two networks' own."""
    return blocks.delta is not None or (blocks.f is not None and blocks.g is not None)


def _costs(dual: DualProgram, *, single: bool) -> list[float]:
    """Return about how many multiplications carry a row from each node to the input.

    Those of convolutions in single precision count in part. Products of tensors have no compiled
    loops.
    """
    total, costs = 0.0, []
    for node in dual.nodes:
        steps = [step for step in (node.f, node.g) if isinstance(step, Affine)]
        for linear in (linear for step in steps for linear in step.maps):
            faster = single and gains(linear)
            total += work_of(linear) * (_SINGLE if faster else 1.0)
        total += (8 if isinstance(node.f or node.g, Product) else 1) * node.size
        costs.append(total)
    return costs


def _readers(dual: DualProgram) -> dict[int, list[int]]:
    """Return the nodes whose bounds decide a relaxation, each with those that read it."""
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(dual.nodes):
        operands: set[int] = set()
        if isinstance(node.f, Affine) and node.f.softmax is not None and node.aligned:
            operands.add(node.f_operands[1])
        if isinstance(node.f, Relu | Univariate | Product):
            operands.update(node.f_operands)
        if isinstance(node.g, Relu | Univariate | Product):
            operands.update(node.g_operands)
        for operand in operands:
            if _spreads(dual, dual.nodes[operand]):
                for source in {*dual.nodes[operand].f_operands, *dual.nodes[operand].g_operands}:
                    readers.setdefault(source, []).append(operand)
            else:
                readers.setdefault(operand, []).append(index)
    return readers


def _spreads(dual: DualProgram, node: DualNode) -> bool:
    """Whether a node repeats the elements of smaller tensors, or takes differences of all pairs.

    These tensors are bounded symbolically in its place (attention has n² differences of n scores).
    """
    maps = [m for step in (node.f, node.g) if isinstance(step, Affine) for m in step.maps]
    sources = {*node.f_operands, *node.g_operands}
    size = sum(dual.nodes[source].size for source in sources)
    moves = bool(maps) and all(isinstance(linear, Selection) for linear in maps)
    return moves and node.size > max(_SPREAD, 2 * size)


def quantises(dual: DualProgram) -> bool:
    """Whether a network of the pair rounds its activations."""
    steps = [step for node in dual.nodes for step in (node.f, node.g)]
    kinds = Quantizer | DynamicQuantizer
    return any(isinstance(step, Univariate) and isinstance(step.function, kinds) for step in steps)


def _says_more(delta: Interval, a: Interval, b: Interval) -> bool:
    """Whether δ is known better than from a − b, by more than a twentieth of all widths."""
    width, apart = (x.upper - x.lower for x in (delta, a.minus(b)))
    return bool(width.sum() <= _GAIN * apart.sum())


def _any(masks: Sequence[Tensor]) -> Tensor | None:
    """Return where any mask holds; None where there is no mask."""
    return torch.stack(list(masks)).any(0) if masks else None


def _exact_by_intervals(dual: DualProgram) -> tuple[set[int], set[int]]:
    """Return the nodes that keep the inputs apart, and those that intervals bound exactly.

    The latter are one dense map away from the former.
    """
    independent, exact = {0}, {0}
    for index, node in enumerate(dual.nodes[1:], start=1):
        if not isinstance(node.f, Affine) or not node.aligned or len(node.f_operands) != 1:
            continue
        if node.f_operands[0] in independent:
            exact.add(index)
            if keeps_inputs_apart(node):
                independent.add(index)
    return independent, exact


def _unknown_where(lost: Tensor, x: Interval | None) -> Interval | None:
    """Return an interval without bounds on the boxes that are lost (B, 1)."""
    if x is None:
        return None
    return Interval(x.lower.masked_fill(lost, -torch.inf), x.upper.masked_fill(lost, torch.inf))


def is_equal(dual: DualProgram) -> bool:
    """Whether the two networks are the same over the reals, step by step."""
    return all(
        node.aligned
        and not (
            isinstance(node.f, Affine)
            and isinstance(node.g, Affine)
            and not (
                node.exact
                and all(isinstance(linear, Zero) for linear in node.differences)
                and torch.equal(node.f.bias, node.g.bias)
            )
        )
        and not (
            isinstance(node.f, Univariate)
            and isinstance(node.g, Univariate)
            and node.f.function != node.g.function
        )
        for node in dual.nodes
    )


def keeps_inputs_apart(node: DualNode) -> bool:
    """Whether each element of an affine node depends on one element, and no two on the same."""
    return all(
        isinstance(step, Affine)
        and len(step.maps) == 1
        and isinstance(step.maps[0], Diagonal | Selection)
        and step.maps[0].terms == 1
        for step in (node.f, node.g)
    )


def offset_of(slope: Tensor, maximum: Tensor, box: Interval) -> Tensor:
    """Return c (B, S), rounded up: what is at most slope·x + c on the boxes.

    The functions are linear with the slopes (B, S, inputs) and at most ``maximum`` (B, S) in the
    corner of their boxes (B, inputs) where they are greatest.
    """
    corner = torch.where(slope > 0, box.upper[:, None], box.lower[:, None])
    products = slope * corner
    size = products.abs().sum(2) + maximum.abs()
    offset = maximum - products.sum(2) + gamma(2 * slope.shape[2] + 8) * size
    offset += SMALLEST * slope.shape[2]
    return torch.where(torch.isfinite(offset), offset, math.inf)


def _none_if_zero(c: Tensor) -> Tensor | None:
    return c if bool(c.any()) else None
