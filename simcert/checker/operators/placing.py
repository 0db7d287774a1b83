"""Constants and movements: what computes nothing."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import (
    Builder,
    Coded,
    DynamicCodes,
    DynamicScale,
    DynamicZero,
    Quantised,
    Traced,
    Value,
    spread,
)
from simcert.checker.movement import MOVEMENTS, moved, padded
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import (
    LARGEST_WINDOWS,
    Operands,
    Reading,
    constant,
    given,
)
from simcert.checker.operators.quantisers import numbers

_FLOAT_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}
_INTEGER_TYPES = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64}


def _move(_builder: Builder, node: Node, operands: Operands) -> list[Value]:
    """Move a constant, or the numbers of a tensor's elements."""
    x = operands[0] if operands else None
    constants = [given(node, operands, i) if i else None for i in range(len(operands))]
    if isinstance(x, Coded) and not isinstance(x, Quantised):
        raise node.refused("of quantised numbers")
    if isinstance(x, Quantised):
        parts = (moved(node, part, constants) for part in (x.index, x.scale, x.zero))
        return [Quantised(x.step, *part) for part in zip(*parts, strict=True)]
    if isinstance(x, Traced):
        return [x.moved(index) for index in moved(node, x.index, constants)]
    return list(moved(node, constant(node, operands, 0), constants))


def _literal(_builder: Builder, node: Node, _operands: Operands) -> Value:
    return node.tensor("value")


def _filled(_builder: Builder, node: Node, operands: Operands) -> Value:
    shape = [int(size) for size in constant(node, operands, 0).reshape(-1)]
    value = node.tensor("value") if node.has("value") else np.zeros(1)
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST_WINDOWS:
        raise node.refused(f"with shape {shape}")
    filled: Constant = value.reshape(-1)[np.zeros(shape, dtype=np.intp)]
    return filled


def _shape(_builder: Builder, node: Node, operands: Operands) -> Value:
    """The batch of the checker is one sample, as the files are run."""
    x = operands[0]
    if x is None:
        raise node.refused("of nothing")
    end = node.integer("end", x.index.ndim if isinstance(x, Traced) else x.ndim)
    return np.array(x.shape[node.integer("start", 0) : end], dtype=np.int64)


def _cast(builder: Builder, node: Node, operands: Operands) -> Value:
    """Only where no number changes; of tensors to float32."""
    x, kind = operands[0], node.integer("to", 0)
    node.integer("saturate", 1)
    if isinstance(x, Traced):
        if kind != 1 or isinstance(x, DynamicCodes | DynamicScale | DynamicZero):
            raise node.refused("to another type than float32")
        return numbers(builder, x) if isinstance(x, Quantised) else x
    values = constant(node, operands, 0)
    target = _FLOAT_TYPES.get(kind) or _INTEGER_TYPES.get(kind)
    if target is None:
        raise node.refused(f"to type {kind}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(target)
    if (cast.astype(values.dtype) != values).any():
        raise node.refused("where numbers change")
    return cast.astype(np.float64) if kind in _FLOAT_TYPES else cast.astype(np.int64)


def _concat(builder: Builder, node: Node, operands: Operands) -> Value:
    """Tensors beside each other: one operand for each step that elements come from."""
    parts, axis = [value for value in operands if value is not None], node.integer("axis", 1)
    if len(parts) * sum(part.size for part in parts) > LARGEST_WINDOWS:
        raise node.refused("of so much")
    try:
        if not any(isinstance(part, Traced) for part in parts):
            return np.concatenate([part for part in parts if not isinstance(part, Traced)], axis)
        blocks = []
        for number, part in enumerate(parts):
            index = part.index if isinstance(part, Traced) else np.full(part.shape, -1)
            own = [
                index if other == number else np.full(p.shape, -1) for other, p in enumerate(parts)
            ]
            blocks.append(np.concatenate(own, axis))
        constants = [
            np.zeros(part.shape)
            if isinstance(part, Traced)
            else spread(part, part.shape).reshape(part.shape)
            for part in parts
        ]
        bias = np.concatenate(constants, axis).reshape(-1)
    except (ValueError, IndexError) as error:
        raise node.refused(f"of shapes {[part.shape for part in parts]}") from error
    moves = [
        builder.move(part, block)
        for part, block in zip(parts, blocks, strict=True)
        if isinstance(part, Traced)
    ]
    if len({source for source, _ in moves}) == 1 and not bias.any():
        return Traced(moves[0][0], np.maximum.reduce(blocks))
    return builder.affine(moves, bias, blocks[0].shape, terms=None)


def _pad(builder: Builder, node: Node, operands: Operands) -> Value:
    constants = [given(node, operands, i) if i else None for i in range(len(operands))]
    value = constants[2] if len(constants) > 2 else None
    fill = node.real("value", 0.0) if value is None else float(value.reshape(-1)[0])
    x = operands[0]
    if not isinstance(x, Traced):
        return padded(node, constant(node, operands, 0), constants, fill)
    index = padded(node, x.index, constants, -1)
    if fill == 0 or node.text("mode", "constant") != "constant":
        return x.moved(index)
    outside = padded(node, np.zeros(x.shape), constants, fill)
    return builder.affine([builder.move(x, index)], outside.reshape(-1), index.shape, terms=None)


OPERATORS: dict[str, Reading] = {
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _literal,
    "ConstantOfShape": _filled,
    "Pad": _pad,
    "Shape": _shape,
    **dict.fromkeys(MOVEMENTS, _move),
}
