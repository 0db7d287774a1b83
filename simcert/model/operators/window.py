"""The geometry of sliding windows, which convolutions and pools share."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from simcert.model.graph import Node
from simcert.model.operators.kernel import LARGEST, bounded, unsupported


@dataclass(frozen=True)
class Window:
    """Where a window stands, one entry per spatial axis.

    ``before`` and ``after`` are the elements of padding that belong to the operator; ``overhang``
    are those beyond them that a last, incomplete window reaches into (``ceil_mode``).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    overhang: tuple[int, ...]


def window(node: Node, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """Return the window of ``node`` over spatial axes of ``size``.

    Explicit padding, ``auto_pad`` and ``ceil_mode`` are resolved as the ONNX specification of Conv
    and of the pools defines them; a window that would start in the padding after the input is
    dropped.

    Raises:
        ValueError: the attributes do not fit the axes, or no window fits the padded input.
        UnsupportedOperatorError: a pool whose ``auto_pad`` runtimes read otherwise than ONNX.
    """
    axes = len(size)
    strides = node.integers("strides", (1,) * axes)
    dilations = node.integers("dilations", (1,) * axes)
    pads = node.integers("pads", (0,) * (2 * axes))
    mode = node.text("auto_pad", "NOTSET")
    for name, values in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations)):
        if len(values) != axes or min(values, default=1) < 1:
            raise ValueError(f"{name} {tuple(values)} for {axes} spatial axes")
    if len(pads) != 2 * axes or min(pads, default=0) < 0:
        raise ValueError(f"pads {pads} for {axes} spatial axes")
    if mode in ("SAME_UPPER", "SAME_LOWER") and node.operator != "Conv" and max(dilations) > 1:
        raise unsupported(node, f"auto_pad {mode} with dilations, which ONNX Runtime ignores there")
    before, after, overhang = [], [], []
    for axis in range(axes):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        stride, length = strides[axis], size[axis]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-length // stride) - 1) * stride + reach - length
            if total < 0 and "Pool" in node.operator:
                raise unsupported(
                    node, f"auto_pad {mode} of windows with gaps: runtimes cut them off"
                )
            total = max(0, total)
            small = total // 2
            first, last = (small, total - small) if mode == "SAME_UPPER" else (total - small, small)
        elif mode == "VALID":
            first, last = 0, 0
        else:
            first, last = pads[axis], pads[axes + axis]
        padded = length + first + last
        if not reach <= padded <= LARGEST:
            raise ValueError(f"a window of {reach} over {length} elements with pads {pads}")
        extra = 0
        if node.integer("ceil_mode", 0):
            steps = -(-(padded - reach) // stride)
            if steps * stride >= length + first:
                steps -= 1
            extra = max(0, steps * stride + reach - padded)
        before.append(first)
        after.append(last)
        overhang.append(extra)
    return Window(tuple(kernel), strides, dilations, tuple(before), tuple(after), tuple(overhang))


def pad(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """Return ``x`` with ``value`` around its last axes; a negative amount removes elements."""
    if not any(before) and not any(after):
        return x
    margins = [0] * (x.ndim - len(before)) + [a + b for a, b in zip(before, after, strict=True)]
    bounded(size + margin for size, margin in zip(x.shape, margins, strict=True))
    amounts = [
        amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair
    ]
    return functional.pad(x, amounts, value=value)
