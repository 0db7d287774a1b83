"""Constant folding."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simcert.errors import ModelError
from simcert.model.graph import Array, Graph, Node
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor

# fmt: off
MOVING = frozenset({
    "Cast", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity",
    "Pad", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
})
EXACT = MOVING | {
    "Abs", "Add", "Ceil", "Clip", "DequantizeLinear", "Div", "Equal", "Floor", "Greater", "Less",
    "Max", "Min", "Mul", "Neg", "Not", "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceMin",
    "Relu", "Round", "Sign", "Sqrt", "Sub",
}
# fmt: on
"""Operators whose result has one possible value in floating point.

They move elements, or round correctly as IEEE 754 says, so that folding gives the bits that every
runtime gives. A matrix product or an exponential of constants is left as a node.
"""

_HALF = np.dtype(np.float16)


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
    """Return the outputs of ``node`` by name; None where it is not constant or has no kernel.

    None also where runtimes may disagree about them.
    """
    if node.operator not in EXACT or any(name and name not in constants for name in node.inputs):
        return None
    inputs = [constants[name] if name else None for name in node.inputs]
    try:
        outputs = _outputs(node, inputs)
    except ModelError:
        return None
    given = [x for x in inputs if x is not None]
    if not _agreed(node, given, outputs):
        return None
    return {name: made for name, made in zip(node.outputs, outputs, strict=False) if name}


def _outputs(node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Run a node in the types of the file."""
    made = apply(node, [None if x is None else tensor(x) for x in inputs])
    outputs: list[Array] = [np.array(value.numpy()) for value in made]
    if node.operator == "Sqrt" and inputs[0] is not None:  # torch's is not correctly rounded
        with np.errstate(invalid="ignore"):
            return [np.asarray(np.sqrt(inputs[0]))]
    if node.operator == "QuantizeLinear":  # the kernel keeps codes as floats
        zero = inputs[2] if len(inputs) > 2 else None
        return [outputs[0].astype(np.uint8 if zero is None else zero.dtype)]
    return outputs


def _agreed(node: Node, inputs: Sequence[Array], outputs: Sequence[Array]) -> bool:
    """Whether every runtime computes these numbers.

    NaN and infinity are not treated alike by all, and subnormal numbers may be flushed to zero.
    Operators that a runtime lacks in float16 it runs in float32, and drops casts to float16 on the
    way. A float that an integer does not hold may become any.
    """
    if not all(np.isfinite(x).all() for x in outputs if x.dtype.kind == "f"):
        return False
    if node.operator == "Cast":
        (x,), (made,) = inputs, outputs
        if x.dtype.kind == "f" and made.dtype.kind in "iu":
            return bool((made.astype(x.dtype) == np.trunc(x)).all())
        return made.dtype != _HALF or x.dtype == _HALF
    floats = [x for x in (*inputs, *outputs) if x.dtype.kind == "f"]
    return node.operator in MOVING or not any(x.dtype == _HALF or _flushed(x) for x in floats)


def _flushed(x: Array) -> bool:
    """Whether an array of floats holds subnormal numbers."""
    size, least = np.abs(x.astype(np.float64)), float(np.finfo(x.dtype.name).smallest_normal)
    return bool(((size > 0) & (size < least)).any())
