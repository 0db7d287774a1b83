"""The form that the propagator reads: affine steps, rectifiers, univariate functions, products.

Every operator that can be bounded is written with these four, exactly over the reals. LeakyRelu is
αx + (1 − α) relu(x), min(x, u) is x − relu(x − u), max(a, b) is b + relu(a − b); softmax
is exponentials, sums, reciprocals and products. So there are few things to bound, alone and as a
difference. A step's index is the index of the (flat) tensor that it makes; step 0 is the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from simcert.functions import Function
from simcert.model.linear import LinearMap


@dataclass(frozen=True)
class Input:
    """The network's input, flat."""

    size: int
    label: str = "input"


class Noise(NamedTuple):
    """factor · (max |x|)^power over the elements x of an operand: an error of a float32 runtime.

    Attributes:
        operand: its position among the operands of the step, whose map may be zero.
        factor: absolute for power 0.
        power: 0, 1 or 2.
        parts: into how many equal parts operand and result fall, each with a maximum of its own.
    """

    operand: int
    factor: float
    power: int
    parts: int = 1


class Held(NamedTuple):
    """What multiples of its sums a runtime may hold in the place of a step's, (size,) or (1,).

    Gemm is α (A B), a mean is a sum first, a scale behind a convolution may be folded into its
    weights. What is held as t times the step's sum overflows where t times its products do, and
    what it loses to underflow is 1/t times as much of the sum.

    Attributes:
        least: least |t|, at most 1.
        greatest: greatest |t|, at least 1; infinite where a runtime may divide by zero.
    """

    least: Tensor
    greatest: Tensor

    @classmethod
    def at(cls, *multiples: float) -> Held:
        """Return it for 1 and these multiples, the same for all elements; 0 is never held."""
        sizes = [1.0, *(abs(t) for t in multiples if t)]
        return cls(*(torch.tensor([t], dtype=torch.float64) for t in (min(sizes), max(sizes))))

    def times(self, other: Held) -> Held:
        """Return it for all products of two multiples."""
        return Held(self.least * other.least, self.greatest * other.greatest)


AS_IS = Held.at()
"""The sums of a step as it is written."""


@dataclass(frozen=True)
class Affine:
    """The sum of linear maps of earlier tensors, plus a bias (size,).

    ``computed`` names the constants that weights or bias were computed from in float64 (a folded
    BatchNormalization, say), by digest; it is empty where they are the file's own numbers, which
    float64 holds exactly. Two computed steps with equal digests are equal over the reals.

    ``rounds`` says whether a runtime rounds here. It does in products and sums; it does not where
    elements are only moved, or where the step is a part of an operator that picks one of its
    operands: Min and Max are written with sums that no runtime computes.

    ``noise`` is what a runtime's own formula for an operator may be off by besides: the steps of a
    softmax, say, do not round, and the last one bears the error of any formula for it.

    ``softmax`` (groups, n) says that the result is the softmax of the second operand over these
    groups of its elements, one group after the other; its map is zero.

    ``held`` says in what multiples a runtime may hold the sums: by the operator itself, until
    :mod:`simcert.model.association` adds what the steps around it allow.
    """

    operands: tuple[int, ...]
    maps: tuple[LinearMap, ...]
    bias: Tensor
    label: str
    computed: str = ""
    rounds: bool = True
    noise: tuple[Noise, ...] = ()
    softmax: Tensor | None = None
    held: Held = AS_IS

    @property
    def size(self) -> int:
        """Elements of the result."""
        return self.bias.shape[0]


@dataclass(frozen=True)
class Relu:
    """max(x, 0) of an earlier tensor."""

    operand: int
    size: int
    label: str

    @property
    def operands(self) -> tuple[int, ...]:
        """The one operand."""
        return (self.operand,)


@dataclass(frozen=True)
class Univariate:
    """A function of each element of an earlier tensor; ``rounds`` as in :class:`Affine`."""

    operand: int
    function: Function
    size: int
    label: str
    rounds: bool = True

    @property
    def operands(self) -> tuple[int, ...]:
        """The one operand."""
        return (self.operand,)


@dataclass(frozen=True)
class Product:
    """The product of two earlier tensors of one size; ``rounds`` as in :class:`Affine`."""

    operands: tuple[int, int]
    size: int
    label: str
    rounds: bool = True


Step: TypeAlias = Input | Affine | Relu | Univariate | Product


@dataclass(frozen=True)
class Program:
    """Steps in topological order; the last one is the output."""

    steps: tuple[Step, ...]

    @property
    def inputs(self) -> int:
        """Elements of the input."""
        return self.steps[0].size

    @property
    def outputs(self) -> int:
        """Elements of the output."""
        return self.steps[-1].size

    def run(self, x: Tensor) -> Tensor:
        """Evaluate the network in the arithmetic of ``x``'s dtype: (n, inputs) → (n, outputs)."""
        values: list[Tensor] = []
        for step in self.steps:
            if isinstance(step, Input):
                values.append(x)
            elif isinstance(step, Relu):
                values.append(torch.relu(values[step.operand]))
            elif isinstance(step, Univariate):
                values.append(step.function.value(values[step.operand]))
            elif isinstance(step, Product):
                values.append(values[step.operands[0]] * values[step.operands[1]])
            else:
                value = step.bias.expand(len(x), -1)
                for operand, linear in zip(step.operands, step.maps, strict=True):
                    value = value + linear.forward(values[operand])
                values.append(value)
        return values[-1]
