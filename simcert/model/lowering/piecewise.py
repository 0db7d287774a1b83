"""Piecewise-linear operators: affine steps and rectifiers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Clip
from simcert.model.graph import Node
from simcert.model.linear import (
    Diagonal,
)
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    broadcast,
    constant_of,
    digest_of,
    present,
)


def _relu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [builder.relu(activation(node, inputs[0]), node.name)]


def _leaky_relu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    slope = torch.tensor(node.real("alpha", float(np.float32(0.01))), dtype=torch.float64)
    return [_leaky(builder, node, activation(node, inputs[0]), slope)]


def _prelu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [
        _leaky(builder, node, activation(node, inputs[0]), constant_of(node, inputs[1], "slope"))
    ]


def _leaky(builder: Builder, node: Node, x: Traced, slope: Tensor) -> Traced:
    """Return α x + (1 − α) relu(x)."""
    spread = slope.expand(x.shape).reshape(-1).clone()
    positive = builder.relu(x, node.name)
    maps = [(x.step, Diagonal(spread)), (positive.step, Diagonal(1.0 - spread))]
    zero = torch.zeros(x.size, dtype=torch.float64)
    return builder.affine(maps, zero, x.shape, node.name, digest_of(spread))


def _clip(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """Clip to [l, u], l ≤ u; with one limit it is a maximum or a minimum."""
    x = activation(node, inputs[0])
    low = _limit(node, inputs, 1, "min", -math.inf)
    high = _limit(node, inputs, 2, "max", math.inf)
    if not low <= high:
        raise UnsupportedOperatorError(node.operator, node.name, f"limits {low} > {high}")
    if -math.inf < low and high < math.inf:
        return [builder.univariate(x, Clip(low, high), node.name, rounds=False)]
    if low > -math.inf:
        return [builder.maximum(x, torch.tensor(low, dtype=torch.float64), x.shape, node.name)]
    if high < math.inf:
        return [builder.minimum(x, torch.tensor(high, dtype=torch.float64), x.shape, node.name)]
    return [x]


def _limit(
    node: Node, inputs: list[Operand | None], position: int, name: str, default: float
) -> float:
    if len(inputs) > position and inputs[position] is not None:
        return float(constant_of(node, inputs[position], "limit"))
    return node.real(name, default)


def _absolute(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """|x| is relu(x) + relu(−x)."""
    x = activation(node, inputs[0])
    negated = builder.combine([(-1.0, x)], x.shape, node.name)
    parts: list[tuple[float, Operand]] = [
        (1.0, builder.relu(x, node.name)),
        (1.0, builder.relu(negated, node.name)),
    ]
    return [builder.combine(parts, x.shape, node.name, rounds=False)]


def _extremum(method: str) -> Lowering:
    """Max and Min of any number of tensors."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        operands = present(inputs)
        result = operands[0]
        for operand in operands[1:]:
            if isinstance(result, Tensor) and isinstance(operand, Tensor):
                choose = torch.maximum if method == "maximum" else torch.minimum
                result = choose(result, operand)
            else:
                shape = broadcast(result, operand)
                result = getattr(builder, method)(result, operand, shape, node.name)
        return [result]

    return run


LOWERINGS: dict[str, Lowering] = {
    "Abs": _absolute,
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Max": _extremum("maximum"),
    "Min": _extremum("minimum"),
    "PRelu": _prelu,
    "Relu": _relu,
}
"""How each operator is written, by its ONNX type."""
