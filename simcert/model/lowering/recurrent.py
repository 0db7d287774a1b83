"""RNN, GRU and LSTM, unrolled over their fixed length."""

from __future__ import annotations

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Function, Sigmoid, Softsign, Tanh
from simcert.model.graph import Node
from simcert.model.linear import Dense, LinearMap, Selection
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    constant_of,
    positions,
)
from simcert.model.lowering.movement import move
from simcert.model.lowering.products import multiply
from simcert.model.operators.recurrent import GATES, check, direction_of, directions, unroll

_FUNCTIONS: dict[str, Function] = {
    "Sigmoid": Sigmoid(),
    "Softsign": Softsign(),
    "Tanh": Tanh(),
}


_KERNEL_ERROR = 2.0**-21
"""What a runtime's functions may be off by in these operators, beside what all functions may.

ONNX Runtime's RNN computes tanh x as 2 σ(2x) − 1, off by up to 1.8e-7 however small x is. Softplus
has no bound in them: it is infinite from 88.73 on, as the exponential is taken as it stands."""


class _Steps:
    """The recurrences as steps of a program; see :class:`...operators.recurrent.Algebra`."""

    def __init__(self, builder: Builder, node: Node) -> None:
        self.builder, self.node = builder, node

    def linear(self, x: Traced, weight: Tensor, bias: Tensor) -> Traced:
        shape = (weight.shape[0],)
        terms: list[tuple[int, LinearMap]] = [(x.step, Dense(weight.contiguous()))]
        return self.builder.affine(terms, bias.clone(), shape, self.node.name)

    def add(self, a: Traced, b: Traced) -> Traced:
        return self.builder.combine([(1.0, a), (1.0, b)], a.shape, self.node.name)

    def subtract(self, a: Traced, b: Traced) -> Traced:
        return self.builder.combine([(1.0, a), (-1.0, b)], a.shape, self.node.name)

    def multiply(self, a: Traced, b: Traced) -> Traced:
        return multiply(self.builder, self.node, a, b)

    def scale(self, x: Traced, factor: Tensor) -> Traced:
        return self.builder.scale(x, factor, x.shape, self.node.name, "")

    def activate(self, name: str, x: Traced, limit: float) -> Traced:
        label = self.node.name
        if limit:
            bound = torch.tensor(limit, dtype=torch.float64)
            x = self.builder.maximum(x, -bound, x.shape, label)
            x = self.builder.minimum(x, bound, x.shape, label)
        if name == "Relu":
            return self.builder.relu(x, label)
        if name not in _FUNCTIONS:
            raise UnsupportedOperatorError(self.node.operator, label, f"the activation {name}")
        y = self.builder.univariate(x, _FUNCTIONS[name], label)
        return self.builder.noisy(y, [(y, _KERNEL_ERROR, 0)], label)


def _recurrent(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    check(node, inputs)
    x = activation(node, inputs[0])
    rest = [*inputs[1:], *[None] * (8 - len(inputs))]
    weights = [None if p is None else constant_of(node, p, "weight") for p in (*rest[:3], rest[6])]
    assert weights[0] is not None  # noqa: S101 - the specification demands it
    batched = node.integer("layout", 0)
    index = positions(x).transpose(0, 1) if batched else positions(x)
    if index.shape[1] != 1:
        raise UnsupportedOperatorError(node.operator, node.name, f"a batch of {index.shape[1]}")
    hidden = weights[0].shape[1] // GATES[node.operator]
    count = 2 if node.operator == "LSTM" else 1
    steps = [move(builder, node.name, x, row[0]) for row in index]
    sequences: list[list[Traced]] = []
    lasts: list[list[Traced]] = []
    for number, backward in enumerate(directions(node)):
        parameters = [None if p is None else p[number] for p in weights]
        states = [_state(builder, node, s, number, hidden) for s in rest[4 : 4 + count]]
        own = direction_of(node, number)
        algebra = _Steps(builder, node)
        read = steps[::-1] if backward else steps
        outputs, last = unroll(algebra, own, read, parameters, states)
        sequences.append(outputs[::-1] if backward else outputs)
        lasts.append(last)
    every = [sequence[t] for t in range(len(steps)) for sequence in sequences]
    y = _stacked(builder, node, every, (len(steps), len(sequences), 1, hidden))
    ends = [
        _stacked(builder, node, [last[k] for last in lasts], (len(lasts), 1, hidden))
        for k in range(count)
    ]
    if batched:
        y = Traced(y.step, (1, *y.shape[:2], hidden))
        ends = [Traced(end.step, (1, len(lasts), hidden)) for end in ends]
    return [y, *ends]


def _state(builder: Builder, node: Node, given: Operand | None, number: int, hidden: int) -> Traced:
    """Return an initial state of one direction, (hidden,); zero where none is given."""
    if isinstance(given, Traced):
        return move(builder, node.name, given, positions(given).reshape(-1, hidden)[number])
    value = torch.zeros(hidden, dtype=torch.float64)
    if given is not None:
        value = given.reshape(-1, hidden)[number].to(torch.float64)
    return builder.constant(value, node.name)


def _stacked(builder: Builder, node: Node, parts: list[Traced], shape: tuple[int, ...]) -> Traced:
    """Append one tensor of all parts, in order."""
    total = sum(part.size for part in parts)
    terms: list[tuple[int, LinearMap]] = []
    start = 0
    for part in parts:
        index = torch.full((total,), -1)
        index[start : start + part.size] = torch.arange(part.size)
        terms.append((part.step, Selection(index, part.size)))
        start += part.size
    zero = torch.zeros(total, dtype=torch.float64)
    return builder.affine(terms, zero, shape, node.name, rounds=False)


LOWERINGS: dict[str, Lowering] = {"GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent}
"""How each operator is written, by its ONNX type."""
