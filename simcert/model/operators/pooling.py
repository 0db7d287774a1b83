"""Pools over windows and over whole axes."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from simcert.model.graph import Node
from simcert.model.operators.kernel import Function, Kernel, axes_of, table, unsupported
from simcert.model.operators.window import pad, window

_MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_SUMS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def _max_pool(node: Node, x: Tensor) -> Tensor:
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    after = [a + b for a, b in zip(frame.after, frame.overhang, strict=True)]
    return _MAXIMA[x.ndim - 2](
        pad(x, frame.before, after, -math.inf),
        frame.kernel,
        frame.strides,
        dilation=frame.dilations,
    )


def _average_pool(node: Node, x: Tensor) -> Tensor:
    """The sum over each window divided by the number of its elements that count.

    Padding counts if ``count_include_pad`` says so; what lies beyond the padding never does.
    """
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    counted = float(node.integer("count_include_pad", 0))
    nothing = [0] * len(frame.kernel)
    kernel = torch.ones((1, 1, *frame.kernel), dtype=x.dtype, device=x.device)

    def total(values: Tensor, padding: float) -> Tensor:
        values = pad(values, frame.before, frame.after, padding)
        values = pad(values, nothing, frame.overhang, 0.0)
        return _SUMS[x.ndim - 2](values, kernel, stride=frame.strides, dilation=frame.dilations)

    channels = x.reshape(-1, 1, *x.shape[2:])
    sums = total(channels, 0.0) / total(torch.ones_like(channels[:1]), counted)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _everywhere(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _global_average(node: Node, x: Tensor) -> Tensor:  # noqa: ARG001
    return x.mean(_everywhere(x), keepdim=True)


def _global_max(node: Node, x: Tensor) -> Tensor:  # noqa: ARG001
    return x.amax(_everywhere(x), keepdim=True)


def _reduction(function: Callable[..., Tensor]) -> Function:
    def run(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = axes_of(node, axes)
        if not chosen and node.integer("noop_with_empty_axes", 0):
            if function in _CHANGING_ONE:
                raise unsupported(node, "noop_with_empty_axes, which runtimes read otherwise")
            return x
        chosen = chosen or tuple(range(x.ndim))
        return function(x, chosen, bool(node.integer("keepdims", 1)))

    return run


def _sum_of_squares(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.square().sum(axes, keep)


def _euclidean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return _sum_of_squares(x, axes, keep).sqrt()


def _sum_of_absolutes(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.abs().sum(axes, keep)


_CHANGING_ONE = (_sum_of_squares, _euclidean, _sum_of_absolutes)
"""What a reduction of single elements does not hand on as they are."""


def _position(function: Callable[..., Tensor]) -> Function:
    """Where the greatest or least element stands; of several equal ones the first, or the last."""

    def run(node: Node, x: Tensor) -> Tensor:
        axis, keep = node.integer("axis", 0), bool(node.integer("keepdims", 1))
        if node.integer("select_last_index", 0):
            return x.shape[axis] - 1 - function(x.flip(axis), axis, keep)
        return function(x, axis, keep)

    return run


KERNELS: dict[str, Kernel] = table(
    {
        "ArgMax": _position(torch.argmax),
        "ArgMin": _position(torch.argmin),
        "AveragePool": _average_pool,
        "GlobalAveragePool": _global_average,
        "GlobalMaxPool": _global_max,
        "MaxPool": _max_pool,
        "ReduceL1": _reduction(_sum_of_absolutes),
        "ReduceL2": _reduction(_euclidean),
        "ReduceMax": _reduction(torch.amax),
        "ReduceMean": _reduction(torch.mean),
        "ReduceMin": _reduction(torch.amin),
        "ReduceSum": _reduction(torch.sum),
        "ReduceSumSquare": _reduction(_sum_of_squares),
    }
)
