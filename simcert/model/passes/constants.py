"""Constant folding."""

from dataclasses import replace

import numpy as np

from simcert.errors import ModelError
from simcert.model.graph import Array, Graph, Node
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor

# fmt: off
EXACT = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape",
    "DequantizeLinear", "Div", "Equal", "Expand", "Flatten", "Floor", "Gather", "Greater",
    "Identity", "Less", "Max", "Min", "Mul", "Neg", "Not", "Pad", "QuantizeLinear", "Reciprocal",
    "ReduceMax", "ReduceMin", "Relu", "Reshape", "Round", "Shape", "Sign", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
"""Operators whose result has one possible value in floating point.

They move elements, or round correctly as IEEE 754 says, so that folding gives the bits that every
runtime gives. A matrix product or an exponential of constants is left as a node.
"""


def fold_constants(graph: Graph) -> Graph:
    """Compute every exact node whose inputs are all constants, in the element types of the file."""
    constants: dict[str, Array] = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph.nodes:
        folded = _fold(node, constants)
        if folded is None:
            nodes.append(node)
        else:
            constants.update(folded)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _fold(node: Node, constants: dict[str, Array]) -> dict[str, Array] | None:
    """Return the outputs of ``node`` by name; None where it is not constant or has no kernel."""
    if node.operator not in EXACT or any(name and name not in constants for name in node.inputs):
        return None
    try:
        outputs = apply(node, [tensor(constants[name]) if name else None for name in node.inputs])
    except ModelError:
        return None
    return {
        name: np.array(value.numpy())
        for name, value in zip(node.outputs, outputs, strict=False)
        if name
    }
