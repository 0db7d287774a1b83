"""Element types of what nodes make, as numbers of TensorProto.DataType."""

from __future__ import annotations

from simcert.checker.onnxfile import Node
from simcert.checker.operators import comparisons

FLOAT, _BYTE, _INT32, _INT64, _BOOL = 1, 2, 6, 7, 9

WHOLE = frozenset({2, 3, 4, 5, 6, 7, 9})
"""Integers and truth values: operators other than those that move or compare would round."""

_TRUTHS = comparisons.OPERATORS.keys() - {"ArgMax", "ArgMin", "Sign", "Where"}
_FIXED: dict[str, int] = {
    **dict.fromkeys(_TRUTHS, _BOOL),
    **dict.fromkeys(("ArgMax", "ArgMin", "Shape"), _INT64),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), _INT32),
}
_LIKE = {"DequantizeLinear": 1, "QLinearConv": 7, "QLinearMatMul": 7, "Where": 1}
"""Operands that say the type; of all other operators the first one does."""


def made(node: Node) -> dict[str, int | None]:
    """Return the element types of a node's outputs by name; None if one is not known."""
    if node.operator == "DynamicQuantizeLinear":
        return dict(zip(node.outputs, (_BYTE, FLOAT, _BYTE), strict=False))
    return dict.fromkeys(node.outputs, _made(node))


def _made(node: Node) -> int | None:
    if node.operator in _FIXED:
        return _FIXED[node.operator]
    if node.operator == "Cast":
        return node.integer("to", 0)
    if node.operator in ("Constant", "ConstantOfShape"):
        return node.element_type("value", FLOAT)
    if node.operator == "QuantizeLinear":
        return node.types[2] if len(node.types) > 2 and node.inputs[2] else _BYTE
    position = _LIKE.get(node.operator, 0)
    return node.types[position] if position < len(node.types) else None
