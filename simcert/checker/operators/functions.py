"""Smooth functions of each element."""

from __future__ import annotations

from simcert.checker.builder import Builder, Value
from simcert.checker.curves import CURVES
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import Operands, Reading, traced


def _smooth(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.smooth(traced(node, operands), CURVES[node.operator])


OPERATORS: dict[str, Reading] = dict.fromkeys(CURVES, _smooth)
