"""Writing a network as steps: what the functions of ``operators`` append to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simcert.checker.curves import Curve
from simcert.checker.errors import CannotCheckError
from simcert.checker.functions import power
from simcert.checker.linear import Gather, Index, LinearMap
from simcert.checker.onnxfile import Constant
from simcert.checker.program import (
    Affine,
    DynamicQuantiser,
    Float,
    Input,
    Noise,
    Product,
    Quantiser,
    Relu,
    Smooth,
    Softmax,
    Stair,
    Step,
)

LARGEST_TENSOR = 2**24
"""Elements of one tensor."""

LARGEST_NETWORK = 2**26
"""Elements of all tensors and steps together: some GiB."""

SMALLEST, LARGEST = 2.0**-300, 2.0**300
"""Sizes of weights that are not zero: products of these and of bounds never underflow."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A tensor that depends on the input: element i is element ``index[i]`` of a step.

    Movements only change ``index``, which has the tensor's shape; −1 stands for the number 0.
    """

    step: int
    index: Index

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.index.shape

    @property
    def size(self) -> int:
        """Elements."""
        return self.index.size

    def moved(self, index: Index) -> Traced:
        """Return other elements of the same step."""
        return Traced(self.step, index)


@dataclass(frozen=True, eq=False)
class Coded(Traced):
    """Integers, or scales of integers: few operators know what they stand for."""


@dataclass(frozen=True, eq=False)
class Quantised(Coded):
    """What QuantizeLinear makes; its elements are those that DequantizeLinear will make of it.

    Attributes:
        scale: of the quantiser, in the tensor's shape.
        zero: its zero point, likewise.
    """

    scale: Float
    zero: Constant


@dataclass(frozen=True, eq=False)
class DynamicCodes(Coded):
    """The codes of DynamicQuantizeLinear; its elements are the numbers that they stand for."""


@dataclass(frozen=True, eq=False)
class DynamicZero(Coded):
    """Its zero point; ``step`` is the quantiser."""


@dataclass(frozen=True, eq=False)
class DynamicScale(Coded):
    """Its scale times a constant; ``step`` is the quantiser."""

    factor: Constant


@dataclass(frozen=True, eq=False)
class IntegerSum(Coded):
    """A sum of products of integers that waits for the scale of its result.

    Attributes:
        finish: appends the sum of real numbers, given what codes · weights are multiplied with.
        scale: of the codes; None if they come from the dynamic quantiser ``step``.
    """

    finish: Callable[[Float], Traced]
    scale: float | None


Value = Traced | Constant


def shape_of(*values: Value) -> tuple[int, ...]:
    """Return the shape that values have together.

    Raises:
        CannotCheckError: they have none, or it is too large.
    """
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values))
    except ValueError as error:
        raise CannotCheckError(f"shapes {[v.shape for v in values]} do not fit") from error
    if math.prod(shape) > LARGEST_TENSOR:
        raise CannotCheckError(f"a tensor of shape {shape} is too large for the checker")
    return shape


def spread(values: Constant, shape: Sequence[int]) -> Float:
    """Return constants of type float64, flat, in the shape of the tensor that they go with.

    Raises:
        CannotCheckError: whole numbers, or another shape.
    """
    if values.dtype != np.float64:
        raise CannotCheckError("whole numbers where weights are expected")
    try:
        return np.broadcast_to(values, shape).reshape(-1).astype(np.float64)
    except ValueError as error:
        raise CannotCheckError(f"shapes {tuple(shape)} and {values.shape} do not fit") from error


def digest(*constants: Constant | float) -> str:
    """Name the constants that weights are computed from."""
    state = hashlib.sha256()
    for constant in constants:
        array = np.asarray(constant)
        state.update(repr((array.shape, str(array.dtype))).encode() + array.tobytes())
    return state.hexdigest()


class Builder:
    """The steps so far; the first one is the input.

    Args:
        inputs: elements of the input.
    """

    def __init__(self, inputs: int) -> None:
        self.steps: list[Step] = [Input(inputs)]
        self.name = ""
        self._elements = 0

    def count(self, elements: int) -> None:
        """Count elements that are made.

        Raises:
            CannotCheckError: there are too many.
        """
        self._elements += elements
        if self._elements > LARGEST_NETWORK:
            raise CannotCheckError(
                f"the network has more than {LARGEST_NETWORK} elements in all, too many for the "
                "checker"
            )

    def tensor(self, step: int, shape: Sequence[int]) -> Traced:
        """Return a step's result in a shape."""
        return Traced(step, np.arange(self.steps[step].size).reshape(shape))

    def size(self, x: Traced) -> int:
        """Return the elements of the step behind a tensor."""
        return self.steps[x.step].size

    def move(self, x: Traced, index: Index, factor: float = 1.0) -> tuple[int, LinearMap]:
        """Return ``factor`` times elements of the step behind x, as an operand."""
        return x.step, Gather.move(index, self.size(x), factor)

    def flat(self, x: Traced) -> int:
        """Return a step whose elements are those of x in order."""
        index = x.index.reshape(-1)
        if len(index) == self.size(x) and np.array_equal(index, np.arange(len(index))):
            return x.step
        return self.affine([self.move(x, index)], None, x.shape, terms=None).step

    def affine(
        self,
        operands: Sequence[tuple[int, LinearMap]],
        bias: Float | None,
        shape: Sequence[int],
        *,
        terms: int | None,
        rounded: str = "",
        bias_size: Float | None = None,
        noise: tuple[Noise, ...] = (),
        held: Sequence[float] = (),
        unrounded: bool = False,
    ) -> Traced:
        """Append Σ maps · operands + bias; see ``Affine``.

        Besides the sums themselves a runtime may hold the multiples ``held`` of them.

        A bias that float32 does not hold, as a product that DequantizeLinear makes of constants, a
        runtime rounds, also where it is only moved; not if it is ``unrounded``.
        """
        bias = np.zeros(math.prod(shape)) if bias is None else bias
        if not terms and not unrounded and not _are_float32(bias):
            terms = 1
        step = Affine(
            tuple(operand for operand, _ in operands),
            tuple(linear for _, linear in operands),
            bias,
            np.abs(bias) if bias_size is None else bias_size,
            rounded,
            terms,
            self.name,
            noise,
            (min(1.0, *held, 1.0), max(1.0, *held, 1.0)),
        )
        _check_sizes(step)
        return self._append(step, shape)

    def relu(self, x: Traced) -> Traced:
        """Append max(x, 0)."""
        return self._append(Relu((self.flat(x),), x.size), x.shape)

    def smooth(self, x: Traced, curve: Curve) -> Traced:
        """Append φ(x)."""
        return self._append(Smooth((self.flat(x),), x.size, curve), x.shape)

    def stair(self, x: Traced, kind: str) -> Traced:
        """Append a function that jumps; see ``Stair``."""
        return self._append(Stair((self.flat(x),), x.size, kind), x.shape)

    def dynamic(self, x: Traced) -> Traced:
        """Append the quantiser whose step the range of x gives."""
        return self._append(DynamicQuantiser((self.flat(x),), x.size), x.shape)

    def softmax(self, x: Traced, *, computed: bool = True) -> Traced:
        """Append the softmax over the last axis."""
        return self._append(Softmax((self.flat(x),), x.size, x.shape[-1], computed), x.shape)

    def product(self, x: Traced, y: Traced) -> Traced:
        """Append x · y; x · x is a square."""
        shape = shape_of(x, y)
        if x.step == y.step and x.shape == y.shape and np.array_equal(x.index, y.index):
            return self.smooth(x, power(2.0))
        operands = (self.flat(v.moved(np.broadcast_to(v.index, shape))) for v in (x, y))
        return self._append(Product(tuple(operands), math.prod(shape)), shape)

    def contract(self, x: Traced, y: Traced) -> Traced:
        """Append the matrix products of x (…, i, k) and y (…, k, j).

        Raises:
            CannotCheckError: the shapes do not fit.
        """
        if min(x.index.ndim, y.index.ndim) < 2 or x.shape[-1] != y.shape[-2]:
            raise CannotCheckError(f"shapes {x.shape} and {y.shape} make no matrix product")
        (i, k), j = x.shape[-2:], y.shape[-1]
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        batch = math.prod(lead)
        if batch * max(i * k, k * j, i * j) > LARGEST_TENSOR:
            raise CannotCheckError(f"a product of {x.shape} and {y.shape} is too large")
        operands = (
            self.flat(v.moved(np.broadcast_to(v.index, (*lead, *v.shape[-2:])))) for v in (x, y)
        )
        shapes = (batch, i, k), (batch, k, j), (batch, i, j)
        return self._append(Product(tuple(operands), batch * i * j, shapes), (*lead, i, j))

    def noisy(
        self, x: Traced, noise: Sequence[tuple[Traced, float, int, int]], bias: float
    ) -> Traced:
        """Append x + bias, off by Σ factor · (max |source|)^power, part by part; see ``Noise``."""
        operands = [self.move(x, x.index)]
        for source, *_ in noise:
            nothing = np.full(x.size, -1)
            operands.append(self.move(source, nothing))
        errors = tuple(Noise(k, f, p, n) for k, (_, f, p, n) in enumerate(noise, start=1))
        return self.affine(operands, np.full(x.size, bias), x.shape, terms=1, noise=errors)

    def quantise(self, x: Traced, scale: Float, lower: Float, upper: Float) -> Traced:
        """Append the nearest multiples of ``scale`` within [lower, upper], all in x's shape."""
        # Codes saturate, which are whole numbers: the ends themselves are no numbers of a runtime.
        above = self.maximum(x, lower, unrounded=True)
        over = self.combine([(1.0, x), (-1.0, upper)], computed=False, unrounded=True)
        over = self.relu(over)
        clipped = self.combine([(1.0, above), (-1.0, over)], computed=False)
        largest = np.maximum(np.abs(lower), np.abs(upper)).reshape(-1)
        return self._append(Quantiser((self.flat(clipped),), scale.reshape(-1), largest), x.shape)

    def combine(
        self,
        terms: Sequence[tuple[float, Value]],
        *,
        computed: bool = True,
        unrounded: bool = False,
    ) -> Traced:
        """Append Σ factor · value, factors ±1.

        Args:
            terms: factors and values, one constant at most.
            computed: whether a runtime computes this sum; otherwise it is a way to write an
                operator that computes nothing.
            unrounded: whether the constant is no float32 number of a runtime's.
        """
        shape = shape_of(*(value for _, value in terms))
        operands, bias = [], None
        for factor, value in terms:
            if isinstance(value, Traced):
                index = np.broadcast_to(value.index, shape)
                operands.append(self.move(value, index, factor))
            elif bias is not None:
                raise CannotCheckError("the checker does not know sums of several constants")
            else:
                bias = factor * spread(value, shape)
        if bias is not None and computed and (product := self._bare_product(operands)):
            step = replace(product, bias=bias, bias_size=np.abs(bias))
            return self._append(step, shape)
        return self.affine(
            operands,
            bias,
            shape,
            terms=len(terms) if computed and len(terms) > 1 else 0,
            unrounded=unrounded,
        )

    def scale(
        self,
        x: Traced,
        factor: Constant,
        terms: int = 1,
        rounded: str = "",
        held: Sequence[float] = (),
    ) -> Traced:
        """Append x · factor."""
        shape = shape_of(x, factor)
        weight = spread(factor, shape)
        source, moved = self.move(x, np.broadcast_to(x.index, shape))
        only_signs = not rounded and bool((np.abs(weight) == 1).all())
        scaled = [(source, moved.with_weight(weight))]
        terms = 0 if only_signs else terms
        return self.affine(scaled, None, shape, terms=terms, rounded=rounded, held=held)

    def maximum(self, a: Value, b: Value, *, unrounded: bool = False) -> Traced:
        """Append max(a, b) = b + relu(a − b)."""
        if isinstance(a, Traced) and not isinstance(b, Traced) and not b.any():
            return self.relu(a.moved(np.broadcast_to(a.index, shape_of(a, b))))
        over = self.relu(self.combine([(1.0, a), (-1.0, b)], computed=False, unrounded=unrounded))
        return self.combine([(1.0, b), (1.0, over)], computed=False, unrounded=unrounded)

    def minimum(self, a: Value, b: Value) -> Traced:
        """Append min(a, b) = a − relu(a − b)."""
        over = self.relu(self.combine([(1.0, a), (-1.0, b)], computed=False))
        return self.combine([(1.0, a), (-1.0, over)], computed=False)

    def finished(self, output: Traced) -> tuple[Step, ...]:
        """Return the steps that the output depends on, the output last."""
        last = self.flat(output)
        if last == 0:
            whole = np.arange(self.steps[0].size)
            last = self.affine([self.move(output, whole)], None, whole.shape, terms=None).step
        needed = {0, last}
        for index in range(last, 0, -1):
            if index in needed:
                needed.update(self.steps[index].operands)
        order = sorted(needed)
        numbers = {old: new for new, old in enumerate(order)}
        return tuple(
            replace(step, operands=tuple(numbers[o] for o in step.operands))
            for step in (self.steps[old] for old in order)
        )

    def _bare_product(self, operands: Sequence[tuple[int, LinearMap]]) -> Affine | None:
        """Return the product without bias that a constant is about to be added to."""
        if len(operands) != 1:
            return None
        step, (source, linear) = self.steps[operands[0][0]], operands[0]
        whole = isinstance(linear, Gather) and linear.is_identity
        bare = isinstance(step, Affine) and step.terms and not step.bias_size.any()
        return step if whole and bare and isinstance(step, Affine) and source else None

    def _append(self, step: Step, shape: Sequence[int]) -> Traced:
        self.count(step.size)
        self.steps.append(step)
        return self.tensor(len(self.steps) - 1, shape)


def _are_float32(numbers: Float) -> bool:
    with np.errstate(over="ignore"):
        return bool((numbers.astype(np.float32) == numbers).all())


def _check_sizes(step: Affine) -> None:
    for numbers in (step.bias, *(linear.weight for linear in step.maps)):
        size = np.abs(numbers[numbers != 0])
        if size.size and not (size.min() >= SMALLEST and size.max() <= LARGEST):
            raise CannotCheckError("a weight is too small or too large for the checker")
