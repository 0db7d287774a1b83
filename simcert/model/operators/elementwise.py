"""Operators that act on each element, with broadcasting."""

import math
from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from simcert.model.graph import Node
from simcert.model.operators.kernel import Function, Kernel, table


def _float32(value: float) -> float:
    """Return a default of the specification as the float32 that the runtime takes it for."""
    return float(np.float32(value))


def _unary(function: Callable[[Tensor], Tensor]) -> Function:
    def run(node: Node, x: Tensor) -> Tensor:  # noqa: ARG001
        return function(x)

    return run


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def run(node: Node, a: Tensor, b: Tensor) -> Tensor:  # noqa: ARG001
        return function(a, b)

    return run


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def run(node: Node, *inputs: Tensor) -> Tensor:  # noqa: ARG001
        return reduce(function, inputs)

    return run


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _power(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b.to(a.dtype))


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))  # functional.softplus is linear beyond 20


def _leaky_relu(node: Node, x: Tensor) -> Tensor:
    return functional.leaky_relu(x, node.real("alpha", _float32(0.01)))


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:  # noqa: ARG001
    return torch.where(x < 0, slope * x, x)


def _elu(node: Node, x: Tensor) -> Tensor:
    return functional.elu(x, node.real("alpha", 1.0))


def _selu(node: Node, x: Tensor) -> Tensor:
    alpha = node.real("alpha", _float32(1.67326319217681884765625))
    gamma = node.real("gamma", _float32(1.05070102214813232421875))
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0.0)))


def _celu(node: Node, x: Tensor) -> Tensor:
    return functional.celu(x, node.real("alpha", 1.0))


def _softsign(x: Tensor) -> Tensor:
    return x / (1.0 + x.abs())


def _mish(x: Tensor) -> Tensor:
    return x * torch.tanh(_softplus(x))


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if "min" in node.attributes:
        low = torch.tensor(node.real("min", -math.inf), dtype=x.dtype, device=x.device)
    if "max" in node.attributes:
        high = torch.tensor(node.real("max", math.inf), dtype=x.dtype, device=x.device)
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return (node.real("alpha", _float32(0.2)) * x + node.real("beta", 0.5)).clamp(0.0, 1.0)


def _hard_swish(x: Tensor) -> Tensor:
    return x * (_float32(1 / 6) * x + 0.5).clamp(0.0, 1.0)


def _gelu(node: Node, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=node.text("approximate", "none"))


def _where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:  # noqa: ARG001
    return torch.where(condition, a, b)


KERNELS: dict[str, Kernel] = table(
    {
        "Abs": _unary(torch.abs),
        "Ceil": _unary(torch.ceil),
        "Cos": _unary(torch.cos),
        "Erf": _unary(torch.erf),
        "Exp": _unary(torch.exp),
        "Floor": _unary(torch.floor),
        "HardSwish": _unary(_hard_swish),
        "Log": _unary(torch.log),
        "Mish": _unary(_mish),
        "Neg": _unary(torch.neg),
        "Not": _unary(torch.logical_not),
        "Reciprocal": _unary(torch.reciprocal),
        "Relu": _unary(torch.relu),
        "Round": _unary(torch.round),
        "Sigmoid": _unary(torch.sigmoid),
        "Sign": _unary(torch.sign),
        "Sin": _unary(torch.sin),
        "Softplus": _unary(_softplus),
        "Softsign": _unary(_softsign),
        "Sqrt": _unary(torch.sqrt),
        "Tan": _unary(torch.tan),
        "Tanh": _unary(torch.tanh),
        "Add": _binary(torch.add),
        "And": _binary(torch.logical_and),
        "Div": _binary(_divide),
        "Equal": _binary(torch.eq),
        "Greater": _binary(torch.gt),
        "GreaterOrEqual": _binary(torch.ge),
        "Less": _binary(torch.lt),
        "LessOrEqual": _binary(torch.le),
        "Mul": _binary(torch.mul),
        "Or": _binary(torch.logical_or),
        "Pow": _binary(_power),
        "Sub": _binary(torch.sub),
        "Xor": _binary(torch.logical_xor),
        "Max": _variadic(torch.maximum),
        "Min": _variadic(torch.minimum),
        "Sum": _variadic(torch.add),
        "Celu": _celu,
        "Clip": _clip,
        "Elu": _elu,
        "Gelu": _gelu,
        "HardSigmoid": _hard_sigmoid,
        "LeakyRelu": _leaky_relu,
        "PRelu": _prelu,
        "Selu": _selu,
        "Where": _where,
    }
)
