"""Products and quotients of tensors that both depend on the input, and what they are parts of."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.functions import Erf, Function, Gelu, Mish, Power, Sigmoid, Softplus, Swish, Tanh
from simcert.model.graph import INTEGER, LARGEST_CODE, LARGEST_SUM, Node
from simcert.model.linear import Dense, Diagonal, Selection
from simcert.model.lowering.builder import Builder, Traced, broadcast, digest_of, positions
from simcert.model.lowering.movement import move
from simcert.model.program import Affine, Univariate


def multiply(builder: Builder, node: Node, a: Traced, b: Traced) -> Traced:
    """Append a · b: a square, an activation with a gate, or a product."""
    shape = broadcast(a, b)
    if a == b:
        return builder.univariate(a, Power(2.0), node.name)
    if a.shape == b.shape:
        for x, gate in ((a, b), (b, a)):
            gated = _gated(builder, node, x, gate)
            if gated is not None:
                return gated
    return builder.product(a, b, shape, node.name)


def divide(builder: Builder, node: Node, a: Traced, b: Traced) -> Traced:
    """Append a / b, where b does not come near 0."""
    inverse = builder.univariate(b, Power(-1.0), node.name)
    return builder.product(a, inverse, broadcast(a, b), node.name)


def contract(builder: Builder, node: Node, a: Traced, b: Traced) -> Traced:
    """Append the matrix product of (…, i, k) and (…, k, j): products, summed over k."""
    left, right = positions(a), positions(b)
    left = left[None] if left.ndim == 1 else left
    right = right[:, None] if right.ndim == 1 else right
    if left.shape[-1] != right.shape[-2]:
        raise UnsupportedOperatorError(node.operator, node.name, "shapes that do not fit")
    if node.integer(INTEGER, 0) and left.shape[-1] * LARGEST_CODE**2 > LARGEST_SUM:
        detail = "sums of codes that 32-bit integers may not hold"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    left, right = left.unsqueeze(-2), right.transpose(-1, -2).unsqueeze(-3)  # (…, i, j, k)
    pairs = tuple(torch.broadcast_shapes(left.shape, right.shape))  # type: ignore[no-untyped-call]
    rows = move(builder, node.name, a, left.expand(pairs))
    columns = move(builder, node.name, b, right.expand(pairs))
    terms = builder.product(rows, columns, pairs, node.name)
    shape = list(pairs[:-1])
    if len(a.shape) == 1:
        del shape[-2]
    if len(b.shape) == 1:
        del shape[-1]
    return total(builder, node, terms, tuple(shape))


def total(
    builder: Builder, node: Node, x: Traced, shape: tuple[int, ...], *, rounds: bool = True
) -> Traced:
    """Append the sum over the last axis."""
    outer = math.prod(x.shape[:-1])
    ones = Dense(torch.ones(1, x.shape[-1], dtype=torch.float64), outer=outer)
    zero = torch.zeros(outer, dtype=torch.float64)
    return builder.affine([(x.step, ones)], zero, shape, node.name, rounds=rounds)


class _Scaled(NamedTuple):
    """scale · (a step) + shift, the same for each element."""

    step: int
    scale: float
    shift: float


def _gated(builder: Builder, node: Node, x: Traced, gate: Traced) -> Traced | None:
    """Return x · gate where it is Swish, Mish or Gelu of x, as exporters write them out."""
    outer, inner = _unwound(builder, x.step), _unwound(builder, gate.step)
    step = builder.steps[inner.step]
    if not isinstance(step, Univariate) or outer.shift:
        return None
    factor = outer.scale * inner.scale
    function: Function | None = None
    if step.function == Erf() and inner.scale == inner.shift:
        source = _unwound(builder, step.operand)
        if source.step == outer.step and source.scale > 0 and not source.shift:
            function, factor = Gelu(source.scale), 2.0 * factor
    elif not inner.shift:
        function = _plain_gate(builder, step, outer.step)
    if function is None:
        return None
    activated = builder.univariate(Traced(outer.step, x.shape), function, node.name)
    if factor == 1.0:
        return activated
    scale = torch.tensor(factor, dtype=torch.float64)
    return builder.scale(activated, scale, x.shape, node.name, digest_of(scale))


def _plain_gate(builder: Builder, gate: Univariate, x: int) -> Function | None:
    """Return x · gate as a function of x, where the gate is σ(x) or tanh(softplus(x))."""
    inner = _unwound(builder, gate.operand)
    if gate.function == Sigmoid() and inner == (x, 1.0, 0.0):
        return Swish()
    before = builder.steps[inner.step]
    if gate.function != Tanh() or inner[1:] != (1.0, 0.0) or not isinstance(before, Univariate):
        return None
    plain = _unwound(builder, before.operand) == (x, 1.0, 0.0)
    return Mish() if plain and before.function == Softplus() else None


def _unwound(builder: Builder, number: int) -> _Scaled:
    """Write a step as a scaled and shifted earlier one, as far back as it is."""
    scale, shift = 1.0, 0.0
    while True:
        step = builder.steps[number]
        if not isinstance(step, Affine) or len(step.maps) != 1 or step.noise:
            return _Scaled(number, scale, shift)
        own = _factor(step)
        bias = _uniform(step.bias)
        if own is None or bias is None or (bias and shift):
            return _Scaled(number, scale, shift)
        number, scale, shift = step.operands[0], scale * own, shift + scale * bias


def _factor(step: Affine) -> float | None:
    """Return the number that a step multiplies each element with, where it is one."""
    (linear,) = step.maps
    if isinstance(linear, Diagonal):
        return _uniform(linear.scale)
    same = isinstance(linear, Selection) and replace(linear, weight=1.0).is_identity
    return linear.weight if isinstance(linear, Selection) and same else None


def _uniform(values: Tensor) -> float | None:
    first = float(values[0])
    return first if bool((values == first).all()) else None
