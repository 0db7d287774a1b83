"""Which tensors hold integers: a runtime divides them with truncation, and their sums wrap.

The lowering knows real numbers only. So integers may be moved, compared, chosen between, and made
real numbers of; nothing may be computed from them.
"""

from __future__ import annotations

import numpy as np

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Graph, Node
from simcert.model.operators.movement import KERNELS as _MOVEMENT

INTEGERS = frozenset({2, 3, 4, 5, 6, 7, 12, 13, 21, 22})
"""Element types of ONNX: all integers, also those of 4 bits."""

_MAKES = frozenset({"ArgMax", "ArgMin", "QuantizeLinear"})
_KEEPS = (frozenset(_MOVEMENT) - {"Cast"}) | {
    *("Clip", "Max", "MaxPool", "Min", "ReduceMax", "ReduceMin", "Relu", "Where"),
}
_TAKES = frozenset(
    ("ArgMax", "ArgMin", "Cast", "DequantizeLinear", "Equal", "Greater", "GreaterOrEqual")
) | {"Less", "LessOrEqual"}


class Wholes:
    """The names of the tensors of integers, followed node by node."""

    def __init__(self, graph: Graph) -> None:
        self._names = {name for name, array in graph.constants.items() if _is_integer(array.dtype)}
        if _is_integer(graph.input.dtype):
            self._names.add(graph.input.name)

    def follow(self, node: Node) -> None:
        """Remember what a node makes."""
        cast = node.operator == "Cast" and node.integer("to", 0) in INTEGERS
        if cast or node.operator in _MAKES or (self.read_by(node) and node.operator in _KEEPS):
            self._names.update(node.outputs)

    def check(self, node: Node) -> None:
        """Require that a node does not compute with integers.

        Raises:
            UnsupportedOperatorError: it does.
        """
        if self.read_by(node) and node.operator not in _KEEPS | _TAKES:
            detail = "of integers, which a runtime truncates and wraps; Cast them to float first"
            raise UnsupportedOperatorError(node.operator, node.name, detail)

    def read_by(self, node: Node) -> bool:
        """Whether a node's data are integers."""
        return any(name in self._names for name in self._data(node))

    @staticmethod
    def _data(node: Node) -> tuple[str, ...]:
        """Return the inputs that hold data: what says how it is moved is of integers anyway."""
        if node.operator in {"Concat", "Max", "Min"}:
            return node.inputs
        return node.inputs[1:3] if node.operator == "Where" else node.inputs[:1]


def _is_integer(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "iu"
