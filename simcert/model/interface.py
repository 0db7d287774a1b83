"""What a file reads and answers, and the one flat input and output that every analysis sees.

A file has one or more input and output tensors. Every analysis looks at one flat vector in and one
out: the inputs one after the other in the declared order, each in its common space
(:mod:`~simcert.model.input_map`), and the outputs likewise. Where that differs from the file, nodes
are put before and after its graph, so that what is said of the graph is said of the composition;
:class:`Interface` does the same to the numbers that the runtime is given.

Integers: an input of uint8 or int8 gets the mapped number rounded to the nearest integer (ties to
even) and limited to the type, which is QuantizeLinear with scale 1: the rounding is part of the
network that is judged. An output of integers is the same number as a float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from simcert.errors import ModelError
from simcert.model.graph import Array, Graph, Node, TensorInfo
from simcert.model.input_map import IDENTITY, Float, InputMap

ENTRY, RESULT = "simcert.input", "simcert.output"
"""Names of the flat input and output, where these are not the file's own."""

BEFORE = {"before-softmax": ("Softmax", "LogSoftmax"), "before-argmax": ("ArgMax", "ArgMin")}
"""Outputs that are named by what follows them."""

_LIMITS: dict[np.dtype[Any], tuple[int, int]] = {
    np.dtype(np.uint8): (0, 255),
    np.dtype(np.int8): (-128, 127),
}
"""Of the integers that an input may have."""

_HANDING_ON = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
    }
)
"""Operators that may stand between a Softmax and the output."""


@dataclass(frozen=True)
class Interface:
    """How the flat input and output are made of a file's tensors.

    Attributes:
        inputs: of the file.
        outputs: that are compared: the file's own, or others of its tensors.
        maps: of the inputs.
        selected: what was asked for instead of the file's outputs; empty for these.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    maps: tuple[InputMap, ...] = field(default=())
    selected: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the file itself has one flat input and output of floats."""
        return (
            len(self.inputs) == len(self.outputs) == 1
            and self.inputs[0].dtype.kind == self.outputs[0].dtype.kind == "f"
            and not self.selected
            and all(made.identity for made in self.maps)
        )

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the common input: that of the file, float32 where the file reads integers."""
        floats = (info.dtype for info in self.inputs if info.dtype.kind == "f")
        return next(floats, np.dtype(np.float32))

    @property
    def outputs_by_name(self) -> dict[str, tuple[int, ...]]:
        """Which of the flat outputs each tensor has, up to the first of unknown sizes."""
        named: dict[str, tuple[int, ...]] = {}
        start = 0
        for info in self.outputs:
            if None in info.shape[1:]:
                break
            named[info.name] = tuple(range(start, start + info.size))
            start += info.size
        return named

    @property
    def batches(self) -> bool:
        """Whether every input has a leading axis that can be a batch."""
        return all(
            info.shape and info.shape[0] in (1, None) and info.shape != (1,) for info in self.inputs
        )

    def feed(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """What the file is given for inputs (n, elements); n is 1 where it takes no batches."""
        rows = np.ascontiguousarray(x, dtype=self.dtype)
        fed: dict[str, NDArray[Any]] = {}
        start = 0
        for info, made in zip(self.inputs, self.maps, strict=True):
            part = rows[:, start : start + info.size]
            start += info.size
            shape = info.sample if len(rows) == 1 else (len(rows), *info.sample[1:])
            if not made.identity:
                part = made.apply(part.astype(np.float64), info.sample)
            if info.dtype.kind in "iu":
                least, greatest = _LIMITS[info.dtype]
                part = np.clip(np.rint(part), least, greatest)
            fed[info.name] = np.ascontiguousarray(part.reshape(shape), dtype=info.dtype)
        return fed

    def collect(self, outputs: Sequence[NDArray[Any]], rows: int) -> Float:
        """The flat outputs (rows, elements) of what the file answered."""
        parts = [np.asarray(output, dtype=np.float64).reshape(rows, -1) for output in outputs]
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def runnable(self, data: bytes) -> bytes:
        """The file, with the selected tensors as its outputs."""
        if not self.selected:
            return data
        model = onnx.load_from_string(data)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=info.name) for info in self.outputs)
        return bytes(model.SerializeToString())

    def to_dict(self) -> dict[str, Any] | None:
        """The JSON form; None where the file is taken as it is."""
        if self.plain:
            return None
        return {
            "inputs": [
                {**_info(info), "map": made.to_dict()}
                for info, made in zip(self.inputs, self.maps, strict=True)
            ],
            "outputs": [_info(info) for info in self.outputs],
            "selected": list(self.selected) or None,
        }

    def describe(self) -> str:
        """What is not the file's own, in words; empty if all is."""
        parts = []
        for info, made in zip(self.inputs, self.maps, strict=True):
            words = [] if made.identity else [made.describe()]
            if info.dtype.kind in "iu":
                words.append(f"rounded to {info.dtype.name}")
            if words:
                parts.append(f"input {info.name}: {', '.join(words)}")
        if len(self.inputs) > 1:
            parts.append(f"inputs {', '.join(info.name for info in self.inputs)} in this order")
        if self.selected or len(self.outputs) > 1:
            parts.append(f"outputs {', '.join(info.name for info in self.outputs)}")
        return "; ".join(parts)


def _info(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "shape": list(info.shape), "type": info.dtype.name}


def connected(
    graph: Graph, maps: Mapping[str, InputMap], selected: tuple[str, ...]
) -> tuple[Graph, Interface]:
    """Give a graph one flat input and output of floats.

    Args:
        graph: as the file has it.
        maps: of its inputs, by name; the others are taken as they are.
        selected: names of tensors to take for outputs, or a word of `BEFORE`.

    Returns:
        The graph itself where nothing is to be done, else the graph with nodes before and after it.

    Raises:
        ModelError: inputs of other types than one float type, uint8 and int8, or a selected tensor
            that is not there.
        ClaimError: a map that does not fit its input.
    """
    outputs = graph.outputs
    if selected:
        outputs = tuple(_selected(graph, word) for word in selected)
    _check_types(graph.inputs)
    interface = Interface(graph.inputs, outputs, (), selected)
    every = (maps.get(info.name, IDENTITY).rounded(interface.dtype) for info in graph.inputs)
    interface = replace(interface, maps=tuple(every))
    for info, made in zip(graph.inputs, interface.maps, strict=True):
        made.check(info.sample)
    if interface.plain:
        return graph, interface
    before, constants = _before(interface)
    after = _after(interface)
    size = sum(info.size for info in graph.inputs)
    joined = replace(
        graph,
        input=TensorInfo(ENTRY, (None, size), interface.dtype),
        output=TensorInfo(RESULT, (1, None), np.dtype(np.float32)),
        nodes=(*before, *graph.nodes, *after),
        constants={**graph.constants, **constants, **_constants_after(interface)},
    )
    return joined, interface


def _check_types(inputs: tuple[TensorInfo, ...]) -> None:
    floats = {info.dtype for info in inputs if info.dtype.kind == "f"}
    others = [info for info in inputs if info.dtype.kind != "f" and info.dtype not in _LIMITS]
    if others or len(floats) > 1:
        names = ", ".join(f"{info.name} ({info.dtype.name})" for info in inputs)
        raise ModelError(
            f"inputs are of one type of floats, uint8 or int8; these are not supported: {names}"
        )


def _selected(graph: Graph, word: str) -> TensorInfo:
    """The tensor that is asked for as an output."""
    producers = {name: node for node in graph.nodes for name in node.outputs if name}
    name = word
    if name not in producers and word in BEFORE:
        name = graph.outputs[0].name
        while name in producers and producers[name].operator in _HANDING_ON:
            name = producers[name].inputs[0]
        if name not in producers or producers[name].operator not in BEFORE[word]:
            raise ModelError(
                f"the output {graph.outputs[0].name!r} does not end in {' or '.join(BEFORE[word])}"
            )
        name = producers[name].inputs[0]
    if name not in producers:
        raise ModelError(f"there is no tensor {word!r} to take for an output")
    declared = {info.name: info for info in graph.outputs}
    return declared.get(name, TensorInfo(name, (1, None), np.dtype(np.float32)))


def _before(interface: Interface) -> tuple[list[Node], dict[str, Array]]:
    """The nodes that make a file's inputs of the flat one."""
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    start = 0
    for info, made in zip(interface.inputs, interface.maps, strict=True):
        part = ENTRY
        if len(interface.inputs) > 1:
            part = f"{info.name}.simcert.part"
            for key, value in (("starts", start), ("ends", start + info.size), ("axes", 1)):
                constants[f"{part}.{key}"] = np.array([value], np.int64)
            names = (ENTRY, *(f"{part}.{key}" for key in ("starts", "ends", "axes")))
            nodes.append(Node("Slice", part, names, (part,)))
        start += info.size
        rounded = info.dtype.kind in "iu"
        target = f"{info.name}.simcert.real" if rounded else info.name
        own, values = made.nodes(part, target, info.sample, interface.dtype)
        nodes += own
        constants.update(values)
        if rounded:
            constants[f"{target}.scale"] = np.array(1.0, np.float32)
            constants[f"{target}.zero"] = np.array(0, info.dtype)
            names = (target, f"{target}.scale", f"{target}.zero")
            nodes.append(Node("QuantizeLinear", target + ".rounded", names, (info.name,)))
    return nodes, constants


def _after(interface: Interface) -> list[Node]:
    """The nodes that make the flat output of a file's."""
    nodes: list[Node] = []
    parts = []
    for info in interface.outputs:
        name = info.name
        if info.dtype in _LIMITS:
            zero = f"{RESULT}.zero.{info.dtype.name}"
            read = (name, f"{RESULT}.one", zero)
            name = f"{info.name}.simcert.float"
            nodes.append(Node("DequantizeLinear", name, read, (name,)))
        elif info.dtype.kind != "f":
            own, name = name, f"{info.name}.simcert.float"
            to = int(onnx.TensorProto.FLOAT)
            nodes.append(Node("Cast", name, (own,), (name,), {"to": to}))
        flat = f"{info.name}.simcert.flat"
        nodes.append(Node("Reshape", flat, (name, f"{RESULT}.shape"), (flat,)))
        parts.append(flat)
    nodes.append(Node("Concat", RESULT, tuple(parts), (RESULT,), {"axis": 1}))
    return nodes


def _constants_after(interface: Interface) -> dict[str, Array]:
    constants: dict[str, Array] = {
        f"{RESULT}.shape": np.array([1, -1], np.int64),
        f"{RESULT}.one": np.array(1.0, np.float32),
    }
    for info in interface.outputs:
        if info.dtype in _LIMITS:
            constants[f"{RESULT}.zero.{info.dtype.name}"] = np.array(0, info.dtype)
    return constants
