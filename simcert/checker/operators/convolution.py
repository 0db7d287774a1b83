"""Convolutions."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, spread
from simcert.checker.linear import Convolution, Index
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.affine import KERNEL
from simcert.checker.operators.operands import (
    LARGEST_WINDOWS,
    Operands,
    Reading,
    given,
    traced,
    weights,
)
from simcert.checker.operators.windows import Frame


def _convolve(builder: Builder, node: Node, operands: Operands) -> Value:
    shift = None if given(node, operands, 2) is None else weights(node, operands, 2)
    return convolve(builder, node, traced(node, operands), weights(node, operands, 1), shift)


def convolve(
    builder: Builder,
    node: Node,
    x: Traced,
    weight: Constant,
    shift: Constant | None,
    rounded: str = "",
    terms: int = 0,
) -> Traced:
    """Append a convolution; see ``Affine`` for the last two arguments."""
    groups = node.integer("group", 1)
    if x.index.ndim != weight.ndim or weight.ndim < 3 or x.shape[0] != 1 or groups < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    if x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise node.refused(f"of shapes {x.shape} and {weight.shape} in {groups} groups")
    frame = Frame(node, x.shape[2:], list(weight.shape[2:]))
    linear = Convolution(
        weight,
        x.shape[1:],
        tuple(frame.strides),
        tuple(frame.dilations),
        tuple(frame.before),
        tuple(frame.after),
        groups,
    )
    return _appended(builder, node, x, linear, shift, rounded, terms)


def _appended(
    builder: Builder,
    node: Node,
    x: Traced,
    linear: Convolution,
    shift: Constant | None,
    rounded: str = "",
    terms: int = 0,
) -> Traced:
    weight = linear.weight
    windows = math.prod(linear.result[1:]) * math.prod(weight.shape[2:])
    if linear.size[0] * windows > LARGEST_WINDOWS:
        raise node.refused("that is so large")
    channels = np.zeros(len(weight)) if shift is None else spread(shift, (len(weight),))
    bias = np.repeat(channels, math.prod(linear.result[1:]))
    shape = 1, *linear.result
    held, terms = [KERNEL] if terms else [], terms or linear.terms
    operands = [(builder.flat(x), linear)]
    return builder.affine(operands, bias, shape, terms=terms, rounded=rounded, held=held)


def _transposed(builder: Builder, node: Node, operands: Operands) -> Value:
    """ConvTranspose: turned kernels, over the input with zeros between its elements."""
    x, weight = traced(node, operands), weights(node, operands, 1)
    shift = None if given(node, operands, 2) is None else weights(node, operands, 2)
    groups, rank = node.integer("group", 1), weight.ndim - 2
    if x.index.ndim != weight.ndim or rank < 1 or x.shape[:2] != (1, len(weight)) or groups < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    if len(weight) % groups:
        raise node.refused(f"of {len(weight)} channels in {groups} groups")
    index, dilations = _apart(node, x.index, list(weight.shape[2:]))
    own = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    own = np.flip(own.reshape(-1, *own.shape[2:]), tuple(range(2, weight.ndim)))
    ones, none = (1,) * rank, (0,) * rank
    kernel = np.ascontiguousarray(own)
    linear = Convolution(kernel, index.shape[1:], ones, dilations, none, none, groups)
    return _appended(builder, node, x.moved(index), linear, shift)


def _apart(node: Node, index: Index, kernel: list[int]) -> tuple[Index, tuple[int, ...]]:
    """Put zeros between and around the elements, as strides and pads say."""
    rank = len(kernel)
    strides, dilations = (node.integers(n, [1] * rank) for n in ("strides", "dilations"))
    extra, pads = node.integers("output_padding", [0] * rank), node.integers("pads", [0] * 2 * rank)
    wanted, mode = node.integers("output_shape", []), node.text("auto_pad", "NOTSET")
    lengths = {len(strides), len(dilations), len(extra), len(pads) // 2, len(wanted) or rank}
    if lengths != {rank} or node.integers("kernel_shape", kernel) != kernel:
        raise node.refused(f"with windows of {kernel}")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise node.refused(f"with auto_pad {mode}")
    for axis in range(rank):
        size, place = index.shape[axis + 2], axis + 2
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        full = strides[axis] * (size - 1) + reach + extra[axis]
        first, last = pads[axis], pads[rank + axis]
        if wanted or mode.startswith("SAME"):
            target = wanted[axis] if wanted else size * strides[axis]
            if target > full and not wanted:
                raise node.refused(f"with auto_pad {mode} beyond its windows")
            total = max(0, full - target)
            small, large = total // 2, total - total // 2
            first, last = (small, large) if mode == "SAME_UPPER" else (large, small)
            last -= max(0, target - full)
        elif mode == "VALID":
            first = last = 0
        before, after = reach - 1 - first, reach - 1 - last + extra[axis]
        length = strides[axis] * (size - 1) + 1
        if min(strides[axis], dilations[axis]) < 1 or full - first - last < 1:
            raise node.refused(f"with strides {strides} and pads {pads}")
        if max(before, after, 0) + length > LARGEST_WINDOWS // max(1, index.size):
            raise node.refused("that is so large")
        shape = list(index.shape)
        shape[place] = length
        spread_out = np.full(shape, -1)
        spread_out[(slice(None),) * place + (slice(None, None, strides[axis]),)] = index
        widths = [(0, 0)] * index.ndim
        widths[place] = max(before, 0), max(after, 0)
        padded = np.pad(spread_out, widths, constant_values=-1)
        start, stop = max(-before, 0), padded.shape[place] - max(-after, 0)
        index = np.take(padded, range(start, stop), axis=place)
    return index, tuple(dilations)


OPERATORS: dict[str, Reading] = {"Conv": _convolve, "ConvTranspose": _transposed}
