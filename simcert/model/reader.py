"""Admission of an ONNX file: untrusted bytes to a ``Graph``, or an error that says why not."""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import AttributeProto, TensorProto, numpy_helper

from simcert.errors import ModelError
from simcert.model.graph import LATEST_OPSET, Array, Attribute, Graph, Node, TensorInfo

LARGEST_FILE = 2**31
"""Bytes; what the protobuf format itself can hold."""

LARGEST_INPUT = 2**26
"""Elements of one input sample."""

IR_VERSIONS = range(3, 11)
OPSETS = range(7, LATEST_OPSET + 1)

_DEFAULT_DOMAINS = ("", "ai.onnx")
_FLOATS: dict[int, np.dtype[np.generic]] = {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.DOUBLE: np.dtype(np.float64),
}
_ELEMENTS = {
    *_FLOATS,
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
}


def read_bytes(path: Path) -> bytes:
    """Return the contents of a model file.

    Raises:
        ModelError: there is no such regular file, or it is empty, unreadable or too large.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir():
        raise ModelError(f"{path}: is a directory; name the .onnx file itself")
    if not path.is_file():
        raise ModelError(f"{path}: is not a regular file")
    size = path.stat().st_size
    if size == 0:
        raise ModelError(f"{path}: is empty")
    if size > LARGEST_FILE:
        raise ModelError(f"{path}: {size} bytes; at most {LARGEST_FILE} are admitted")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def read(data: bytes) -> Graph:
    """Read an ONNX model.

    Args:
        data: the bytes of the file.

    Returns:
        The graph as the file has it, nodes in topological order. An operator that ONNX does not
        know stays in the graph as a node; of one that it knows, arity and attributes are checked.

    Raises:
        ModelError: the bytes are not an ONNX model, or one that SimCert does not admit.
    """
    model = _parse(data)
    opset = _versions(model)
    if model.functions:
        names = ", ".join(function.name for function in model.functions)
        raise ModelError(f"the model defines functions ({names}); inline them before export")
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelError("the model has sparse initialisers; store them as dense tensors")
    constants: dict[str, Array] = {}
    for initialiser in graph.initializer:
        if not initialiser.name or initialiser.name in constants:
            raise ModelError(f"initialiser name {initialiser.name!r} is empty or used twice")
        constants[initialiser.name] = _tensor(initialiser, f"initialiser {initialiser.name!r}")
    entry = _only("input", [value for value in graph.input if value.name not in constants])
    result = _only("output", graph.output)
    _check_nodes(graph.node, model.ir_version, opset)
    nodes = [_node(proto, opset) for proto in graph.node]
    return Graph(
        input=_input(entry),
        output=TensorInfo(result.name, _shape(result), _element_type(result)),
        nodes=_sorted(nodes, {entry.name, *constants}, result.name),
        constants=constants,
        opset=opset,
        metadata={item.key: item.value for item in model.metadata_props},
    )


def _parse(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError("is not an ONNX file: the bytes cannot be parsed") from error
    if not model.HasField("graph") or not model.ir_version:
        raise ModelError("is not an ONNX file: it holds no graph")
    if any(isinstance(text, bytes) for text in _strings(model)):
        raise ModelError("the model holds a name that is not valid UTF-8")
    for node in model.graph.node:
        if node.domain in _DEFAULT_DOMAINS:
            node.domain = ""
    return model


def _strings(message: Message) -> Iterator[str | bytes]:
    """Yield every string of a message; protobuf hands out what is not valid UTF-8 as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield from (value,) if isinstance(value, str | bytes) else value
        elif field.type == field.TYPE_MESSAGE:
            for part in (value,) if isinstance(value, Message) else value:
                yield from _strings(part)


def _versions(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    if model.ir_version not in IR_VERSIONS:
        raise ModelError(
            f"ONNX IR version {model.ir_version} is not supported "
            f"(from {IR_VERSIONS[0]} to {IR_VERSIONS[-1]})"
        )
    versions = [item.version for item in model.opset_import if item.domain in _DEFAULT_DOMAINS]
    if len(versions) != 1:
        raise ModelError(f"the default operator set is imported {len(versions)} times, not once")
    opset = int(versions[0])
    if opset not in OPSETS:
        raise ModelError(
            f"ONNX operator set {opset} is not supported (from {OPSETS[0]} to {OPSETS[-1]})"
        )
    return opset


def _only(kind: str, values: Iterable[onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    found = list(values)
    if len(found) != 1:
        names = ", ".join(repr(value.name) for value in found) or "none"
        raise ModelError(f"the model must have exactly one {kind}, it has {len(found)}: {names}")
    return found[0]


def _element_type(value: onnx.ValueInfoProto) -> np.dtype[np.generic]:
    element = value.type.tensor_type.elem_type
    if element not in _FLOATS:
        raise ModelError(
            f"{value.name!r} must be a tensor of floats (float16, float32 or float64), "
            f"not {_type_name(element)}"
        )
    return _FLOATS[element]


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return the declared sizes, None where one is symbolic."""
    if not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"{value.name!r} declares no shape; run ONNX shape inference on the file")
    return tuple(
        int(axis.dim_value) if axis.dim_value > 0 else None
        for axis in value.type.tensor_type.shape.dim
    )


def _input(value: onnx.ValueInfoProto) -> TensorInfo:
    info = TensorInfo(value.name, _shape(value), _element_type(value))
    if None in info.shape[1:]:
        raise ModelError(
            f"input {info.name!r} has shape {info.shape}: "
            "only the leading size, the batch, may be symbolic; fix the others"
        )
    if info.size > LARGEST_INPUT:
        raise ModelError(f"input {info.name!r} of shape {info.shape} is too large")
    return info


def _tensor(proto: TensorProto, where: str) -> Array:
    if proto.data_location == TensorProto.EXTERNAL or proto.external_data:
        raise ModelError(f"{where} keeps its data in another file; save the model as one file")
    if proto.data_type not in _ELEMENTS:
        raise ModelError(f"{where} has element type {_type_name(proto.data_type)}: not supported")
    if any(size < 0 for size in proto.dims):
        raise ModelError(f"{where} has a negative size")
    try:
        array: Array = np.array(numpy_helper.to_array(proto))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{where} does not hold what its shape says: {error}") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(f"{where} holds NaN or infinity")
    array.setflags(write=False)
    return array


def _check_nodes(nodes: Iterable[onnx.NodeProto], ir_version: int, opset: int) -> None:
    """Let ONNX check arity and attributes of every operator that its specification knows."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = ir_version
    context.opset_imports = {"": opset}
    for node in nodes:
        for attribute in node.attribute:
            _check_attribute(node, attribute)
        if node.domain or not onnx.defs.has(node.op_type, opset, ""):
            continue
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise ModelError(f"ONNX rejects node {_name(node)!r}: {error}") from error


def _check_attribute(node: onnx.NodeProto, attribute: AttributeProto) -> None:
    where = f"attribute {attribute.name!r} of node {_name(node)!r} ({node.op_type})"
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        raise ModelError(f"{where} is a subgraph: control flow is not supported")
    if attribute.ref_attr_name:
        raise ModelError(f"{where} refers to a function's attribute outside a function")


def _node(proto: onnx.NodeProto, opset: int) -> Node:
    return Node(
        operator=f"{proto.domain}::{proto.op_type}" if proto.domain else proto.op_type,
        name=_name(proto),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={item.name: _attribute(proto, item) for item in proto.attribute},
        opset=opset,
    )


def _name(proto: onnx.NodeProto) -> str:
    return proto.name or next(iter(proto.output), "")


def _attribute(node: onnx.NodeProto, proto: AttributeProto) -> Attribute:
    where = f"attribute {proto.name!r} of node {_name(node)!r} ({node.op_type})"
    if proto.type == AttributeProto.TENSOR:
        return _tensor(proto.t, where)
    value = _plain(proto, where)
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise ModelError(f"{where} holds NaN or infinity")
    return value


def _plain(proto: AttributeProto, where: str) -> Attribute:
    try:
        match proto.type:
            case AttributeProto.INT:
                return int(proto.i)
            case AttributeProto.FLOAT:
                return float(proto.f)
            case AttributeProto.STRING:
                return proto.s.decode()
            case AttributeProto.INTS:
                return tuple(int(item) for item in proto.ints)
            case AttributeProto.FLOATS:
                return tuple(float(item) for item in proto.floats)
            case AttributeProto.STRINGS:
                return tuple(item.decode() for item in proto.strings)
    except UnicodeDecodeError as error:
        raise ModelError(f"{where} is not text") from error
    raise ModelError(f"{where} has type {proto.type}: not supported")


def _type_name(element: int) -> str:
    known = element in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(element)).lower() if known else f"number {element}"


def _sorted(nodes: list[Node], given: set[str], result: str) -> tuple[Node, ...]:
    """Return the nodes in topological order, as close to the order of the file as can be."""
    producer: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in producer or name in given:
                raise ModelError(f"tensor {name!r} is produced twice")
            producer[name] = position
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in producer and name not in given:
                raise ModelError(
                    f"node {node.name!r} ({node.operator}) reads tensor {name!r}, "
                    "which nothing produces"
                )
    if result not in producer and result not in given:
        raise ModelError(f"nothing produces the output {result!r}")
    needs = {
        position: {producer[name] for name in node.inputs if name in producer}
        for position, node in enumerate(nodes)
    }
    try:
        return tuple(nodes[position] for position in _smallest_first(needs))
    except CycleError as error:
        names = ", ".join(repr(nodes[position].name) for position in error.args[1])
        raise ModelError(f"the graph has a cycle through the nodes {names}") from error


def _smallest_first(needs: Mapping[int, set[int]]) -> Iterator[int]:
    """Yield every key after all that it needs, always the smallest that is ready."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ready: list[int] = []
    while sorter.is_active():
        for position in sorter.get_ready():
            heapq.heappush(ready, position)
        position = heapq.heappop(ready)
        sorter.done(position)
        yield position
