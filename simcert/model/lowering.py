"""From a graph to a program: every piecewise-linear operator as affine steps and rectifiers.

One function an operator, in the table at the end. An operator that is not there can be run and
sampled but not bounded; the error names it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Array, Graph, Node
from simcert.model.linear import (
    Convolution,
    Dense,
    Diagonal,
    LinearMap,
    Mean,
    Selection,
)
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor
from simcert.model.operators.movement import KERNELS as _MOVEMENT_KERNELS
from simcert.model.operators.window import window
from simcert.model.program import Affine, Input, Program, Relu, Step


@dataclass(frozen=True)
class Traced:
    """A tensor that depends on the input: the step that makes it, and its shape at batch 1."""

    step: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


_MOVEMENT = frozenset(_MOVEMENT_KERNELS) - {"Cast"}

Operand: TypeAlias = Traced | Tensor
"""A traced tensor or a constant (float64, or integers for shapes and indices)."""


def lower(graph: Graph) -> Program:
    """Write a network as a program.

    Raises:
        UnsupportedOperatorError: an operator is not piecewise linear, or not known.
        ModelError: a node does not fit its inputs.
    """
    builder = _Builder(graph.input.size)
    values: dict[str, Operand] = {name: _float64(array) for name, array in graph.constants.items()}
    values[graph.input.name] = Traced(0, graph.input.sample)
    read = {graph.output.name, *(name for node in graph.nodes for name in node.inputs if name)}
    for node in graph.nodes:
        inputs = [values[name] if name else None for name in node.inputs]
        if not any(isinstance(x, Traced) for x in inputs):
            outputs: Sequence[Operand] = _constants(node, inputs)
        else:
            if node.operator not in LOWERINGS:
                raise UnsupportedOperatorError(node.operator, node.name)
            outputs = LOWERINGS[node.operator](builder, node, inputs)
        for name in node.outputs[len(outputs) :]:
            if name in read:
                raise UnsupportedOperatorError(node.operator, node.name, f"its output {name!r}")
        values.update(zip(node.outputs, outputs, strict=False))
    output = values[graph.output.name]
    if not isinstance(output, Traced):
        output = builder.constant(output, "output")
    return builder.program(output.step)


class _Builder:
    """Appends steps, leaving out those that change nothing."""

    def __init__(self, inputs: int) -> None:
        self.steps: list[Step] = [Input(inputs)]

    def affine(
        self,
        operands: Sequence[tuple[int, LinearMap]],
        bias: Tensor,
        shape: Sequence[int],
        label: str,
        computed: str = "",
        *,
        rounds: bool = True,
    ) -> Traced:
        """Append Σ maps · operands + bias and return the tensor."""
        result = tuple(shape)
        if len(operands) == 1:
            source, linear = operands[0]
            if isinstance(linear, Selection) and linear.is_identity:
                before = self.steps[source]
                if not bias.any():
                    return Traced(source, result)
                if isinstance(before, Affine) and not before.bias.any():
                    # MatMul then Add: one step, the same numbers.
                    merged = replace(
                        before,
                        bias=bias,
                        computed=before.computed + computed,
                        rounds=before.rounds or rounds,
                    )
                    return self._append(merged, result)
        maps = tuple(linear for _, linear in operands)
        sources = tuple(source for source, _ in operands)
        return self._append(Affine(sources, maps, bias, label, computed, rounds), result)

    def relu(self, x: Traced, label: str) -> Traced:
        """Append max(x, 0)."""
        return self._append(Relu(x.step, x.size, label), x.shape)

    def constant(self, value: Tensor, label: str) -> Traced:
        """Append a tensor that does not depend on the input."""
        inputs = self.steps[0].size
        nothing = Selection(torch.full((value.numel(),), -1), inputs)
        return self.affine([(0, nothing)], value.flatten(), value.shape, label, rounds=False)

    def combine(
        self,
        terms: Sequence[tuple[float, Operand]],
        shape: Sequence[int],
        label: str,
        *,
        rounds: bool = True,
    ) -> Traced:
        """Append Σ factor · operand, factors ±1, operands broadcast to ``shape``.

        Each constant but the first is added by a step of its own: their sum need not be a float64.
        """
        operands: list[tuple[int, LinearMap]] = []
        biases: list[Tensor] = []
        for factor, operand in terms:
            if isinstance(operand, Traced):
                index = _positions(operand).expand(*shape).reshape(-1)
                operands.append((operand.step, Selection(index, operand.size, factor)))
            else:
                biases.append(factor * operand.expand(*shape).reshape(-1))
        zero = torch.zeros(math.prod(shape), dtype=torch.float64)
        rounds = rounds and len(terms) > 1
        first = biases[0] if biases else zero
        result = self.affine(operands, first, shape, label, rounds=rounds)
        for bias in biases[1:]:
            same = Selection(torch.arange(result.size), result.size)
            result = self.affine([(result.step, same)], bias, shape, label, rounds=rounds)
        return result

    def scale(
        self, x: Traced, scale: Tensor, shape: Sequence[int], label: str, computed: str
    ) -> Traced:
        """Append x · scale, broadcast to ``shape``."""
        x = self.combine([(1.0, x)], shape, label)
        diagonal = Diagonal(scale.expand(*shape).reshape(-1).clone())
        zero = torch.zeros(x.size, dtype=torch.float64)
        return self.affine([(x.step, diagonal)], zero, shape, label, computed)

    def maximum(self, a: Operand, b: Operand, shape: Sequence[int], label: str) -> Traced:
        """Append max(a, b) = b + relu(a − b)."""
        over = self.relu(self.combine([(1.0, a), (-1.0, b)], shape, label, rounds=False), label)
        return self.combine([(1.0, b), (1.0, over)], shape, label, rounds=False)

    def minimum(self, a: Operand, b: Operand, shape: Sequence[int], label: str) -> Traced:
        """Append min(a, b) = a − relu(a − b)."""
        over = self.relu(self.combine([(1.0, a), (-1.0, b)], shape, label, rounds=False), label)
        return self.combine([(1.0, a), (-1.0, over)], shape, label, rounds=False)

    def program(self, output: int) -> Program:
        """Return the steps that the output depends on, the output last."""
        if output == 0:
            identity = Selection(torch.arange(self.steps[0].size), self.steps[0].size)
            zero = torch.zeros(self.steps[0].size, dtype=torch.float64)
            self.steps.append(Affine((0,), (identity,), zero, "output", rounds=False))
            output = len(self.steps) - 1
        needed = {0, output}
        for index in range(output, 0, -1):
            step = self.steps[index]
            if index in needed and not isinstance(step, Input):
                needed.update(step.operands)
        order = sorted(needed)
        renumbered = {old: new for new, old in enumerate(order)}
        return Program(tuple(_renumber(self.steps[old], renumbered) for old in order))

    def _append(self, step: Step, shape: tuple[int, ...]) -> Traced:
        self.steps.append(step)
        return Traced(len(self.steps) - 1, shape)


Lowering: TypeAlias = Callable[[_Builder, Node, list[Operand | None]], Sequence[Operand]]


def _renumber(step: Step, numbers: dict[int, int]) -> Step:
    if isinstance(step, Affine):
        return replace(step, operands=tuple(numbers[o] for o in step.operands))
    return replace(step, operand=numbers[step.operand]) if isinstance(step, Relu) else step


def _float64(array: Array) -> Tensor:
    return _widened(tensor(array))


def _widened(value: Tensor) -> Tensor:
    return value.to(torch.float64) if value.is_floating_point() else value


def _constants(node: Node, inputs: Sequence[Operand | None]) -> list[Operand]:
    """Run a node whose inputs are all constant, if it computes nothing.

    What can be computed in only one way was folded when the file was read. The rest (a product of
    constant matrices, an exponential) has no value that float64 holds and every runtime gives.
    """
    if node.operator not in _MOVEMENT:
        detail = "its inputs are all constant, and its value depends on the runtime's rounding"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    constants = [x for x in inputs if not isinstance(x, Traced)]
    return [_widened(value) for value in apply(node, constants)]


def _positions(x: Traced) -> Tensor:
    return torch.arange(x.size).reshape(x.shape)


def _digest(*constants: Tensor | float) -> str:
    """Identify constants, so that what is computed from equal ones is known to be equal."""
    digest = hashlib.sha256()
    for constant in constants:
        digest.update(np.asarray(constant).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def _computed(node: Node, value: Tensor, nonzero: Tensor) -> Tensor:
    """Return constants computed in float64, whose rounding must be relative to their size.

    Raises:
        UnsupportedOperatorError: a number that is not zero, or not infinite, became so or lost
            digits to underflow. This takes constants that float32 does not hold.
    """
    normal = (value.abs() >= torch.finfo(torch.float64).tiny) & value.isfinite()
    if not bool((normal | (nonzero == 0)).all()):
        detail = "its constants leave the range of float64"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    return value


def _traced(node: Node, operand: Operand | None) -> Traced:
    if not isinstance(operand, Traced):
        raise UnsupportedOperatorError(node.operator, node.name, "its data input is constant")
    return operand


def _constant(node: Node, operand: Operand | None, what: str) -> Tensor:
    if not isinstance(operand, Tensor):
        raise UnsupportedOperatorError(node.operator, node.name, f"its {what} is not constant")
    return operand


def _broadcast(*operands: Operand) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(*(tuple(x.shape) for x in operands)))  # type: ignore[no-untyped-call]


def _present(inputs: Sequence[Operand | None]) -> list[Operand]:
    return [x for x in inputs if x is not None]


# -- affine ----------------------------------------------------------------------------------


def _sum(signs: tuple[float, ...]) -> Lowering:
    """Add, Sub and Sum; signs beyond the given ones are +1."""

    def run(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        operands = _present(inputs)
        factors = (*signs, *(1.0,) * len(operands))
        terms = list(zip(factors, operands, strict=False))
        return [builder.combine(terms, _broadcast(*operands), node.name)]

    return run


def _multiply(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    a, b = _present(inputs)
    if isinstance(a, Traced) and isinstance(b, Traced):
        raise UnsupportedOperatorError(node.operator, node.name, "a product of two activations")
    x, scale = (a, b) if isinstance(a, Traced) else (b, a)
    scale = _constant(node, scale, "factor")
    return [builder.scale(_traced(node, x), scale, _broadcast(a, b), node.name, "")]


def _divide(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x, divisor = _traced(node, inputs[0]), _constant(node, inputs[1], "divisor")
    if not divisor.all():
        raise UnsupportedOperatorError(node.operator, node.name, "a division by zero")
    digest = _digest(divisor)
    inverse = _computed(node, 1.0 / divisor, divisor)
    return [builder.scale(x, inverse, _broadcast(x, divisor), node.name, digest)]


def _negate(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    return [builder.combine([(-1.0, x)], x.shape, node.name)]


def _gemm(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x, weight = _traced(node, inputs[0]), _constant(node, inputs[1], "weight")
    weight = weight if node.integer("transB", 0) else weight.T
    if node.integer("transA", 0):
        x = _move(builder, "transpose", x, _positions(x).T)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    shape = (x.shape[0], weight.shape[0])
    bias = torch.zeros(shape, dtype=torch.float64)
    computed = ""
    if len(inputs) > 2 and inputs[2] is not None:
        shift = _constant(node, inputs[2], "bias")
        bias = bias + (shift if beta == 1.0 else _computed(node, beta * shift, beta * (shift != 0)))
    if alpha != 1.0 or beta != 1.0:
        computed = _digest(weight, bias, alpha, beta)
    if alpha != 1.0:
        weight = _computed(node, alpha * weight, alpha * (weight != 0))
    dense = Dense(weight.contiguous(), outer=shape[0])
    return [builder.affine([(x.step, dense)], bias.reshape(-1), shape, node.name, computed)]


def _matmul(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    a, b = inputs
    if isinstance(a, Traced) and isinstance(b, Tensor):
        return [_product(builder, node, a, b)]
    if isinstance(a, Tensor) and isinstance(b, Traced) and a.ndim == len(b.shape) == 2:
        # A x = (xᵀ Aᵀ)ᵀ
        turned = _move(builder, node.name, b, _positions(b).T)
        product = _product(builder, node, turned, a.T)
        return [_move(builder, node.name, product, _positions(product).T)]
    raise UnsupportedOperatorError(node.operator, node.name, "a product of two activations")


def _product(builder: _Builder, node: Node, x: Traced, weight: Tensor) -> Traced:
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
    return builder.affine([(x.step, dense)], zero, shape, node.name)


def _convolution(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x, weight = _traced(node, inputs[0]), _constant(node, inputs[1], "weight")
    bias = None
    if len(inputs) > 2 and inputs[2] is not None:
        bias = _constant(node, inputs[2], "bias")
    return [_convolve(builder, node, x, weight, bias, node.integer("group", 1))]


def _convolve(
    builder: _Builder, node: Node, x: Traced, weight: Tensor, bias: Tensor | None, groups: int
) -> Traced:
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
    return builder.affine([(x.step, linear)], spread, (1, *out_shape), node.name)


def _batch_normalization(
    builder: _Builder, node: Node, inputs: list[Operand | None]
) -> list[Operand]:
    x = _traced(node, inputs[0])
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        detail = "training mode or per-element statistics"
        raise UnsupportedOperatorError(node.operator, node.name, detail)
    scale, shift, mean, variance = (_constant(node, p, "statistics") for p in inputs[1:5])
    epsilon = node.real("epsilon", float(np.float32(1e-5)))
    computed = _digest(scale, shift, mean, variance, epsilon)
    factor = _computed(node, scale / torch.sqrt(variance + epsilon), scale)
    # The rounding of this bias is relative to both of its terms: x − mean keeps them apart.
    channel = (1, -1, *(1,) * (len(x.shape) - 2))
    centred = builder.combine([(1.0, x), (-1.0, mean.reshape(channel))], x.shape, node.name)
    scaled = builder.scale(centred, factor.reshape(channel), x.shape, node.name, computed)
    return [builder.combine([(1.0, scaled), (1.0, shift.reshape(channel))], x.shape, node.name)]


# -- pools and reductions --------------------------------------------------------------------


def _average_pool(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    channels = x.shape[1]
    kernel = node.integers("kernel_shape")
    ones = torch.ones((channels, 1, *kernel), dtype=torch.float64)
    sums = _convolve(builder, node, x, ones, None, channels)
    # How many elements each window counts: their mean weight on an input of ones tells.
    weights = torch.zeros((1, 1, *x.shape[2:]), dtype=torch.float64)
    counts = _window_counts(node, weights)
    return [builder.scale(sums, 1.0 / counts, sums.shape, node.name, _digest(counts))]


def _window_counts(node: Node, x: Tensor) -> Tensor:
    """Return how many elements each window of an AveragePool divides by, (1, 1, *spatial)."""
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    inside = torch.ones_like(x)
    counted = float(node.integer("count_include_pad", 0))
    pads = [s for p in zip(reversed(frame.before), reversed(frame.after), strict=True) for s in p]
    inside = torch.nn.functional.pad(inside, pads, value=counted)
    over = [s for e in reversed(frame.overhang) for s in (0, e)]
    inside = torch.nn.functional.pad(inside, over, value=0.0)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(frame.kernel, frame.strides, frame.dilations, strict=True), start=2
    ):
        reach = dilation * (kernel - 1) + 1
        inside = inside.unfold(axis, reach, stride)[..., ::dilation].sum(-1)
    return inside


def _mean(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    return [_reduce_mean(builder, node, x, _axes(node, inputs, x), _keeps(node))]


def _reduce_sum(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    axes = _axes(node, inputs, x)
    mean = _reduce_mean(builder, node, x, axes, _keeps(node))
    count = torch.tensor(float(math.prod(x.shape[axis] for axis in axes)), dtype=torch.float64)
    return [builder.scale(mean, count, mean.shape, node.name, "")]


def _global_mean(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    return [_reduce_mean(builder, node, x, tuple(range(2, len(x.shape))), keep=True)]


def _reduce_mean(
    builder: _Builder, node: Node, x: Traced, axes: tuple[int, ...], keep: bool
) -> Traced:
    groups, shape = _groups(x, axes, keep=keep)
    grouped = _move(builder, node.name, x, groups.T)
    linear = Mean(outer=groups.shape[1], reduced=groups.shape[0], inner=1)
    zero = torch.zeros(groups.shape[1], dtype=torch.float64)
    return builder.affine([(grouped.step, linear)], zero, shape, node.name)


def _max_pool(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    frame = window(node, x.shape[2:], node.integers("kernel_shape"))
    after = [a + b for a, b in zip(frame.after, frame.overhang, strict=True)]
    pads = [s for p in zip(reversed(frame.before), reversed(after), strict=True) for s in p]
    windows = torch.nn.functional.pad(_positions(x), pads, value=-1)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(frame.kernel, frame.strides, frame.dilations, strict=True), start=2
    ):
        windows = windows.unfold(axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
        windows = windows if axis == 2 else windows.flatten(-2)
    shape = windows.shape[:-1]
    groups = windows.reshape(-1, windows.shape[-1]).T
    if (groups < 0).all(0).any():
        raise UnsupportedOperatorError(node.operator, node.name, "a window of padding alone")
    # Padding never wins: it stands for an element that the window has anyway.
    groups = torch.where(groups >= 0, groups, groups.amax(0))
    return [_maximum_of(builder, node, x, groups, shape)]


def _global_max(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    groups, shape = _groups(x, tuple(range(2, len(x.shape))), keep=True)
    return [_maximum_of(builder, node, x, groups, shape)]


def _reduce_max(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    x = _traced(node, inputs[0])
    groups, shape = _groups(x, _axes(node, inputs, x), keep=_keeps(node))
    return [_maximum_of(builder, node, x, groups, shape)]


def _maximum_of(
    builder: _Builder, node: Node, x: Traced, groups: Tensor, shape: Sequence[int]
) -> Traced:
    """Return the maximum over the first axis of ``groups`` (k, outputs), pair by pair."""
    flat = (groups.shape[1],)
    rest = [_move(builder, node.name, x, group) for group in groups]
    while len(rest) > 1:
        paired = [
            builder.maximum(a, b, flat, node.name)
            for a, b in zip(rest[::2], rest[1::2], strict=False)
        ]
        rest = paired + rest[len(rest) - len(rest) % 2 :]
    return Traced(rest[0].step, tuple(shape))


def _axes(node: Node, inputs: list[Operand | None], x: Traced) -> tuple[int, ...]:
    chosen = node.integers("axes")
    if len(inputs) > 1 and inputs[1] is not None:
        chosen = tuple(int(a) for a in _constant(node, inputs[1], "axes").tolist())
    if not chosen and node.integer("noop_with_empty_axes", 0):
        return ()
    return tuple(sorted(a % len(x.shape) for a in chosen)) or tuple(range(len(x.shape)))


def _keeps(node: Node) -> bool:
    return bool(node.integer("keepdims", 1))


def _groups(x: Traced, axes: tuple[int, ...], *, keep: bool) -> tuple[Tensor, tuple[int, ...]]:
    """Return the elements that are reduced together, (k, outputs), and the reduced shape."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    index = _positions(x).permute(*axes, *kept)
    groups = index.reshape(math.prod(x.shape[axis] for axis in axes), -1)
    if keep:
        return groups, tuple(1 if axis in axes else s for axis, s in enumerate(x.shape))
    return groups, tuple(x.shape[axis] for axis in kept)


# -- piecewise linear ------------------------------------------------------------------------


def _relu(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [builder.relu(_traced(node, inputs[0]), node.name)]


def _leaky_relu(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    slope = torch.tensor(node.real("alpha", float(np.float32(0.01))), dtype=torch.float64)
    return [_leaky(builder, node, _traced(node, inputs[0]), slope)]


def _prelu(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    return [_leaky(builder, node, _traced(node, inputs[0]), _constant(node, inputs[1], "slope"))]


def _leaky(builder: _Builder, node: Node, x: Traced, slope: Tensor) -> Traced:
    """Return α x + (1 − α) relu(x)."""
    spread = slope.expand(x.shape).reshape(-1).clone()
    positive = builder.relu(x, node.name)
    maps = [(x.step, Diagonal(spread)), (positive.step, Diagonal(1.0 - spread))]
    zero = torch.zeros(x.size, dtype=torch.float64)
    return builder.affine(maps, zero, x.shape, node.name, _digest(spread))


def _clip(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """Clip to [l, u], l ≤ u, is l + relu(x − l) − relu(x − u)."""
    x = _traced(node, inputs[0])
    low = _limit(node, inputs, 1, "min", -math.inf)
    high = _limit(node, inputs, 2, "max", math.inf)
    if not low <= high:
        raise UnsupportedOperatorError(node.operator, node.name, f"limits {low} > {high}")
    result = x
    if low > -math.inf:
        result = builder.maximum(x, torch.tensor(low, dtype=torch.float64), x.shape, node.name)
    if high < math.inf:
        limit = torch.tensor(high, dtype=torch.float64)
        over = builder.combine([(1.0, x), (-1.0, limit)], x.shape, node.name, rounds=False)
        over = builder.relu(over, node.name)
        result = builder.combine([(1.0, result), (-1.0, over)], x.shape, node.name, rounds=False)
    return [result]


def _limit(
    node: Node, inputs: list[Operand | None], position: int, name: str, default: float
) -> float:
    if len(inputs) > position and inputs[position] is not None:
        return float(_constant(node, inputs[position], "limit"))
    return node.real(name, default)


def _absolute(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """|x| is relu(x) + relu(−x)."""
    x = _traced(node, inputs[0])
    negated = builder.combine([(-1.0, x)], x.shape, node.name)
    parts: list[tuple[float, Operand]] = [
        (1.0, builder.relu(x, node.name)),
        (1.0, builder.relu(negated, node.name)),
    ]
    return [builder.combine(parts, x.shape, node.name, rounds=False)]


def _extremum(method: str) -> Lowering:
    """Max and Min of any number of tensors."""

    def run(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
        operands = _present(inputs)
        result = operands[0]
        for operand in operands[1:]:
            if isinstance(result, Tensor) and isinstance(operand, Tensor):
                choose = torch.maximum if method == "maximum" else torch.minimum
                result = choose(result, operand)
            else:
                shape = _broadcast(result, operand)
                result = getattr(builder, method)(result, operand, shape, node.name)
        return [result]

    return run


# -- movement --------------------------------------------------------------------------------


def _move(builder: _Builder, label: str, x: Traced, index: Tensor) -> Traced:
    """Return the elements ``index`` of x, in the shape of ``index``."""
    selection = Selection(index.reshape(-1).clone(), x.size)
    zero = torch.zeros(index.numel(), dtype=torch.float64)
    return builder.affine([(x.step, selection)], zero, index.shape, label, rounds=False)


def _movement(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:
    """Run the operator's own kernel on numbered elements and read off where each went.

    The kernel runs twice, with two numberings; what did not change is a constant that the operator
    put in (padding, or a constant part of a Concat).
    """
    traced = [x for x in inputs if isinstance(x, Traced)]
    if node.operator != "Concat":
        _traced(node, inputs[0])
        for x in inputs[1:]:
            if x is not None:
                _constant(node, x, "shape or index")
    total = sum(x.size for x in traced)
    numberings = []
    for start in (0, total):
        arguments: list[Tensor | None] = []
        for x in inputs:
            if isinstance(x, Traced):
                numbers = start + _positions(x).to(torch.float64)
                arguments.append(numbers)
                start += x.size
            else:
                arguments.append(x)
        numberings.append(apply(node, arguments))
    outputs: list[Operand] = []
    for first, second in zip(*numberings, strict=True):
        moved = (second - first) == total
        bias = torch.where(moved, 0.0, first).reshape(-1).to(torch.float64)
        index = torch.where(moved, first, -1.0).reshape(-1).to(torch.int64)
        operands: list[tuple[int, LinearMap]] = []
        begin = 0
        for x in traced:
            own = (index >= begin) & (index < begin + x.size)
            operands.append((x.step, Selection(torch.where(own, index - begin, -1), x.size)))
            begin += x.size
        outputs.append(builder.affine(operands, bias, first.shape, node.name, rounds=False))
    return outputs


def _dropout(builder: _Builder, node: Node, inputs: list[Operand | None]) -> list[Operand]:  # noqa: ARG001
    """The identity; a file that is run never trains."""
    if len(inputs) > 2 and inputs[2] is not None and _constant(node, inputs[2], "mode").any():
        raise UnsupportedOperatorError(node.operator, node.name, "training mode")
    return [_traced(node, inputs[0])]


LOWERINGS: dict[str, Lowering] = {
    "Abs": _absolute,
    "Add": _sum((1.0, 1.0)),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _movement,
    "Conv": _convolution,
    "Div": _divide,
    "Dropout": _dropout,
    "Expand": _movement,
    "Flatten": _movement,
    "Gather": _movement,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "GlobalMaxPool": _global_max,
    "Identity": _movement,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "Max": _extremum("maximum"),
    "MaxPool": _max_pool,
    "Min": _extremum("minimum"),
    "Mul": _multiply,
    "Neg": _negate,
    "PRelu": _prelu,
    "Pad": _movement,
    "ReduceMax": _reduce_max,
    "ReduceMean": _mean,
    "ReduceSum": _reduce_sum,
    "Relu": _relu,
    "Reshape": _movement,
    "Slice": _movement,
    "Split": _movement,
    "Squeeze": _movement,
    "Sub": _sum((1.0, -1.0)),
    "Sum": _sum(()),
    "Transpose": _movement,
    "Unsqueeze": _movement,
}
"""How each operator is written, by its ONNX type."""
