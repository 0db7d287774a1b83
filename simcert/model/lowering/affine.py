"""Sums, products with constants, convolutions, BatchNormalization: affine steps."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Power
from simcert.functions.float32 import SMALLEST
from simcert.model.graph import INTEGER, Node
from simcert.model.linear import (
    Convolution,
    Dense,
)
from simcert.model.lowering import products
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    broadcast,
    computed_digest,
    constant_of,
    digest_of,
    float64,
    positions,
    present,
)
from simcert.model.lowering.movement import move
from simcert.model.operators.transposed import spread, transposed_window
from simcert.model.operators.window import window
from simcert.model.program import Held


def _sum(signs: tuple[float, ...]) -> Lowering:
    """Add, Sub and Sum; signs beyond the given ones are +1."""

    def run(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        operands = present(inputs)
        factors = (*signs, *(1.0,) * len(operands))
        terms = list(zip(factors, operands, strict=False))
        return [builder.combine(terms, broadcast(*operands), node.name)]

    return run


def _multiply(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    a, b = present(inputs)
    if isinstance(a, Traced) and isinstance(b, Traced):
        return [products.multiply(builder, node, a, b)]
    x, scale = (a, b) if isinstance(a, Traced) else (b, a)
    scale = constant_of(node, scale, "factor")
    return [builder.scale(activation(node, x), scale, broadcast(a, b), node.name, "")]


def _divide(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    if isinstance(inputs[1], Traced):
        return [_divide_by(builder, node, inputs[0], inputs[1])]
    x, divisor = activation(node, inputs[0]), constant_of(node, inputs[1], "divisor")
    if not divisor.all():
        raise UnsupportedOperatorError(node.operator, node.name, "a division by zero")
    digest = digest_of(divisor)
    inverse = float64(node, 1.0 / divisor, divisor)
    shape, held = broadcast(x, divisor), divided_by(divisor)
    return [builder.scale(x, inverse, shape, node.name, digest, held)]


def divided_by(divisor: Tensor) -> Held:
    """Return how quotients are held: a runtime may flush a subnormal divisor to zero."""
    return Held.at(math.inf if bool((divisor.abs() < SMALLEST).any()) else 1.0)


def held_by_kernel(node: Node) -> Held:
    """Return how sums are held: those of codes, up to 2^31, wait for a scale that may underflow."""
    return Held.at(2.0**-32 if node.integer(INTEGER, 0) else 1.0)


def _divide_by(builder: Builder, node: Node, x: Operand | None, divisor: Traced) -> Traced:
    """Append x / divisor, where the divisor depends on the input."""
    if isinstance(x, Traced):
        return products.divide(builder, node, x, divisor)
    numerator = constant_of(node, x, "numerator")
    inverse = builder.univariate(divisor, Power(-1.0), node.name)
    return builder.scale(inverse, numerator, broadcast(numerator, divisor), node.name, "")


def _negate(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = activation(node, inputs[0])
    return [builder.combine([(-1.0, x)], x.shape, node.name)]


def _gemm(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x, weight = activation(node, inputs[0]), constant_of(node, inputs[1], "weight")
    weight = weight if node.integer("transB", 0) else weight.T
    if node.integer("transA", 0):
        x = move(builder, "transpose", x, positions(x).T)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if abs(alpha) < SMALLEST or 0 < abs(beta) < SMALLEST:
        # Zero times a product that overflows is NaN; what is subnormal may be flushed to zero.
        detail = f"alpha = {alpha:g} and beta = {beta:g}, which are zero or subnormal"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    shape = (x.shape[0], weight.shape[0])
    bias = torch.zeros(shape, dtype=torch.float64)
    computed = ""
    if len(inputs) > 2 and inputs[2] is not None:
        shift = constant_of(node, inputs[2], "bias")
        bias = bias + (shift if beta == 1.0 else float64(node, beta * shift, beta * (shift != 0)))
    if alpha != 1.0 or beta != 1.0:
        computed = digest_of(weight, bias, alpha, beta)
    if alpha != 1.0:
        weight = float64(node, alpha * weight, alpha * (weight != 0))
    dense = Dense(weight.contiguous(), outer=shape[0])
    # A runtime takes α (A B) and β C: these are held before they are scaled.
    held = Held.at(*(1 / factor for factor in (alpha, beta) if factor))
    terms = [(x.step, dense)]
    return [builder.affine(terms, bias.reshape(-1), shape, node.name, computed, held=held)]


def _matmul(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    a, b = inputs
    if isinstance(a, Traced) and isinstance(b, Tensor):
        return [_product(builder, node, a, b)]
    if isinstance(a, Tensor) and isinstance(b, Traced) and a.ndim == len(b.shape) == 2:
        # A x = (xᵀ Aᵀ)ᵀ
        turned = move(builder, node.name, b, positions(b).T)
        product = _product(builder, node, turned, a.T)
        return [move(builder, node.name, product, positions(product).T)]
    if isinstance(a, Traced) and isinstance(b, Traced):
        return [products.contract(builder, node, a, b)]
    raise UnsupportedOperatorError(node.operator, node.name, "a constant on the left of a batch")


def _product(builder: Builder, node: Node, x: Traced, weight: Tensor) -> Traced:
    """Return x W for a traced x (…, k) and a constant W (k, m) or (k,)."""
    if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
        rank = max(len(x.shape), weight.ndim)
        x = Traced(x.step, (1,) * (rank - len(x.shape)) + x.shape)
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim not in (1, 2):
        raise UnsupportedOperatorError(node.operator, node.name, "a weight for each batch entry")
    matrix = weight.reshape(weight.shape[0], -1).T.contiguous()
    shape = (*x.shape[:-1], *weight.shape[1:])
    dense = Dense(matrix, outer=math.prod(x.shape[:-1]))
    zero = torch.zeros(math.prod(shape), dtype=torch.float64)
    digest = computed_digest(node, matrix)
    held = held_by_kernel(node)
    return builder.affine([(x.step, dense)], zero, shape, node.name, digest, held=held)


def _convolution(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x, weight = activation(node, inputs[0]), constant_of(node, inputs[1], "weight")
    bias = None
    if len(inputs) > 2 and inputs[2] is not None:
        bias = constant_of(node, inputs[2], "bias")
    return [convolve(builder, node, x, weight, bias, node.integer("group", 1))]


def convolve(
    builder: Builder, node: Node, x: Traced, weight: Tensor, bias: Tensor | None, groups: int
) -> Traced:
    """Append a convolution, also where its weight is no operand of the node."""
    if x.shape[0] != 1:
        raise UnsupportedOperatorError(node.operator, node.name, f"a batch of {x.shape[0]}")
    frame = window(node, x.shape[2:], weight.shape[2:])
    after = [a + b for a, b in zip(frame.after, frame.overhang, strict=True)]
    spatial = tuple(
        (size + begin + end - dilation * (kernel - 1) - 1) // stride + 1
        for size, begin, end, dilation, kernel, stride in zip(
            x.shape[2:],
            frame.before,
            after,
            frame.dilations,
            frame.kernel,
            frame.strides,
            strict=True,
        )
    )
    out_shape = (weight.shape[0], *spatial)
    padding = tuple(zip(frame.before, after, strict=True))
    linear = Convolution(
        weight, x.shape[1:], out_shape, frame.strides, padding, frame.dilations, groups
    )
    channels = torch.zeros(weight.shape[0], dtype=torch.float64) if bias is None else bias
    spread = channels.repeat_interleave(math.prod(spatial))
    digest = computed_digest(node, weight, channels)
    terms, held = [(x.step, linear)], held_by_kernel(node)
    return builder.affine(terms, spread, (1, *out_shape), node.name, digest, held=held)


def _transposed_convolution(
    builder: Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    """A convolution, with turned kernels, of the input with zeros between its elements."""
    x, weight = activation(node, inputs[0]), constant_of(node, inputs[1], "weight")
    if x.shape[0] != 1:
        raise UnsupportedOperatorError(node.operator, node.name, f"a batch of {x.shape[0]}")
    frame = transposed_window(node, x.shape[2:], weight.shape[2:])
    index = spread(positions(x) + 1, frame) - 1
    apart = move(builder, node.name, x, index)
    groups = node.integer("group", 1)
    own = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    kernel = own.flip(tuple(range(2, own.ndim))).contiguous()
    out_shape = (kernel.shape[0], *frame.out)
    axes = len(frame.out)
    linear = Convolution(
        kernel, apart.shape[1:], out_shape, (1,) * axes, ((0, 0),) * axes, frame.dilations, groups
    )
    channels = torch.zeros(kernel.shape[0], dtype=torch.float64)
    if len(inputs) > 2 and inputs[2] is not None:
        channels = constant_of(node, inputs[2], "bias")
    bias = channels.repeat_interleave(math.prod(frame.out))
    return [builder.affine([(apart.step, linear)], bias, (1, *out_shape), node.name)]


def _batch_normalization(
    builder: Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    x = activation(node, inputs[0])
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        detail = "training mode or per-element statistics"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    scale, shift, mean, variance = (constant_of(node, p, "statistics") for p in inputs[1:5])
    epsilon = node.real("epsilon", float(np.float32(1e-5)))
    computed = digest_of(scale, shift, mean, variance, epsilon)
    factor = float64(node, scale / torch.sqrt(variance + epsilon), scale)
    # The rounding of this bias is relative to both of its terms: x − mean keeps them apart.
    channel = (1, -1, *(1,) * (len(x.shape) - 2))
    centred = builder.combine([(1.0, x), (-1.0, mean.reshape(channel))], x.shape, node.name)
    held = divided_by(variance + epsilon)
    scaled = builder.scale(centred, factor.reshape(channel), x.shape, node.name, computed, held)
    return [builder.combine([(1.0, scaled), (1.0, shift.reshape(channel))], x.shape, node.name)]


LOWERINGS: dict[str, Lowering] = {
    "Add": _sum((1.0, 1.0)),
    "BatchNormalization": _batch_normalization,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Div": _divide,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mul": _multiply,
    "Neg": _negate,
    "Sub": _sum((1.0, -1.0)),
    "Sum": _sum(()),
}
"""How each operator is written, by its ONNX type."""
