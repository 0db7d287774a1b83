"""Quantisers: a staircase of real numbers, and codes as an affine function of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import DynamicQuantizer, Quantizer
from simcert.model.graph import DYNAMIC, Node
from simcert.model.linear import Diagonal
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    constant_of,
    digest_of,
    float64,
)


def _quantize(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    scale = _spread(node, x.shape, constant_of(node, inputs[1], "scale"))
    zero = inputs[2] if len(inputs) > 2 else None
    if zero is None:
        if node.integer("output_dtype", 0):
            detail = "an output type without a zero point"
            raise UnsupportedOperatorError(node.operator, node.name, detail)
        zero = torch.zeros((), dtype=torch.uint8)
    zero = constant_of(node, zero, "zero point")
    return [quantize(builder, node, x, scale, _spread(node, x.shape, zero), zero.dtype)]


def quantize(
    builder: Builder, node: Node, x: Traced, scale: Tensor, zero: Tensor, dtype: torch.dtype
) -> Traced:
    """Append a quantiser and return its codes; the builder keeps which numbers they stand for.

    Args:
        builder: of the program.
        node: for messages.
        x: what is quantised.
        scale: of each element, flat, float64.
        zero: zero point of each element, flat, float64.
        dtype: of the codes, whose range saturates.
    """
    if not bool((scale > 0).all()):
        raise UnsupportedOperatorError(node.operator, node.name, "a scale that is not positive")
    limits = torch.iinfo(dtype)
    function = Quantizer(scale, limits.min - zero, limits.max - zero)
    quantised = builder.univariate(x, function, node.name)
    inverse = Diagonal(float64(node, 1.0 / scale, scale))
    digest = digest_of(scale)
    codes = builder.affine(
        [(quantised.step, inverse)], zero, x.shape, node.name, digest, rounds=False
    )
    builder.quantised[codes.step] = (quantised.step, scale, zero)
    return codes


def _dequantize(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    codes = activation(node, inputs[0])
    scale = _spread(node, codes.shape, constant_of(node, inputs[1], "scale"))
    zero = torch.zeros_like(scale)
    if len(inputs) > 2 and inputs[2] is not None:
        zero = _spread(node, codes.shape, constant_of(node, inputs[2], "zero point"))
    known = builder.quantised.get(codes.step)
    if known is not None and torch.equal(known[1], scale) and torch.equal(known[2], zero):
        return [Traced(known[0], codes.shape)]
    shift: list[tuple[float, Operand]] = [(1.0, codes), (-1.0, zero.reshape(codes.shape))]
    centred = builder.combine(shift, codes.shape, node.name)
    return [builder.scale(centred, scale.reshape(codes.shape), codes.shape, node.name, "")]


def _spread(node: Node, shape: Sequence[int], parameter: Tensor) -> Tensor:
    """Return a scale or zero point for each element of a tensor, flat, in float64."""
    if node.integer("block_size", 0):
        raise UnsupportedOperatorError(node.operator, node.name, "blocked quantisation")
    values = parameter.to(torch.float64)
    if values.numel() == 1:
        return values.reshape(()).expand(math.prod(shape)).clone()
    aligned = [1] * len(shape)
    aligned[node.integer("axis", 1)] = -1
    return values.reshape(aligned).expand(*shape).reshape(-1).clone()


def _dynamic(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [builder.univariate(activation(node, inputs[0]), DynamicQuantizer(), node.name)]


LOWERINGS: dict[str, Lowering] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    DYNAMIC: _dynamic,
}
"""How each operator is written, by its ONNX type."""
