"""How the flat input and output that a claim speaks of are made from the tensors of a file.

Inputs stand one after the other in the order in which the file declares them, each in the common
space of its input map, input = scale · permuted(common) + offset; outputs likewise. An input of
integers gets the nearest one, ties to even, limited to its type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker import document
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.onnxfile import LARGEST_INPUT, MOST_AXES, File, Tensor

Float = NDArray[np.float64]

_BEFORE = {"before-softmax": ("Softmax", "LogSoftmax"), "before-argmax": ("ArgMax", "ArgMin")}
_HANDING_ON = (
    *("Cast", "DequantizeLinear", "Flatten", "Identity"),
    *("QuantizeLinear", "Reshape", "Squeeze", "Unsqueeze"),
)
_INTEGERS = ("uint8", "int8")


@dataclass(frozen=True, eq=False)
class InputMap:
    """input = scale · permuted(common) + offset.

    Attributes:
        before: shape of the common input.
        order: of its axes in the file's input.
        after: shape that they make there.
        scale: ready to be broadcast over that.
        offset: likewise.
    """

    before: tuple[int, ...]
    order: tuple[int, ...]
    after: tuple[int, ...]
    scale: Float
    offset: Float

    @classmethod
    def of(cls, stated: dict[str, Any], tensor: Tensor, kind: np.dtype[Any]) -> InputMap:
        """Read the map of a tensor, whose numbers are of the type ``kind``.

        Raises:
            CheckError: it is malformed, or does not fit the tensor.
        """
        after = tuple(stated["shape"] or tensor.sample)
        if math.prod(after) != tensor.size or len(after) > MOST_AXES:
            raise CheckError(f"an input map makes shape {after} of an input of {tensor.sample}")
        before, order = _permutation(stated["layout"], after)
        scale, offset = (
            _spread(stated[name], stated["axis"], after, kind) for name in ("scale", "offset")
        )
        if not scale.all():
            raise CheckError("an input map has the scale 0")
        return cls(before, order, after, scale, offset)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved or computed."""
        moved = self.order != tuple(sorted(self.order))
        return not moved and bool((self.scale == 1).all()) and not self.offset.any()

    def moved(self, x: NDArray[Any]) -> NDArray[Any]:
        """Move the elements of rows (n, size) of the common input: (n, *after)."""
        axes = (0, *(1 + axis for axis in self.order))
        return x.reshape(-1, *self.before).transpose(axes).reshape(-1, *self.after)

    def applied(self, x: Float) -> Float:
        """Map rows (n, size) of the common input: (n, *after)."""
        return np.asarray(self.moved(x) * self.scale + self.offset)


@dataclass(frozen=True, eq=False)
class Entry:
    """An input tensor of a file, and how it is made."""

    tensor: Tensor
    map: InputMap

    @property
    def limits(self) -> tuple[int, int] | None:
        """The least and the greatest number of an input of integers."""
        if self.tensor.type.kind == "f":
            return None
        limits = np.iinfo(self.tensor.type)
        return int(limits.min), int(limits.max)

    def fed(self, x: Float) -> NDArray[Any]:
        """Return what the file is given for rows (n, size) of the common input."""
        if not self.map.is_identity:
            x = self.map.applied(x)
        if self.limits is not None:
            x = np.clip(np.rint(x), *self.limits)
        shape = self.tensor.sample if len(x) == 1 else (len(x), *self.tensor.sample[1:])
        return np.ascontiguousarray(x.reshape(shape), dtype=self.tensor.type)


@dataclass(frozen=True, eq=False)
class Interface:
    """The flat input and output of a network.

    Attributes:
        entries: the inputs of the file, in its order.
        outputs: names of the tensors that are compared.
        input_type: that common inputs are rounded to.
        file_outputs: names of the file's own outputs.
    """

    entries: tuple[Entry, ...]
    outputs: tuple[str, ...]
    input_type: np.dtype[np.floating]
    file_outputs: tuple[str, ...]

    @property
    def inputs(self) -> int:
        """Elements of the flat input."""
        return sum(entry.tensor.size for entry in self.entries)

    @property
    def batched(self) -> bool:
        """Whether every input has a symbolic batch."""
        return all(e.tensor.shape and e.tensor.shape[0] is None for e in self.entries)

    def parts(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """Divide rows (n, inputs) among the entries."""
        ends = np.cumsum([entry.tensor.size for entry in self.entries])[:-1]
        return np.split(x, ends, axis=1)

    def feed(self, x: Float) -> dict[str, NDArray[Any]]:
        """Return what the file is given for rows (n, inputs)."""
        rounded = x.astype(self.input_type).astype(np.float64)
        pairs = zip(self.entries, self.parts(rounded), strict=True)
        return {entry.tensor.name: entry.fed(part) for entry, part in pairs}

    def runnable(self, data: bytes) -> bytes:
        """Return the file with all compared tensors among its outputs.

        Messages of one field that follow each other are merged (protobuf.dev, "Encoding"): a graph
        with nothing but outputs, put after the file, adds these to the file's own.
        """
        names = [name.encode() for name in self.outputs if name not in self.file_outputs]
        graph = b"".join(_field(12, _field(1, name)) for name in names)
        return data + _field(7, graph) if names else data

    def describe(self) -> str:
        """Return what is not the file's own, in words; empty if all is."""
        mapped = [e.tensor.name for e in self.entries if not e.map.is_identity]
        words = [f"input map of {', '.join(mapped)}"] if mapped else []
        words += [f"{e.tensor.name} rounded to {e.tensor.type}" for e in self.entries if e.limits]
        if len(self.entries) > 1:
            words.append(f"inputs {', '.join(entry.tensor.name for entry in self.entries)}")
        if self.outputs != self.file_outputs or len(self.outputs) > 1:
            words.append(f"outputs {', '.join(self.outputs)}")
        return "; ".join(words)


_IDENTITY = {
    "scale": [(1.0).hex()],
    "offset": [(0.0).hex()],
    "axis": None,
    "layout": None,
    "shape": None,
}


def interface(file: File, stated: dict[str, Any] | None = None) -> Interface:
    """Read how a file is used; as it is, unless something else is stated.

    Raises:
        CheckError: what is stated does not fit the file, or nothing is where something must be.
        CannotCheckError: inputs of other types.
    """
    inputs, own = file.inputs, tuple(tensor.name for tensor in file.outputs)
    floats = [tensor.type for tensor in inputs if tensor.type.kind == "f"]
    if any(t.type.kind != "f" and t.type.name not in _INTEGERS for t in inputs):
        raise CannotCheckError("an input is neither of floats nor of 8-bit integers")
    kind = floats[0] if floats else np.dtype(np.float32)
    if len(set(floats)) > 1:
        raise CannotCheckError("the inputs have several types of floats")
    if sum(tensor.size for tensor in inputs) > LARGEST_INPUT:
        raise CannotCheckError("the inputs are too large for the checker")
    maps: list[dict[str, Any]] = [_IDENTITY] * len(inputs)
    outputs = own
    if stated is None:
        if not floats or len(inputs) != 1 or len(own) != 1:
            raise CheckError("the file has not one input of floats and one output")
    else:
        outputs = _stated_outputs(file, stated)
        if [_said(tensor) for tensor in inputs] != [
            {name: item[name] for name in ("name", "shape", "type")} for item in stated["inputs"]
        ]:
            raise CheckError("the stated inputs are not those of the file")
        maps = [item["map"] for item in stated["inputs"]]
    entries = (
        Entry(tensor, InputMap.of(each, tensor, kind))
        for tensor, each in zip(inputs, maps, strict=True)
    )
    return Interface(tuple(entries), outputs, kind, own)


def _stated_outputs(file: File, stated: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the compared tensors, which must be those that were asked for."""
    names = [item["name"] for item in stated["outputs"]]
    asked = stated["selected"]
    if asked is None:
        asked = [tensor.name for tensor in file.outputs]
    if [_selected(file, word) for word in asked] != names:
        raise CheckError("the stated outputs are not those that were asked for")
    declared = {tensor.name: _said(tensor) for tensor in file.outputs}
    for item in stated["outputs"]:
        other = {"name": item["name"], "shape": [1, None], "type": "float32"}
        if item != declared.get(item["name"], other):
            raise CheckError(f"the output {item['name']!r} is stated otherwise than it is")
    return tuple(names)


def _selected(file: File, word: str) -> str:
    """Return the tensor that is asked for: by its name, or by what reads it last."""
    made_by = {name: node for node in file.nodes for name in node.texts(2) if name}
    if word in made_by or word not in _BEFORE:
        if word not in made_by:
            raise CheckError(f"there is no tensor {word!r} to compare")
        return word
    name = file.outputs[0].name
    while name in made_by and made_by[name].text(4) in _HANDING_ON:
        name = made_by[name].texts(1)[0]
    if name not in made_by or made_by[name].text(4) not in _BEFORE[word]:
        raise CheckError(f"the file does not end in {' or '.join(_BEFORE[word])}")
    return made_by[name].texts(1)[0]


def _said(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "type": tensor.type.name}


def _permutation(
    layout: str | None, after: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the common shape and the order of its axes in the file's, for a layout FROM-TO."""
    if layout is None:
        return after, tuple(range(len(after)))
    source, _, target = layout.partition("-")
    sizes = dict(zip(target, after, strict=False))
    fits = len(target) == len(after) == len(sizes) and len(set(source)) == len(source)
    if not fits or set(source) - {"n"} != set(target) - {"n"}:
        raise CheckError(f"the layout {layout!r} does not fit shape {after}")
    if "n" in target and "n" not in source:  # a batch of one may stand anywhere
        source = "n" + source
        if sizes["n"] != 1:
            raise CheckError(f"the layout {layout!r} takes one sample, not {sizes['n']}")
    if "n" not in target:
        source = source.replace("n", "")
    return tuple(sizes[axis] for axis in source), tuple(source.index(axis) for axis in target)


def _spread(
    texts: list[str], axis: int | None, shape: tuple[int, ...], kind: np.dtype[Any]
) -> Float:
    """Return one number, or those along an axis, ready to be broadcast over a shape."""
    values = np.array([document.number(text) for text in texts])
    with np.errstate(over="ignore"):
        if (values.astype(kind) != values).any():
            raise CheckError(f"a number of an input map is not of type {kind}")
    if len(values) == 1:
        return values.reshape([1] * len(shape))
    if axis is None or not 0 <= axis < len(shape) or shape[axis] != len(values):
        raise CheckError(f"{len(values)} numbers do not fit axis {axis} of shape {shape}")
    return values.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes in protobuf's wire format."""
    size, length = len(content), bytearray()
    while True:
        length.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + bytes(length) + content
