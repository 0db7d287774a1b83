"""The operators that SimCert can run, as torch kernels: one table, grouped in files by kind.

A kernel takes the node and its input tensors and returns the output tensors. It runs the node on
one sample (batch axis 1, as in the file), in whatever floating-point type it is given, under
``torch.func.vmap``, and it is differentiable. Movement operators take any element type.
Differences between operator sets (axes as attribute or input, the old Softmax) stay inside the
kernel: a node knows the operator set that it is to be read in.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from simcert.errors import ModelError, UnsupportedOperatorError
from simcert.model.graph import Node
from simcert.model.operators import (
    elementwise,
    linear,
    movement,
    normalisation,
    pooling,
    quantisation,
    recurrent,
    resizing,
    transposed,
)
from simcert.model.operators.kernel import Kernel

__all__ = ["OPERATORS", "Kernel", "apply"]

OPERATORS: Mapping[str, Kernel] = {
    **elementwise.KERNELS,
    **linear.KERNELS,
    **movement.KERNELS,
    **normalisation.KERNELS,
    **pooling.KERNELS,
    **quantisation.KERNELS,
    **recurrent.KERNELS,
    **resizing.KERNELS,
    **transposed.KERNELS,
}


def apply(node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Run one node.

    Args:
        node: the node.
        inputs: its input tensors in order, None where one is omitted.

    Returns:
        Its output tensors in order, at least as far as the last one that is read.

    Raises:
        UnsupportedOperatorError: the operator, or the variant that the node asks for, is not known.
        ModelError: the node does not fit its inputs.
    """
    if node.operator not in OPERATORS:
        raise UnsupportedOperatorError(node.operator, node.name)
    try:
        outputs = OPERATORS[node.operator](node, inputs)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        shapes = [None if x is None else tuple(x.shape) for x in inputs]
        raise ModelError(
            f"node {node.name!r} ({node.operator}) does not fit inputs of shapes {shapes}: {error}"
        ) from error
    for name in node.outputs[len(outputs) :]:
        if name:
            raise UnsupportedOperatorError(node.operator, node.name, f"its output {name!r}")
    return outputs
