"""An ONNX file under edit: tensors change where they stand, everything else survives."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, version_converter

from pruners.result import Compressed, Layer, Parameter, Report, Size
from simcert.errors import ModelError

FloatArray: TypeAlias = NDArray[np.floating[Any]]
ModelSource: TypeAlias = bytes | str | os.PathLike[str]

RECORD = "simcert.compression"
"""Metadata key of the chain of compressions: a JSON list, the oldest first."""

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


class Network:
    """An ONNX file whose stored tensors can be replaced.

    A stored tensor is an initialiser or the value of a Constant node. Every replacement is written
    down; :meth:`finish` turns the notes into the report.

    Attributes:
        original: the bytes as read.
        nodes: the nodes of the main graph, in the order of the file.
        stored: the floating-point tensors of the main graph by name, in the order of the file.
    """

    def __init__(self, model: ModelSource) -> None:
        """Read a file.

        Args:
            model: the bytes of an ONNX file, or its path.

        Raises:
            ModelError: not an ONNX file, or its tensors are stored in other files.
            OSError: the path cannot be read.
        """
        self.original = model if isinstance(model, bytes) else Path(model).read_bytes()
        name = "the model" if isinstance(model, bytes) else str(model)
        try:
            self._proto = onnx.ModelProto.FromString(self.original)
        except DecodeError as error:
            raise ModelError(f"{name} is not an ONNX file: {error}") from error
        if not self._proto.graph.node:
            raise ModelError(f"{name} is not an ONNX file, or its graph has no node")
        self._index()
        for tensor in self._proto.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                raise ModelError(
                    f"tensor {tensor.name!r} of {name} is stored in another file: save the model"
                    " with its tensors inside"
                )
        self._layers: list[Layer] = []

    def _index(self) -> None:
        graph = self._proto.graph
        constants = {
            node.output[0]: attribute.t
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        }
        tensors = {tensor.name: tensor for tensor in graph.initializer} | constants
        self.nodes: tuple[NodeProto, ...] = tuple(graph.node)
        self.stored: Mapping[str, TensorProto] = {
            name: tensor for name, tensor in tensors.items() if tensor.data_type in _FLOATS
        }

    def values(self, name: str) -> FloatArray:
        """The values of a stored tensor.

        Raises:
            ModelError: a value is NaN or infinite.
        """
        values: FloatArray = numpy_helper.to_array(self.stored[name])
        if not np.isfinite(values).all():
            raise ModelError(f"tensor {name!r} holds NaN or infinite values")
        return values

    def readers(self, name: str) -> tuple[str, ...]:
        """Labels of the nodes that read a tensor."""
        return tuple(label(node) for node in self.nodes if name in node.input)

    def replace(self, name: str, values: FloatArray) -> None:
        """Give a stored tensor new values of the same type."""
        before = self.values(name)
        if before.tobytes() != values.tobytes():
            self.stored[name].CopyFrom(numpy_helper.from_array(values, self.stored[name].name))
        self._note(name, self.readers(name), before, values, values.nbytes)

    def replace_quantised(
        self,
        name: str,
        values: FloatArray,
        integers: NDArray[np.int8],
        scale: FloatArray,
        axis: int | None,
    ) -> None:
        """Store a tensor as int8 and let a DequantizeLinear node restore it under its old name.

        Args:
            name: a stored float32 tensor.
            values: what the node computes, ``scale * integers``.
            integers: what is stored, in the tensor's shape.
            scale: 0-d, or one scale for each index of ``axis``.
            axis: None with one scale for the whole tensor.

        Raises:
            ModelError: the tensor is not float32.
        """
        before, graph = self.values(name), self._proto.graph
        if self.stored[name].data_type != TensorProto.FLOAT:
            raise ModelError(
                f"tensor {name!r} is not float32: DequantizeLinear cannot restore it; use format"
                " 'fake'"
            )
        readers = self.readers(name)
        self._remove(name)
        taken = {value for node in graph.node for value in (*node.input, *node.output)}
        stored_as, scaled_by = _fresh(f"{name}_int8", taken), _fresh(f"{name}_scale", taken)
        graph.initializer.append(numpy_helper.from_array(integers, stored_as))
        graph.initializer.append(numpy_helper.from_array(scale, scaled_by))
        node = helper.make_node(
            "DequantizeLinear",
            [stored_as, scaled_by],
            [name],
            name=f"{name}_dequantize",
        )
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        graph.node.insert(0, node)
        self._index()
        self._note(name, readers, before, values, integers.nbytes + scale.nbytes)

    def _remove(self, name: str) -> None:
        graph = self._proto.graph
        for holder, stale in (
            (graph.initializer, [tensor for tensor in graph.initializer if tensor.name == name]),
            (graph.input, [value for value in graph.input if value.name == name]),
            (graph.node, [node for node in graph.node if list(node.output) == [name]]),
        ):
            for item in stale:
                holder.remove(item)

    def require_opset(self, opset: int) -> None:
        """Translate the graph to a later opset, unless the file already has it.

        Raises:
            ModelError: onnx's own version converter does not know how.
        """
        current = self._opset()
        if current < opset:
            metadata = list(self._proto.metadata_props)
            try:
                self._proto = version_converter.convert_version(self._proto, opset)
            except RuntimeError as error:
                raise ModelError(
                    f"the file has opset {current}, opset {opset} is needed and onnx cannot"
                    f" translate it: {error}"
                ) from error
            del self._proto.metadata_props[:]
            self._proto.metadata_props.extend(metadata)
        oldest = helper.find_min_ir_version_for(list(self._proto.opset_import), True)
        self._proto.ir_version = max(self._proto.ir_version, oldest)
        self._index()

    def _opset(self) -> int:
        versions = [
            entry.version for entry in self._proto.opset_import if entry.domain in ("", "ai.onnx")
        ]
        if not versions:
            raise ModelError("the file does not say which opset it uses")
        return int(versions[0])

    def finish(
        self, method: str, parameters: Mapping[str, Parameter], seed: int | None = None
    ) -> Compressed:
        """Close the edit.

        Where no tensor was changed the file is the original, byte for byte. Otherwise one entry is
        appended to the metadata: method, parameters, seed, and SHA-256 of the file that was read.

        Raises:
            ModelError: the file's own record of earlier compressions is malformed.
        """
        digest = hashlib.sha256(self.original).hexdigest()
        entry = {
            "method": method,
            "parameters": dict(parameters),
            "seed": seed,
            "original_sha256": digest,
        }
        data = self.original
        if any(layer.changed or layer.before != layer.after for layer in self._layers):
            self._record(entry)
            data = self._proto.SerializeToString()
        sizes = (len(self.original), len(data))
        report = Report(method, parameters, seed, digest, tuple(self._layers), sizes)
        return Compressed(data, report)

    def _record(self, entry: Mapping[str, object]) -> None:
        properties = {prop.key: prop for prop in self._proto.metadata_props}
        prop = properties.get(RECORD) or self._proto.metadata_props.add(key=RECORD, value="[]")
        try:
            chain = json.loads(prop.value)
        except json.JSONDecodeError as error:
            raise ModelError(f"metadata {RECORD!r} is not JSON: {error}") from error
        if not isinstance(chain, list):
            raise ModelError(f"metadata {RECORD!r} is not a list")
        prop.value = json.dumps([*chain, entry])

    def _note(
        self,
        name: str,
        readers: tuple[str, ...],
        before: FloatArray,
        after: FloatArray,
        stored_bytes: int,
    ) -> None:
        self._layers.append(
            Layer(
                readers,
                name,
                Size(before.size, int(np.sum(before == 0)), before.nbytes),
                Size(after.size, int(np.sum(after == 0)), stored_bytes),
                int(np.sum(before != after)),
            )
        )


def label(node: NodeProto) -> str:
    """What a node is called: its name, or its first output where it has none."""
    return node.name or node.output[0]


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
