"""From an admitted ONNX file to a ``Graph``, or an error that says why its values are refused."""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from simcert.errors import ModelError
from simcert.model.admission import admit
from simcert.model.admission.scan import INLINE, bytes_of, place
from simcert.model.admission.schema import HALF_BYTES
from simcert.model.graph import Array, Attribute, Graph, Node, TensorInfo

LARGEST_FILE = 2**31
"""Bytes; what the protobuf format itself can hold."""

_DEFAULT_DOMAINS = ("", "ai.onnx")

_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators that draw: two sessions draw the same numbers, which makes a noise look like none."""

_SCALES: Mapping[str, tuple[int, ...]] = {
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
    "QuantizeLinear": (1,),
}
"""Which inputs of a quantiser are scales."""


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
        The graph as the file has it. Initialisers that the file also lists among its inputs, as
        files before IR version 4 must, are constants like all others; ``overridable`` names them.

    Raises:
        ModelError: the bytes are not an ONNX model, or one that SimCert does not admit.
    """
    model = admit(data)
    graph = model.graph
    constants = {
        proto.name: _tensor(data, proto, f"initialiser {proto.name!r}")
        for proto in graph.initializer
    }
    opset = next(item.version for item in model.opset_import if item.domain in _DEFAULT_DOMAINS)
    nodes = tuple(_node(data, proto, int(opset)) for proto in graph.node)
    _check_values(nodes, constants)
    halves = {proto.name for proto in graph.initializer if proto.data_type in HALF_BYTES}
    _check_halves(nodes, halves)
    inputs = tuple(_info(value) for value in graph.input if value.name not in constants)
    outputs = tuple(map(_info, graph.output))
    return Graph(
        input=inputs[0],
        output=outputs[0],
        nodes=nodes,
        constants=constants,
        opset=int(opset),
        metadata={item.key: item.value for item in model.metadata_props},
        overridable=tuple(value.name for value in graph.input if value.name in constants),
        inputs=inputs,
        outputs=outputs,
    )


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    """Return name, declared sizes (None where one is symbolic) and type."""
    declared = value.type.tensor_type
    return TensorInfo(
        value.name,
        tuple(int(axis.dim_value) if axis.dim_value > 0 else None for axis in declared.shape.dim),
        helper.tensor_dtype_to_np_dtype(declared.elem_type),
    )


def _tensor(data: bytes, proto: TensorProto, where: str) -> Array:
    """Return the elements of a tensor of the skeleton; those of a large one are in ``data``.

    Numbers of four bits become int8 or uint8.
    """
    array: Array
    if proto.data_type in HALF_BYTES:
        array = _widened(data, proto)
    elif bytes_of(list(proto.dims), proto.data_type) > INLINE and proto.HasField("raw_data"):
        offset, length = place(proto.raw_data)
        dtype = helper.tensor_dtype_to_np_dtype(proto.data_type).newbyteorder("<")
        stored = np.frombuffer(data, dtype, length // dtype.itemsize, offset)
        array = stored.reshape(proto.dims).astype(dtype.newbyteorder("="))
    else:
        array = np.array(numpy_helper.to_array(proto))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(f"{where} holds NaN or infinity")
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise ModelError(f"{where} holds a boolean that is neither 0 nor 1")
    array.setflags(write=False)
    return array


def _widened(data: bytes, proto: TensorProto) -> Array:
    """Return numbers of four bits as int8 or uint8; the first of a byte has its lower half."""
    packed = np.array(proto.int32_data, dtype=np.int64).astype(np.uint8)
    if proto.HasField("raw_data"):
        offset, length = 0, len(proto.raw_data)
        large = bytes_of(list(proto.dims), proto.data_type) > INLINE
        if large:
            offset, length = place(proto.raw_data)
        packed = np.frombuffer(data if large else proto.raw_data, np.uint8, length, offset)
    halves = np.stack([packed & 0x0F, packed >> 4], axis=1).reshape(-1)[: math.prod(proto.dims)]
    if proto.data_type == TensorProto.INT4:
        halves = (halves.astype(np.int8) ^ 8) - 8  # the sign is in the fourth bit
    widened: Array = halves.reshape(proto.dims)
    return widened


def _node(data: bytes, proto: onnx.NodeProto, opset: int) -> Node:
    return Node(
        operator=proto.op_type,
        name=_name(proto),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={item.name: _attribute(data, proto, item) for item in proto.attribute},
        opset=opset,
    )


def _name(proto: onnx.NodeProto) -> str:
    return proto.name or next(iter(proto.output), "")


def _attribute(data: bytes, node: onnx.NodeProto, proto: AttributeProto) -> Attribute:
    where = f"attribute {proto.name!r} of node {_name(node)!r} ({node.op_type})"
    if proto.type == AttributeProto.TENSOR:
        if proto.t.data_type in HALF_BYTES:
            raise ModelError(f"{where} has numbers of four bits; make it an initialiser")
        return _tensor(data, proto.t, where)
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


def _check_values(nodes: Iterable[Node], constants: Mapping[str, Array]) -> None:
    """Refuse operators that draw random numbers, and scales of quantisers that are not positive."""
    made = {
        node.outputs[0]: value
        for node in nodes
        if node.operator == "Constant" and (value := node.array("value")) is not None
    }
    known = {**made, **constants}
    for node in nodes:
        if node.operator in _RANDOM or _trains(node, known):
            raise ModelError(
                f"operator {node.operator!r} (node {node.name!r}) draws random numbers; a network "
                "without a definite output cannot be compared"
            )
        for position in _SCALES.get(node.operator, ()):
            scale = known.get(node.inputs[position])
            if scale is not None and not (scale.astype(np.float64) > 0).all():
                raise ModelError(
                    f"node {node.name!r} ({node.operator}) has the scale {scale.min()}; "
                    "scales must be positive"
                )


def _check_halves(nodes: Iterable[Node], halves: Collection[str]) -> None:
    """Refuse numbers of four bits where more than their values counts, as a quantiser's limits."""
    for node in nodes:
        if node.operator != "DequantizeLinear":
            for name in node.inputs:
                if name in halves:
                    raise ModelError(
                        f"operator {node.operator!r} (node {node.name!r}) reads {name!r}, which "
                        "has numbers of four bits: only DequantizeLinear may"
                    )


def _trains(node: Node, known: Mapping[str, Array]) -> bool:
    """Whether a Dropout may drop: its training mode is anything but a constant false."""
    if node.operator != "Dropout" or len(node.inputs) < 3 or not node.inputs[2]:
        return False
    mode = known.get(node.inputs[2])
    return mode is None or bool(mode.any())
