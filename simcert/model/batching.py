"""Whether a file computes every row of a batch as it computes the row alone.

A comparison on a few batches cannot tell: a network may count its rows and change from some count
on. So every operator between input and output must be known to treat rows apart, with the
attributes that it has; whatever is not known to is taken to mix them.

Every tensor is one of three: *constant*, the same at any number of rows; *rows*, one axis of which
is the batch while the others have constant sizes, slice i being made of row i alone; or *sizes*,
whole numbers each of which is constant or the number of rows: a Shape, and what only moves its
elements. Shapes come from runs of 1 and of 3 rows: a size that is 1 and 3 is the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from torch import Tensor

from simcert.model.graph import Graph, Node, TensorInfo
from simcert.model.sample import sample

_ROWS = 3  # more than 1

Values: TypeAlias = Mapping[str, Tensor]


def treats_rows_apart(graph: Graph, original: Graph) -> bool:
    """Return whether a graph computes every row of a batch as another computes the row alone.

    Args:
        graph: as the file to be run in batches has it, before any pass.
        original: as the file to be run row by row has it; Reshapes may have other targets.
    """
    one = _values(graph, 1)
    alone = _values(original, 1)
    if {name: value.shape for name, value in one.items()} != {
        name: value.shape for name, value in alone.items()
    }:
        return False
    flow = _Flow(one, _values(graph, _ROWS))
    flow.constants.update(graph.constants)
    flow.axes.update({info.name: 0 for info in graph.inputs})
    return all(flow.passes(node) for node in graph.nodes) and all(
        flow.axes.get(info.name) == 0 for info in graph.outputs
    )


def _values(graph: Graph, rows: int) -> Values:
    """Return the tensors that ``rows`` rows of zeros make, as far as they can be computed."""
    zeros = {info.name: np.zeros((rows, *info.sample[1:]), info.dtype) for info in graph.inputs[1:]}
    first = graph.inputs[0]
    return sample(
        replace(
            graph,
            input=TensorInfo(first.name, (rows, *first.sample[1:]), first.dtype),
            constants={**graph.constants, **zeros},
        )
    )


@dataclass
class _Flow:
    """What is known of the tensors before a node.

    Attributes:
        one: their values for one row of zeros.
        several: their values for `_ROWS` rows of zeros.
        constants: names of constant tensors.
        sizes: names of tensors of sizes.
        axes: which axis is the batch, of tensors of rows.
    """

    one: Values
    several: Values
    constants: set[str] = field(default_factory=set)
    sizes: set[str] = field(default_factory=set)
    axes: dict[str, int] = field(default_factory=dict)

    def passes(self, node: Node) -> bool:
        """Add the outputs of a node; False where it may mix rows."""
        made = [name for name in node.outputs if name]
        if all(map(self.constant, node.inputs)):
            self.constants.update(made)
            return True
        if not all(name in self.one and name in self.several for name in made):
            return False
        if self._moves_sizes(node):
            same = self.one[made[0]].equal(self.several[made[0]])
            (self.constants if same else self.sizes).add(made[0])
            return True
        rule = _RULES.get(node.operator)
        axes = None if rule is None else rule(self, node)
        if axes is None:
            return False
        expected = (axes,) * len(node.outputs) if isinstance(axes, int) else axes
        for name, axis in zip(node.outputs, expected, strict=False):
            if name and self.varying(name) != axis:
                return False
            self.axes[name] = axis
        return len(expected) >= len(node.outputs)

    def constant(self, name: str) -> bool:
        """Whether an input is constant, or omitted."""
        return not name or name in self.constants

    def rank(self, name: str) -> int:
        """Return the number of axes of a tensor."""
        return self.several[name].ndim

    def varying(self, name: str) -> int | None:
        """Return the one axis whose size is the number of rows, the others being constant."""
        one, several = self.one[name].shape, self.several[name].shape
        if len(one) != len(several):
            return None
        differing = [
            axis for axis, pair in enumerate(zip(one, several, strict=True)) if pair[0] != pair[1]
        ]
        if len(differing) != 1 or (one[differing[0]], several[differing[0]]) != (1, _ROWS):
            return None
        return differing[0]

    def numbers(self, name: str) -> list[int] | None:
        """Return a constant tensor's elements as whole numbers; None where they are not known."""
        if name not in self.constants or name not in self.one:
            return None
        return [int(value) for value in self.one[name].flatten().tolist()]

    def only_first(self, node: Node) -> int | None:
        """The batch axis of the first input where it alone has rows, else None."""
        first = self.axes.get(node.inputs[0])
        return first if all(map(self.constant, node.inputs[1:])) else None

    def fits(self, name: str, place: int) -> bool:
        """Whether a constant is spread along an axis, counted from the last one as −1."""
        if not name:
            return True
        if not (self.constant(name) and name in self.one):
            return False
        shape = self.one[name].shape
        return len(shape) < -place or shape[place] == 1

    def _moves_sizes(self, node: Node) -> bool:
        """Whether the output has sizes: a Shape of rows, or sizes moved by constant indices."""
        if node.operator == "Shape":
            return node.inputs[0] in self.axes
        if node.operator == "Concat":
            return all(name in self.sizes or self.constant(name) for name in node.inputs)
        moved = node.operator in ("Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")
        return moved and node.inputs[0] in self.sizes and all(map(self.constant, node.inputs[1:]))


_Rule: TypeAlias = Callable[[_Flow, Node], int | tuple[int, ...] | None]
"""Returns the batch axis of the outputs, or None where rows may be mixed."""


def _elementwise(flow: _Flow, node: Node) -> int | None:
    """Tensors of rows meet row by row, constants are spread along the batch."""
    places = {flow.axes[name] - flow.rank(name) for name in node.inputs if name in flow.axes}
    if len(places) != 1:
        return None
    place = places.pop()
    if not all(name in flow.axes or flow.fits(name, place) for name in node.inputs):
        return None
    return flow.rank(node.outputs[0]) + place


def _matmul(flow: _Flow, node: Node) -> int | None:
    """The batch is an axis of matrices, or of rows (columns) of a left (right) operand alone."""
    left, right = node.inputs
    batch = flow.axes.get(left, flow.rank(left))
    if flow.constant(right) and flow.rank(right) == 1:
        return batch if batch < flow.rank(left) - 1 else None
    if min(flow.rank(left), flow.rank(right)) < 2:
        return None
    places = {name: flow.axes[name] - flow.rank(name) for name in node.inputs if name in flow.axes}
    if all(place <= -3 for place in places.values()):
        return _elementwise(flow, node)
    if places.get(left) == -2 and flow.constant(right):
        return flow.rank(node.outputs[0]) - 2
    if places.get(right) == -1 and flow.constant(left):
        return flow.rank(node.outputs[0]) - 1
    return None


def _gemm(flow: _Flow, node: Node) -> int | None:
    first, second, *third = node.inputs
    if flow.axes.get(first) != node.integer("transA", 0) or not flow.constant(second):
        return None
    added = all(flow.axes.get(name) == 0 or flow.fits(name, -2) for name in third)
    return 0 if added else None


def _integer_matmul(flow: _Flow, node: Node) -> int | None:
    """By a constant matrix; the left operand has one scale and one zero point."""
    integer = node.operator == "MatMulInteger"
    right = node.inputs[1 if integer else 3]
    single = node.inputs[2:3] if integer else (*node.inputs[1:3], *node.inputs[6:8])
    axis = flow.only_first(node)
    if axis is None or axis != flow.rank(node.inputs[0]) - 2 or right not in flow.one:
        return None
    plain = all(not name or flow.one[name].numel() == 1 for name in single)
    return axis if plain and flow.rank(right) == 2 else None


def _leading(flow: _Flow, node: Node) -> int | None:
    """Operators that take the first axis for the batch, and the second for the channels.

    A second output is of the whole batch: indices of a pool, statistics in training.
    """
    if any(node.outputs[1:]):
        return None
    if node.operator == "BatchNormalization" and (
        node.integer("training_mode", 0) or node.opset < 7
    ):
        return None
    return 0 if flow.only_first(node) == 0 and flow.rank(node.inputs[0]) > 1 else None


def _quantiser(flow: _Flow, node: Node) -> int | None:
    """Scales for the whole tensor, or along another axis than the batch."""
    axis = flow.only_first(node)
    scale = node.inputs[1]
    if axis is None or scale not in flow.one or flow.rank(scale) > 1:
        return None
    channels = node.integer("axis", 1) % max(1, flow.rank(node.inputs[0]))
    return axis if flow.one[scale].numel() == 1 or channels != axis else None


def _from_axis(flow: _Flow, node: Node) -> int | None:
    """Over an axis, and over all that follow in old Softmaxes and in LayerNormalization."""
    batch = flow.only_first(node)
    if batch is None:
        return None
    rank = flow.rank(node.inputs[0])
    flat = node.operator != "LayerNormalization" and node.opset < 13
    axis = node.integer("axis", 1 if flat else -1) % rank
    following = flat or node.operator == "LayerNormalization"
    return batch if (batch < axis if following else batch != axis) else None


def _along(default: int) -> _Rule:
    """Operators along one axis, an attribute."""

    def rule(flow: _Flow, node: Node) -> int | None:
        places = {(flow.axes.get(name), flow.rank(name)) for name in node.inputs}
        batch, rank = places.pop()
        if places or batch is None or node.integer("axis", default) % rank == batch:
            return None
        return batch

    return rule


def _split(flow: _Flow, node: Node) -> int | None:
    batch = flow.only_first(node)
    if batch is None or node.integer("axis", 0) % flow.rank(node.inputs[0]) == batch:
        return None
    return batch


def _reduce(flow: _Flow, node: Node) -> int | None:
    batch = flow.only_first(node)
    if batch is None:
        return None
    axes: list[int] | None = list(node.integers("axes"))
    if node.operator in ("ArgMax", "ArgMin"):
        axes = [node.integer("axis", 0)]
    elif len(node.inputs) > 1:
        axes = flow.numbers(node.inputs[1])
    if not axes:  # all of them, or not known
        return None
    chosen = {axis % flow.rank(node.inputs[0]) for axis in axes}
    if batch in chosen:
        return None
    return batch if node.integer("keepdims", 1) else batch - sum(axis < batch for axis in chosen)


def _reshape(flow: _Flow, node: Node) -> int | None:
    """Elements stay in order: as many slices before the batch axis as there were."""
    first = node.inputs[0]
    before = flow.axes.get(first)
    after = flow.varying(node.outputs[0])
    if before is None or after is None:
        return None
    if not all(flow.constant(name) or name in flow.sizes for name in node.inputs[1:]):
        return None
    kept = math.prod(flow.several[first].shape[:before])
    return after if math.prod(flow.several[node.outputs[0]].shape[:after]) == kept else None


def _transpose(flow: _Flow, node: Node) -> int | None:
    axis = flow.axes.get(node.inputs[0])
    order = node.integers("perm") or tuple(reversed(range(flow.rank(node.inputs[0]))))
    return None if axis is None else order.index(axis)


def _slice(flow: _Flow, node: Node) -> int | None:
    batch = flow.only_first(node)
    if node.opset < 10:
        axes = node.integers("axes") or tuple(range(len(node.integers("starts"))))
    else:
        given = node.inputs[3] if len(node.inputs) > 3 else ""
        numbers = flow.numbers(given or node.inputs[1])
        if numbers is None:
            return None
        axes = tuple(numbers if given else range(len(numbers)))
    untouched = batch not in {axis % flow.rank(node.inputs[0]) for axis in axes}
    return batch if untouched else None


def _gather(flow: _Flow, node: Node) -> int | None:
    """Constant indices into rows, or rows of indices into a constant table."""
    table, indices = node.inputs
    axis = node.integer("axis", 0) % flow.rank(table)
    if table in flow.axes and flow.constant(indices):
        batch = flow.axes[table]
        if batch == axis:
            return None
        return batch if batch < axis else batch + flow.rank(indices) - 1
    if indices in flow.axes and flow.constant(table):
        return axis + flow.axes[indices]
    return None


def _pad(flow: _Flow, node: Node) -> int | None:
    batch = flow.only_first(node)
    if batch is None or len(node.inputs) > 3:
        return None
    rank = flow.rank(node.inputs[0])
    pads = node.integers("pads") if node.opset < 11 else flow.numbers(node.inputs[1])
    if not pads or len(pads) != 2 * rank or pads[batch] or pads[batch + rank]:
        return None
    return batch


def _tile(flow: _Flow, node: Node) -> int | None:
    batch = flow.only_first(node)
    repeats = flow.numbers(node.inputs[1])
    return batch if batch is not None and repeats and repeats[batch] == 1 else None


def _resize(flow: _Flow, node: Node) -> int | None:
    """By a factor of exactly 1 along the batch."""
    batch = flow.only_first(node)
    position = 1 if node.operator == "Upsample" or node.opset < 11 else 2
    name = node.inputs[position] if len(node.inputs) > position else ""
    scales: object = node.attributes.get("scales")
    if name in flow.one:
        scales = tuple(flow.one[name].tolist())
    if batch is None or not isinstance(scales, tuple) or len(scales) <= batch:
        return None
    return batch if scales[batch] == 1.0 else None


def _expand(flow: _Flow, node: Node) -> int | None:
    data, shape = node.inputs
    if not (flow.constant(shape) or shape in flow.sizes):
        return None
    if data in flow.axes:
        return flow.rank(node.outputs[0]) - flow.rank(data) + flow.axes[data]
    return flow.varying(node.outputs[0]) if flow.constant(data) else None


def _filled(flow: _Flow, node: Node) -> int | None:
    return flow.varying(node.outputs[0]) if node.inputs[0] in flow.sizes else None


def _recurrent(flow: _Flow, node: Node) -> tuple[int, ...] | None:
    """Steps of time come first, then the batch."""
    x, *others = node.inputs
    weights, lengths = [*others[:3], *others[6:]], others[3:4]
    states = others[4:6]  # before the first step
    if flow.axes.get(x) != 1 or node.integer("layout", 0) or any(lengths):
        return None
    if not all(map(flow.constant, weights)):
        return None
    return (2, 1, 1) if all(not name or flow.axes.get(name) == 1 for name in states) else None


def _rules(rule: _Rule, operators: str) -> dict[str, _Rule]:
    return dict.fromkeys(operators.split(), rule)


_RULES: Mapping[str, _Rule] = {
    **_rules(
        _elementwise,
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift Cast Ceil Celu Clip Cos Cosh Div "
        "Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
        "Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or "
        "PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt "
        "Sub Sum Tan Tanh ThresholdedRelu Where Xor",
    ),
    **_rules(
        _leading,
        "AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace "
        "GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LRN "
        "LpPool MaxPool QLinearConv SpaceToDepth",
    ),
    **_rules(
        _reduce,
        "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean "
        "ReduceMin ReduceProd ReduceSum ReduceSumSquare",
    ),
    **_rules(_from_axis, "Hardmax LayerNormalization LogSoftmax Softmax"),
    **_rules(_quantiser, "DequantizeLinear QuantizeLinear"),
    **_rules(_integer_matmul, "MatMulInteger QLinearMatMul"),
    **_rules(_reshape, "Flatten Reshape Squeeze Unsqueeze"),
    **_rules(_recurrent, "GRU LSTM RNN"),
    **_rules(_resize, "Resize Upsample"),
    "Concat": _along(0),
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "LpNormalization": _along(-1),
    "MatMul": _matmul,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Tile": _tile,
    "Transpose": _transpose,
}
"""How each operator that is known to treat rows apart hands the batch axis on."""
