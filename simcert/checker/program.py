"""A network as the checker reads it: affine steps, rectifiers, quantisers, curves, products.

LeakyRelu is x − r + α-fold: with r = relu(x), r + α (x − r); Clip to [l, u] is l + relu(x − l)
− relu(x − u); max(a, b) is b + relu(a − b); a quantiser clips first. Step i makes the flat tensor
i, tensor 0 is the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simcert.checker.curves import Curve
from simcert.checker.linear import LinearMap

Float = NDArray[np.float64]

Shape3 = tuple[int, int, int]


class Noise(NamedTuple):
    """factor · (max |x|)^power over parts of an operand x: what a runtime's formula is off by.

    Attributes:
        operand: its position among those of the step.
        factor: absolute for power 0.
        power: 0, 1 or 2.
        parts: into how many equal parts, one after the other, operand and result fall.
    """

    operand: int
    factor: float
    power: int
    parts: int = 1


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
        noise: what the formula that a runtime takes for an operator is off by besides.
        held: the least and the greatest multiple of the sums that a runtime may hold in their place
            (α of Gemm comes last, a mean is a sum first); see ``association``.
    """

    operands: tuple[int, ...]
    maps: tuple[LinearMap, ...]
    bias: Float
    bias_size: Float
    rounded: str = ""
    terms: int | None = None
    name: str = ""
    noise: tuple[Noise, ...] = ()
    held: tuple[float, float] = (1.0, 1.0)

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
    """The nearest multiple of ``scale`` (size,), of numbers within its range; 0 where that is 0.

    Attributes:
        operands: x.
        scale: of the multiples.
        largest: (size,) the greatest absolute number of the range.
        only: (boxes, size), for bounds on boxes of nothing but inputs for which the number is this
            multiple; NaN for any. None for all boxes.
    """

    operands: tuple[int, ...]
    scale: Float
    largest: Float
    only: Float | None = None

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
    """x · y, element by element or as matrix products.

    Attributes:
        operands: x and y.
        size: of the result.
        shapes: of x (batch, i, k), y (batch, k, j) and the result (batch, i, j), in the order of
            their elements; None for a product of each element.
    """

    operands: tuple[int, ...]
    size: int
    shapes: tuple[Shape3, Shape3, Shape3] | None = None

    @property
    def terms(self) -> int:
        """Products of one sum."""
        return 1 if self.shapes is None else self.shapes[0][2]

    @property
    def widest(self) -> int:
        """Terms of one sum on the way back at most."""
        return 1 if self.shapes is None else max(*self.shapes[0], *self.shapes[1])

    def times(self, x: Float, y: Float) -> Float:
        """Return the products of rows of both operands."""
        if self.shapes is None:
            return x * y
        left, right, _ = self.shapes
        return (x.reshape(-1, *left) @ y.reshape(-1, *right)).reshape(len(x), -1)

    def back(self, c: Float, x: Float, y: Float) -> tuple[Float, Float]:
        """Return c times the derivatives by x and by y, rows of each."""
        if self.shapes is None:
            return c * y, c * x
        left, right, made = self.shapes
        rows = c.reshape(-1, *made)
        on_x = rows @ y.reshape(-1, *right).swapaxes(-1, -2)
        on_y = x.reshape(-1, *left).swapaxes(-1, -2) @ rows
        return on_x.reshape(len(c), -1), on_y.reshape(len(c), -1)

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operands."""
        return self.times(*operands)


@dataclass(frozen=True, eq=False)
class Softmax:
    """exp(x_i)/Σ exp(x_j) over each ``count`` elements that follow each other.

    ``computed`` says whether a runtime computes it, or only something that is made of it.
    """

    operands: tuple[int, ...]
    size: int
    count: int
    computed: bool = True

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        x = operands[0].reshape(len(operands[0]), -1, self.count)
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        weights = powers / powers.sum(axis=-1, keepdims=True)
        return np.asarray(weights.reshape(len(x), -1))


@dataclass(frozen=True, eq=False)
class DynamicQuantiser:
    """Rounding to multiples of a step that the whole tensor's range gives, (high − low)/255."""

    operands: tuple[int, ...]
    size: int

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        x = operands[0]
        low = np.minimum(x.min(axis=1, keepdims=True), 0.0)
        high = np.maximum(x.max(axis=1, keepdims=True), 0.0)
        scale = np.where(high > low, (high - low) / 255.0, 1.0)
        zero = np.rint(-low / scale)
        return np.asarray(scale * (np.clip(np.rint(x / scale) + zero, 0, 255) - zero))


@dataclass(frozen=True, eq=False)
class Stair:
    """A monotone function that jumps: a rounding to whole numbers, or where 0 is exceeded.

    Attributes:
        operands: x.
        size: elements.
        kind: "Ceil", "Floor", "Round", "Positive" (x > 0) or "NotNegative" (x ≥ 0).
    """

    operands: tuple[int, ...]
    size: int
    kind: str

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the result for rows of the operand."""
        return STAIRS[self.kind](operands[0])


@dataclass(frozen=True, eq=False)
class Pass:
    """The identity, put beside what only the other network has; see ``beside``.

    Attributes:
        operands: x.
        size: elements.
        beside: the type of the other network's step.
    """

    operands: tuple[int, ...]
    size: int
    beside: type[Relu | Quantiser | DynamicQuantiser]

    def evaluate(self, operands: list[Float]) -> Float:
        """Return the operand."""
        return operands[0]


STAIRS: dict[str, Callable[[Float], Float]] = {
    "Ceil": np.ceil,
    "Floor": np.floor,
    "Round": np.rint,
    "Positive": lambda x: (x > 0).astype(np.float64),
    "NotNegative": lambda x: (x >= 0).astype(np.float64),
}


Elementwise = Relu | Quantiser | Smooth | DynamicQuantiser | Stair | Pass
"""Steps that make each element of one."""

Joining = Product | Softmax
"""Steps that are not linear and join elements."""

Step = Input | Affine | Elementwise | Joining


_FLOAT, _DOUBLE = 1, 11


@dataclass(frozen=True, eq=False)
class Network:
    """Steps in the order of their numbers; the last one is the output.

    Attributes:
        steps: the first one is the input.
        input_type: of the input's elements.
        floats: of the input and of all that is computed, as numbers of TensorProto.DataType; None
            among them where one is not known.
        fingerprint: equal only for one and the same file, used in the same way.
        kept: for nodes of which channels were removed, which ones are left, as the file says.
    """

    steps: tuple[Step, ...]
    input_type: np.dtype[np.floating]
    floats: frozenset[int | None]
    fingerprint: str
    kept: dict[str, list[int]]

    @property
    def float32(self) -> bool:
        """Whether it computes in float32."""
        return self.floats == {_FLOAT}

    @property
    def at_least_float32(self) -> bool:
        """Whether it computes in float32 or float64."""
        return self.floats <= {_FLOAT, _DOUBLE}

    def in_float32(self) -> Network:
        """Return the same steps as of a float32 network."""
        return replace(self, input_type=np.dtype(np.float32), floats=frozenset({_FLOAT}))

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
