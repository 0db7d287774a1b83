"""Writing a program step by step: what the operators of this package append."""

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
from simcert.functions import Function
from simcert.model.graph import COMPUTED, Node
from simcert.model.linear import (
    Diagonal,
    LinearMap,
    Selection,
    Zero,
)
from simcert.model.program import (
    AS_IS,
    Affine,
    Held,
    Input,
    Noise,
    Product,
    Program,
    Relu,
    Step,
    Univariate,
)


@dataclass(frozen=True)
class Traced:
    """A tensor that depends on the input: the step that makes it, and its shape at batch 1."""

    step: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


Operand: TypeAlias = Traced | Tensor
"""A traced tensor or a constant (float64, or integers for shapes and indices)."""


class Builder:
    """Appends steps, leaving out those that change nothing."""

    def __init__(self, inputs: int) -> None:
        self.steps: list[Step] = [Input(inputs)]
        self.quantised: dict[int, tuple[int, Tensor, Tensor]] = {}
        """The real tensor that a tensor of codes stands for, with scale and zero point, by step."""
        self.truths: set[int] = set()
        """Steps that hold truth values, as 0 and 1."""
        self.wholes: set[int] = set()
        """Steps that hold positions in a tensor, which every runtime has exactly."""

    def affine(
        self,
        operands: Sequence[tuple[int, LinearMap]],
        bias: Tensor,
        shape: Sequence[int],
        label: str,
        computed: str = "",
        *,
        rounds: bool = True,
        held: Held = AS_IS,
    ) -> Traced:
        """Append Σ maps · operands + bias and return the tensor."""
        result = tuple(shape)
        if len(operands) == 1:
            source, linear = operands[0]
            if isinstance(linear, Selection) and linear.is_identity:
                before = self.steps[source]
                if not bias.any():
                    return Traced(source, result)
                bare = isinstance(before, Affine) and not (before.bias.any() or before.noise)
                if isinstance(before, Affine) and bare:
                    # MatMul then Add: one step, the same numbers. Noise belongs to what it is
                    # noise of: a softmax and a constant is no softmax.
                    merged = replace(
                        before,
                        bias=bias,
                        computed=before.computed + computed,
                        rounds=before.rounds or rounds,
                        held=before.held.times(held),
                    )
                    return self._append(merged, result)
        maps = tuple(linear for _, linear in operands)
        sources = tuple(source for source, _ in operands)
        step = Affine(sources, maps, bias, label, computed, rounds, held=held)
        return self._append(step, result)

    def relu(self, x: Traced, label: str) -> Traced:
        """Append max(x, 0)."""
        return self._append(Relu(x.step, x.size, label), x.shape)

    def univariate(
        self, x: Traced, function: Function, label: str, *, rounds: bool = True
    ) -> Traced:
        """Append a function of each element."""
        return self._append(Univariate(x.step, function, x.size, label, rounds), x.shape)

    def product(
        self, a: Traced, b: Traced, shape: Sequence[int], label: str, *, rounds: bool = True
    ) -> Traced:
        """Append a · b, element by element, both broadcast to ``shape``."""
        operands = [self.combine([(1.0, x)], shape, label).step for x in (a, b)]
        step = Product((operands[0], operands[1]), math.prod(shape), label, rounds)
        return self._append(step, tuple(shape))

    def noisy(
        self,
        x: Traced,
        noise: Sequence[tuple[Traced, float, int]],
        label: str,
        bias: float = 0.0,
        softmax: Tensor | None = None,
        parts: int = 1,
    ) -> Traced:
        """Append x + bias, off by the sum of factor · (max |source|)^power in a float32 runtime.

        With ``parts`` the maximum is that over each of so many equal parts. ``softmax`` is that of
        :class:`Affine`, of the first source.
        """
        same = Selection(torch.arange(x.size), x.size)
        sources = [source for source, _, _ in noise]
        maps: tuple[LinearMap, ...] = (same, *(Zero(s.size, x.size) for s in sources))
        step = Affine(
            (x.step, *(source.step for source in sources)),
            maps,
            torch.full((x.size,), bias, dtype=torch.float64),
            label,
            noise=tuple(Noise(k, f, p, parts) for k, (_, f, p) in enumerate(noise, start=1)),
            softmax=softmax,
        )
        return self._append(step, x.shape)

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
                index = positions(operand).expand(tuple(shape)).reshape(-1)
                operands.append((operand.step, Selection(index, operand.size, factor)))
            else:
                biases.append(factor * operand.expand(tuple(shape)).reshape(-1))
        zero = torch.zeros(math.prod(shape), dtype=torch.float64)
        rounds = rounds and len(terms) > 1
        first = biases[0] if biases else zero
        result = self.affine(operands, first, shape, label, rounds=rounds)
        for bias in biases[1:]:
            same = Selection(torch.arange(result.size), result.size)
            result = self.affine([(result.step, same)], bias, shape, label, rounds=rounds)
        return result

    def scale(
        self,
        x: Traced,
        scale: Tensor,
        shape: Sequence[int],
        label: str,
        computed: str,
        held: Held = AS_IS,
    ) -> Traced:
        """Append x · scale, broadcast to ``shape``."""
        x = self.combine([(1.0, x)], shape, label)
        diagonal = Diagonal(scale.expand(tuple(shape)).reshape(-1).clone())
        zero = torch.zeros(x.size, dtype=torch.float64)
        return self.affine([(x.step, diagonal)], zero, shape, label, computed, held=held)

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


Lowering: TypeAlias = Callable[[Builder, Node, list[Operand | None]], Sequence[Operand]]


def _renumber(step: Step, numbers: dict[int, int]) -> Step:
    if isinstance(step, Affine):
        return replace(step, operands=tuple(numbers[o] for o in step.operands))
    if isinstance(step, Product):
        first, second = step.operands
        return replace(step, operands=(numbers[first], numbers[second]))
    if isinstance(step, Relu | Univariate):
        return replace(step, operand=numbers[step.operand])
    return step


def widened(value: Tensor) -> Tensor:
    """Return floats as float64; whole numbers stay."""
    return value.to(torch.float64) if value.is_floating_point() else value


def positions(x: Traced) -> Tensor:
    """Return the number of each element, in the tensor's shape."""
    return torch.arange(x.size).reshape(x.shape)


def digest_of(*constants: Tensor | float) -> str:
    """Identify constants, so that what is computed from equal ones is known to be equal."""
    digest = hashlib.sha256()
    for constant in constants:
        digest.update(np.asarray(constant).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def computed_digest(node: Node, *constants: Tensor) -> str:
    """Identify the constants of a node for which a pass had to compute one; else return nothing."""
    return digest_of(*constants) if node.integer(COMPUTED, 0) else ""


def float64(node: Node, value: Tensor, nonzero: Tensor) -> Tensor:
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


def activation(node: Node, operand: Operand | None) -> Traced:
    """Return an operand that must depend on the input.

    Raises:
        UnsupportedOperatorError: it is constant.
    """
    if not isinstance(operand, Traced):
        raise UnsupportedOperatorError(node.operator, node.name, "its data input is constant")
    return operand


def constant_of(node: Node, operand: Operand | None, what: str) -> Tensor:
    """Return an operand that must be constant.

    Raises:
        UnsupportedOperatorError: it depends on the input.
    """
    if not isinstance(operand, Tensor):
        raise UnsupportedOperatorError(node.operator, node.name, f"its {what} is not constant")
    return operand


def broadcast(*operands: Operand) -> tuple[int, ...]:
    """Return the shape that all operands take together."""
    return np.broadcast_shapes(*(tuple(x.shape) for x in operands))  # torch's imports sympy


def present(inputs: Sequence[Operand | None]) -> list[Operand]:
    """Return the operands that are given."""
    return [x for x in inputs if x is not None]
