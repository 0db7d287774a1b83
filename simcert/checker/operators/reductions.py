"""Pools and reductions."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Quantised, Traced, Value
from simcert.checker.functions import power
from simcert.checker.linear import Gather, Index
from simcert.checker.movement import axes
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import (
    LARGEST_WINDOWS,
    Operands,
    Reading,
    given,
    inexact,
    traced,
)
from simcert.checker.operators.windows import Frame


def _chosen(x: Traced, windows: Index) -> Index:
    """Return elements of the step behind x (1, channels, …), (channels · windows, kernel)."""
    planes = x.index.reshape(x.shape[1], -1)
    planes = np.hstack([planes, np.full((len(planes), 1), -1)])
    return planes[:, np.maximum(windows, -1)].reshape(-1, windows.shape[1])


def _pool_frame(node: Node, x: Traced) -> Frame:
    if x.index.ndim < 3 or x.shape[0] != 1 or node.integer("storage_order", 0):
        raise node.refused(f"of shape {x.shape}")
    return Frame(node, x.shape[2:], node.integers("kernel_shape", []))


def _average_pool(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    frame = _pool_frame(node, x)
    windows = frame.windows(outside=-2)
    if windows.size * x.shape[1] > LARGEST_WINDOWS:
        raise node.refused("that is so large")
    least = -1 if node.integer("count_include_pad", 0) else 0
    count = np.tile((windows >= least).sum(axis=1), x.shape[1]).astype(np.float64)
    if not count.all():
        raise node.refused("with a window of padding alone")
    return _mean(builder, x, _chosen(x, windows), count, (1, x.shape[1], *frame.result))


def _mean(
    builder: Builder, x: Traced, groups: Index, count: Constant, shape: tuple[int, ...]
) -> Traced:
    """Append the sums of elements of the step behind x, divided by ``count``."""
    linear = Gather(1.0 / count, groups, builder.size(x))
    rounded = inexact(count)
    return builder.affine(
        [(x.step, linear)],
        None,
        shape,
        terms=groups.shape[1],
        rounded=rounded,
        held=[float(count.max(initial=1.0))],  # the sum, before it is divided
    )


def _reduced(node: Node, operands: Operands, x: Traced) -> tuple[Index, tuple[int, ...]]:
    """Return the elements that are reduced together, (outputs, k), and the shape of the result."""
    rank = x.index.ndim
    if node.operator.startswith("Global"):
        chosen, keep = list(range(2, rank)), True
    else:
        constants = [given(node, operands, i) if i else None for i in range(len(operands))]
        chosen = axes(node, constants, 1, rank)
        if not chosen and node.integer("noop_with_empty_axes", 0):
            raise node.refused("of no axes")
        chosen, keep = chosen or list(range(rank)), bool(node.integer("keepdims", 1))
    rest = [axis for axis in range(rank) if axis not in chosen]
    groups = np.transpose(x.index, [*rest, *chosen])
    shape = [1 if axis in chosen else n for axis, n in enumerate(x.shape)]
    outputs = math.prod(x.shape[axis] for axis in rest)
    kept = shape if keep else [x.shape[axis] for axis in rest]
    return groups.reshape(outputs, -1), tuple(kept)


def _reduce_mean(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    groups, shape = _reduced(node, operands, x)
    size = 1 if node.operator == "ReduceSum" else groups.shape[1]
    return _mean(builder, x, groups, np.full(len(groups), float(size)), shape)


def _reduce_extremum(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    groups, shape = _reduced(node, operands, x)
    return _extremum_of(builder, x, groups, shape, least=node.operator == "ReduceMin")


def _reduce_norm(builder: Builder, node: Node, operands: Operands) -> Value:
    """Sums of absolute values or of squares; a root of what is no negative number."""
    x = traced(node, operands)
    groups, shape = _reduced(node, operands, x)
    each = x.moved(groups)
    if node.operator == "ReduceL1":
        negated = builder.combine([(-1.0, each)])
        parts = [(1.0, builder.relu(each)), (1.0, builder.relu(negated))]
        made = builder.combine([*parts], computed=False)
    else:
        made = builder.smooth(each, power(2.0))
    total = _mean(builder, made, made.index, np.ones(len(groups)), shape)
    if node.operator != "ReduceL2":
        return total
    return builder.smooth(builder.relu(total), power(0.5))


def _max_pool(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    frame = _pool_frame(node, x)
    windows = frame.windows(outside=-1)
    if (windows < 0).all(axis=1).any() or windows.size * x.shape[1] > LARGEST_WINDOWS:
        raise node.refused("with a window of padding alone, or so large")
    # Padding never wins: an element that the window has anyway stands in for it.
    windows = np.where(windows < 0, windows.max(axis=1, keepdims=True), windows)
    shape = 1, x.shape[1], *frame.result
    found = _extremum_of(builder, x, _chosen(x, windows), shape)
    if not isinstance(x, Quantised):
        return found
    # Codes rise with what they stand for.
    scale, zero = (values.reshape(-1)[0] for values in (x.scale, x.zero))
    if (x.scale != scale).any() or (x.zero != zero).any():
        raise node.refused("of numbers that were quantised by channel")
    return Quantised(found.step, found.index, np.full(shape, scale), np.full(shape, zero))


def _extremum_of(
    builder: Builder, x: Traced, groups: Index, shape: tuple[int, ...], *, least: bool = False
) -> Traced:
    """Return the maximum, or minimum, of each row of ``groups``, pair by pair."""
    choose = builder.minimum if least else builder.maximum
    rest = [x.moved(column) for column in groups.T]
    while len(rest) > 1:
        pairs = zip(rest[::2], rest[1::2], strict=False)
        rest = [choose(a, b) for a, b in pairs] + rest[len(rest) - len(rest) % 2 :]
    return rest[0].moved(rest[0].index.reshape(shape))


OPERATORS: dict[str, Reading] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _reduce_mean,
    "GlobalMaxPool": _reduce_extremum,
    "MaxPool": _max_pool,
    "ReduceMax": _reduce_extremum,
    "ReduceMean": _reduce_mean,
    "ReduceMin": _reduce_extremum,
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare"), _reduce_norm),
    "ReduceSum": _reduce_mean,
}
