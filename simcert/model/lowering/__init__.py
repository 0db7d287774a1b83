"""From a graph to a program: each operator as affine steps, rectifiers, functions and products.

One family of operators a file, each with a table. An operator that is in no table can be run and
sampled but not bounded; the error names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Graph, Node
from simcert.model.lowering import (
    affine,
    argmax,
    comparisons,
    functions,
    movement,
    normalisation,
    norms,
    piecewise,
    quantised,
    recurrent,
    reductions,
)
from simcert.model.lowering.builder import Builder, Lowering, Operand, Traced, widened
from simcert.model.lowering.wholes import Wholes
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor
from simcert.model.operators.movement import KERNELS as _MOVEMENT_KERNELS
from simcert.model.program import Program

__all__ = ["LOWERINGS", "lower"]

LOWERINGS: dict[str, Lowering] = {
    **affine.LOWERINGS,
    **argmax.LOWERINGS,
    **comparisons.LOWERINGS,
    **functions.LOWERINGS,
    **movement.LOWERINGS,
    **normalisation.LOWERINGS,
    **norms.LOWERINGS,
    **piecewise.LOWERINGS,
    **quantised.LOWERINGS,
    **recurrent.LOWERINGS,
    **reductions.LOWERINGS,
}
"""How each operator is written, by its ONNX type."""

_MOVEMENT = frozenset(_MOVEMENT_KERNELS) - {"Cast"}


def lower(graph: Graph) -> Program:
    """Write a network as a program.

    Raises:
        UnsupportedOperatorError: an operator is not piecewise linear, or not known.
        ModelError: a node does not fit its inputs.
    """
    builder = Builder(graph.input.size)
    values: dict[str, Operand] = {
        name: widened(tensor(array)) for name, array in graph.constants.items()
    }
    values[graph.input.name] = Traced(0, graph.input.sample)
    wholes = Wholes(graph)
    read = {graph.output.name, *(name for node in graph.nodes for name in node.inputs if name)}
    for node in graph.nodes:
        inputs = [values[name] if name else None for name in node.inputs]
        if not any(isinstance(x, Traced) for x in inputs):
            outputs: Sequence[Operand] = _constants(node, inputs)
        else:
            if node.operator not in LOWERINGS:
                raise UnsupportedOperatorError(node.operator, node.name)
            wholes.check(node)
            wholes.follow(node)
            outputs = _lowered(builder, node, inputs)
        for name in node.outputs[len(outputs) :]:
            if name in read:
                raise UnsupportedOperatorError(node.operator, node.name, f"its output {name!r}")
        values.update(zip(node.outputs, outputs, strict=False))
    output = values[graph.output.name]
    if not isinstance(output, Traced):
        output = builder.constant(output, "output")
    return builder.program(output.step)


def _lowered(builder: Builder, node: Node, inputs: list[Operand | None]) -> Sequence[Operand]:
    try:
        return LOWERINGS[node.operator](builder, node, inputs)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        shapes = [None if x is None else tuple(x.shape) for x in inputs]
        detail = f"it does not fit inputs of shapes {shapes}: {error}"
        raise UnsupportedOperatorError(node.operator, node.name, detail) from error


def _constants(node: Node, inputs: Sequence[Operand | None]) -> list[Operand]:
    """Run a node whose inputs are all constant, if it computes nothing.

    What can be computed in only one way was folded when the file was read. The rest (a product of
    constant matrices, an exponential) has no value that float64 holds and every runtime gives.
    """
    if node.operator not in _MOVEMENT:
        detail = "its inputs are all constant, and its value depends on the runtime's rounding"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    constants = [x for x in inputs if not isinstance(x, Traced)]
    return [widened(value) for value in apply(node, constants)]
