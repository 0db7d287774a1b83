"""QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simcert.checker.builder import (
    Builder,
    DynamicCodes,
    DynamicScale,
    DynamicZero,
    Quantised,
    Traced,
    Value,
)
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import (
    Operands,
    Reading,
    constant,
    given,
    inexact,
    traced,
    weights,
)

_CODES = {2: (0, 255), 3: (-128, 127), 4: (0, 65_535), 5: (-32_768, 32_767)}
"""The least and the greatest number of each type that QuantizeLinear may make."""


def grid(
    node: Node, parameters: tuple[Constant, Constant | None], shape: tuple[int, ...], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scale and zero point of a tensor's elements, in its shape.

    Args:
        node: for messages.
        parameters: scale and zero point: one number, or one for each place along an axis.
        shape: of the tensor.
        axis: along which they differ.
    """
    scale, zero = parameters
    rank = len(shape)
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


def restored(
    builder: Builder, node: Node, x: Quantised, parameters: tuple[Constant, Constant | None]
) -> Traced:
    """Return the numbers that codes stand for to a reader, scale · (code − zero point).

    With the quantiser's own parameters these are its elements.
    """
    axis = node.integer("axis", 1) if node.operator == "DequantizeLinear" else 1
    scale, zero = grid(node, parameters, x.shape, axis)
    if (scale == x.scale).all() and (zero == x.zero).all():
        return x.moved(x.index)
    shift = (x.zero - zero).astype(np.float64)
    whole = _unscaled(builder, x)
    centred = builder.combine([(1.0, whole), (1.0, shift)]) if shift.any() else whole
    return builder.scale(centred, scale)


def numbers(builder: Builder, x: Quantised) -> Traced:
    """Return codes as the numbers that they are."""
    whole, zero = _unscaled(builder, x), x.zero.astype(np.float64)
    if not zero.any():
        return whole
    return builder.combine([(1.0, whole), (1.0, zero)], computed=False)


def _unscaled(builder: Builder, x: Quantised) -> Traced:
    """Return code − zero point: exact, but the product with the scale is rounded in a runtime."""
    if (x.scale == 1).all():
        return x.moved(x.index)
    return builder.scale(x, 1 / x.scale, rounded=inexact(x.scale))


def meant(
    node: Node, codes: Constant, parameters: tuple[Constant, Constant | None], axis: int
) -> NDArray[np.float64]:
    """Return (code − zero point) · scale of constants, exact in float64 up to 29 bits."""
    scale, zero = grid(node, parameters, codes.shape, axis)
    if codes.dtype != np.int64:
        raise node.refused("of floats")
    shifted = codes - zero
    if shifted.size and np.abs(shifted).max() >= 2**29:
        raise node.refused("of numbers that are too large to be exact")
    return np.asarray(shifted.astype(np.float64) * scale)


def coded(
    builder: Builder,
    node: Node,
    x: Traced,
    parameters: tuple[Constant, Constant | None],
    kind: int | None,
) -> Quantised:
    """Append a quantiser to codes of an ONNX element type, which saturate."""
    axis = node.integer("axis", 1) if node.operator == "QuantizeLinear" else 1
    scale, zero = grid(node, parameters, x.shape, axis)
    if kind not in _CODES:
        raise node.refused(f"to type {kind}")
    lower, upper = (scale * (code - zero) for code in _CODES[kind])
    made = builder.quantise(x, scale, lower, upper)
    return Quantised(made.step, made.index, scale, zero)


def _own_parameters(operands: Operands, x: DynamicCodes) -> bool:
    """Whether scale and zero point are those that codes were made with."""
    scale, zero = [*operands, None, None][1:3]
    if not (isinstance(scale, DynamicScale) and isinstance(zero, DynamicZero)):
        return False
    return scale.step == zero.step == x.step and bool((scale.factor == 1).all())


def _dequantize(builder: Builder, node: Node, operands: Operands) -> Value:
    x = operands[0]
    if isinstance(x, DynamicCodes) and _own_parameters(operands, x):
        node.integer("axis", 1)
        return x.moved(x.index)
    parameters = weights(node, operands, 1), given(node, operands, 2)
    if node.integer("block_size", 0):
        raise node.refused("with blocks")
    if isinstance(x, Quantised):
        return restored(builder, node, x, parameters)
    return meant(node, constant(node, operands, 0), parameters, node.integer("axis", 1))


def _quantize(builder: Builder, node: Node, operands: Operands) -> Value:
    zero = given(node, operands, 2)
    kind = node.integer("output_dtype", 2) if zero is None else node.types[2]
    node.integer("saturate", 1)
    if node.integer("block_size", 0) or node.integer("output_dtype", kind or 0) not in (0, kind):
        raise node.refused("with blocks, or to another type than its zero point's")
    return coded(builder, node, traced(node, operands), (weights(node, operands, 1), zero), kind)


OPERATORS: dict[str, Reading] = {"DequantizeLinear": _dequantize, "QuantizeLinear": _quantize}
