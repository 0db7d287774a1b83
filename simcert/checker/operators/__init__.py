"""What each ONNX operator says, in the steps of ``program``; one family of operators a file."""

from __future__ import annotations

from collections.abc import Sequence

from simcert.checker.builder import Builder, Coded, Traced, Value
from simcert.checker.errors import CannotCheckError
from simcert.checker.movement import MOVEMENTS
from simcert.checker.onnxfile import Node
from simcert.checker.operators import (
    affine,
    comparisons,
    convolution,
    functions,
    integers,
    normalisation,
    piecewise,
    placing,
    quantisers,
    recurrent,
    reductions,
    resizing,
)
from simcert.checker.operators.operands import Operands, Reading
from simcert.checker.operators.types import WHOLE

__all__ = ["OPERATORS", "apply"]

OPERATORS: dict[str, Reading] = {
    **affine.OPERATORS,
    **comparisons.OPERATORS,
    **convolution.OPERATORS,
    **functions.OPERATORS,
    **integers.OPERATORS,
    **normalisation.OPERATORS,
    **piecewise.OPERATORS,
    **placing.OPERATORS,
    **quantisers.OPERATORS,
    **recurrent.OPERATORS,
    **reductions.OPERATORS,
    **resizing.OPERATORS,
}
"""How each operator is read, by its ONNX type."""

_OF_CODES = {"Cast", "DequantizeLinear", "MaxPool", "Mul", *MOVEMENTS, *integers.OPERATORS}
"""Operators that look at what integers, or scales of integers, stand for."""

_OF_WHOLE_NUMBERS = {
    *("Cast", "Concat", "Max", "Min", "Pad", "Shape"),
    *comparisons.OPERATORS,
    *MOVEMENTS,
}
"""Operators that make of integers what they would make of the same real numbers."""


def apply(builder: Builder, node: Node, operands: Operands) -> list[Value]:
    """Return the outputs of a node; those that are constants are found without steps.

    Raises:
        CannotCheckError: the operator, or this use of it, is not known.
    """
    builder.name = node.name or (node.outputs[0] if node.outputs else "")
    if node.domain not in ("", "ai.onnx") or node.operator not in OPERATORS:
        raise CannotCheckError(f"the checker does not know the operator {node.operator!r}")
    if node.operator not in _OF_CODES and any(isinstance(x, Coded) for x in operands):
        raise node.refused("of quantised numbers")
    if node.operator not in _OF_WHOLE_NUMBERS and any(
        isinstance(x, Traced) and not isinstance(x, Coded) and kind in WHOLE
        for x, kind in zip(operands, node.types, strict=True)
    ):
        raise node.refused("of whole numbers")
    try:
        found = OPERATORS[node.operator](builder, node, operands)
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise node.refused(f"like this: {error}") from error
    node.check_attributes()
    return list(found) if isinstance(found, Sequence) else [found]
