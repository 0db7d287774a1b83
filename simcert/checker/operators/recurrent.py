"""RNN, GRU and LSTM, unrolled over their fixed length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simcert.checker.builder import Builder, Traced, Value
from simcert.checker.functions import CURVES
from simcert.checker.linear import Dense
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import Operands, Reading, given, traced, weights

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_ACTIVATIONS = {"Relu", "Sigmoid", "Softsign", "Tanh"}  # ONNX Runtime's Softplus overflows in them
_FORMULA_ERROR = 2.0**-21
"""Besides what all functions may be off by: ONNX Runtime takes tanh x as 2 σ(2x) − 1 here, which is
off by 1.8e-7 however small x is."""
_STATES = {"RNN": 1, "GRU": 1, "LSTM": 2}
_DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


@dataclass(frozen=True, eq=False)
class _Cell:
    """One direction of a recurrent node.

    Attributes:
        builder: what the steps are appended to.
        input: W of each gate, (hidden, inputs).
        state: R of each gate, (hidden, hidden).
        shifts: biases of W and of R of each gate, (hidden,) each.
        peepholes: of the gates i, o and f of an LSTM that has them.
        names: of the activations.
        limit: to which their arguments are clipped; 0 if they are not.
        reset_last: whether a GRU resets the product and not the state.
    """

    builder: Builder
    input: Sequence[Constant]
    state: Sequence[Constant]
    shifts: tuple[Sequence[Constant], Sequence[Constant]]
    peepholes: Sequence[Constant] | None
    names: Sequence[str]
    limit: float
    reset_last: bool

    def rnn(self, x: Traced, states: list[Traced]) -> list[Traced]:
        """H' = f(W x + R H + W_b + R_b)."""
        return [self.activated(0, self.total(0, x, states[0]))]

    def gru(self, x: Traced, states: list[Traced]) -> list[Traced]:
        """Gates z, r, h: H' = h + z (H − h)."""
        (before,) = states
        update, reset = (self.activated(0, self.total(gate, x, before)) for gate in (0, 1))
        if self.reset_last:
            past = self.builder.product(reset, self.moved_on(2, before))
        else:
            past = self.moved_on(2, self.builder.product(reset, before))
        read = self.linear(x, self.input[2], self.shifts[0][2])
        candidate = self.activated(1, self.builder.combine([(1.0, read), (1.0, past)]))
        change = self.builder.combine([(1.0, before), (-1.0, candidate)])
        kept = self.builder.product(update, change)
        return [self.builder.combine([(1.0, candidate), (1.0, kept)])]

    def lstm(self, x: Traced, states: list[Traced]) -> list[Traced]:
        """Gates i, o, f, c: C' = f C + i c, H' = o h(C')."""
        before, cell = states
        sums = [self.total(gate, x, before) for gate in range(4)]
        take = self.activated(0, self.peeped(0, sums[0], cell))
        forget = self.activated(0, self.peeped(2, sums[2], cell))
        candidate = self.activated(1, sums[3])
        kept, new = self.builder.product(forget, cell), self.builder.product(take, candidate)
        after = self.builder.combine([(1.0, kept), (1.0, new)])
        show = self.activated(0, self.peeped(1, sums[1], after))
        return [self.builder.product(show, self.activated(2, after, clipped=False)), after]

    def total(self, gate: int, x: Traced, state: Traced) -> Traced:
        """Return W x + R H + W_b + R_b of a gate."""
        read = self.linear(x, self.input[gate], self.shifts[0][gate])
        return self.builder.combine([(1.0, read), (1.0, self.moved_on(gate, state))])

    def moved_on(self, gate: int, state: Traced) -> Traced:
        """Return R H + R_b of a gate."""
        return self.linear(state, self.state[gate], self.shifts[1][gate])

    def linear(self, x: Traced, weight: Constant, shift: Constant) -> Traced:
        """Return W x + b."""
        bias = shift.astype(np.float64)
        dense = Dense(np.ascontiguousarray(weight))
        source = self.builder.flat(x)
        return self.builder.affine([(source, dense)], bias, bias.shape, terms=dense.terms)

    def peeped(self, gate: int, total: Traced, cell: Traced) -> Traced:
        """Add what a gate sees of the cell."""
        if self.peepholes is None:
            return total
        seen = self.builder.scale(cell, self.peepholes[gate])
        return self.builder.combine([(1.0, total), (1.0, seen)])

    def activated(self, number: int, x: Traced, *, clipped: bool = True) -> Traced:
        """Apply an activation, to a clipped argument where that is so."""
        if self.limit and clipped:
            bound = np.array(self.limit)
            x = self.builder.minimum(self.builder.maximum(x, -bound), bound)
        name = self.names[number]
        if name == "Relu":
            return self.builder.relu(x)
        y = self.builder.smooth(x, CURVES[name])
        return self.builder.noisy(y, [(y, _FORMULA_ERROR, 0, 1)], 0.0)


_CELLS: dict[str, Callable[[_Cell, Traced, list[Traced]], list[Traced]]] = {
    "GRU": _Cell.gru,
    "LSTM": _Cell.lstm,
    "RNN": _Cell.rnn,
}


def _recurrent(builder: Builder, node: Node, operands: Operands) -> list[Value]:
    x = traced(node, operands)
    operands = [*operands, *[None] * (8 - len(operands))]
    batched = node.integer("layout", 0)
    backwards = _DIRECTIONS.get(node.text("direction", "forward"))
    if x.index.ndim != 3 or backwards is None:
        raise node.refused(f"of shape {x.shape}")
    index = x.index.swapaxes(0, 1) if batched else x.index
    if operands[4] is not None or node.integer("input_forget", 0) or index.shape[1] != 1:
        raise node.refused("with sequence lengths, coupled gates or several samples")
    hidden = weights(node, operands, 1).shape[1] // _GATES[node.operator]
    if node.integer("hidden_size", hidden) != hidden:
        raise node.refused("with another hidden_size than its weights'")
    cells = _cells(builder, node, operands, len(backwards), hidden)
    steps = [x.moved(row[0]) for row in index]
    sequences, lasts = [], []
    for number, (cell, backward) in enumerate(zip(cells, backwards, strict=True)):
        count = _STATES[node.operator]
        state = [_state(builder, node, operands[5 + k], number, hidden) for k in range(count)]
        outputs = []
        for read in steps[::-1] if backward else steps:
            state = _CELLS[node.operator](cell, read, state)
            outputs.append(state[0])
        sequences.append(outputs[::-1] if backward else outputs)
        lasts.append(state)
    every = [sequence[t] for t in range(len(steps)) for sequence in sequences]
    shapes = [(len(steps), len(cells), 1, hidden), *[(len(cells), 1, hidden)] * len(lasts[0])]
    ends = [[last[k] for last in lasts] for k in range(len(lasts[0]))]
    made = [_stacked(builder, p, s) for p, s in zip([every, *ends], shapes, strict=True)]
    if batched:
        made = [t.moved(np.moveaxis(t.index, -2, 0)) for t in made]
    return [*made]


def _cells(
    builder: Builder, node: Node, operands: Operands, directions: int, hidden: int
) -> list[_Cell]:
    gates, names = _GATES[node.operator], _DEFAULTS[node.operator]
    given_names = node.texts("activations", names * directions)
    if len(given_names) != len(names) * directions or not set(given_names) <= _ACTIVATIONS:
        raise node.refused(f"with activations {given_names}")
    input_, state = weights(node, operands, 1), weights(node, operands, 2)
    none = np.zeros((directions, 2 * gates * hidden))
    shift = none if given(node, operands, 3) is None else weights(node, operands, 3)
    peepholes = None if given(node, operands, 7) is None else weights(node, operands, 7)
    wanted = directions, gates * hidden
    if input_.shape[:2] != wanted or state.shape != (*wanted, hidden) or shift.shape != none.shape:
        raise node.refused("with weights of other shapes")
    limit, last = node.real("clip", 0.0), bool(node.integer("linear_before_reset", 0))
    cells = []
    for number in range(directions):
        shifts = np.split(shift[number], 2 * gates)
        cells.append(
            _Cell(
                builder,
                np.split(input_[number], gates),
                np.split(state[number], gates),
                (shifts[:gates], shifts[gates:]),
                None if peepholes is None else np.split(peepholes[number], 3),
                given_names[number * len(names) : (number + 1) * len(names)],
                limit,
                last,
            )
        )
    return cells


def _state(builder: Builder, node: Node, value: Value | None, number: int, hidden: int) -> Traced:
    """Return the initial state of one direction, (hidden,); zero where none is given."""
    if isinstance(value, Traced):
        return value.moved(value.index.reshape(-1, hidden)[number])
    if value is not None and value.dtype != np.float64:
        raise node.refused("with a state of whole numbers")
    start = np.zeros(hidden) if value is None else value.reshape(-1, hidden)[number]
    nothing = Traced(0, np.full(hidden, -1))
    if not start.any():
        return nothing
    return builder.affine([builder.move(nothing, nothing.index)], start, (hidden,), terms=None)


def _stacked(builder: Builder, parts: Sequence[Traced], shape: tuple[int, ...]) -> Traced:
    """Append one tensor of all parts, one after the other."""
    total, start, operands = sum(part.size for part in parts), 0, []
    for part in parts:
        index = np.full(total, -1)
        index[start : start + part.size] = part.index.reshape(-1)
        operands.append(builder.move(part, index))
        start += part.size
    return builder.affine(operands, None, shape, terms=None)


OPERATORS: dict[str, Reading] = {"GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent}
