"""Softmax and the normalisations over what one sample holds.

Their steps do not round: a runtime computes something else that is equal over the reals (it
subtracts the greatest element first, or takes the variance for E[x²] − E[x]²). What any such
formula may be off by is added as the noise of a last step.

With u = 2^-24, A = 2^-20 for an exponential or a logarithm, and s a softmax of n elements:
exponentials of x_j − max x are off by |x_j − max x| u + A relative to themselves. Weighted with s
these distances sum up to log n at most, and s_i |x_i − max x| ≤ 1/e, so that s_i is off by at most
2A + (log n + 1/e) u + γ_{n+4} and what is flushed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Exponential, Logarithm, Power
from simcert.functions.float32 import ACCURACY, SMALLEST
from simcert.model.graph import Node
from simcert.model.linear import Dense, Mean, Selection
from simcert.model.lowering.builder import (
    Builder,
    Lowering,
    Operand,
    Traced,
    activation,
    constant_of,
    digest_of,
    positions,
)
from simcert.model.lowering.movement import move
from simcert.model.lowering.products import total

_ROUNDOFF = 2.0**-24
_EPSILON = float(np.float32(1e-5))
_PAIRS = 1 << 20
"""Differences of elements up to which softmax is written with them; beyond, without."""

_LARGEST_ROW = 4096
"""Elements that are standardised together: their centring is a matrix of as many rows."""


def _softmax(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """1/Σ_j exp(x_j − x_i): the greatest element needs no bound of its own."""
    x = activation(node, inputs[0])
    groups = _classes(node, x)
    sums = _sums(builder, node, x, groups)
    if sums is None:
        result = _quotients(builder, node, x, groups)
    else:
        result = builder.univariate(sums, Power(-1.0), node.name, rounds=False)
    count = groups.shape[1]
    absolute = _exponentials(count) + ACCURACY + math.exp(-1.0) * _ROUNDOFF + count * SMALLEST
    result = builder.noisy(result, [(x, absolute, 0)], node.name, softmax=groups)
    return [_back(builder, node, result, groups, x)]


def _log_softmax(builder: Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """−log Σ_j exp(x_j − x_i). The sum is at least 1, its logarithm at most log n."""
    x = activation(node, inputs[0])
    groups = _classes(node, x)
    sums = _sums(builder, node, x, groups)
    if sums is None:
        raise UnsupportedOperatorError(node.operator, node.name, "too many classes")
    logarithm = builder.univariate(sums, Logarithm(), node.name, rounds=False)
    result = builder.combine([(-1.0, logarithm)], sums.shape, node.name)
    count = groups.shape[1]
    absolute = _exponentials(count) + ACCURACY * math.log(count + 1) + count * SMALLEST
    noise = [(x, 8 * _ROUNDOFF, 1), (x, absolute, 0)]
    result = builder.noisy(result, noise, node.name)
    return [_back(builder, node, result, groups, x)]


def _exponentials(count: int) -> float:
    """Bound the relative error of a sum of exponentials, as the text above says."""
    return ACCURACY + (math.log(count) + 2.0 * (count + 4)) * _ROUNDOFF


def _classes(node: Node, x: Traced) -> Tensor:
    """Return the elements that are compared with each other, (groups, n)."""
    rank = len(x.shape)
    if node.opset >= 13:
        axis = node.integer("axis", -1) % rank
        return positions(x).movedim(axis, -1).reshape(-1, x.shape[axis])
    axis = node.integer("axis", 1) % rank
    return positions(x).reshape(math.prod(x.shape[:axis]), -1)


def _back(builder: Builder, node: Node, y: Traced, groups: Tensor, like: Traced) -> Traced:
    """Return grouped elements in the places and the shape that they came from."""
    index = torch.empty(groups.numel(), dtype=torch.int64)
    index[groups.reshape(-1)] = torch.arange(groups.numel())
    return move(builder, node.name, y, index.reshape(like.shape))


def _sums(builder: Builder, node: Node, x: Traced, groups: Tensor) -> Traced | None:
    """Append Σ_j exp(x_j − x_i) for each i of each group; None where there are too many."""
    outer, count = groups.shape
    if groups.numel() * count > _PAIRS:
        return None
    other = ~torch.eye(count, dtype=torch.bool).expand(outer, count, count)
    minuend = groups[:, None, :].expand(outer, count, count)[other]
    subtrahend = groups[:, :, None].expand(outer, count, count)[other]
    ones = torch.ones(groups.numel(), dtype=torch.float64)
    if count == 1:
        return builder.constant(ones.reshape(groups.shape), node.name)
    maps = [Selection(minuend, x.size), Selection(subtrahend, x.size, -1.0)]
    zero = torch.zeros(len(minuend), dtype=torch.float64)
    shape = (*groups.shape, count - 1)
    terms = [(x.step, own) for own in maps]
    differences = builder.affine(terms, zero, shape, node.name, rounds=False)
    powers = builder.univariate(differences, Exponential(), node.name, rounds=False)
    row = Dense(torch.ones(1, count - 1, dtype=torch.float64), outer=groups.numel())
    return builder.affine([(powers.step, row)], ones, groups.shape, node.name, rounds=False)


def _quotients(builder: Builder, node: Node, x: Traced, groups: Tensor) -> Traced:
    """Append exp(x_i) / Σ_j exp(x_j)."""
    grouped = move(builder, node.name, x, groups)
    powers = builder.univariate(grouped, Exponential(), node.name, rounds=False)
    sums = total(builder, node, powers, (len(groups), 1), rounds=False)
    inverse = builder.univariate(sums, Power(-1.0), node.name, rounds=False)
    product = builder.product(powers, inverse, groups.shape, node.name, rounds=False)
    one = torch.ones((), dtype=torch.float64)
    return builder.minimum(product, one, groups.shape, node.name)


def _layer_normalization(
    builder: Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    x = activation(node, inputs[0])
    axis = node.integer("axis", -1) % len(x.shape)
    groups = positions(x).reshape(math.prod(x.shape[:axis]), -1)
    y = _standardised(builder, node, x, groups)
    return [_scaled_and_shifted(builder, node, y, inputs[1:3])]


def _instance_normalization(
    builder: Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    x = activation(node, inputs[0])
    groups = positions(x).reshape(x.shape[0] * x.shape[1], -1)
    y = _standardised(builder, node, x, groups)
    return [_scaled_and_shifted(builder, node, y, _by_channel(node, x, inputs[1:3]))]


def _group_normalization(
    builder: Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    x = activation(node, inputs[0])
    groups = positions(x).reshape(x.shape[0] * node.integer("num_groups", 1), -1)
    y = _standardised(builder, node, x, groups)
    return [_scaled_and_shifted(builder, node, y, _by_channel(node, x, inputs[1:3]))]


def _by_channel(node: Node, x: Traced, parameters: list[Operand | None]) -> list[Operand | None]:
    """Return scale and bias of each channel, to broadcast."""
    shape = (1, -1, *(1,) * (len(x.shape) - 2))
    return [constant_of(node, p, "scale and bias").reshape(shape) for p in parameters]


def _scaled_and_shifted(
    builder: Builder, node: Node, y: Traced, parameters: list[Operand | None]
) -> Traced:
    """Append y · scale + bias, where these are given."""
    scale, bias = (*parameters, None, None)[:2]
    if scale is not None:
        y = builder.scale(y, constant_of(node, scale, "scale"), y.shape, node.name, "")
    if bias is not None:
        shift = constant_of(node, bias, "bias")
        y = builder.combine([(1.0, y), (1.0, shift)], y.shape, node.name)
    return y


def _standardised(builder: Builder, node: Node, x: Traced, groups: Tensor) -> Traced:
    """Append (x − mean)/√(variance + ε) over each row of ``groups`` (outer, n), in x's shape.

    With M = max |x|, a mean is off by γ_{n+2} M and a variance, by whatever formula, by four times
    γ_{n+4} M². What a runtime makes of x · factor − mean · factor is what it makes of x − mean, off
    by a few u M.
    """
    outer, count = groups.shape
    if count > _LARGEST_ROW:
        detail = f"a mean of {count} elements; at most {_LARGEST_ROW} are bounded"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    grouped = move(builder, node.name, x, groups)
    matrix = torch.eye(count, dtype=torch.float64) - 1.0 / count
    zero = torch.zeros(groups.numel(), dtype=torch.float64)
    maps = [(grouped.step, Dense(matrix, outer=outer))]
    digest = digest_of(matrix)
    own = builder.affine(maps, zero, groups.shape, node.name, digest, rounds=False)
    squares = builder.univariate(own, Power(2.0), node.name, rounds=False)
    zero = torch.zeros(outer, dtype=torch.float64)
    mean = [(squares.step, Mean(outer, count, 1))]
    variance = builder.affine(mean, zero, (outer, 1), node.name, rounds=False)
    variance = builder.relu(variance, node.name)
    rounding = (count + 4) * _ROUNDOFF * 1.01
    epsilon = node.real("epsilon", _EPSILON)
    shifted = builder.noisy(variance, [(grouped, 4 * rounding, 2)], node.name, epsilon, parts=outer)
    factor = builder.univariate(shifted, Power(-0.5), node.name)
    centre = builder.noisy(
        own, [(grouped, 2 * rounding + 8 * _ROUNDOFF, 1)], node.name, parts=outer
    )
    product = builder.product(centre, factor, groups.shape, node.name)
    return _back(builder, node, product, groups, x)


LOWERINGS: dict[str, Lowering] = {
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "Softmax": _softmax,
}
"""How each operator is written, by its ONNX type."""
