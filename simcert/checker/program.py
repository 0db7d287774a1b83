"""A network as the checker reads it: affine steps, rectifiers, quantisers, curves, products.

LeakyRelu is x − r + α-fold: with r = relu(x), r + α (x − r); Clip to [l, u] is l + relu(x − l)
− relu(x − u); max(a, b) is b + relu(a − b); a quantiser clips first. Step i makes the flat tensor
i, tensor 0 is the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcert.checker.curves import Curve
from simcert.checker.linear import LinearMap

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Input:
    """The flat input."""

    size: int
    operands: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Affine:
    """Σ W x + bias over some earlier tensors x.

    Attributes:
        operands: their numbers.
        maps: one W each.
        bias: (size,).
        bias_size: at least the absolute terms that the bias is made of.
        rounded: names the constants that weights or bias were computed from, which then hold up to
            a relative 2^-50 of |W| and ``bias_size``; empty where they are the file's own numbers.
        terms: products of one sum as a runtime computes it; 0 where it computes none and at most
            flushes a subnormal number, None where elements are only moved.
        name: of the node in the file.
    """

    operands: tuple[int, ...]
    maps: tuple[LinearMap, ...]
    bias: Float
    bias_size: Float
    rounded: str = ""
    terms: int | None = None
    name: str = ""

    @property
    def size(self) -> int:
        """Elements of the result."""
        return len(self.bias)

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operands."""
        total = np.broadcast_to(self.bias, (len(operands[0]), self.size))
        for linear, x in zip(self.maps, operands, strict=True):
            total = total + linear.apply(x)
        return total


@dataclass(frozen=True, eq=False)
class Relu:
    """max(x, 0)."""

    operands: tuple[int, ...]
    size: int

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        return np.maximum(operands[0], 0.0)


@dataclass(frozen=True, eq=False)
class Quantiser:
    """The nearest multiple of ``scale`` (size,), of numbers within its range; 0 where that is 0."""

    operands: tuple[int, ...]
    scale: Float
    largest: Float
    """(size,) the greatest absolute number of the range."""

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.scale)

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        return np.asarray(np.rint(operands[0] / self.scale) * self.scale)


@dataclass(frozen=True, eq=False)
class Smooth:
    """φ(x), element by element."""

    operands: tuple[int, ...]
    size: int
    curve: Curve

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        return self.curve.value(operands[0])


@dataclass(frozen=True, eq=False)
class Product:
    """x · y, element by element."""

    operands: tuple[int, ...]
    size: int

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operands."""
        return operands[0] * operands[1]


Step = Input | Affine | Relu | Quantiser | Smooth | Product


@dataclass(frozen=True, eq=False)
class Network:
    """Steps in the order of their numbers; the last one is the output.

    Attributes:
        steps: the first one is the input.
        input_type: of the input's elements.
        fingerprint: equal for files that hold the same graph with the same constants and are used
            in the same way.
        kept: for nodes of which channels were removed, which ones are left, as the file says.
    """

    steps: tuple[Step, ...]
    input_type: np.dtype[np.floating]
    fingerprint: str
    kept: dict[str, list[int]]

    @property
    def inputs(self) -> int:
        """Elements of the input."""
        return self.steps[0].size

    @property
    def outputs(self) -> int:
        """Elements of the output."""
        return self.steps[-1].size

    def evaluate(self, x: Float) -> Float:
        """Run the network on points (n, inputs), in float64."""
        values = [x]
        for step in self.steps[1:]:
            if not isinstance(step, Input):
                values.append(step.evaluate([values[operand] for operand in step.operands]))
        return values[-1]
