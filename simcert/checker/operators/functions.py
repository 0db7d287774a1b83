"""Smooth functions of each element, and what is made of them."""

from __future__ import annotations

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, digest, shape_of
from simcert.checker.functions import CURVES, power
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import Operands, Reading, traced, weights

_ALPHA = float(np.float32(1.67326319217681884765625))
_GAMMA = float(np.float32(1.05070102214813232421875))


def _smooth(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.smooth(traced(node, operands), CURVES[node.operator])


def _gelu(builder: Builder, node: Node, operands: Operands) -> Value:
    approximate = node.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.refused(f"approximated by {approximate!r}")
    name = "Gelu" if approximate == "none" else "GeluTanh"
    return builder.smooth(traced(node, operands), CURVES[name])


def _root(builder: Builder, node: Node, operands: Operands) -> Value:
    exponent = 0.5 if node.operator == "Sqrt" else -1.0
    return builder.smooth(traced(node, operands), power(exponent))


def _power(builder: Builder, node: Node, operands: Operands) -> Value:
    """A power with one constant exponent."""
    x, exponents = traced(node, operands), weights(node, operands, 1)
    exponent = float(exponents.reshape(-1)[0])
    if (exponents != exponent).any() or not abs(exponent) <= 64:
        raise node.refused("with several exponents, or large ones")
    x = x.moved(np.broadcast_to(x.index, shape_of(x, exponents)))
    if exponent == 0:
        return np.ones(x.shape)
    return x if exponent == 1 else builder.smooth(x, power(exponent))


def _exponential_linear(builder: Builder, node: Node, operands: Operands) -> Value:
    """Elu, Celu and Selu: γ relu(x) + γ α (exp(min(x, 0)/β) − 1), β = α of Celu, else 1."""
    x, gamma = traced(node, operands), 1.0
    alpha = node.real("alpha", _ALPHA if node.operator == "Selu" else 1.0)
    if node.operator == "Selu":
        gamma = node.real("gamma", _GAMMA)
    if alpha == 0 or gamma == 0 or (node.operator == "Celu" and not alpha > 0):
        raise node.refused(f"with alpha {alpha} and gamma {gamma}")
    positive = builder.relu(x)
    negative = builder.combine([(1.0, x), (-1.0, positive)], computed=False)
    if node.operator == "Celu":
        negative = builder.scale(negative, np.array(1 / alpha), rounded=digest(alpha))
    powers = builder.smooth(negative, CURVES["Exp"])
    bent = builder.combine([(1.0, powers), (-1.0, np.ones(()))])
    parts = [
        part if factor == 1 else builder.scale(part, np.array(factor))
        for part, factor in ((positive, gamma), (bent, alpha * gamma))
    ]
    return builder.combine([(1.0, part) for part in parts])


def _hard_sigmoid(builder: Builder, node: Node, operands: Operands) -> Value:
    """clip(αx + β, 0, 1)."""
    alpha, beta = node.real("alpha", float(np.float32(0.2))), node.real("beta", 0.5)
    return _clipped_line(builder, traced(node, operands), alpha, beta)


def _hard_swish(builder: Builder, node: Node, operands: Operands) -> Value:
    """X · clip(x/6 + ½, 0, 1), a float32 sixth."""
    x = traced(node, operands)
    return builder.product(x, _clipped_line(builder, x, float(np.float32(1 / 6)), 0.5))


def _clipped_line(builder: Builder, x: Traced, alpha: float, beta: float) -> Traced:
    line = builder.combine([(1.0, builder.scale(x, np.array(alpha))), (1.0, np.array(beta))])
    return builder.minimum(builder.relu(line), np.ones(()))


def _stair(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.stair(traced(node, operands), node.operator)


OPERATORS: dict[str, Reading] = {
    **dict.fromkeys(
        (
            *("Cos", "Erf", "Exp", "Log", "Mish", "Sigmoid", "Sin"),
            *("Softplus", "Softsign", "Tan", "Tanh"),
        ),
        _smooth,
    ),
    **dict.fromkeys(("Ceil", "Floor", "Round"), _stair),
    **dict.fromkeys(("Celu", "Elu", "Selu"), _exponential_linear),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Pow": _power,
    "Reciprocal": _root,
    "Sqrt": _root,
}
