"""Comparisons, logic and choices: truth is 1 and 0.

A comparison is one of a difference that no runtime computes: it compares exactly.
"""

from __future__ import annotations

import numpy as np

from simcert.checker.builder import Builder, Traced, Value, shape_of, spread
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import Bool
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import Operands, Reading, present, traced

_LARGEST_CHOICE = 64
"""Elements that ArgMax and ArgMin choose from."""

_LARGEST_WHOLE = 2**24

_SIGNS = {
    "Greater": (1.0, "Positive"),
    "GreaterOrEqual": (1.0, "NotNegative"),
    "Less": (-1.0, "Positive"),
    "LessOrEqual": (-1.0, "NotNegative"),
}


def _real(value: Value) -> Value:
    """Return constants of any type as real numbers, which float32 must hold if they are whole."""
    if isinstance(value, Traced):
        return value
    if value.dtype == np.int64 and value.size and np.abs(value).max() > _LARGEST_WHOLE:
        raise CannotCheckError(f"the checker does not know whole numbers above {_LARGEST_WHOLE}")
    return value.astype(np.float64)


def _compare(builder: Builder, node: Node, operands: Operands) -> Value:
    a, b = (_real(value) for value in present(node, operands))
    sign, kind = _SIGNS[node.operator]
    return builder.stair(builder.combine([(sign, a), (-sign, b)], computed=False), kind)


def _equal(builder: Builder, node: Node, operands: Operands) -> Value:
    """(a ≥ b) − (a > b)."""
    a, b = (_real(value) for value in present(node, operands))
    difference = builder.combine([(1.0, a), (-1.0, b)], computed=False)
    steps = [builder.stair(difference, kind) for kind in ("NotNegative", "Positive")]
    return builder.combine([(1.0, steps[0]), (-1.0, steps[1])], computed=False)


def _sign(builder: Builder, node: Node, operands: Operands) -> Value:
    """(x > 0) + (x ≥ 0) − 1."""
    x = traced(node, operands)
    steps = [builder.stair(x, kind) for kind in ("Positive", "NotNegative")]
    terms: list[tuple[float, Value]] = [(1.0, step) for step in steps]
    return builder.combine([*terms, (-1.0, np.ones(()))], computed=False)


def _not(builder: Builder, node: Node, operands: Operands) -> Value:
    return _negated(builder, traced(node, operands))


def _negated(builder: Builder, x: Traced) -> Traced:
    return builder.combine([(1.0, np.ones(())), (-1.0, x)], computed=False)


def _logic(builder: Builder, node: Node, operands: Operands) -> Value:
    """And is the minimum, Or the maximum, Xor their difference."""
    a, b = (_real(value) for value in present(node, operands))
    if node.operator == "And":
        return builder.minimum(a, b)
    either = builder.maximum(a, b)
    if node.operator == "Or":
        return either
    return builder.combine([(1.0, either), (-1.0, builder.minimum(a, b))], computed=False)


def _position(builder: Builder, node: Node, operands: Operands) -> Value:
    """ArgMax and ArgMin: how often the best of what comes later beats all that came before."""
    x, axis = traced(node, operands), node.integer("axis", 0)
    if not -x.index.ndim <= axis < x.index.ndim or x.shape[axis] > _LARGEST_CHOICE:
        raise node.refused(f"along axis {axis} of {x.shape}")
    columns = np.moveaxis(x.index, axis, 0)
    choose = builder.maximum if node.operator == "ArgMax" else builder.minimum
    sign = 1.0 if node.operator == "ArgMax" else -1.0
    before, after = [x.moved(columns[0])], [x.moved(columns[-1])]
    for k in range(1, len(columns) - 1):
        before.append(choose(before[-1], x.moved(columns[k])))
        after.append(choose(after[-1], x.moved(columns[-1 - k])))
    kind = "NotNegative" if node.integer("select_last_index", 0) else "Positive"
    steps = []
    for one, two in zip(before, after[::-1], strict=True):
        gain = builder.combine([(sign, two), (-sign, one)], computed=False)
        steps.append(builder.stair(gain, kind))
    if len(columns) == 1:
        raise node.refused("of one element")
    position = builder.combine([(1.0, step) for step in steps], computed=False)
    if not node.integer("keepdims", 1):
        return position
    return position.moved(np.expand_dims(position.index, axis))


def _where(builder: Builder, node: Node, operands: Operands) -> Value:
    """B + c (a − b), with truth c; of a constant one the elements themselves."""
    condition, a, b = present(node, operands)
    a, b = _real(a), _real(b)
    if not isinstance(condition, Traced):
        return _chosen(builder, np.asarray(condition != 0), a, b)
    if not isinstance(a, Traced) and not isinstance(b, Traced):
        parts = builder.scale(condition, a), builder.scale(_negated(builder, condition), b)
        return builder.combine([(1.0, part) for part in parts], computed=False)
    difference = builder.combine([(1.0, a), (-1.0, b)], computed=False)
    return builder.combine(
        [(1.0, b), (1.0, builder.product(condition, difference))], computed=False
    )


def _chosen(builder: Builder, condition: Bool, a: Value, b: Value) -> Traced:
    """Return the elements of a where a constant condition holds, else those of b."""
    shape = np.broadcast_shapes(condition.shape, shape_of(a, b))
    condition = np.broadcast_to(condition, shape)
    bias, operands = np.zeros(shape), []
    for x, mask in ((a, condition), (b, ~condition)):
        if isinstance(x, Traced):
            operands.append(builder.move(x, np.where(mask, np.broadcast_to(x.index, shape), -1)))
        else:
            constants: Constant = spread(x, shape).reshape(shape)
            bias = np.where(mask, constants, bias)
    return builder.affine(operands, bias.reshape(-1), shape, terms=None)


OPERATORS: dict[str, Reading] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), _position),
    **dict.fromkeys(_SIGNS, _compare),
    **dict.fromkeys(("And", "Or", "Xor"), _logic),
    "Equal": _equal,
    "Not": _not,
    "Sign": _sign,
    "Where": _where,
}
