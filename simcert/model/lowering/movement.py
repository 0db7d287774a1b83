"""Operators that only move elements."""

from __future__ import annotations

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Node
from simcert.model.linear import (
    LinearMap,
    Selection,
)
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    constant_of,
    positions,
)
from simcert.model.operators import apply


def move(builder: Builder, label: str, x: Traced, index: Tensor) -> Traced:
    """Return the elements ``index`` of x, in the shape of ``index``."""
    selection = Selection(index.reshape(-1).clone(), x.size)
    zero = torch.zeros(index.numel(), dtype=torch.float64)
    return builder.affine([(x.step, selection)], zero, index.shape, label, rounds=False)


def _movement(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """Run the operator's own kernel on numbered elements and read off where each went.

    The kernel runs twice, with two numberings; what did not change is a constant that the operator
    put in (padding, or a constant part of a Concat).
    """
    traced = [x for x in inputs if isinstance(x, Traced)]
    if node.operator != "Concat":
        activation(node, inputs[0])
        for x in inputs[1:]:
            if x is not None:
                constant_of(node, x, "shape or index")
    total = sum(x.size for x in traced)
    numberings = []
    for start in (0, total):
        arguments: list[Tensor | None] = []
        for x in inputs:
            if isinstance(x, Traced):
                numbers = start + positions(x).to(torch.float64)
                arguments.append(numbers)
                start += x.size
            else:
                arguments.append(x)
        numberings.append(apply(node, arguments))
    outputs: list[Operand] = []
    for first, second in zip(*numberings, strict=True):
        moved = (second - first) == total
        bias = torch.where(moved, 0.0, first).reshape(-1).to(torch.float64)
        index = torch.where(moved, first, -1.0).reshape(-1).to(torch.int64)
        operands: list[tuple[int, LinearMap]] = []
        begin = 0
        for x in traced:
            own = (index >= begin) & (index < begin + x.size)
            operands.append((x.step, Selection(torch.where(own, index - begin, -1), x.size)))
            begin += x.size
        result = builder.affine(operands, bias, first.shape, node.name, rounds=False)
        if len(traced) == 1 and bool(moved.all()):
            _move_codes(builder, node.name, traced[0], result, index)
        outputs.append(result)
    return outputs


def _move_codes(builder: Builder, label: str, codes: Traced, moved: Traced, index: Tensor) -> None:
    """Keep which numbers moved codes stand for: the quantised ones, moved alike."""
    known = builder.quantised.get(codes.step)
    if known is not None:
        quantised, scale, zero = known
        numbers = move(builder, label, Traced(quantised, codes.shape), index.reshape(moved.shape))
        builder.quantised[moved.step] = numbers.step, scale[index], zero[index]


def _dropout(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:  # noqa: ARG001
    """The identity; a file that is run never trains."""
    if len(inputs) > 2 and inputs[2] is not None and constant_of(node, inputs[2], "mode").any():
        raise UnsupportedOperatorError(node.operator, node.name, "training mode")
    return [activation(node, inputs[0])]


LOWERINGS: dict[str, Lowering] = {
    "Concat": _movement,
    "DepthToSpace": _movement,
    "Dropout": _dropout,
    "Expand": _movement,
    "Flatten": _movement,
    "Gather": _movement,
    "Identity": _movement,
    "Pad": _movement,
    "Reshape": _movement,
    "Resize": _movement,
    "Slice": _movement,
    "SpaceToDepth": _movement,
    "Split": _movement,
    "Squeeze": _movement,
    "Tile": _movement,
    "Transpose": _movement,
    "Unsqueeze": _movement,
    "Upsample": _movement,
}
"""How each operator is written, by its ONNX type."""
