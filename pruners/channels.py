"""Channels: what of a network goes together when an output of a layer is removed.

Every output channel of a weight gets a number. Numbers flow through the graph along one axis of
each tensor: a Flatten repeats them, a Concat strings them together, a Transpose moves their axis;
what adds or multiplies two tensors unites their numbers (union-find), and a constant that varies
along the axis is attached to them. Number 0 is frozen: what is united with it stays. The output of
the network is frozen, and so is whatever reaches an operator that has no rule here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simcert.errors import ModelError
from simcert.model.graph import Graph, Node
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor
from simcert.model.sample import sample

FROZEN = 0

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Channels:
    """The numbers along the one axis of a tensor that has any."""

    axis: int
    ids: Ids


@dataclass(frozen=True)
class Producer:
    """A node that makes channels: its label, and the tensor that holds them, bias included."""

    node: str
    tensor: str


@dataclass
class ChannelGraph:
    """The channels of a network.

    Attributes:
        shapes: of every tensor, for one sample.
        tensors: channels of every tensor that has any.
        slices: for each stored tensor that channels run along, the numbers of each such axis.
        producers: of channels.
        outputs: the axis of a stored weight that runs over the channels that it makes.
        obstacles: the operators that froze channels.
    """

    graph: Graph
    stored: AbstractSet[str]
    shapes: Mapping[str, tuple[int, ...]]
    tensors: dict[str, Channels] = field(default_factory=dict)
    slices: dict[str, dict[int, Ids]] = field(default_factory=dict)
    producers: list[Producer] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    obstacles: set[str] = field(default_factory=set)
    _parent: list[int] = field(default_factory=lambda: [FROZEN])
    _users: dict[str, set[int]] = field(default_factory=dict)
    _index: int = 0

    @classmethod
    def of(cls, graph: Graph, stored: AbstractSet[str]) -> ChannelGraph:
        """Trace a graph.

        Args:
            graph: as the file has it.
            stored: names of the floating-point tensors that may be cut.

        Raises:
            ModelError: a node cannot be run, so that shapes are not known.
        """
        values = sample(graph)
        for node in graph.nodes:
            for name in filter(None, node.outputs):
                if name not in values:
                    raise ModelError(
                        f"node {node.name!r} ({node.operator}) cannot be run: what depends on its"
                        " channels is not known"
                    )
        constants, traced_names = dict(graph.constants), {graph.input.name}
        for node in graph.nodes:
            if traced_names.isdisjoint(node.inputs):
                constants |= {name: values[name].numpy() for name in node.outputs if name}
            else:
                traced_names.update(node.outputs)
        graph = replace(graph, constants=constants)
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        traced = cls(graph, stored, shapes)
        traced._trace()
        return traced

    def root(self, number: int) -> int:
        """The number that stands for all that are united with it; FROZEN if that is among them."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def roots(self, ids: Ids) -> Ids:
        """``root`` of each."""
        return np.array([self.root(int(number)) for number in ids], dtype=np.int64)

    def groups(self) -> list[Ids]:
        """The channels that compete with each other, as roots; none of them frozen.

        Channels of one weight are of one group, and so are those that are added to them. A group
        with a frozen channel is left out.
        """
        members: dict[int, set[int]] = {}
        leader: dict[int, int] = {}
        for name, axis in self.outputs.items():
            ids = {int(number) for number in self.roots(self.slices[name][axis])}
            heads = {leader[number] for number in ids if number in leader} or {min(ids)}
            head = min(heads)
            joined = ids.union(*(members.pop(other, set()) for other in heads))
            members[head] = joined
            leader.update(dict.fromkeys(joined, head))
        return [
            np.array(sorted(group), dtype=np.int64)
            for group in members.values()
            if FROZEN not in group
        ]

    # -- tracing -----------------------------------------------------------------------------

    def _trace(self) -> None:
        for index, node in enumerate(self.graph.nodes):
            self._index = index
            rule = _RULES.get(node.operator, _freeze)
            result = rule(self, node)
            if result is not None:
                self.tensors[node.outputs[0]] = result
        self.freeze(self.graph.output.name)
        for name in self.slices:
            readers = {i for i, node in enumerate(self.graph.nodes) if name in node.inputs}
            if readers != self._users[name] or name not in self.stored:
                self.freeze_weight(name)

    def fresh(self, count: int) -> Ids:
        """New numbers."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def attach(self, name: str, axis: int, ids: Ids) -> Ids:
        """Say that a constant runs along ``ids`` on an axis, and return its numbers there."""
        self._users.setdefault(name, set()).add(self._index)
        known = self.slices.setdefault(name, {}).setdefault(axis, ids)
        self.unite(known, ids)
        return known

    def made(self, name: str, axis: int) -> Ids:
        """The numbers of the channels that a weight makes."""
        self.outputs.setdefault(name, axis)
        known = self.slices.get(name, {}).get(axis)
        return self.attach(
            name, axis, self.fresh(self.shapes[name][axis]) if known is None else known
        )

    def freeze(self, *names: str) -> None:
        """Keep all channels of tensors."""
        for name in names:
            if name in self.tensors:
                ids = self.tensors[name].ids
                self.unite(ids, np.zeros_like(ids))

    def freeze_weight(self, name: str) -> None:
        """Keep all channels that a stored tensor runs along."""
        for ids in self.slices.get(name, {}).values():
            self.unite(ids, np.zeros_like(ids))

    def unite(self, first: Ids, second: Ids) -> None:
        """Let two lists of channels go together, one by one."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self._parent[high] = low  # 0 stays a root

    def produce(self, node: Node, axis: int, ids: Ids) -> Channels:
        """Note a producer; a bias that is added at once belongs to it."""
        name = node.outputs[0]
        readers = [other for other in self.graph.nodes if name in other.inputs]
        if len(readers) == 1 and readers[0].operator == "Add":
            other = [operand for operand in readers[0].inputs if operand != name]
            if other and other[0] in self.graph.constants:
                name = readers[0].outputs[0]
        self.producers.append(Producer(node.name, name))
        return Channels(axis, ids)

    def labels(self, name: str) -> Tensor | None:
        """The number of each element of a tensor; None where it has no channels."""
        if name not in self.tensors:
            return None
        found, shape = self.tensors[name], self.shapes[name]
        sizes = [1] * len(shape)
        sizes[found.axis] = -1
        return torch.from_numpy(found.ids).reshape(sizes).expand(shape).contiguous()


Rule = Callable[[ChannelGraph, Node], Channels | None]


def _freeze(c: ChannelGraph, node: Node) -> Channels | None:
    """An operator without a rule: nothing that enters it may be removed."""
    if any(name in c.tensors for name in node.inputs):
        c.obstacles.add(node.operator)
    c.freeze(*node.inputs)
    return None


def _same(c: ChannelGraph, node: Node) -> Channels | None:
    """An operator on each element, or one that keeps channels apart."""
    return c.tensors.get(node.inputs[0])


def _pool(c: ChannelGraph, node: Node) -> Channels | None:
    found = c.tensors.get(node.inputs[0])
    return found if found is None or found.axis == 1 else _freeze(c, node)


def _normalisation_over(axes: Callable[[Node, int], range]) -> Rule:
    """An operator that mixes the elements of some axes."""

    def rule(c: ChannelGraph, node: Node) -> Channels | None:
        found = c.tensors.get(node.inputs[0])
        if found is None or found.axis not in axes(node, len(c.shapes[node.inputs[0]])):
            return found
        return _freeze(c, node)

    return rule


def _softmax_axes(node: Node, rank: int) -> range:
    axis = node.integer("axis", -1 if node.opset >= 13 else 1) % rank
    return range(axis, axis + 1 if node.opset >= 13 else rank)


def _layer_axes(node: Node, rank: int) -> range:
    return range(node.integer("axis", -1) % rank, rank)


def _moved(c: ChannelGraph, node: Node) -> Channels | None:
    """An operator that only moves elements: move the numbers likewise."""
    labels = c.labels(node.inputs[0])
    if labels is None:
        return None
    found = _along_one_axis(_applied(c, node, labels))
    return _freeze(c, node) if found is None else found


def _selected(c: ChannelGraph, node: Node) -> Channels | None:
    """An operator that leaves out, repeats or mixes elements, but no channels."""
    before = c.tensors.get(node.inputs[0])
    if before is None:
        return None
    rank = len(c.shapes[node.inputs[0]])
    if node.operator == "Gather" and node.integer("axis", 0) % rank == before.axis:
        return _freeze(c, node)  # its indices count channels
    moved = _moved(c, _harmless(node))
    if moved is None or not np.array_equal(before.ids, moved.ids):
        return _freeze(c, node)
    return moved


def _harmless(node: Node) -> Node:
    """The same geometry with a function that suits numbers."""
    if node.operator == "Pad":
        return replace(node, attributes={**node.attributes, "mode": "edge"})
    if node.operator.startswith("Reduce"):
        return replace(node, operator="ReduceMax", opset=node.opset)
    return node


def _split(c: ChannelGraph, node: Node) -> None:
    """Split along another axis than that of the channels."""
    found = c.tensors.get(node.inputs[0])
    if found is None:
        return
    if node.integer("axis", 0) % len(c.shapes[node.inputs[0]]) == found.axis:
        _freeze(c, node)
        return
    for name in filter(None, node.outputs):
        c.tensors[name] = found


def _reshape(c: ChannelGraph, node: Node) -> Channels | None:
    """A Reshape to a stored shape, which can be changed."""
    return _moved(c, node) if node.inputs[1] in c.graph.constants else _freeze(c, node)


def _applied(c: ChannelGraph, node: Node, labels: Tensor) -> Tensor:
    others = [tensor(c.graph.constants[name]) if name else None for name in _constants(c, node)]
    return apply(node, [labels, *others])[0]


def _constants(c: ChannelGraph, node: Node) -> Sequence[str]:
    return [name if name in c.graph.constants else "" for name in node.inputs[1:]]


def _along_one_axis(labels: Tensor) -> Channels | None:
    """The channels of an array of numbers that varies along one axis only."""
    for axis in range(labels.ndim):
        line = labels.movedim(axis, 0).reshape(labels.shape[axis], -1)
        if len(line) > 1 and bool((line == line[:, :1]).all()):
            return Channels(axis, line[:, 0].numpy().copy())
    return None


def _elementwise(c: ChannelGraph, node: Node) -> Channels | None:
    """An operator on the elements of several tensors, with broadcasting."""
    rank = len(c.shapes[node.outputs[0]])
    names = [name for name in node.inputs if name]
    traced = [name for name in names if name in c.tensors]
    if not traced:
        return None
    axes = {c.tensors[name].axis + rank - len(c.shapes[name]) for name in traced}
    axis, first = min(axes), c.tensors[traced[0]].ids
    if len(axes) > 1 or any(len(c.tensors[name].ids) != len(first) for name in traced):
        return _freeze(c, node)
    for name in names:
        shape = c.shapes[name]
        own = axis - rank + len(shape)
        if name in c.tensors:
            c.unite(first, c.tensors[name].ids)
        elif own >= 0 and shape[own] > 1:
            if name not in c.graph.constants or shape[own] != len(first):
                return _freeze(c, node)
            c.attach(name, own, first)
    return Channels(axis, first)


def _concat(c: ChannelGraph, node: Node) -> Channels | None:
    rank = len(c.shapes[node.outputs[0]])
    joined = node.integer("axis", 1) % rank
    traced = [name for name in node.inputs if name in c.tensors]
    if not traced:
        return None
    axes = {c.tensors[name].axis for name in traced}
    if axes == {joined}:
        parts = [
            c.tensors[name].ids if name in c.tensors else np.zeros(c.shapes[name][joined], np.int64)
            for name in node.inputs
        ]
        return Channels(joined, np.concatenate(parts))
    first = c.tensors[traced[0]].ids
    others = [name for name in node.inputs if name not in c.tensors]
    if len(axes) > 1 or any(name not in c.graph.constants for name in others):
        return _freeze(c, node)
    for name in traced:
        c.unite(first, c.tensors[name].ids)
    for name in others:
        c.attach(name, min(axes), first)
    return Channels(min(axes), first)


def _batch_normalization(c: ChannelGraph, node: Node) -> Channels | None:
    found = c.tensors.get(node.inputs[0])
    if found is None:
        return None
    if found.axis != 1 or any(name not in c.graph.constants for name in node.inputs[1:]):
        return _freeze(c, node)
    for name in node.inputs[1:]:
        c.attach(name, 0, found.ids)
    return found


def _gemm(c: ChannelGraph, node: Node) -> Channels | None:
    data, weight = node.inputs[:2]
    if weight not in c.stored or node.integer("transA", 0):
        return _freeze(c, node)
    turned = bool(node.integer("transB", 0))
    found = c.tensors.get(data)
    if found is not None and found.axis == 1:
        c.attach(weight, 1 if turned else 0, found.ids)
    else:
        c.freeze(data)
    ids = c.made(weight, 0 if turned else 1)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = node.inputs[2]
        if bias not in c.stored:
            c.unite(ids, np.zeros_like(ids))
        elif c.shapes[bias] and c.shapes[bias][-1] > 1:
            c.attach(bias, len(c.shapes[bias]) - 1, ids)
    return c.produce(node, 1, ids)


def _matmul(c: ChannelGraph, node: Node) -> Channels | None:
    left, right = node.inputs
    rank = len(c.shapes[node.outputs[0]])
    if right in c.stored and len(c.shapes[right]) == 2:
        data, weight, inner, made, outer = left, right, len(c.shapes[left]) - 1, 1, rank - 1
    elif left in c.stored and len(c.shapes[left]) == 2:
        data, weight, inner, made, outer = right, left, len(c.shapes[right]) - 2, 0, rank - 2
    else:
        return _product(c, node)
    if outer < 0 or inner < 0:
        return _freeze(c, node)
    found = c.tensors.get(data)
    if found is not None and found.axis == inner:
        c.attach(weight, 1 - made, found.ids)
    else:
        c.freeze(data)
    return c.produce(node, outer, c.made(weight, made))


def _product(c: ChannelGraph, node: Node) -> Channels | None:
    """A product of two activations."""
    left, right = node.inputs
    a, b = c.tensors.get(left), c.tensors.get(right)
    if a is not None and b is not None:
        contracted = a.axis == len(c.shapes[left]) - 1 and b.axis == len(c.shapes[right]) - 2
        if contracted and len(a.ids) == len(b.ids):
            c.unite(a.ids, b.ids)
            return None
    elif a is None and b is not None and left not in c.graph.constants:
        rank = len(c.shapes[right])
        if b.axis == rank - 1 and rank > 1:
            return Channels(len(c.shapes[node.outputs[0]]) - 1, b.ids)
    return _freeze(c, node)


def _conv(c: ChannelGraph, node: Node) -> Channels | None:
    data, weight = node.inputs[:2]
    if weight not in c.stored:
        return _freeze(c, node)
    groups, found = node.integer("group", 1), c.tensors.get(data)
    outputs, inputs = c.shapes[weight][0], c.shapes[data][1]
    if found is not None and found.axis != 1:
        return _freeze(c, node)
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if groups > 1 and groups == inputs:
        # Depthwise: a channel and what is made of it go together.
        if found is None:
            return None
        ids = c.attach(weight, 0, found.ids.repeat(outputs // inputs))
    else:
        if found is not None:
            # Each group loses the same positions.
            by_group = found.ids.reshape(groups, -1)
            for other in by_group[1:]:
                c.unite(by_group[0], other)
            c.attach(weight, 1, by_group[0])
        ids = c.made(weight, 0)
        by_group = ids.reshape(groups, -1)
        for other in by_group[1:]:
            c.unite(by_group[0], other)
    if bias:
        c.attach(bias, 0, ids)
    return c.produce(node, 1, ids)


# fmt: off
_UNARY = (
    "Abs", "Cast", "Ceil", "Clip", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "LeakyRelu", "Log", "Neg", "Not", "Reciprocal", "Relu", "Round",
    "Sigmoid", "Sign", "Softplus", "Sqrt", "Tanh",
)
_BINARY = (
    "Add", "Div", "Equal", "Greater", "Less", "Max", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum",
    "Where",
)
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")
# fmt: on

_RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _same),
    **dict.fromkeys(_BINARY, _elementwise),
    **dict.fromkeys(_REDUCTIONS, _selected),
    **dict.fromkeys(["Flatten", "Squeeze", "Transpose", "Unsqueeze"], _moved),
    **dict.fromkeys(["Gather", "Pad", "Slice"], _selected),
    **dict.fromkeys(["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"], _pool),
    **dict.fromkeys(["Softmax", "LogSoftmax"], _normalisation_over(_softmax_axes)),
    "LayerNormalization": _normalisation_over(_layer_axes),
    "BatchNormalization": _batch_normalization,
    "Concat": _concat,
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Split": _split,
}
