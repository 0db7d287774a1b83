"""Sums and products; with a constant they are affine, of two tensors products."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Coded, Traced, Value, digest, spread
from simcert.checker.functions import power
from simcert.checker.linear import Dense
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import (
    Operands,
    Reading,
    given,
    inexact,
    present,
    traced,
    weights,
)
from simcert.checker.operators.scales import SMALLEST, scaled

_EPSILON = float(np.float32(1e-5))

KERNEL = 2.0**-32
"""Sums of codes, up to 2^31, wait for a scale that may underflow: so they may be held."""


def _sum(builder: Builder, node: Node, operands: Operands) -> Value:
    terms = present(node, operands)
    signs = [-1.0 if node.operator == "Sub" and i else 1.0 for i in range(len(terms))]
    if len(terms) == 1:
        return terms[0]
    return builder.combine(list(zip(signs, terms, strict=True)))


def _multiply(builder: Builder, node: Node, operands: Operands) -> Value:
    x, y = operands
    if isinstance(x, Coded) or isinstance(y, Coded):
        return scaled(node, x, y)
    if isinstance(x, Traced) and isinstance(y, Traced):
        return builder.product(x, y)
    turned = isinstance(operands[1], Traced)
    x = traced(node, operands, int(turned))
    return builder.scale(x, weights(node, operands, int(not turned)))


def _divide(builder: Builder, node: Node, operands: Operands) -> Value:
    numerator, denominator = operands
    if isinstance(denominator, Traced):
        inverse = builder.smooth(denominator, power(-1.0))
        if isinstance(numerator, Traced):
            return builder.product(numerator, inverse)
        return builder.scale(inverse, weights(node, operands, 0))
    x, divisor = traced(node, operands), weights(node, operands, 1)
    if not divisor.all():
        raise node.refused("by zero")
    return builder.scale(x, 1.0 / divisor, rounded=inexact(divisor), held=_divided_by(divisor))


def _divided_by(divisor: Constant) -> list[float]:
    """Return how results may be held: a runtime may flush a subnormal divisor to zero."""
    return [math.inf] if (np.abs(divisor) < SMALLEST).any() else []


def _negate(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.combine([(-1.0, traced(node, operands))])


def _gemm(builder: Builder, node: Node, operands: Operands) -> Value:
    x, weight = traced(node, operands), weights(node, operands, 1)
    x = x.moved(x.index.T) if node.integer("transA", 0) else x
    weight = weight if node.integer("transB", 0) else weight.T
    if weight.ndim != 2 or x.index.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    shape = (x.shape[0], len(weight))
    shift = given(node, operands, 2)
    bias = np.zeros(math.prod(shape)) if shift is None else spread(shift, shape)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if abs(alpha) < SMALLEST or 0 < abs(beta) < SMALLEST:
        # Zero times a product that overflows is NaN; what is subnormal may be flushed to zero.
        raise node.refused(f"with alpha = {alpha:g} and beta = {beta:g}, zero or subnormal")
    rounded = "" if alpha == beta == 1 else digest(weight, bias, alpha, beta)
    dense = Dense(np.ascontiguousarray(alpha * weight), outer=shape[0])
    return builder.affine(
        [(builder.flat(x), dense)],
        beta * bias,
        shape,
        terms=dense.terms,
        rounded=rounded,
        held=[1 / abs(factor) for factor in (alpha, beta) if factor],
    )


def _matmul(builder: Builder, node: Node, operands: Operands) -> Value:
    x, y = operands
    if isinstance(x, Traced) and isinstance(y, Traced):
        return _of_two(builder, x, y)
    if isinstance(x, Traced):
        return product(builder, node, x, weights(node, operands, 1))
    weight, x = weights(node, operands, 0), traced(node, operands, 1)
    if weight.ndim != 2 or x.index.ndim != 2:
        raise node.refused(f"of shapes {weight.shape} and {x.shape}")
    made = product(builder, node, x.moved(x.index.T), weight.T)
    return made.moved(made.index.T)


def _of_two(builder: Builder, x: Traced, y: Traced) -> Traced:
    """Return the matrix product of two tensors; of a vector as of a row or a column."""
    row, column = x.index.ndim == 1, y.index.ndim == 1
    left, right = x.moved(x.index[None]) if row else x, y.moved(y.index[:, None]) if column else y
    index = (made := builder.contract(left, right)).index
    index = index[..., 0, :] if row else index
    return made.moved(index[..., 0] if column else index)


def product(
    builder: Builder, node: Node, x: Traced, weight: Constant, rounded: str = "", terms: int = 0
) -> Traced:
    """Return x W for x (…, k) and a constant W (k, m) or (k,); see ``Affine`` for the rest."""
    if weight.ndim == 1:
        made = product(builder, node, x, weight[:, None], rounded, terms)
        return made.moved(made.index[..., 0])
    lead = weight.shape[:-2] if weight.ndim > 2 else ()
    if math.prod(lead) != 1 or weight.ndim < 2 or x.index.ndim < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    x = x.moved(x.index.reshape((1,) * (len(lead) + 2 - x.index.ndim) + x.shape)) if lead else x
    weight = weight.reshape(weight.shape[-2:])
    if x.shape[-1] != len(weight):
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    dense = Dense(np.ascontiguousarray(weight.T), outer=math.prod(x.shape[:-1]))
    shape = (*x.shape[:-1], len(dense.weight))
    held, terms = [KERNEL] if terms else [], terms or dense.terms
    operands = [(builder.flat(x), dense)]
    return builder.affine(operands, None, shape, terms=terms, rounded=rounded, held=held)


def _normalise(builder: Builder, node: Node, operands: Operands) -> Value:
    """BatchNormalization: x · factor + (shift − mean · factor)."""
    x = traced(node, operands)
    node.real("momentum", 0.9)
    # Before operator set 14 more than one output means training.
    trains = node.integer("training_mode", 0) or len(node.outputs) > 1
    if trains or not node.integer("spatial", 1):
        raise node.refused("in training mode or without channels")
    scale, shift, mean, variance = (
        spread(weights(node, operands, i), (x.shape[1],)) for i in range(1, 5)
    )
    epsilon = node.real("epsilon", _EPSILON)
    if not (variance + epsilon > 0).all():
        raise node.refused("with a variance that is not positive")
    if (np.abs(mean) >= 2.0**126).any():
        raise node.refused("with a mean from which differences may overflow")
    factor = scale / np.sqrt(variance + epsilon)
    own = np.indices(x.shape)[1].reshape(-1)
    moved_by = mean * factor
    # Flushed is also a factor of the mean, which may be large; halved, for it is rounded here.
    flushed = np.append(variance + epsilon, factor[scale != 0] / 2)
    source, linear = builder.move(x, x.index)
    return builder.affine(
        [(source, linear.with_weight(factor[own]))],
        (shift - moved_by)[own],
        x.shape,
        terms=1,
        rounded=digest(scale, shift, mean, variance, epsilon),
        bias_size=(np.abs(shift) + np.abs(moved_by))[own],
        held=_divided_by(flushed),
    )


OPERATORS: dict[str, Reading] = {
    "Add": _sum,
    "BatchNormalization": _normalise,
    "Div": _divide,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mul": _multiply,
    "Neg": _negate,
    "Sub": _sum,
    "Sum": _sum,
}
