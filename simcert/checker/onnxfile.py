"""What an ONNX file holds: its graph, its tensors in float64 or int64, its nodes.

Only what is said exactly is read; everything else cannot be checked, which is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.protobuf import Message

Constant = NDArray[np.float64] | NDArray[np.int64]

LARGEST_INPUT = 2**22
"""Elements of one input sample."""

MOST_AXES = 32
"""Of a tensor."""

_OLDEST_OPSET = 7
"""Before it operators broadcast by an attribute of their own."""

_FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_INTEGERS: dict[int, np.dtype[Any]] = {
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    4: np.dtype("<u2"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("u1"),
}


@dataclass(frozen=True)
class Tensor:
    """An input or output that a file declares: None where a size is symbolic."""

    name: str
    shape: tuple[int | None, ...]
    type: np.dtype[Any]

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample; a symbolic size is the batch."""
        return tuple(1 if size is None else size for size in self.shape)

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.sample)


class File:
    """An ONNX file.

    Args:
        data: its bytes.

    Raises:
        CheckError: they are no ONNX model.
        CannotCheckError: the model uses functions, sparse tensors or data in other files.
    """

    def __init__(self, data: bytes) -> None:
        model = Message(data)
        if 7 not in model:
            raise CheckError("not an ONNX file: it holds no graph")
        if 25 in model:
            raise CannotCheckError("the model defines functions")
        self._model, graph = model, model.message(7)
        if 15 in graph:
            raise CannotCheckError("the model has sparse initialisers")
        self._graph = graph
        imports = [(item.text(1) or "ai.onnx", item.integer(2)) for item in model.messages(8)]
        versions = dict(imports)
        if len(versions) != len(imports):
            raise CheckError("an operator set is imported twice")
        self.opset = versions.get("ai.onnx", 0)

    @property
    def constants(self) -> dict[str, Constant]:
        """The initialisers by name."""
        found: dict[str, Constant] = {}
        for proto in self._graph.messages(5):
            name = proto.text(8)
            if not name or name in found:
                raise CheckError(f"initialiser name {name!r} is empty or used twice")
            found[name] = tensor(proto)
        return found

    @property
    def element_types(self) -> dict[str, int]:
        """The initialisers' types, as numbers of TensorProto.DataType."""
        return {proto.text(8): proto.integer(2) for proto in self._graph.messages(5)}

    @property
    def nodes(self) -> list[Message]:
        """The nodes in the order of the file.

        Raises:
            CannotCheckError: their operators are of a version before 7.
        """
        if self.opset < _OLDEST_OPSET:
            raise CannotCheckError(f"the checker does not know version {self.opset} of operators")
        return self._graph.messages(1)

    @property
    def inputs(self) -> list[Tensor]:
        """The inputs that are no initialisers.

        Raises:
            CheckError: there is none.
            CannotCheckError: one that is no tensor of numbers of a known size.
        """
        constants = {proto.text(8) for proto in self._graph.messages(5)}
        declared = self._values(11)
        found = [tensor for tensor in declared if tensor.name not in constants]
        if not found or any(None in tensor.shape[1:] for tensor in found):
            raise CannotCheckError("the model has no input, or one with a symbolic size")
        return found

    @property
    def outputs(self) -> list[Tensor]:
        """The outputs."""
        return self._values(12)

    def _values(self, field: int) -> list[Tensor]:
        found = [_declared(value) for value in self._graph.messages(field)]
        if len({tensor.name for tensor in found}) != len(found):
            raise CheckError("an input or output is declared twice")
        return found

    @property
    def kept_channels(self) -> dict[str, list[int]]:
        """Which channels were kept, by node, as the metadata say; nothing rests on it."""
        texts = [p.text(2) for p in self._model.messages(14) if p.text(1) == _KEPT]
        try:
            kept = json.loads(texts[0]) if texts else {}
        except (ValueError, RecursionError):
            return {}
        if not isinstance(kept, dict):
            return {}
        return {
            name: channels
            for name, channels in kept.items()
            if isinstance(channels, list) and all(type(channel) is int for channel in channels)
        }


_KEPT = "simcert.kept_channels"


def tensor(proto: Message) -> Constant:
    """Read a tensor.

    Raises:
        CheckError: it is malformed, or holds NaN or infinity.
        CannotCheckError: elements of another type, or data in another file.
    """
    name, kind = proto.text(8), proto.integer(2)
    if 13 in proto or proto.integer(14):
        raise CannotCheckError(f"tensor {name!r} keeps its data in another file")
    shape = proto.integers(1)
    if any(size < 0 for size in shape) or len(shape) > MOST_AXES:
        raise CheckError(f"tensor {name!r} has a negative size, or more than {MOST_AXES} axes")
    array = _numbers(proto, name, kind)
    if array.size != math.prod(shape):
        raise CheckError(f"tensor {name!r} holds {array.size} numbers, its shape says {shape}")
    if kind in _FLOATS:
        values = array.astype(np.float64)
        if not np.isfinite(values).all():
            raise CheckError(f"tensor {name!r} holds NaN or infinity")
        return values.reshape(shape)
    return array.astype(np.int64).reshape(shape)


class Node:
    """A node with its attributes; each must have the type that its reader asks for.

    Args:
        proto: of the node.
        types: of tensors, as numbers of TensorProto.DataType.
        opset: version of the operators.
    """

    def __init__(self, proto: Message, types: Mapping[str, int | None], opset: int) -> None:
        self.opset = opset
        self.operator, self.domain, self.name = proto.text(4), proto.text(7), proto.text(3)
        self.inputs, self.outputs = proto.texts(1), proto.texts(2)
        attributes = proto.messages(5)
        self._attributes = {item.text(1): item for item in attributes}
        if len(self._attributes) != len(attributes):
            raise CheckError(f"{self.operator} has an attribute twice")
        self.types = [types.get(name) for name in self.inputs]
        self._read: set[str] = set()

    def refused(self, what: str) -> CannotCheckError:
        """Return the error that the checker does not know this use of the operator."""
        return CannotCheckError(f"the checker does not know {self.operator} {what}")

    def has(self, name: str) -> bool:
        """Whether an attribute is there."""
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        """Return a whole number."""
        item = self._attribute(name, 2)
        return default if item is None else item.integer(3)

    def integers(self, name: str, default: list[int]) -> list[int]:
        """Return whole numbers."""
        item = self._attribute(name, 7)
        return default if item is None else item.integers(8)

    def real(self, name: str, default: float) -> float:
        """Return a float."""
        item = self._attribute(name, 1)
        value = default if item is None else item.real(2)
        if math.isnan(value):
            raise CheckError(f"{self.operator} with {name} = NaN")
        return value

    def text(self, name: str, default: str) -> str:
        """Return a string."""
        item = self._attribute(name, 3)
        return default if item is None else item.text(4)

    def texts(self, name: str, default: list[str]) -> list[str]:
        """Return strings."""
        item = self._attribute(name, 8)
        return default if item is None else item.texts(9)

    def reals(self, name: str, default: list[float]) -> list[float]:
        """Return floats."""
        item = self._attribute(name, 6)
        return default if item is None else np.frombuffer(item.packed(7), "<f4").tolist()

    def tensor(self, name: str) -> Constant:
        """Return a tensor, which must be there."""
        item = self._attribute(name, 4)
        if item is None or 5 not in item:
            raise self.refused(f"without {name}")
        return tensor(item.message(5))

    def element_type(self, name: str, default: int) -> int:
        """Return the element type of a tensor, if it is there."""
        item = self._attribute(name, 4)
        return default if item is None else item.message(5).integer(2)

    def check_attributes(self) -> None:
        """Refuse attributes that the operator's reading did not look at."""
        if rest := sorted(self._attributes.keys() - self._read):
            raise self.refused(f"with {', '.join(rest)}")

    def _attribute(self, name: str, kind: int) -> Message | None:
        """Return an attribute, whose declared type must be ``kind`` (AttributeProto.type)."""
        self._read.add(name)
        item = self._attributes.get(name)
        if item is not None and item.integer(20) != kind:
            raise self.refused(f"with {name} of another type")
        return item


def element_number(kind: np.dtype[Any]) -> int | None:
    """Return the number of TensorProto.DataType of a type."""
    known = {**_INTEGERS, **_FLOATS, 9: np.dtype(bool)}
    return next((number for number, element in known.items() if element == kind), None)


def _declared(value: Message) -> Tensor:
    proto = value.message(2).message(1)
    element = {**_FLOATS, **_INTEGERS}.get(proto.integer(1))
    if element is None:
        raise CannotCheckError(f"{value.text(1)!r} is not a tensor of numbers")
    sizes = [axis.integer(1) for axis in proto.message(2).messages(1)]
    if len(sizes) > MOST_AXES:
        raise CheckError(f"{value.text(1)!r} has more than {MOST_AXES} axes")
    shape = tuple(size if size > 0 else None for size in sizes)
    return Tensor(value.text(1), shape, np.dtype(bool) if proto.integer(1) == 9 else element)


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
