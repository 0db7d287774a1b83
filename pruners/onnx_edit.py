"""An ONNX file under edit: tensors change where they stand, everything else survives."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, version_converter

from pruners.masks import FloatArray
from pruners.products import multiplications, weight_readers
from pruners.result import Compressed, Layer, Parameter, Report, Size
from simcert.errors import ModelError
from simcert.model.interface import connected
from simcert.model.reader import read, read_bytes

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
        graph: the file as read, free of protobuf.
        nodes: the nodes of the main graph, in the order of the file.
        stored: the floating-point tensors of the main graph by name, in the order of the file.
    """

    def __init__(self, model: ModelSource) -> None:
        """Read a file.

        Args:
            model: the bytes of an ONNX file, or its path.

        Raises:
            ModelError: the file cannot be read, or is not a model that SimCert admits.
        """
        if isinstance(model, bytes):
            name, self.original = "the model", model
        else:
            name, self.original = str(model), read_bytes(Path(model))
        try:
            self.graph = read(self.original)
            interface = connected(self.graph, {}, ())[1]
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        if not interface.plain:
            raise ModelError(f"{name}: only models with one input and one output of floats")
        self._proto = onnx.ModelProto.FromString(self.original)
        self._index()
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
        """The values of a stored tensor."""
        values: FloatArray = numpy_helper.to_array(self.stored[name])
        return values

    def readers(self, name: str) -> tuple[str, ...]:
        """Labels of the nodes that read a tensor."""
        return tuple(label(node) for node in self.nodes if name in node.input)

    def replace(self, name: str, values: FloatArray) -> None:
        """Give a stored tensor new values of the same type.

        Raises:
            ModelError: a new value is not finite.
        """
        before = self.values(name)
        if not np.isfinite(values).all():
            raise ModelError(f"tensor {name!r} would overflow {values.dtype.name}")
        if before.tobytes() != values.tobytes():
            tensor = self.stored[name]
            replacement = numpy_helper.from_array(values, tensor.name)
            replacement.doc_string = tensor.doc_string
            tensor.CopyFrom(replacement)
        self.note(name, self.readers(name), before, values, values.nbytes)

    def resize(self, name: str, values: FloatArray, channels: tuple[int, int] | None) -> None:
        """Give a stored tensor new values of the same type in another shape.

        Args:
            name: the tensor.
            values: what stays of it.
            channels: number of output channels before and after, for weights.
        """
        before, tensor = self.values(name), self.stored[name]
        replacement = numpy_helper.from_array(np.array(values, order="C"), tensor.name)
        replacement.doc_string = tensor.doc_string
        tensor.CopyFrom(replacement)
        for entry in self._proto.graph.input:
            if entry.name == name:
                for axis, size in zip(entry.type.tensor_type.shape.dim, values.shape, strict=True):
                    axis.dim_value = size
        del self._proto.graph.value_info[:]
        self._layers.append(
            Layer(
                self.readers(name),
                name,
                Size(before.size, int(np.sum(before == 0)), before.nbytes),
                Size(values.size, int(np.sum(values == 0)), values.nbytes),
                before.size - values.size,
                channels,
            )
        )

    def reshape(self, node: NodeProto, shape: Sequence[int]) -> None:
        """Give a Reshape node a target shape of its own."""
        graph = self._proto.graph
        name = _fresh(f"{node.input[1]}_pruned", self._names())
        values = np.array(shape, dtype=np.int64)
        graph.initializer.append(numpy_helper.from_array(values, name))
        old, node.input[1] = node.input[1], name
        if not any(old in other.input for other in graph.node):
            self._remove(old)
        del graph.value_info[:]
        self._index()

    def rewrite(self, convert: Callable[[onnx.ModelProto], onnx.ModelProto]) -> None:
        """Let another program edit the file; name, metadata and documentation stay."""
        model = onnx.ModelProto()
        model.CopyFrom(self._proto)
        converted = convert(model)
        self._proto.graph.CopyFrom(converted.graph)
        del self._proto.opset_import[:]
        self._proto.opset_import.extend(converted.opset_import)
        self._proto.ir_version = converted.ir_version
        self._index()

    @property
    def initialisers(self) -> Mapping[str, TensorProto]:
        """All initialisers by name, whatever their type."""
        return {tensor.name: tensor for tensor in self._proto.graph.initializer}

    def annotate(self, key: str, value: str) -> None:
        """Set an entry of the metadata."""
        properties = {prop.key: prop for prop in self._proto.metadata_props}
        prop = properties.get(key) or self._proto.metadata_props.add(key=key)
        prop.value = value

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
        taken = self._names()
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
        self.note(name, readers, before, values, integers.nbytes + scale.nbytes)

    def _names(self) -> set[str]:
        graph = self._proto.graph
        taken = {value for node in graph.node for value in (*node.input, *node.output)}
        return taken | {tensor.name for tensor in graph.initializer}

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
        imports = self._proto.opset_import
        current = next(entry.version for entry in imports if entry.domain in ("", "ai.onnx"))
        if current < opset:
            metadata = list(self._proto.metadata_props)
            try:
                self._proto = version_converter.convert_version(self._proto, opset)
            except (RuntimeError, version_converter.ConvertError) as error:
                raise ModelError(
                    f"the file has opset {current}, opset {opset} is needed and onnx cannot"
                    f" translate it: {error}"
                ) from error
            del self._proto.metadata_props[:]
            self._proto.metadata_props.extend(metadata)
        oldest = helper.find_min_ir_version_for(list(self._proto.opset_import), True)
        self._proto.ir_version = max(self._proto.ir_version, oldest)
        self._index()

    def finish(
        self,
        method: str,
        parameters: Mapping[str, Parameter],
        *,
        seed: int | None = None,
        calibration: str | None = None,
    ) -> Compressed:
        """Close the edit.

        Where no tensor was changed the file is the original, byte for byte. Otherwise one entry is
        appended to the metadata: method, parameters, seed, and SHA-256 of the file that was read
        and of the calibration data.

        Raises:
            ModelError: the file's own record of earlier compressions is malformed.
        """
        digest = hashlib.sha256(self.original).hexdigest()
        entry = {
            "method": method,
            "parameters": dict(parameters),
            "seed": seed,
            "original_sha256": digest,
            "calibration_sha256": calibration,
        }
        data = self.original
        if any(layer.changed or layer.before != layer.after for layer in self._layers):
            self._record(entry)
            data = self._proto.SerializeToString()
        sizes = (len(self.original), len(data))
        before, after = multiplications(self.graph), multiplications(read(data))
        readers = weight_readers(self.graph)
        layers = tuple(
            dataclasses.replace(
                layer,
                macs=(
                    sum(before.get(node, 0) for node in readers.get(layer.tensor, ())),
                    sum(after.get(node, 0) for node in readers.get(layer.tensor, ())),
                ),
            )
            for layer in self._layers
        )
        report = Report(method, parameters, seed, digest, layers, sizes)
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

    def note(
        self,
        name: str,
        readers: tuple[str, ...],
        before: FloatArray,
        after: FloatArray,
        stored_bytes: int,
    ) -> None:
        """Write down what became of the values of a tensor, and in how many bytes they stand."""
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
