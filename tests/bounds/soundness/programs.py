"""Programs by hand, and evaluating dual programs node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from simcert.bounds import Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.model.linear import Dense
from simcert.model.program import Affine, Input, Program, Relu, Step, Univariate
from simcert.pairing import DualNode, DualProgram, align

FLOAT = torch.float64

Make = Callable[[DualProgram, Tensor, Tensor, Tensor], Propagator | DensePropagator]
"""Makes a propagator."""


def loops(dual: DualProgram, f: Tensor, g: Tensor, delta: Tensor) -> Propagator | DensePropagator:
    """The compiled loops where they apply, else the tensors."""
    layers = layers_of(dual)
    if layers is None:
        return Propagator(dual, f, g, delta)
    return DensePropagator(layers, f, g, delta)


def matrix(rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=FLOAT)


def dense(*layers: tuple[Tensor, Tensor] | str) -> Program:
    """A chain of (weight, bias) and "relu"."""
    first = layers[0]
    assert isinstance(first, tuple)
    steps: list[Step] = [Input(first[0].shape[1])]
    for layer in layers:
        last = len(steps) - 1
        if isinstance(layer, str):
            steps.append(Relu(last, steps[-1].size, layer))
        else:
            steps.append(Affine((last,), (Dense(layer[0]),), layer[1], "dense"))
    return Program(tuple(steps))


def scalars(*weights: float | str) -> Program:
    """A chain of products with numbers, and "relu"."""
    zero = torch.zeros(1, dtype=FLOAT)
    return dense(*(w if isinstance(w, str) else (matrix([[w]]), zero) for w in weights))


def bound(
    f: Program,
    g: Program,
    lower: Sequence[Sequence[float]] | Tensor,
    upper: Sequence[Sequence[float]] | Tensor,
    dual: DualProgram | None = None,
    make: Make = Propagator,
) -> RowBounds:
    """Bounds of f, of g and of f − g: 3 · outputs rows."""
    eye = torch.eye(f.outputs, dtype=FLOAT)
    zero = torch.zeros_like(eye)
    propagator = make(
        align(f, g) if dual is None else dual,
        torch.cat([eye, zero, zero]),
        torch.cat([zero, eye, zero]),
        torch.cat([zero, zero, eye]),
    )
    low, high = (torch.as_tensor(corner, dtype=FLOAT) for corner in (lower, upper))
    return propagator.bound(low, high)


def unaligned(dual: DualProgram) -> DualProgram:
    """The product network: no node is aligned."""
    separate: list[DualNode] = [dual.nodes[0]]
    separate += [
        replace(node, aligned=False, differences=(), exact=False) for node in dual.nodes[1:]
    ]
    return DualProgram(tuple(separate))


def evaluate(dual: DualProgram, x: Tensor) -> list[tuple[Tensor | None, Tensor | None]]:
    """The two values of every dual node, for a batch x (n, inputs)."""
    values: list[tuple[Tensor | None, Tensor | None]] = []
    for node in dual.nodes:
        pair: list[Tensor | None] = []
        for side, (step, operands) in enumerate(
            ((node.f, node.f_operands), (node.g, node.g_operands))
        ):
            pair.append(
                None if step is None else _step(step, [values[o][side] for o in operands], x)
            )
        values.append((pair[0], pair[1]))
    return values


def _step(step: Step, operands: list[Tensor | None], x: Tensor) -> Tensor:
    known = [operand for operand in operands if operand is not None]
    assert len(known) == len(operands)
    if isinstance(step, Input):
        return x
    if isinstance(step, Relu):
        return torch.relu(known[0])
    if isinstance(step, Univariate):
        return step.function.value(known[0])
    value = step.bias.expand(len(x), -1)
    for linear, operand in zip(step.maps, known, strict=True):
        value = value + linear.forward(operand)
    return value


def intervals(program: Program, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Plain interval arithmetic, without rounding: the bounds (B, outputs) of one network."""
    values: list[tuple[Tensor, Tensor]] = []
    for step in program.steps:
        if isinstance(step, Input):
            values.append((lower, upper))
        elif isinstance(step, Relu):
            low, high = values[step.operand]
            values.append((torch.relu(low), torch.relu(high)))
        else:
            centre = step.bias.expand(len(lower), -1)
            radius = torch.zeros_like(centre)
            for linear, operand in zip(step.maps, step.operands, strict=True):
                low, high = values[operand]
                centre = centre + linear.forward((low + high) / 2)
                radius = radius + linear.absolute().forward((high - low) / 2)
            values.append((centre - radius, centre + radius))
    return values[-1]
