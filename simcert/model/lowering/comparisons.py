"""Comparisons, logic and choices: truth is 1 and 0.

A comparison is a step of a difference, which no runtime computes: it compares exactly. At the
threshold itself both outcomes are bounded, so that strictness does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Function, Step, ZeroIndicator
from simcert.model.graph import Node
from simcert.model.linear import LinearMap, Selection
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    broadcast,
    positions,
    present,
)
from simcert.model.lowering.wholes import INTEGERS

_FLOAT = frozenset({1, 11})
_BOOL = 9
_INDEX = frozenset({6, 7})
"""Element types of ONNX: float and double, bool, int32 and int64."""


def _comparison(function: Function, sign: float) -> Lowering:
    """function(sign · (a − b))."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        a, b = (_real(x) for x in present(inputs))
        shape = broadcast(a, b)
        difference = builder.combine([(sign, a), (-sign, b)], shape, node.name, rounds=False)
        return [_truth(builder, builder.univariate(difference, function, node.name))]

    return run


def _sign(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """(x > 0) + (x ≥ 0) − 1."""
    x = activation(node, inputs[0])
    steps = [builder.univariate(x, Step(at_zero), node.name) for at_zero in (0.0, 1.0)]
    terms: list[tuple[float, Operand]] = [(1.0, step) for step in steps]
    terms.append((-1.0, torch.ones((), dtype=torch.float64)))
    return [builder.combine(terms, x.shape, node.name, rounds=False)]


def _not(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [_negation(builder, node, activation(node, inputs[0]))]


def _negation(builder: Builder, node: Node, x: Traced) -> Traced:
    one = torch.ones((), dtype=torch.float64)
    terms: list[tuple[float, Operand]] = [(1.0, one), (-1.0, x)]
    return _truth(builder, builder.combine(terms, x.shape, node.name, rounds=False))


def _logic(method: str) -> Lowering:
    """And is the minimum, Or the maximum."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        a, b = (_real(x) for x in present(inputs))
        result: Traced = getattr(builder, method)(a, b, broadcast(a, b), node.name)
        return [_truth(builder, result)]

    return run


def _exclusive_or(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """The maximum less the minimum."""
    a, b = (_real(x) for x in present(inputs))
    shape = broadcast(a, b)
    either = builder.maximum(a, b, shape, node.name)
    both = builder.minimum(a, b, shape, node.name)
    only = builder.combine([(1.0, either), (-1.0, both)], shape, node.name, rounds=False)
    return [_truth(builder, only)]


def _where(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    condition, a, b = present(inputs)
    a, b = _real(a), _real(b)
    shape = broadcast(condition, a, b)
    if isinstance(condition, Tensor):
        return [_chosen(builder, node, condition.expand(shape), a, b)]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        # Their difference need not be a float64.
        other = _negation(builder, node, condition)
        parts: list[tuple[float, Operand]] = [
            (1.0, builder.scale(condition, a, shape, node.name, "")),
            (1.0, builder.scale(other, b, shape, node.name, "")),
        ]
        return [builder.combine(parts, shape, node.name, rounds=False)]
    difference = builder.combine([(1.0, a), (-1.0, b)], shape, node.name, rounds=False)
    chosen = builder.product(condition, difference, shape, node.name, rounds=False)
    return [builder.combine([(1.0, b), (1.0, chosen)], shape, node.name, rounds=False)]


def _chosen(builder: Builder, node: Node, condition: Tensor, a: Operand, b: Operand) -> Traced:
    """Append the elements of a where a constant condition holds, else those of b."""
    shape = tuple(condition.shape)
    bias = torch.zeros(shape, dtype=torch.float64)
    operands: list[tuple[int, LinearMap]] = []
    for x, mask in ((a, condition), (b, ~condition)):
        if isinstance(x, Traced):
            index = torch.where(mask, positions(x).expand(shape), -1).reshape(-1)
            operands.append((x.step, Selection(index, x.size)))
        else:
            bias = torch.where(mask, x.expand(shape), bias)
    return builder.affine(operands, bias.reshape(-1), shape, node.name, rounds=False)


def _cast(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """Between float and double, from truth or a position to numbers, from a number to its truth."""
    x, target = activation(node, inputs[0]), node.integer("to", 0)
    if x.step in builder.truths:
        if target in _FLOAT | INTEGERS | {_BOOL}:
            return [x]
    elif x.step in builder.wholes and target in _FLOAT | _INDEX:
        return [x]
    elif target in _FLOAT:
        # A double is rounded to a float; over the reals nothing happens.
        return [builder.noisy(x, [], node.name)]
    elif target == _BOOL:
        return [_negation(builder, node, builder.univariate(x, ZeroIndicator(), node.name))]
    raise UnsupportedOperatorError(node.operator, node.name, f"to element type {target}")


def _truth(builder: Builder, x: Traced) -> Traced:
    """Remember that a tensor holds truth values."""
    builder.truths.add(x.step)
    return x


def _real(x: Operand) -> Operand:
    """Return constants of any type as float64."""
    return x.to(torch.float64) if isinstance(x, Tensor) else x


LOWERINGS: dict[str, Lowering] = {
    "And": _logic("minimum"),
    "Cast": _cast,
    "Equal": _comparison(ZeroIndicator(), 1.0),
    "Greater": _comparison(Step(0.0), 1.0),
    "GreaterOrEqual": _comparison(Step(1.0), 1.0),
    "Less": _comparison(Step(0.0), -1.0),
    "LessOrEqual": _comparison(Step(1.0), -1.0),
    "Not": _not,
    "Or": _logic("maximum"),
    "Sign": _sign,
    "Where": _where,
    "Xor": _exclusive_or,
}
"""How each operator is written, by its ONNX type."""
