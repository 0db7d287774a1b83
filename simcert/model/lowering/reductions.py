"""Pools and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Node
from simcert.model.linear import (
    Mean,
)
from simcert.model.lowering.affine import convolve
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    constant_of,
    digest_of,
    positions,
)
from simcert.model.lowering.movement import move
from simcert.model.lowering.products import total
from simcert.model.operators.window import window
from simcert.model.program import Held

Method: TypeAlias = Literal["maximum", "minimum"]


def _average_pool(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    channels = x.shape[1]
    kernel = node.integers("kernel_shape")
    ones = torch.ones((channels, 1, *kernel), dtype=torch.float64)
    sums = convolve(builder, node, x, ones, None, channels)
    # How many elements each window counts: their mean weight on an input of ones tells.
    weights = torch.zeros((1, 1, *x.shape[2:]), dtype=torch.float64)
    counts = _window_counts(node, weights)
    return [builder.scale(sums, 1.0 / counts, sums.shape, node.name, digest_of(counts))]


def _window_counts(node: Node, x: Tensor) -> Tensor:
    """Return how many elements each window of an AveragePool divides by, (1, 1, *spatial)."""
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    inside = torch.ones_like(x)
    counted = float(node.integer("count_include_pad", 0))
    pads = [s for p in zip(reversed(frame.before), reversed(frame.after), strict=True) for s in p]
    inside = torch.nn.functional.pad(inside, pads, value=counted)
    over = [s for e in reversed(frame.overhang) for s in (0, e)]
    inside = torch.nn.functional.pad(inside, over, value=0.0)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(frame.kernel, frame.strides, frame.dilations, strict=True), start=2
    ):
        reach = dilation * (kernel - 1) + 1
        inside = inside.unfold(axis, reach, stride)[..., ::dilation].sum(-1)
    return inside


def _mean(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    return [reduce_mean(builder, node, x, axes_of(node, inputs, x), keeps(node))]


def _reduce_sum(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    axes = axes_of(node, inputs, x)
    groups, shape = groups_of(x, axes, keep=keeps(node))
    return [total(builder, node, move(builder, node.name, x, groups.T), shape)]


def _global_mean(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    return [reduce_mean(builder, node, x, tuple(range(2, len(x.shape))), keep=True)]


def reduce_mean(
    builder: Builder, node: Node, x: Traced, axes: tuple[int, ...], keep: bool
) -> Traced:
    """Append the mean over axes."""
    groups, shape = groups_of(x, axes, keep=keep)
    grouped = move(builder, node.name, x, groups.T)
    linear = Mean(outer=groups.shape[1], reduced=groups.shape[0], inner=1)
    zero = torch.zeros(groups.shape[1], dtype=torch.float64)
    held = Held.at(linear.reduced)  # the sum, before it is divided
    return builder.affine([(grouped.step, linear)], zero, shape, node.name, held=held)


def _max_pool(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    after = [a + b for a, b in zip(frame.after, frame.overhang, strict=True)]
    pads = [s for p in zip(reversed(frame.before), reversed(after), strict=True) for s in p]
    windows = torch.nn.functional.pad(positions(x), pads, value=-1)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(frame.kernel, frame.strides, frame.dilations, strict=True), start=2
    ):
        windows = windows.unfold(axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
        windows = windows if axis == 2 else windows.flatten(-2)
    shape = windows.shape[:-1]
    groups = windows.reshape(-1, windows.shape[-1]).T
    if (groups < 0).all(0).any():
        raise UnsupportedOperatorError(node.operator, node.name, "a window of padding alone")
    # Padding never wins: it stands for an element that the window has anyway.
    groups = torch.where(groups >= 0, groups, groups.amax(0))
    return [maximum_of(builder, node, x, groups, shape)]


def _global_max(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    groups, shape = groups_of(x, tuple(range(2, len(x.shape))), keep=True)
    return [maximum_of(builder, node, x, groups, shape)]


def _reduce_extremum(method: Method) -> Lowering:
    """ReduceMax and ReduceMin."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        x = activation(node, inputs[0])
        groups, shape = groups_of(x, axes_of(node, inputs, x), keep=keeps(node))
        return [extremum_of(builder, node, x, groups, shape, method)]

    return run


def maximum_of(
    builder: Builder, node: Node, x: Traced, groups: Tensor, shape: Sequence[int]
) -> Traced:
    """Return the maximum over the first axis of ``groups`` (k, outputs)."""
    return extremum_of(builder, node, x, groups, shape, "maximum")


def extremum_of(
    builder: Builder, node: Node, x: Traced, groups: Tensor, shape: Sequence[int], method: Method
) -> Traced:
    """Return the maximum or minimum over the first axis of ``groups`` (k, outputs), in pairs."""
    append = getattr(builder, method)
    flat = (groups.shape[1],)
    rest = [move(builder, node.name, x, group) for group in groups]
    while len(rest) > 1:
        paired = [
            append(a, b, flat, node.name) for a, b in zip(rest[::2], rest[1::2], strict=False)
        ]
        rest = paired + rest[len(rest) - len(rest) % 2 :]
    return Traced(rest[0].step, tuple(shape))


def axes_of(node: Node, inputs: list[Operand | None], x: Traced) -> tuple[int, ...]:
    """Return the axes that a reduction runs over, increasing."""
    chosen = node.integers("axes")
    if len(inputs) > 1 and inputs[1] is not None:
        chosen = tuple(int(a) for a in constant_of(node, inputs[1], "axes").tolist())
    if not chosen and node.integer("noop_with_empty_axes", 0):
        return ()
    return tuple(sorted(a % len(x.shape) for a in chosen)) or tuple(range(len(x.shape)))


def keeps(node: Node) -> bool:
    """Whether a reduction keeps its axes with size 1."""
    return bool(node.integer("keepdims", 1))


def groups_of(x: Traced, axes: tuple[int, ...], *, keep: bool) -> tuple[Tensor, tuple[int, ...]]:
    """Return the elements that are reduced together, (k, outputs), and the reduced shape."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    index = positions(x).permute(*axes, *kept)
    groups = index.reshape(math.prod(x.shape[axis] for axis in axes), -1)
    if keep:
        return groups, tuple(1 if axis in axes else s for axis, s in enumerate(x.shape))
    return groups, tuple(x.shape[axis] for axis in kept)


LOWERINGS: dict[str, Lowering] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_mean,
    "GlobalMaxPool": _global_max,
    "MaxPool": _max_pool,
    "ReduceMax": _reduce_extremum("maximum"),
    "ReduceMean": _mean,
    "ReduceMin": _reduce_extremum("minimum"),
    "ReduceSum": _reduce_sum,
}
"""How each operator is written, by its ONNX type."""
