"""QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simcert.checker.builder import Builder, Quantised, Value
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import Operands, Reading, constant, given, traced, weights

_CODES = {2: (0, 255), 3: (-128, 127), 4: (0, 65_535), 5: (-32_768, 32_767)}
"""The least and the greatest number of each type that QuantizeLinear may make."""


def _grid(
    node: Node, operands: Operands, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scale and zero point of a tensor's elements, in its shape."""
    scale, zero = weights(node, operands, 1), given(node, operands, 2)
    axis, rank = node.integer("axis", 1), len(shape)
    if node.integer("block_size", 0):
        raise node.refused("with blocks")
    along = [1] * rank
    if scale.ndim == 1 and scale.size > 1:
        if not -rank <= axis < rank or shape[axis] != scale.size:
            raise node.refused(f"along axis {axis}")
        along[axis] = scale.size
    elif scale.size != 1:
        raise node.refused("with blocks")
    if (scale.astype(np.float32) != scale).any() or not (scale > 0).all():
        raise node.refused("with a scale of type float64, or one that is not positive")
    zero = np.zeros(1, dtype=np.int64) if zero is None else zero
    if zero.size not in (1, scale.size) or zero.dtype != np.int64:
        raise node.refused("with another form of zero points")
    found = (
        np.broadcast_to(values.reshape(along if values.size > 1 else [1] * rank), shape)
        for values in (scale, zero)
    )
    return next(found).astype(np.float64), next(found).astype(np.int64)


def _dequantize(_builder: Builder, node: Node, operands: Operands) -> Value:
    """(x − zero point) · scale of a constant, exact in float64 up to 29 bits; of codes, as made."""
    x = operands[0]
    if isinstance(x, Quantised):
        scale, zero = _grid(node, operands, x.shape)
        if (scale != x.scale).any() or (zero != x.zero).any():
            raise node.refused("with other parameters than its quantiser")
        return x.moved(x.index)
    x = constant(node, operands, 0)
    scale, zero = _grid(node, operands, x.shape)
    if x.dtype != np.int64:
        raise node.refused("of floats")
    shifted = x - zero
    if shifted.size and np.abs(shifted).max() >= 2**29:
        raise node.refused("of numbers that are too large to be exact")
    return shifted.astype(np.float64) * scale


def _quantize(builder: Builder, node: Node, operands: Operands) -> Value:
    """The multiple of scale that DequantizeLinear will make; its code is saturated."""
    x = traced(node, operands)
    scale, zero = _grid(node, operands, x.shape)
    node.integer("saturate", 1)
    kind = (
        node.types[2] if given(node, operands, 2) is not None else node.integer("output_dtype", 2)
    )
    if kind not in _CODES or node.integer("output_dtype", kind) not in (0, kind):
        raise node.refused(f"to type {kind}")
    lower, upper = (scale * (code - zero) for code in _CODES[kind])
    made = builder.quantise(x, scale, lower, upper)
    return Quantised(made.step, made.index, scale, zero)


OPERATORS: dict[str, Reading] = {"DequantizeLinear": _dequantize, "QuantizeLinear": _quantize}
