"""What the readings of operators share: looking at a node's operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, digest
from simcert.checker.onnxfile import Constant, Node

Operands = list[Value | None]

Reading = Callable[[Builder, Node, Operands], Value | Sequence[Value]]
"""Appends what a node says to the builder and returns its output or outputs."""

LARGEST_WINDOWS = 2**26
"""Elements of all windows of a convolution or pool."""


def traced(node: Node, operands: Operands, position: int = 0) -> Traced:
    """Return an operand that depends on the input."""
    value = operands[position] if position < len(operands) else None
    if not isinstance(value, Traced):
        raise node.refused("of constants")
    return value


def given(node: Node, operands: Operands, position: int) -> Constant | None:
    """Return a constant operand, None where it is left out."""
    value = operands[position] if position < len(operands) else None
    if isinstance(value, Traced):
        raise node.refused("of two tensors that depend on the input")
    return value


def constant(node: Node, operands: Operands, position: int) -> Constant:
    """Return a constant operand, which must be there."""
    value = given(node, operands, position)
    if value is None:
        raise node.refused(f"without operand {position}")
    return value


def weights(node: Node, operands: Operands, position: int) -> Constant:
    """Return a constant operand of real numbers, which must be there."""
    value = constant(node, operands, position)
    if value.dtype != np.float64:
        raise node.refused("with weights that are whole numbers")
    return value


def present(node: Node, operands: Operands) -> list[Value]:
    """Return the operands that are there, one of which depends on the input."""
    found = [value for value in operands if value is not None]
    if not any(isinstance(value, Traced) for value in found):
        raise node.refused("of constants")
    return found


def inexact(divisor: Constant) -> str:
    """Return a name of inverses that float64 does not hold; none for powers of two."""
    exact = np.abs(np.frexp(divisor)[0]) == 0.5
    return "" if exact.all() else digest(divisor)
