"""Functions of each element."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import (
    Cosine,
    Erf,
    Exponential,
    ExponentialLinear,
    Function,
    Gelu,
    GeluTanh,
    HardSwish,
    Logarithm,
    Mish,
    Power,
    Sigmoid,
    Sine,
    Softplus,
    Softsign,
    Staircase,
    Tangent,
    Tanh,
)
from simcert.model.graph import Node
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    activation,
    constant_of,
)


def _each(function: Function) -> Lowering:
    """Apply a function to each element."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        return [builder.univariate(activation(node, inputs[0]), function, node.name)]

    return run


def _elu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    function = ExponentialLinear(node.real("alpha", 1.0))
    return [builder.univariate(activation(node, inputs[0]), function, node.name)]


def _celu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """max(0, x) + min(0, α (e^(x/α) − 1)): negative α raises the line as well."""
    alpha = node.real("alpha", 1.0)
    if not alpha > 0:
        raise UnsupportedOperatorError(node.operator, node.name, f"alpha {alpha}")
    return [
        builder.univariate(
            activation(node, inputs[0]), ExponentialLinear(alpha, 1.0 / alpha), node.name
        )
    ]


def _selu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """γ x, and α γ (e^x − 1); the product of two float32 is exact."""
    alpha = node.real("alpha", float(np.float32(1.67326319217681884765625)))
    gamma = node.real("gamma", float(np.float32(1.05070102214813232421875)))
    return [
        builder.univariate(
            activation(node, inputs[0]), ExponentialLinear(alpha * gamma, 1.0, gamma), node.name
        )
    ]


def _gelu(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    function = GeluTanh() if node.text("approximate", "none") == "tanh" else Gelu()
    return [builder.univariate(activation(node, inputs[0]), function, node.name)]


def _hard_sigmoid(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """clip(αx + β, 0, 1)."""
    x = activation(node, inputs[0])
    alpha = _number(node.real("alpha", float(np.float32(0.2))))
    beta = _number(node.real("beta", 0.5))
    line = builder.scale(x, alpha, x.shape, node.name, "")
    line = builder.combine([(1.0, line), (1.0, beta)], x.shape, node.name)
    positive = builder.relu(line, node.name)
    return [builder.minimum(positive, _number(1.0), x.shape, node.name)]


def _power(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """A power with one constant exponent."""
    x = activation(node, inputs[0])
    exponents = constant_of(node, inputs[1], "exponent").to(torch.float64).flatten()
    exponent = float(exponents[0])
    if bool((exponents != exponent).any()):
        raise UnsupportedOperatorError(node.operator, node.name, "several exponents")
    shape = tuple(torch.broadcast_shapes(x.shape, tuple(inputs[1].shape)))  # type: ignore[union-attr, no-untyped-call]
    if exponent == 0.0:
        return [torch.ones(shape, dtype=torch.float64)]
    if exponent != 1.0:
        x = builder.univariate(x, Power(exponent), node.name)
    return [builder.combine([(1.0, x)], shape, node.name)]


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


LOWERINGS: dict[str, Lowering] = {
    "Ceil": _each(Staircase(-1.0)),
    "Celu": _celu,
    "Cos": _each(Cosine()),
    "Elu": _elu,
    "Erf": _each(Erf()),
    "Exp": _each(Exponential()),
    "Floor": _each(Staircase(0.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _each(HardSwish(float(np.float32(1 / 6)))),
    "Log": _each(Logarithm()),
    "Mish": _each(Mish()),
    "Pow": _power,
    "Reciprocal": _each(Power(-1.0)),
    "Round": _each(Staircase(-0.5)),
    "Selu": _selu,
    "Sigmoid": _each(Sigmoid()),
    "Sin": _each(Sine()),
    "Softplus": _each(Softplus()),
    "Softsign": _each(Softsign()),
    "Sqrt": _each(Power(0.5)),
    "Tan": _each(Tangent()),
    "Tanh": _each(Tanh()),
}
"""How each operator is written, by its ONNX type."""
