"""Operators that move elements: of constants, and of tensors by the numbers of their elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker.builder import LARGEST_TENSOR
from simcert.checker.errors import CannotCheckError
from simcert.checker.onnxfile import Node

Array = NDArray[Any]
Constants = list[Array | None]

_LAST = 2**31 - 1  # ends from here on stand for the end of an axis of any size


def axes(node: Node, constants: Constants, position: int, rank: int) -> list[int]:
    """Return the axes that an attribute or an operand names, none if it is not there."""
    given = operand(node, constants, position, "axes", [])
    if any(not -rank <= axis < rank for axis in given):
        raise node.refused(f"with axes {given} of {rank}")
    return [axis % rank for axis in given]


def operand(
    node: Node, constants: Constants, position: int, name: str, default: list[int]
) -> list[int]:
    """Return whole numbers from an operand or, in older versions, from an attribute."""
    given = constants[position] if len(constants) > position else None
    if given is None:
        return node.integers(name, default)
    if given.dtype != np.int64:
        raise node.refused(f"with {name} that are not whole numbers")
    return [int(value) for value in given.reshape(-1)]


def _same(_node: Node, x: Array, _constants: Constants) -> list[Array]:
    return [x]


def _dropout(node: Node, x: Array, constants: Constants) -> list[Array]:
    """A file that is run never trains."""
    node.real("ratio", 0.5)
    node.integer("seed", 0)
    if len(constants) > 2 and constants[2] is not None and constants[2].any():
        raise node.refused("in training mode")
    return [x]


def _flatten(node: Node, x: Array, _constants: Constants) -> list[Array]:
    axis = node.integer("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return [x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))]


def _reshape(node: Node, x: Array, constants: Constants) -> list[Array]:
    if node.integer("allowzero", 0):
        raise node.refused("with allowzero")
    wanted = operand(node, constants, 1, "shape", [])
    return [x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(wanted)])]


def _transpose(node: Node, x: Array, _constants: Constants) -> list[Array]:
    return [np.transpose(x, node.integers("perm", list(range(x.ndim))[::-1]))]


def _squeeze(node: Node, x: Array, constants: Constants) -> list[Array]:
    chosen = axes(node, constants, 1, x.ndim) or [i for i, n in enumerate(x.shape) if n == 1]
    return [np.squeeze(x, tuple(chosen))]


def _unsqueeze(node: Node, x: Array, constants: Constants) -> list[Array]:
    given = operand(node, constants, 1, "axes", [])
    return [np.expand_dims(x, tuple(given))]


def _slice(node: Node, x: Array, constants: Constants) -> list[Array]:
    starts = operand(node, constants, 1, "starts", [])
    ends = operand(node, constants, 2, "ends", [])
    chosen = axes(node, constants, 3, x.ndim) or list(range(len(starts)))
    given = constants[4] if len(constants) > 4 else None
    steps = [1] * len(starts) if given is None else [int(step) for step in given.reshape(-1)]
    parts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, starts, ends, steps, strict=True):
        if step < 0 and end >= _LAST:
            raise node.refused("backwards with an end beyond every axis")
        # Backwards, ONNX clamps to the first element where Python takes none; all else is alike.
        parts[axis] = slice(max(start, -x.shape[axis]) if step < 0 else start, end, step)
    return [x[tuple(parts)]]


def _gather(node: Node, x: Array, constants: Constants) -> list[Array]:
    indices = constants[1]
    if indices is None or indices.dtype != np.int64:
        raise node.refused("without indices")
    axis = node.integer("axis", 0)
    if not -x.ndim <= axis < x.ndim:
        raise node.refused(f"along axis {axis} of {x.ndim}")
    if indices.size * x.size > LARGEST_TENSOR * x.shape[axis]:
        raise node.refused("of so much")
    return [np.take(x, indices, axis=axis, mode="raise")]


def _split(node: Node, x: Array, constants: Constants) -> list[Array]:
    axis, parts = node.integer("axis", 0), len(node.outputs)
    sizes = operand(node, constants, 1, "split", [])
    node.integer("num_outputs", parts)
    if not sizes:
        whole = -(-x.shape[axis] // parts)
        sizes = [whole] * (parts - 1) + [x.shape[axis] - whole * (parts - 1)]
    if min(sizes) < 0 or sum(sizes) != x.shape[axis] or len(sizes) != parts:
        raise node.refused(f"into {sizes}")
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis)


def _expand(node: Node, x: Array, constants: Constants) -> list[Array]:
    shape = np.broadcast_shapes(x.shape, tuple(operand(node, constants, 1, "shape", [])))
    if math.prod(shape) > LARGEST_TENSOR:
        raise node.refused(f"to {shape}")
    return [np.broadcast_to(x, shape)]


def _tile(node: Node, x: Array, constants: Constants) -> list[Array]:
    counts = operand(node, constants, 1, "repeats", [])
    if len(counts) != x.ndim or min(counts, default=0) < 0:
        raise node.refused(f"{counts} times")
    if math.prod(counts) * x.size > LARGEST_TENSOR:
        raise node.refused(f"{counts} times")
    return [np.tile(x, counts)]


def _depth_to_space(node: Node, x: Array, _constants: Constants) -> list[Array]:
    """Blocks of channels become blocks of pixels (depth first, DCR, or columns first, CRD)."""
    size, mode = node.integer("blocksize", 1), node.text("mode", "DCR")
    n, channels, height, width = x.shape
    rest = channels // (size * size)
    if mode == "DCR":
        y = x.reshape(n, size, size, rest, height, width).transpose(0, 3, 4, 1, 5, 2)
    elif mode == "CRD":
        y = x.reshape(n, rest, size, size, height, width).transpose(0, 1, 4, 2, 5, 3)
    else:
        raise node.refused(f"in mode {mode!r}")
    return [y.reshape(n, rest, height * size, width * size)]


def _space_to_depth(node: Node, x: Array, _constants: Constants) -> list[Array]:
    size = node.integer("blocksize", 1)
    n, channels, height, width = x.shape
    y = x.reshape(n, channels, height // size, size, width // size, size)
    y = y.transpose(0, 3, 5, 1, 2, 4)
    return [y.reshape(n, channels * size * size, height // size, width // size)]


MOVEMENTS: dict[str, Callable[[Node, Array, Constants], list[Array]]] = {
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _same,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""From a node, its first operand and all its constant operands to its outputs."""


def moved(node: Node, x: Array, constants: Constants) -> list[Array]:
    """Move the elements of ``x`` as a node says.

    Raises:
        CannotCheckError: the node does not fit.
    """
    try:
        return MOVEMENTS[node.operator](node, x, constants)
    except (ValueError, IndexError) as error:
        raise CannotCheckError(f"{node.operator} of shape {x.shape}: {error}") from error


def padded(node: Node, x: Array, constants: Constants, nothing: float) -> Array:
    """Return x with ``nothing`` (or, in other modes, its own elements) around it."""
    pads = operand(node, constants, 1, "pads", [])
    chosen = axes(node, constants, 3, x.ndim) or list(range(x.ndim))
    mode = node.text("mode", "constant")
    widths = [(0, 0)] * x.ndim
    if len(pads) != 2 * len(chosen) or min(pads, default=0) < 0:
        raise node.refused(f"with pads {pads}")
    for axis, before, after in zip(chosen, pads, pads[len(chosen) :], strict=False):
        widths[axis] = before, after
    if math.prod(n + sum(w) for n, w in zip(x.shape, widths, strict=True)) > LARGEST_TENSOR:
        raise node.refused(f"with pads {pads}")
    if mode == "constant":
        return np.pad(x, widths, constant_values=nothing)
    if mode not in ("edge", "reflect", "wrap"):
        raise node.refused(f"in mode {mode!r}")
    return np.pad(x, widths, mode=mode)  # type: ignore[call-overload,no-any-return]
