"""Smooth functions of each element."""

from __future__ import annotations

from simcert.functions import Exponential, Function, Power, Sigmoid
from simcert.model.graph import Node
from simcert.model.lowering.builder import Builder, Lowering, Operand, activation


def _each(function: Function) -> Lowering:
    """Apply a function to each element."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        return [builder.univariate(activation(node, inputs[0]), function, node.name)]

    return run


LOWERINGS: dict[str, Lowering] = {
    "Exp": _each(Exponential()),
    "Reciprocal": _each(Power(-1.0)),
    "Sigmoid": _each(Sigmoid()),
}
"""How each operator is written, by its ONNX type."""
