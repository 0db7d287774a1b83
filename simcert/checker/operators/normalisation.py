"""Softmax, and the normalisations over what one sample holds.

A runtime may compute them by other formulas that are equal over the reals: it may subtract the
greatest element of a softmax first, or take a variance for E[x²] − E[x]². What any such formula
may be off by belongs to the softmax itself, or is the noise of a last step.
"""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, digest
from simcert.checker.errors import CannotCheckError
from simcert.checker.functions import CURVES, power
from simcert.checker.linear import Dense, Gather, Index
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import Operands, Reading, given, inexact, traced, weights

_EPSILON = float(np.float32(1e-5))
_LARGEST_ROW = 4096  # elements that are standardised together: centring them is a matrix
_UNIT, _CURVE_ERROR, _SMALLEST = 2.0**-24, 2.0**-20, 2.0**-126


def _softmax(builder: Builder, node: Node, operands: Operands) -> Value:
    x = traced(node, operands)
    groups = _classes(node, x)
    return _back(builder.softmax(_at(x, groups)), groups, x)


def _log_softmax(builder: Builder, node: Node, operands: Operands) -> Value:
    """The logarithm of a softmax; a runtime subtracts that of the sum from x − max x."""
    x = traced(node, operands)
    groups = _classes(node, x)
    count = groups.shape[1]
    made = builder.smooth(builder.softmax(_at(x, groups), computed=False), CURVES["Log"])
    relative = _CURVE_ERROR + (math.log(count) + 2.0 * (count + 8)) * _UNIT
    absolute = relative + _CURVE_ERROR * math.log(count + 1) + 2 * count * _SMALLEST
    noise = [(x, 8 * _UNIT, 1, 1), (x, absolute * (1 + 2.0**-10), 0, 1)]
    return _back(builder.noisy(made, noise, 0.0), groups, x)


def _classes(node: Node, x: Traced) -> Index:
    """Return the places of elements that are compared with each other, (groups, n)."""
    rank = x.index.ndim
    axis = node.integer("axis", -1 if node.opset >= 13 else 1)
    if not -rank <= axis < rank:
        raise node.refused(f"along axis {axis} of {rank}")
    axis %= rank
    if node.opset >= 13:
        return np.moveaxis(_places(x), axis, -1).reshape(-1, x.shape[axis])
    return _places(x).reshape(math.prod(x.shape[:axis]), -1)


def _places(x: Traced) -> Index:
    """Return the numbers of the places of a tensor, in its shape."""
    return np.arange(x.size).reshape(x.shape)


def _at(x: Traced, groups: Index) -> Traced:
    """Return the elements at some places of x."""
    return x.moved(x.index.reshape(-1)[groups])


def _back(made: Traced, groups: Index, x: Traced) -> Traced:
    """Return what was made of the elements at ``groups`` in these places."""
    index = np.empty(x.size, dtype=np.intp)
    index[groups.reshape(-1)] = made.index.reshape(-1)
    return made.moved(index.reshape(x.shape))


def _layers(builder: Builder, node: Node, operands: Operands) -> Value:
    """LayerNormalization."""
    x = traced(node, operands)
    rank, axis = x.index.ndim, node.integer("axis", -1)
    if not -rank <= axis < rank or node.integer("stash_type", 1) != 1:
        raise node.refused(f"along axis {axis} of {rank}, or not in float32")
    groups = _places(x).reshape(math.prod(x.shape[: axis % rank]), -1)
    y = _standardised(builder, node, x, groups)
    scale, shift = (_parameter(node, operands, position) for position in (1, 2))
    return _scaled(builder, y, scale, shift)


def _by_channel(builder: Builder, node: Node, operands: Operands) -> Value:
    """InstanceNormalization; GroupNormalization, from version 21 on by channel too."""
    x = traced(node, operands)
    parts = x.shape[1]
    if node.operator == "GroupNormalization":
        parts = node.integer("num_groups", 1)
        if node.integer("stash_type", 1) != 1:
            raise node.refused("not in float32")
    if x.index.ndim < 3 or x.shape[0] != 1 or parts < 1 or x.shape[1] % parts:
        raise node.refused(f"of shape {x.shape} in {parts} groups")
    y = _standardised(builder, node, x, _places(x).reshape(parts, -1))
    both: list[Constant] = []
    for position in (1, 2):
        values: Constant = weights(node, operands, position).reshape(-1)
        if len(values) not in (parts, x.shape[1]):
            raise node.refused(f"with {len(values)} scales or shifts")
        repeated = values[np.arange(x.shape[1]) // (x.shape[1] // len(values))]
        both.append(repeated.reshape(-1, *(1,) * (x.index.ndim - 2)))
    return _scaled(builder, y, *both)


def _parameter(node: Node, operands: Operands, position: int) -> Constant | None:
    value = given(node, operands, position)
    return None if value is None else weights(node, operands, position)


def _scaled(builder: Builder, y: Traced, scale: Constant | None, shift: Constant | None) -> Traced:
    """Append y · scale + shift, where these are given."""
    if scale is not None:
        y = builder.scale(y, scale)
    return y if shift is None else builder.combine([(1.0, y), (1.0, shift)])


def _standardised(builder: Builder, node: Node, x: Traced, groups: Index) -> Traced:
    """Append (x − mean)/√(variance + ε) over the places ``groups`` (outer, n), in x's shape.

    With M = max |x| of a row, a runtime's mean is off by γ_(n+2) M at most, its variance, by
    whatever formula, by four times γ_(n+4) M², and x − mean, also as x · factor − mean · factor,
    by a few u M besides.
    """
    outer, count = groups.shape
    if count > _LARGEST_ROW:
        raise node.refused(f"over {count} elements")
    grouped = _at(x, groups)
    source = builder.flat(grouped)
    matrix = np.eye(count) - 1.0 / count
    centred = builder.affine(
        [(source, Dense(matrix, outer))], None, groups.shape, terms=None, rounded=digest(matrix)
    )
    squares = builder.smooth(centred, power(2.0))
    rows = np.arange(groups.size).reshape(outer, count)
    divisor = np.full(outer, float(count))
    mean = Gather(1.0 / divisor, rows, groups.size)
    variance = builder.affine(
        [(squares.step, mean)], None, (outer, 1), terms=None, rounded=inexact(divisor)
    )
    rounding = (count + 4) * _UNIT * 1.01
    epsilon = node.real("epsilon", _EPSILON)
    if not epsilon > 0:
        raise CannotCheckError(f"{node.operator} with epsilon {epsilon}")
    read = builder.tensor(source, groups.shape)
    shifted = builder.noisy(builder.relu(variance), [(read, 4 * rounding, 2, outer)], epsilon)
    factor = builder.smooth(shifted, power(-0.5))
    centre = builder.noisy(centred, [(read, 2 * rounding + 8 * _UNIT, 1, outer)], 0.0)
    return _back(builder.product(centre, factor), groups, x)


OPERATORS: dict[str, Reading] = {
    "GroupNormalization": _by_channel,
    "InstanceNormalization": _by_channel,
    "LayerNormalization": _layers,
    "LogSoftmax": _log_softmax,
    "Softmax": _softmax,
}
