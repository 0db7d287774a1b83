"""ArgMax and ArgMin: how often the best of what comes later is better than all that came before.

Of several equal elements the first one counts (or the last). With P_i the best of the elements
0, …, i and S_i that of the others, the position exceeds i if and only if S_i is better than P_i, or
as good where the last one counts. So it is the sum over i of steps of S_i − P_i, exactly.
"""

from __future__ import annotations

import torch

from simcert.functions import Step
from simcert.model.graph import Node
from simcert.model.linear import Selection
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    positions,
)
from simcert.model.lowering.movement import move


def _position(sign: float) -> Lowering:
    """Where the greatest (sign 1) or the least (−1) element stands."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        x = activation(node, inputs[0])
        axis = node.integer("axis", 0) % len(x.shape)
        elements = positions(x).movedim(axis, 0)
        shape = [1 if k == axis else size for k, size in enumerate(x.shape)]
        if not node.integer("keepdims", 1):
            del shape[axis]
        count = x.shape[axis]
        if count == 1:
            return [builder.constant(torch.zeros(shape, dtype=torch.float64), node.name)]
        elements = elements.reshape(count, -1)
        better = "maximum" if sign > 0 else "minimum"
        before = _running(builder, node, move(builder, node.name, x, elements), better)
        after = _running(builder, node, move(builder, node.name, x, elements.flip(0)), better)
        places = torch.arange(elements.numel()).reshape(elements.shape)
        before = move(builder, node.name, before, places[:-1])
        after = move(builder, node.name, after, places.flip(0)[1:])
        lead = builder.combine(
            [(sign, after), (-sign, before)], before.shape, node.name, rounds=False
        )
        last = float(node.integer("select_last_index", 0))
        # A runtime that flushes subnormals takes two of them as equal.
        steps = builder.univariate(lead, Step(last), node.name)
        return [_total(builder, node, steps, shape)]

    return run


def _running(builder: Builder, node: Node, x: Traced, better: str) -> Traced:
    """Return the best of the first i + 1 rows of x, for each row i: in log₂ steps."""
    rows = x.shape[0]
    places = torch.arange(x.size).reshape(x.shape)
    reach = 1
    while reach < rows:
        earlier = places[(torch.arange(rows) - reach).clamp(min=0)]
        shifted = move(builder, node.name, x, earlier)
        x = getattr(builder, better)(x, shifted, x.shape, node.name)
        reach *= 2
    return x


def _total(builder: Builder, node: Node, x: Traced, shape: list[int]) -> Traced:
    """Return the sum over the first axis, a whole number."""
    operands = [(x.step, Selection(row, x.size)) for row in torch.arange(x.size).reshape(x.shape)]
    zero = torch.zeros(x.shape[1], dtype=torch.float64)
    total = builder.affine(operands, zero, shape, node.name, rounds=False)
    builder.wholes.add(total.step)
    return total


LOWERINGS: dict[str, Lowering] = {"ArgMax": _position(1.0), "ArgMin": _position(-1.0)}
"""How each operator is written, by its ONNX type."""
