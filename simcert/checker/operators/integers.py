"""Integer kernels, read as what they compute: real numbers that are quantised again.

QLinearConv(x, w) is a convolution of the numbers that x and w stand for, quantised: its integer
sums are exact, and one factor is rounded. MatMulInteger and ConvInteger wait for the scale that
their sums are multiplied with. So a float network and its integer copy have the same steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simcert.checker.builder import (
    Builder,
    DynamicCodes,
    DynamicScale,
    DynamicZero,
    IntegerSum,
    Quantised,
    Traced,
    Value,
    digest,
)
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.affine import product
from simcert.checker.operators.convolution import convolve
from simcert.checker.operators.operands import Operands, Reading, constant, given, traced, weights
from simcert.checker.operators.quantisers import coded, meant, restored
from simcert.checker.operators.scales import is_normal

_TERMS = 1
"""Integer sums are exact; what follows rounds a few times."""

_RANGE = 255
"""The greatest distance of an 8-bit code from its zero point."""


def _check_sum(node: Node, weight: Constant, axis: int, bias: Constant | None = None) -> None:
    """Require sums of codes times weights to be 32-bit integers; a runtime's wrap around.

    Args:
        node: for messages; its codes are of 8 bits, as ONNX has it.
        weight: codes less their zero points.
        axis: of the results, one sum each; the other axes are added up (of matrices the rows).
        bias: of each result.
    """
    along = tuple(range(1, weight.ndim)) if axis == 0 else (max(weight.ndim - 2, 0),)
    sums = np.abs(weight).sum(axis=along) * _RANGE
    most = float(sums.max(initial=0)) + (0.0 if bias is None else float(np.abs(bias).max()))
    if most >= 2**31:
        raise node.refused("with sums that 32-bit integers may not hold")


def _shifted(node: Node, codes: Constant, zero: Constant, axis: int) -> NDArray[np.float64]:
    """Return codes less their zero points.

    Raises:
        CannotCheckError: a vector of weights, whose scales belong to none of the results.
    """
    if axis == -1 and codes.ndim == 1:
        raise node.refused("with a vector of weights")
    return meant(node, codes, (np.ones(zero.shape), zero), axis)


def _parameters(node: Node, operands: Operands, position: int) -> tuple[Constant, Constant]:
    """Return the scale at a position and the zero point behind it."""
    return weights(node, operands, position), constant(node, operands, position + 1)


def _check_scales(node: Node, operands: Operands) -> None:
    """Require float32 to hold what sums are multiplied with; else a sum of 0 may become NaN."""
    x, w, y = (weights(node, operands, position) for position in (1, 4, 6))
    with np.errstate(over="ignore", under="ignore"):
        products = np.multiply.outer(x.astype(np.float32), w.astype(np.float32))
        scales = np.divide.outer(products, y.astype(np.float32))
    if not all(map(is_normal, (x, w, y, products, scales))):
        raise node.refused("with scales whose products float32 does not hold")


def _quantised_convolution(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _codes(node, operands, 0)
    _check_scales(node, operands)
    read = restored(builder, node, x, _parameters(node, operands, 1))
    weight = meant(node, constant(node, operands, 3), _parameters(node, operands, 4), 0)
    shift, rounded = given(node, operands, 8), ""
    codes = constant(node, operands, 3), constant(node, operands, 5)
    _check_sum(node, _shifted(node, *codes, 0), 0, shift)
    if shift is not None:
        if shift.dtype != np.int64:
            raise node.refused("with a bias that is not of integers")
        scales = weights(node, operands, 1).reshape(-1) * weights(node, operands, 4).reshape(-1)
        rounded = digest(shift, scales)
        shift = shift.astype(np.float64) * scales
    made = convolve(builder, node, read, weight, shift, rounded, _TERMS)
    return coded(builder, node, made, _parameters(node, operands, 6), node.types[7])


def _quantised_product(builder: Builder, node: Node, operands: Operands) -> Value:
    _check_scales(node, operands)
    left, right = (
        restored(builder, node, x, _parameters(node, operands, position + 1))
        if isinstance(x := operands[position], Quantised)
        else meant(
            node, constant(node, operands, position), _parameters(node, operands, position + 1), -1
        )
        for position in (0, 3)
    )
    if isinstance(left, Traced) and isinstance(right, Traced):
        _check_sum(node, np.full(left.shape[-1:], float(_RANGE)), -1)
        made = builder.contract(left, right)
    elif isinstance(left, Traced):
        codes = constant(node, operands, 3), constant(node, operands, 5)
        _check_sum(node, _shifted(node, *codes, -1), -1)
        made = product(builder, node, left, right, "", _TERMS)  # type: ignore[arg-type]
    else:
        raise node.refused("of a constant on the left")
    return coded(builder, node, made, _parameters(node, operands, 6), node.types[7])


def _codes(node: Node, operands: Operands, position: int) -> Quantised:
    x = operands[position]
    if not isinstance(x, Quantised):
        raise node.refused("of numbers that are no codes of QuantizeLinear")
    return x


def _dynamic(builder: Builder, node: Node, operands: Operands) -> list[Value]:
    made = builder.dynamic(traced(node, operands))
    index, one = np.full((), -1), np.ones(())
    return [
        DynamicCodes(made.step, made.index),
        DynamicScale(made.step, index, one),
        DynamicZero(made.step, index),
    ]


def _integer_sum(builder: Builder, node: Node, operands: Operands) -> Value:
    """MatMulInteger and ConvInteger of codes and constant weights."""
    x = operands[0]
    axis = 0 if node.operator == "ConvInteger" else -1
    codes = constant(node, operands, 1)
    zero = given(node, operands, 3)
    zero = np.zeros(1, dtype=np.int64) if zero is None else zero
    shifted = _shifted(node, codes, zero, axis)
    _check_sum(node, shifted, axis)
    scale = None
    if isinstance(x, Quantised):
        scale = float(x.scale.reshape(-1)[0])
        read = restored(builder, node, x, (np.array(scale), given(node, operands, 2)))
    elif isinstance(x, DynamicCodes) and _own_zero(operands, x):
        read = x.moved(x.index)
    else:
        raise node.refused("of codes with another zero point than their quantiser's")
    name = builder.name

    def finish(factor: NDArray[np.float64]) -> Traced:
        """Append the sum, whose weights are multiplied with a factor or one for each channel."""
        builder.name = name
        along = [1] * shifted.ndim
        along[axis] = -1
        one = read.index.ndim == 1  # of a vector and a matrix the sums are a vector
        rank = shifted.ndim - 1 if one else max(read.index.ndim, shifted.ndim)
        _check_factor(node, factor, rank, shifted.shape[axis])
        weight = shifted * factor.reshape(along if factor.size > 1 else [1] * shifted.ndim)
        rounded = digest(shifted, factor)
        if node.operator == "ConvInteger":
            return convolve(builder, node, read, weight, None, rounded, _TERMS)
        return product(builder, node, read, weight, rounded, _TERMS)

    if node.operator == "ConvInteger":
        for attribute in ("strides", "dilations", "pads", "kernel_shape"):
            node.integers(attribute, [])
        node.integer("group", 1)
        node.text("auto_pad", "NOTSET")
    return IntegerSum(x.step, x.index, finish, scale)


def _check_factor(node: Node, factor: NDArray[np.float64], rank: int, channels: int) -> None:
    """Require a factor of sums to be the same for all of a channel, and to leave their shape.

    It is broadcast from the last axis on. Channels are the last axis of matrices, the second of
    convolutions.
    """
    channel = 1 if node.operator == "ConvInteger" else rank - 1
    shape = (1,) * (rank - factor.ndim) + factor.shape
    fits = [n == 1 or (axis == channel and n == channels) for axis, n in enumerate(shape)]
    if len(shape) != rank or not all(fits):
        raise node.refused(f"times scales of shape {factor.shape}")


def _own_zero(operands: Operands, x: DynamicCodes) -> bool:
    zero = operands[2] if len(operands) > 2 else None
    return isinstance(zero, DynamicZero) and zero.step == x.step


OPERATORS: dict[str, Reading] = {
    "ConvInteger": _integer_sum,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _integer_sum,
    "QLinearConv": _quantised_convolution,
    "QLinearMatMul": _quantised_product,
}
