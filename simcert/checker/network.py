"""The checker's own reading of an ONNX file: a chain of affine maps and rectifiers, in float64.

Only what a few operators say exactly is read: every weight is the file's own number, or (for
DequantizeLinear of a constant) a product that float64 holds exactly. Everything else cannot be
checked, which is an error that names the operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.protobuf import Message

Float = NDArray[np.float64]
Constant = NDArray[np.float64] | NDArray[np.int64]

LARGEST_MATRIX = 2**24
"""Elements of one weight matrix, a convolution written out included."""

LARGEST_INPUT = 2**22
"""Elements of one input sample."""

SMALLEST, LARGEST = 2.0**-300, 2.0**300
"""Sizes of weights that are not zero: products of these and of bounds never underflow."""

_FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_INTEGERS: dict[int, np.dtype[Any]] = {
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    4: np.dtype("<u2"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}


@dataclass(frozen=True, eq=False)
class Affine:
    """W x + bias; without a weight x + bias."""

    weight: Float | None
    bias: Float

    @property
    def size(self) -> int:
        """Elements of the result."""
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Relu:
    """max(x, 0)."""

    size: int


Step = Affine | Relu


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of steps from the flat input to the flat output.

    Attributes:
        inputs: elements of the input.
        input_name: of the input tensor.
        input_shape: of one sample, as the file declares it; None where the size is symbolic.
        input_type: of the input's elements.
        steps: affine maps and rectifiers, at least one.
    """

    inputs: int
    input_name: str
    input_shape: tuple[int | None, ...]
    input_type: np.dtype[np.floating]
    steps: tuple[Step, ...]

    @property
    def outputs(self) -> int:
        """Elements of the output."""
        return self.steps[-1].size

    def evaluate(self, x: Float) -> Float:
        """Run the network on points (n, inputs), in float64."""
        for step in self.steps:
            if isinstance(step, Relu):
                x = np.maximum(x, 0.0)
            else:
                x = (x if step.weight is None else x @ step.weight.T) + step.bias
        return x


@dataclass(frozen=True)
class Interface:
    """What a file says of its input and output, whatever is between them."""

    input_name: str
    input_shape: tuple[int | None, ...]
    input_type: np.dtype[np.floating]

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample; a symbolic size is the batch."""
        return tuple(1 if size is None else size for size in self.input_shape)

    @property
    def inputs(self) -> int:
        """Elements of one sample."""
        return math.prod(self.sample)


def interface(data: bytes) -> Interface:
    """Read the input of a file.

    Raises:
        CheckError: the file is no ONNX model with one input of floats.
    """
    return _interface(_graph(data))


def read(data: bytes) -> Network:
    """Read a network.

    Raises:
        CheckError: the bytes are no ONNX model.
        CannotCheckError: an operator, or a use of one, that the checker does not know.
    """
    graph = _graph(data)
    entry = _interface(graph)
    builder = _Builder(entry.inputs)
    values: dict[str, _Value] = {}
    for proto in graph.messages(5):
        name = proto.text(8)
        if not name or name in values:
            raise CheckError(f"initialiser name {name!r} is empty or used twice")
        values[name] = _tensor(proto)
    values[entry.input_name] = _Traced(None, entry.sample)
    for node in graph.messages(1):
        _apply(builder, node, values)
    (output,) = _one([value.text(1) for value in graph.messages(12)], "output")
    result = values.get(output)
    if not isinstance(result, _Traced) or result.step is not builder.last or not builder.steps:
        raise CannotCheckError("the output is not the end of a chain of steps")
    for step in builder.steps:
        _check_sizes(step)
    return Network(
        entry.inputs, entry.input_name, entry.input_shape, entry.input_type, tuple(builder.steps)
    )


# -- the file --------------------------------------------------------------------------------


def _graph(data: bytes) -> Message:
    model = Message(data)
    if 7 not in model:
        raise CheckError("not an ONNX file: it holds no graph")
    if 25 in model:
        raise CannotCheckError("the model defines functions")
    graph = model.message(7)
    if 15 in graph:
        raise CannotCheckError("the model has sparse initialisers")
    return graph


def _interface(graph: Message) -> Interface:
    constants = {proto.text(8) for proto in graph.messages(5)}
    inputs = {value.text(1): value for value in graph.messages(11)}
    (name,) = _one([name for name in inputs if name not in constants], "input")
    tensor = inputs[name].message(2).message(1)
    element = _FLOATS.get(tensor.integer(1))
    if element is None:
        raise CannotCheckError(f"the input {name!r} is not a tensor of floats")
    sizes = [axis.integer(1) for axis in tensor.message(2).messages(1)]
    shape = tuple(size if size > 0 else None for size in sizes)
    if None in shape[1:]:
        raise CannotCheckError(f"the input {name!r} has shape {shape}")
    found = Interface(name, shape, element)
    if found.inputs > LARGEST_INPUT:
        raise CannotCheckError(f"the input {name!r} of shape {shape} is too large for the checker")
    return found


def _one(names: list[str], kind: str) -> list[str]:
    if len(names) != 1:
        raise CheckError(f"the model must have exactly one {kind}, it has {len(names)}")
    return names


def _tensor(proto: Message) -> Constant:
    name, kind = proto.text(8), proto.integer(2)
    if proto.messages(13) or proto.integer(14):
        raise CannotCheckError(f"tensor {name!r} keeps its data in another file")
    shape = proto.integers(1)
    if any(size < 0 for size in shape):
        raise CheckError(f"tensor {name!r} has a negative size")
    array = _numbers(proto, name, kind)
    if array.size != math.prod(shape):
        raise CheckError(f"tensor {name!r} holds {array.size} numbers, its shape says {shape}")
    if kind in _FLOATS:
        values = array.astype(np.float64)
        if not np.isfinite(values).all():
            raise CheckError(f"tensor {name!r} holds NaN or infinity")
        return values.reshape(shape)
    return array.astype(np.int64).reshape(shape)


def _numbers(proto: Message, name: str, kind: int) -> NDArray[np.generic]:
    """Return the flat numbers of a tensor, from the field that holds them."""
    element = _FLOATS.get(kind) or _INTEGERS.get(kind)
    if element is None:
        raise CannotCheckError(f"tensor {name!r} has elements of type {kind}")
    if 9 in proto:
        raw = proto.data(9)
    elif kind == 1:
        raw = proto.packed(4)
    elif kind == 11:
        raw = proto.packed(10)
    else:
        stored = np.array(proto.integers(7 if kind == 7 else 5), dtype=np.int64)
        limits = np.iinfo(np.uint16 if kind == 10 else element)
        if stored.size and not (stored.min() >= limits.min and stored.max() <= limits.max):
            raise CheckError(f"tensor {name!r} holds a number outside the range of its type")
        return stored.astype("<u2").view("<f2") if kind == 10 else stored
    if len(raw) % element.itemsize:
        raise CheckError(f"tensor {name!r} ends in the middle of a number")
    return np.frombuffer(raw, dtype=element)


def _check_sizes(step: Step) -> None:
    if isinstance(step, Relu):
        return
    for numbers in (step.bias, step.weight):
        if numbers is None:
            continue
        size = np.abs(numbers[numbers != 0])
        if size.size and not (size.min() >= SMALLEST and size.max() <= LARGEST):
            raise CannotCheckError("a weight is too small or too large for the checker")


# -- the chain -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Traced:
    """A tensor that depends on the input: the step that made it (None: the input), its shape."""

    step: Step | None
    shape: tuple[int, ...]


_Value = _Traced | Constant


@dataclass
class _Builder:
    """The steps so far; a tensor that is not the result of the last one cannot be continued."""

    inputs: int
    steps: list[Step] = field(default_factory=list)

    @property
    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None

    @property
    def size(self) -> int:
        return self.steps[-1].size if self.steps else self.inputs

    def require_last(self, x: _Traced, operator: str) -> None:
        if x.step is not self.last or math.prod(x.shape) != self.size:
            raise CannotCheckError(f"{operator} makes the network branch")

    def append(self, x: _Traced, step: Step, shape: tuple[int, ...], operator: str) -> _Traced:
        self.require_last(x, operator)
        self.steps.append(step)
        return _Traced(step, shape)

    def add(self, x: _Traced, bias: Float, operator: str) -> _Traced:
        """Add a constant: to the matrix product before it, if there is one without a bias."""
        self.require_last(x, operator)
        last = self.last
        if isinstance(last, Affine) and last.weight is not None and not last.bias.any():
            # A new object: whoever else reads the product without bias is no longer last.
            self.steps[-1] = Affine(last.weight, bias)
        else:
            self.steps.append(Affine(None, bias))
        return _Traced(self.last, x.shape)


class _Node:
    """A node with its operands and attributes."""

    def __init__(self, proto: Message, values: dict[str, _Value]) -> None:
        self.operator = proto.text(4)
        attributes = proto.messages(5)
        self._attributes = {item.text(1): item for item in attributes}
        if len(self._attributes) != len(attributes):
            raise CheckError(f"{self.operator} has an attribute twice")
        self._read: set[str] = set()
        self._operands: list[_Value | None] = []
        for name in proto.texts(1):
            if name and name not in values:
                raise CannotCheckError(f"{self.operator} reads {name!r} before it is made")
            self._operands.append(values[name] if name else None)

    def __len__(self) -> int:
        return len(self._operands)

    def traced(self, index: int = 0) -> _Traced:
        value = self._operands[index] if index < len(self) else None
        if not isinstance(value, _Traced):
            raise CannotCheckError(f"{self.operator} with operands that the checker does not know")
        return value

    def is_traced(self, index: int) -> bool:
        return index < len(self) and isinstance(self._operands[index], _Traced)

    def constant(self, index: int) -> Constant | None:
        value = self._operands[index] if index < len(self) else None
        if isinstance(value, _Traced):
            raise CannotCheckError(f"{self.operator} of two tensors that depend on the input")
        return value

    def required(self, index: int) -> Constant:
        value = self.constant(index)
        if value is None:
            raise CannotCheckError(f"{self.operator} lacks operand {index}")
        return value

    def weights(self, index: int) -> Float:
        value = self.required(index)
        if value.dtype != np.float64:
            raise CannotCheckError(f"{self.operator} with weights that are whole numbers")
        return value.astype(np.float64)

    def integer(self, name: str, default: int) -> int:
        item = self._attribute(name, 2)
        return default if item is None else item.integer(3)

    def integers(self, name: str, default: list[int]) -> list[int]:
        item = self._attribute(name, 7)
        return default if item is None else item.integers(8)

    def real(self, name: str, default: float) -> float:
        item = self._attribute(name, 1)
        return default if item is None else item.real(2)

    def text(self, name: str, default: str) -> str:
        item = self._attribute(name, 3)
        return default if item is None else item.text(4)

    def tensor(self, name: str) -> Constant:
        item = self._attribute(name, 4)
        if item is None or 5 not in item:
            raise CannotCheckError(f"{self.operator} without {name}")
        return _tensor(item.message(5))

    def check_attributes(self) -> None:
        """Refuse attributes that the operator's reading did not look at."""
        if rest := sorted(self._attributes.keys() - self._read):
            raise CannotCheckError(f"{self.operator} with {', '.join(rest)}")

    def _attribute(self, name: str, kind: int) -> Message | None:
        """Return an attribute, whose declared type must be ``kind`` (AttributeProto.type)."""
        self._read.add(name)
        item = self._attributes.get(name)
        if item is not None and item.integer(20) != kind:
            raise CannotCheckError(f"{self.operator} with {name} of another type")
        return item


def _apply(builder: _Builder, proto: Message, values: dict[str, _Value]) -> None:
    node = _Node(proto, values)
    domain = proto.text(7)
    if domain not in ("", "ai.onnx") or node.operator not in _OPERATORS:
        raise CannotCheckError(f"the checker does not know the operator {node.operator!r}")
    outputs = proto.texts(2)
    if len(outputs) != 1 or outputs[0] in values or not outputs[0]:
        raise CannotCheckError(f"{node.operator} with outputs {outputs}")
    values[outputs[0]] = _OPERATORS[node.operator](builder, node)
    node.check_attributes()


# -- operators -------------------------------------------------------------------------------


def _identity(_builder: _Builder, node: _Node) -> _Value:
    return node.traced() if node.is_traced(0) else node.required(0)


def _constant(_builder: _Builder, node: _Node) -> _Value:
    return node.tensor("value")


def _relu(builder: _Builder, node: _Node) -> _Value:
    x = node.traced()
    return builder.append(x, Relu(builder.size), x.shape, node.operator)


def _flatten(_builder: _Builder, node: _Node) -> _Value:
    x, axis = node.traced(), node.integer("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return _Traced(x.step, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _reshape(_builder: _Builder, node: _Node) -> _Value:
    x = node.traced()
    if node.integer("allowzero", 0):
        raise CannotCheckError("Reshape with allowzero")
    wanted = [int(size) for size in node.required(1).reshape(-1)]
    shape = [
        x.shape[i] if size == 0 and i < len(x.shape) else size for i, size in enumerate(wanted)
    ]
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(x.shape) // max(1, rest)
    if min(shape, default=1) < 1 or math.prod(shape) != math.prod(x.shape):
        raise CannotCheckError(f"Reshape of {x.shape} to {wanted}")
    return _Traced(x.step, tuple(shape))


def _add(builder: _Builder, node: _Node) -> _Value:
    first = node.operator == "Add" and not node.is_traced(0)
    x = node.traced(1 if first else 0)
    bias = node.weights(0 if first else 1)
    sign = -1.0 if node.operator == "Sub" else 1.0
    return builder.add(x, sign * _broadcast(bias, x.shape, node.operator), node.operator)


def _matmul(builder: _Builder, node: _Node) -> _Value:
    x, weight = node.traced(), node.weights(1)
    if weight.ndim != 2 or not x.shape or math.prod(x.shape) != x.shape[-1] != weight.shape[0]:
        raise CannotCheckError(f"MatMul of {x.shape} and {weight.shape}")
    if math.prod(x.shape) != weight.shape[0]:
        raise CannotCheckError(f"MatMul of {x.shape} and {weight.shape}")
    step = Affine(_matrix(weight.T), np.zeros(weight.shape[1]))
    return builder.append(x, step, (*x.shape[:-1], weight.shape[1]), node.operator)


def _gemm(builder: _Builder, node: _Node) -> _Value:
    x, weight = node.traced(), node.weights(1)
    if node.real("alpha", 1.0) != 1.0 or node.real("beta", 1.0) != 1.0 or node.integer("transA", 0):
        raise CannotCheckError("Gemm with alpha, beta or transA")
    weight = weight if node.integer("transB", 0) else weight.T
    if weight.ndim != 2 or x.shape != (1, weight.shape[1]):
        raise CannotCheckError(f"Gemm of {x.shape} and {weight.shape}")
    shape = (1, len(weight))
    bias = np.zeros(len(weight))
    if len(node) > 2 and node.constant(2) is not None:
        bias = _broadcast(node.weights(2), shape, node.operator)
    return builder.append(x, Affine(_matrix(weight), bias), shape, node.operator)


def _conv(builder: _Builder, node: _Node) -> _Value:
    """Write a convolution as a matrix, kernel position by kernel position."""
    x, weight = node.traced(), node.weights(1)
    rank = weight.ndim - 2
    if len(x.shape) != weight.ndim or rank < 1 or x.shape[0] != 1:
        raise CannotCheckError(f"Conv of {x.shape} and {weight.shape}")
    if node.text("auto_pad", "NOTSET") != "NOTSET":
        raise CannotCheckError("Conv with auto_pad")
    groups = node.integer("group", 1)
    strides = node.integers("strides", [1] * rank)
    dilations = node.integers("dilations", [1] * rank)
    pads = node.integers("pads", [0] * (2 * rank))
    kernel = node.integers("kernel_shape", list(weight.shape[2:]))
    channels, filters = x.shape[1], weight.shape[0]
    plausible = (
        len(strides) == len(dilations) == len(kernel) == rank
        and len(pads) == 2 * rank
        and min(*strides, *dilations, groups) >= 1
        and min(pads) >= 0
        and kernel == list(weight.shape[2:])
        and channels == weight.shape[1] * groups
        and filters % groups == 0
    )
    if not plausible:
        raise CannotCheckError(f"Conv of {x.shape} and {weight.shape}")
    size = [
        (x.shape[2 + i] + pads[i] + pads[rank + i] - dilations[i] * (kernel[i] - 1) - 1)
        // strides[i]
        + 1
        for i in range(rank)
    ]
    if min(size) < 1 or filters * math.prod(size) * math.prod(x.shape) > LARGEST_MATRIX:
        raise CannotCheckError(f"Conv of {x.shape} to {size} is too large for the checker")
    positions = np.indices(size).reshape(rank, -1)
    matrix = np.zeros((filters, math.prod(size), channels, math.prod(x.shape[2:])))
    per_group = filters // groups
    for offset in np.ndindex(*kernel):
        source = np.array(
            [positions[i] * strides[i] + offset[i] * dilations[i] - pads[i] for i in range(rank)]
        )
        inside = np.flatnonzero(
            np.logical_and(source >= 0, source < np.array(x.shape[2:])[:, None]).all(axis=0)
        )
        flat = np.ravel_multi_index(tuple(source[:, inside]), x.shape[2:])
        for output in range(filters):
            first = output // per_group * weight.shape[1]
            taps = weight[(output, slice(None), *offset)]
            matrix[output, inside, first : first + weight.shape[1], flat] += taps
    bias = np.zeros(filters)
    if len(node) > 2 and node.constant(2) is not None:
        bias = _broadcast(node.weights(2), (filters,), node.operator)
    step = Affine(matrix.reshape(filters * math.prod(size), -1), np.repeat(bias, math.prod(size)))
    return builder.append(x, step, (1, filters, *size), node.operator)


def _dequantize(_builder: _Builder, node: _Node) -> _Value:
    """(x − zero point) · scale of a constant: exact in float64 up to 29 bits."""
    x, scale = node.required(0), node.weights(1)
    zero = node.constant(2)
    if x.dtype != np.int64 or node.integer("block_size", 0):
        raise CannotCheckError("DequantizeLinear of a form that the checker does not know")
    axis = node.integer("axis", 1)
    shape = [1] * x.ndim
    if scale.ndim == 1 and scale.size > 1:
        shape[axis] = scale.size
    elif scale.size != 1:
        raise CannotCheckError("DequantizeLinear with blocks")
    shifted = x - (0 if zero is None else zero.reshape(shape if zero.size > 1 else ()))
    if shifted.size and np.abs(shifted).max() >= 2**29:
        raise CannotCheckError("DequantizeLinear of numbers that are too large to be exact")
    if (scale.astype(np.float32) != scale).any():
        raise CannotCheckError("DequantizeLinear with a scale of type float64")
    return shifted.astype(np.float64) * scale.reshape(shape if scale.size > 1 else ())


def _broadcast(bias: Float, shape: tuple[int, ...], operator: str) -> Float:
    try:
        return np.broadcast_to(bias, shape).reshape(-1).astype(np.float64)
    except ValueError as error:
        raise CannotCheckError(f"{operator} of shapes {shape} and {bias.shape}") from error


def _matrix(weight: Float) -> Float:
    if weight.size > LARGEST_MATRIX:
        raise CannotCheckError(f"a weight of {weight.size} numbers is too large for the checker")
    return np.ascontiguousarray(weight)


_OPERATORS: dict[str, Callable[[_Builder, _Node], _Value]] = {
    "Add": _add,
    "Constant": _constant,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": _identity,
    "MatMul": _matmul,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sub": _add,
}
