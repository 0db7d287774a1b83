"""Piecewise-linear functions: affine steps and rectifiers."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, shape_of
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import (
    Operands,
    Reading,
    given,
    present,
    traced,
    weights,
)

_LEAKY = float(np.float32(0.01))


def _relu(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.relu(traced(node, operands))


def _leaky(builder: Builder, node: Node, operands: Operands) -> Value:
    """LeakyRelu and PRelu: r + α (x − r), r = relu(x)."""
    x = traced(node, operands)
    if node.operator == "PRelu":
        slope = weights(node, operands, 1)
    else:
        slope = np.array(node.real("alpha", _LEAKY))
    if shape_of(x, slope) != x.shape:
        raise node.refused(f"with slopes of shape {slope.shape}")
    positive = builder.relu(x)
    negative = builder.combine([(1.0, x), (-1.0, positive)], computed=False)
    return builder.combine([(1.0, positive), (1.0, builder.scale(negative, slope))], computed=False)


def _clip(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    low, high = (
        node.real(name, default) if value is None else float(value.reshape(-1)[0])
        for name, default, value in (
            ("min", -math.inf, given(node, operands, 1)),
            ("max", math.inf, given(node, operands, 2)),
        )
    )
    if not low <= high:
        raise node.refused(f"to [{low}, {high}]")
    result: Value = x
    if low > -math.inf:
        result = builder.maximum(x, np.array(low))
    if high < math.inf:
        over = builder.relu(builder.combine([(1.0, x), (-1.0, np.array(high))], computed=False))
        result = builder.combine([(1.0, result), (-1.0, over)], computed=False)
    return result


def _absolute(builder: Builder, node: Node, operands: Operands) -> Value:
    """|x| is relu(x) + relu(−x)."""
    x = traced(node, operands)
    negated = builder.combine([(-1.0, x)])
    return builder.combine([(1.0, builder.relu(x)), (1.0, builder.relu(negated))], computed=False)


def _extremum(builder: Builder, node: Node, operands: Operands) -> Value:
    result, *rest = present(node, operands)
    for value in rest:
        if not isinstance(result, Traced) and not isinstance(value, Traced):
            choose = np.maximum if node.operator == "Max" else np.minimum
            result = choose(result, value)
        else:
            choose_ = builder.maximum if node.operator == "Max" else builder.minimum
            result = choose_(result, value)
    return result


OPERATORS: dict[str, Reading] = {
    "Abs": _absolute,
    "Clip": _clip,
    "LeakyRelu": _leaky,
    "Max": _extremum,
    "Min": _extremum,
    "PRelu": _leaky,
    "Relu": _relu,
}
