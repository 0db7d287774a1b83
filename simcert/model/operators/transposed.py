"""Transposed convolutions: a convolution of the input with zeros between its elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from simcert.model.graph import Node
from simcert.model.operators.kernel import Kernel, bounded, table, unsupported

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class TransposedWindow:
    """Where the elements stand, one entry per spatial axis.

    ``before`` and ``after`` are the zeros around the spread elements, negative where elements are
    cropped; ``out`` is the size of the result.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    out: tuple[int, ...]


def transposed_window(node: Node, size: Sequence[int], kernel: Sequence[int]) -> TransposedWindow:
    """Resolve padding, output padding and output shape as the specification of ConvTranspose does.

    Raises:
        ValueError: the attributes do not fit the axes.
        UnsupportedOperatorError: an ``auto_pad`` that runtimes read otherwise than ONNX.
    """
    axes = len(size)
    strides = node.integers("strides", (1,) * axes)
    dilations = node.integers("dilations", (1,) * axes)
    extra = node.integers("output_padding", (0,) * axes)
    pads = node.integers("pads", (0,) * (2 * axes))
    wanted = node.integers("output_shape")
    mode = node.text("auto_pad", "NOTSET")
    before, after, out = [], [], []
    for axis in range(axes):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        full = strides[axis] * (size[axis] - 1) + reach + extra[axis]
        first, last = pads[axis], pads[axes + axis]
        if wanted or mode in ("SAME_UPPER", "SAME_LOWER"):
            target = wanted[axis] if wanted else size[axis] * strides[axis]
            if target > full and not wanted:
                raise unsupported(node, f"auto_pad {mode} beyond the windows: runtimes add nothing")
            total = max(0, full - target)
            small = total // 2
            first, last = (total - small, small) if mode != "SAME_UPPER" else (small, total - small)
            last -= max(0, target - full)
        elif mode == "VALID":
            first, last = 0, 0
        before.append(reach - 1 - first)
        after.append(reach - 1 - last + extra[axis])
        out.append(full - first - last)
    if min(out) < 1 or min(strides) < 1:
        raise ValueError(f"a result of size {out}")
    return TransposedWindow(strides, dilations, tuple(before), tuple(after), tuple(out))


def spread(x: Tensor, frame: TransposedWindow) -> Tensor:
    """Return x (n, channels, *spatial) with zeros between and around its elements."""
    for axis, stride in enumerate(frame.strides, start=2):
        shape = list(x.shape)
        bounded([*shape[:axis], shape[axis] * stride, *shape[axis + 1 :]])
        apart = x.unsqueeze(axis + 1)
        zeros = torch.zeros_like(apart).expand(*shape[: axis + 1], stride - 1, *shape[axis + 1 :])
        together = torch.cat([apart, zeros], axis + 1).flatten(axis, axis + 1)
        x = together.narrow(axis, 0, (shape[axis] - 1) * stride + 1)
    sides = [s for p in zip(reversed(frame.before), reversed(frame.after), strict=True) for s in p]
    return functional.pad(x, sides)


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    frame = transposed_window(node, x.shape[2:], weight.shape[2:])
    groups = node.integer("group", 1)
    own = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    kernel = own.flip(tuple(range(2, own.ndim)))
    convolve = _CONVOLUTIONS[weight.ndim - 2]
    return convolve(spread(x, frame), kernel, bias, dilation=frame.dilations, groups=groups)


KERNELS: dict[str, Kernel] = table({"ConvTranspose": _conv_transpose})
