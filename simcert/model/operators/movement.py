"""Operators that move, copy or make elements and compute nothing; they take any element type."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from simcert.model.graph import Node
from simcert.model.operators.kernel import (
    Kernel,
    axes_of,
    bounded,
    integers,
    table,
    tensor,
    unsupported,
)
from simcert.model.operators.window import pad

# The element types of ONNX (TensorProto.DataType) that a network on floats meets.
_TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}


_LAST = 2**31 - 1
"""Ends from here on stand for the end of an axis of any size."""


def _identity(node: Node, x: Tensor) -> Tensor:  # noqa: ARG001
    return x


def _dropout(node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    x, training = inputs[0], inputs[2] if len(inputs) > 2 else None
    if x is None or (training is not None and training.item()):
        raise unsupported(node, "training mode")
    return x, torch.ones_like(x, dtype=torch.bool)


def _cast(node: Node, x: Tensor) -> Tensor:
    target = node.integer("to", 0)
    if target not in _TYPES:
        raise unsupported(node, f"element type {target}")
    return x.to(_TYPES[target])


def _constant(node: Node) -> Tensor:
    value = node.array("value")
    if value is not None:
        return tensor(value)
    for name, dtype in (("value_float", torch.float32), ("value_int", torch.int64)):
        for key in (name, name + "s"):
            if key in node.attributes:
                return torch.tensor(node.attributes[key], dtype=dtype)
    raise unsupported(node, f"attributes {sorted(node.attributes)}")


def _filled(node: Node, shape: Tensor) -> Tensor:
    value = node.array("value")
    fill = torch.zeros(1) if value is None else tensor(value)
    return fill.reshape(()).expand(bounded(integers(shape)))


def _shape(node: Node, x: Tensor) -> Tensor:
    end = node.integer("end", x.ndim)
    return torch.tensor(x.shape[node.integer("start", 0) : end], dtype=torch.int64)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.integer("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _reshape(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    sizes = list(integers(shape))
    if not node.integer("allowzero", 0):
        sizes = [size or x.shape[axis] for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.integers("perm", tuple(reversed(range(x.ndim)))))


def _squeeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = {axis % x.ndim for axis in axes_of(node, axes)}
    if not chosen:
        chosen = {axis for axis, size in enumerate(x.shape) if size == 1}
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ValueError(f"an axis of {sorted(chosen)} in shape {tuple(x.shape)} is not 1")
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in chosen])


def _unsqueeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = axes_of(node, axes)
    rank = x.ndim + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _concat(node: Node, *inputs: Tensor) -> Tensor:
    return torch.cat(inputs, node.integer("axis", 1))


def _slice(
    node: Node,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first = node.integers("starts") if starts is None else integers(starts)
    last = node.integers("ends") if ends is None else integers(ends)
    chosen = axes_of(node, axes) or tuple(range(len(first)))
    strides = (1,) * len(first) if steps is None else integers(steps)
    for axis, start, end, step in zip(chosen, first, last, strides, strict=True):
        if step < 0:
            if end >= _LAST:
                raise unsupported(
                    node, "an end beyond every axis, backwards: runtimes go to the first"
                )
            start = max(start, -x.shape[axis])  # ONNX clamps to the first element, Python to none
        kept = range(x.shape[axis])[start:end:step]  # Python clamps all else as ONNX does
        x = x.index_select(axis, torch.tensor(kept, dtype=torch.int64, device=x.device))
    return x


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.integer("axis", 0) % x.ndim
    flat = indices.to(x.device, torch.int64).flatten()
    flat = torch.where(flat < 0, flat + x.shape[axis], flat)
    chosen = x.index_select(axis, flat)
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _split(node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    x, sizes = inputs[0], inputs[1] if len(inputs) > 1 else None
    if x is None:
        raise ValueError("the input is missing")
    axis, parts = node.integer("axis", 0), len(node.outputs)
    given = node.integers("split") if sizes is None else integers(sizes)
    return torch.split(x, list(given) or -(-x.shape[axis] // parts), axis)


def _expand(node: Node, x: Tensor, shape: Tensor) -> Tensor:  # noqa: ARG001
    sizes = torch.broadcast_shapes(x.shape, integers(shape))  # type: ignore[no-untyped-call]
    return x.expand(bounded(sizes))


def _pad(
    node: Node,
    x: Tensor,
    pads: Tensor | None = None,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    amounts = node.integers("pads") if pads is None else integers(pads)
    chosen = range(x.ndim) if axes is None else integers(axes)
    before, after = [0] * x.ndim, [0] * x.ndim
    for axis, first, last in zip(
        chosen, amounts[: len(chosen)], amounts[len(chosen) :], strict=True
    ):
        before[axis], after[axis] = first, last
    mode = node.text("mode", "constant")
    if mode == "wrap" and min(amounts, default=0) < 0:
        raise unsupported(node, "the mode wrap with negative pads, which runtimes take first")
    if mode == "constant":
        fill = node.real("value", 0.0) if value is None else value.item()
        return pad(x, before, after, fill)
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first or last:
            x = x.index_select(axis, _reach(mode, x.shape[axis], first, last).to(x.device))
    return x


def _reach(mode: str, length: int, before: int, after: int) -> Tensor:
    """Return which elements of an axis a padding of ``mode`` shows, in order."""
    index = torch.arange(-before, length + after)
    if mode == "edge":
        return index.clamp(0, length - 1)
    if mode == "wrap":
        return index % length
    if mode == "reflect":
        period = max(1, 2 * (length - 1))
        index = index % period
        return torch.where(index < length, index, period - index)
    raise ValueError(f"the mode {mode!r} of Pad is not known")


KERNELS: dict[str, Kernel] = table(
    {
        "Cast": _cast,
        "Concat": _concat,
        "Constant": _constant,
        "ConstantOfShape": _filled,
        "Expand": _expand,
        "Flatten": _flatten,
        "Gather": _gather,
        "Identity": _identity,
        "Pad": _pad,
        "Reshape": _reshape,
        "Shape": _shape,
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
) | {"Dropout": _dropout, "Split": _split}
