"""RNN, GRU and LSTM: their recurrences, written once, run on tensors or appended to a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from simcert.model.graph import Node
from simcert.model.operators.kernel import Kernel, unsupported

T = TypeVar("T")

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_ACTIVATIONS = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "Softsign": functional.softsign,
    "Tanh": torch.tanh,
}


class Algebra(Protocol[T]):
    """What a recurrence is made of, on states of shape (hidden,)."""

    def linear(self, x: T, weight: Tensor, bias: Tensor) -> T:
        """Return W x + bias."""

    def add(self, a: T, b: T) -> T:
        """Return a + b."""

    def subtract(self, a: T, b: T) -> T:
        """Return a − b."""

    def multiply(self, a: T, b: T) -> T:
        """Return a · b."""

    def scale(self, x: T, factor: Tensor) -> T:
        """Return x · factor."""

    def activate(self, name: str, x: T, limit: float) -> T:
        """Return an activation of x, clipped to ± limit before if that is not 0."""


def unroll(
    algebra: Algebra[T],
    node: Node,
    inputs: Sequence[T],
    parameters: Sequence[Tensor | None],
    states: Sequence[T],
) -> tuple[list[T], list[T]]:
    """Run one direction.

    Args:
        algebra: of the states.
        node: a recurrent node.
        inputs: the inputs in the order of time in which they are read.
        parameters: W (gates · hidden, inputs), R (gates · hidden, hidden), B (2 gates · hidden,)
            and, of an LSTM that has them, peepholes (3 hidden,).
        states: the initial state, and the initial cell of an LSTM.

    Returns:
        The states after each input, and the last state (and cell).
    """
    step = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[node.operator]
    state, outputs = list(states), []
    for x in inputs:
        state = step(algebra, node, x, parameters, state)
        outputs.append(state[0])
    return outputs, state


def activations(node: Node) -> tuple[str, ...]:
    """Return the names of the activations of each direction, in order."""
    directions = 2 if node.text("direction", "forward") == "bidirectional" else 1
    names = node.attributes.get("activations", _DEFAULTS[node.operator] * directions)
    if node.attributes.get("activation_alpha") or node.attributes.get("activation_beta"):
        raise unsupported(node, "activations with parameters")
    known = [str(name) for name in names] if isinstance(names, tuple) else []
    if not known or not set(known) <= set(_ACTIVATIONS):
        raise unsupported(node, f"activations {known}")
    return tuple(known)


def _parts(matrix: Tensor, count: int) -> list[Tensor]:
    return list(matrix.chunk(count, 0))


def _limit(node: Node) -> float:
    return node.real("clip", 0.0)


def _names(node: Node) -> tuple[str, ...]:
    return activations(node)[: len(_DEFAULTS[node.operator])]


def _rnn(
    algebra: Algebra[T], node: Node, x: T, parameters: Sequence[Tensor | None], state: list[T]
) -> list[T]:
    """H' = f(W x + R H + Wb + Rb)."""
    (name,) = _names(node)
    weight, recurrence, bias = _given(parameters)
    own, other = _parts(bias, 2)
    total = algebra.add(algebra.linear(x, weight, own), algebra.linear(state[0], recurrence, other))
    return [algebra.activate(name, total, _limit(node))]


def _gru(
    algebra: Algebra[T], node: Node, x: T, parameters: Sequence[Tensor | None], state: list[T]
) -> list[T]:
    """Gates z, r, h; H' = h + z (H − h)."""
    gate, hidden = _names(node)
    limit = _limit(node)
    weight, recurrence, bias = _given(parameters)
    w_z, w_r, w_h = _parts(weight, 3)
    r_z, r_r, r_h = _parts(recurrence, 3)
    wb_z, wb_r, wb_h, rb_z, rb_r, rb_h = _parts(bias, 6)
    (before,) = state

    def gated(w: Tensor, r: Tensor, wb: Tensor, rb: Tensor) -> T:
        total = algebra.add(algebra.linear(x, w, wb), algebra.linear(before, r, rb))
        return algebra.activate(gate, total, limit)

    update, reset = gated(w_z, r_z, wb_z, rb_z), gated(w_r, r_r, wb_r, rb_r)
    if node.integer("linear_before_reset", 0):
        past = algebra.multiply(reset, algebra.linear(before, r_h, rb_h))
    else:
        past = algebra.linear(algebra.multiply(reset, before), r_h, rb_h)
    candidate = algebra.activate(hidden, algebra.add(algebra.linear(x, w_h, wb_h), past), limit)
    kept = algebra.multiply(update, algebra.subtract(before, candidate))
    return [algebra.add(candidate, kept)]


def _lstm(
    algebra: Algebra[T], node: Node, x: T, parameters: Sequence[Tensor | None], state: list[T]
) -> list[T]:
    """Gates i, o, f, c; C' = f C + i c; H' = o h(C')."""
    gate, candidate_name, output_name = _names(node)
    limit = _limit(node)
    weight, recurrence, bias = _given(parameters)
    before, cell = state
    weights, recurrences = _parts(weight, 4), _parts(recurrence, 4)
    biases = _parts(bias, 8)
    sums = [
        algebra.add(algebra.linear(x, w, own), algebra.linear(before, r, other))
        for w, r, own, other in zip(weights, recurrences, biases[:4], biases[4:], strict=True)
    ]
    peepholes = parameters[3] if len(parameters) > 3 else None
    look = None if peepholes is None else _parts(peepholes, 3)

    def peeped(total: T, seen: T, number: int) -> T:
        return total if look is None else algebra.add(total, algebra.scale(seen, look[number]))

    take = algebra.activate(gate, peeped(sums[0], cell, 0), limit)
    forget = algebra.activate(gate, peeped(sums[2], cell, 2), limit)
    candidate = algebra.activate(candidate_name, sums[3], limit)
    after = algebra.add(algebra.multiply(forget, cell), algebra.multiply(take, candidate))
    show = algebra.activate(gate, peeped(sums[1], after, 1), limit)
    return [algebra.multiply(show, algebra.activate(output_name, after, 0.0)), after]


def _given(parameters: Sequence[Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
    weight, recurrence, bias = parameters[:3]
    if weight is None or recurrence is None:
        raise ValueError("weights are missing")
    if bias is None:
        bias = weight.new_zeros(2 * weight.shape[0])
    return weight, recurrence, bias


def check(node: Node, inputs: Sequence[object | None]) -> None:
    """Refuse the variants that are not known.

    Raises:
        UnsupportedOperatorError: sequences of several lengths, coupled gates.
    """
    if len(inputs) > 4 and inputs[4] is not None:
        raise unsupported(node, "sequence lengths as an input")
    if node.integer("input_forget", 0):
        raise unsupported(node, "coupled input and forget gates")


def directions(node: Node) -> list[bool]:
    """Return for each direction whether it runs backward."""
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        node.text("direction", "forward")
    ]


class _Tensors:
    """The recurrences on tensors."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return x @ weight.T + bias

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def subtract(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def scale(self, x: Tensor, factor: Tensor) -> Tensor:
        return x * factor

    def activate(self, name: str, x: Tensor, limit: float) -> Tensor:
        x = x.clamp(-limit, limit) if limit else x
        return _ACTIVATIONS[name](x)


def direction_of(node: Node, number: int) -> Node:
    """Return the node with the activations of one direction."""
    names, count = activations(node), len(_DEFAULTS[node.operator])
    own = names[number * count : (number + 1) * count]
    attributes = {**node.attributes, "activations": own, "direction": "forward"}
    return Node(node.operator, node.name, node.inputs, node.outputs, attributes, node.opset)


def _run(node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """X is (time, batch, inputs), or (batch, time, inputs) with layout 1."""
    check(node, inputs)
    x, *rest = inputs
    if x is None or rest[0] is None:
        raise ValueError("the input or the weights are missing")
    batched = node.integer("layout", 0)
    x = x.transpose(0, 1) if batched else x
    hidden = rest[0].shape[1] // GATES[node.operator]
    count = 2 if node.operator == "LSTM" else 1
    rest = [*rest, *[None] * (7 - len(rest))]
    sequences, lasts = [], []
    for number, backward in enumerate(directions(node)):
        parameters = [None if p is None else p[number] for p in (*rest[:3], rest[6])]
        given = [None if s is None else (s.transpose(0, 1) if batched else s) for s in rest[4:6]]
        zero = x.new_zeros(x.shape[1], hidden)
        states = [zero if s is None else s[number] for s in given[:count]]
        steps = list(x.flip(0) if backward else x)
        own = direction_of(node, number)
        outputs, last = unroll(_Tensors(), own, steps, parameters, states)
        sequences.append(torch.stack(outputs[::-1] if backward else outputs))
        lasts.append(last)
    y = torch.stack(sequences, 1)  # (time, directions, batch, hidden)
    ends = [torch.stack([last[k] for last in lasts]) for k in range(count)]
    if batched:
        return y.permute(2, 0, 1, 3), *(end.transpose(0, 1) for end in ends)
    return y, *ends


KERNELS: dict[str, Kernel] = {"GRU": _run, "LSTM": _run, "RNN": _run}
