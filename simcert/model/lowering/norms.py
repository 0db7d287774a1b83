"""Norms over axes: sums of squares, of absolute values, and their roots."""

from __future__ import annotations

from simcert.functions import Power
from simcert.model.graph import Node
from simcert.model.lowering.builder import Builder, Lowering, Operand, Traced, activation
from simcert.model.lowering.movement import move
from simcert.model.lowering.products import total
from simcert.model.lowering.reductions import axes_of, groups_of, keeps


def _sum_of(
    builder: Builder, node: Node, x: Traced, terms: Traced, axes: tuple[int, ...]
) -> Traced:
    """Append the sum over axes of something made of each element."""
    groups, shape = groups_of(x, axes, keep=keeps(node))
    return total(builder, node, move(builder, node.name, terms, groups.T), shape)


def _sum_of_squares(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    square = builder.univariate(x, Power(2.0), node.name)
    return [_sum_of(builder, node, x, square, axes_of(node, inputs, x))]


def _euclidean(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """The root of the sum of squares, which the bounds do not let fall below 0."""
    (squares,) = _sum_of_squares(builder, node, inputs)
    positive = builder.relu(activation(node, squares), node.name)
    return [builder.univariate(positive, Power(0.5), node.name)]


def _sum_of_absolutes(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    negated = builder.combine([(-1.0, x)], x.shape, node.name)
    parts: list[tuple[float, Operand]] = [
        (1.0, builder.relu(part, node.name)) for part in (x, negated)
    ]
    absolute = builder.combine(parts, x.shape, node.name, rounds=False)
    return [_sum_of(builder, node, x, absolute, axes_of(node, inputs, x))]


LOWERINGS: dict[str, Lowering] = {
    "ReduceL1": _sum_of_absolutes,
    "ReduceL2": _euclidean,
    "ReduceSumSquare": _sum_of_squares,
}
"""How each operator is written, by its ONNX type."""
