"""The fields of an ONNX file: those that are admitted, and why the others are not.

A test compares the numbers and types with the descriptors of the installed ``onnx``. A field that
is not listed, because a newer ONNX added it, is refused: a runtime that knows it would read more
into the file than SimCert does.

Source: onnx.proto, IR versions 3 to 10, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a field holds; the wire type follows."""

    INT32 = auto()
    INT64 = auto()
    FLOAT = auto()
    DOUBLE = auto()
    BYTES = auto()
    TEXT = auto()
    """UTF-8; nothing of it is ever printed."""
    NAME = auto()
    """UTF-8, short and printable: it appears in messages and reports."""
    MESSAGE = auto()
    REFUSED = auto()


VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Wire types."""

_WIRE = {
    Kind.INT32: VARINT,
    Kind.INT64: VARINT,
    Kind.FLOAT: FOUR_BYTES,
    Kind.DOUBLE: EIGHT_BYTES,
}


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: in the wire format.
        name: as onnx.proto has it.
        kind: what it holds.
        repeated: whether it may occur more than once.
        message: of which kind its messages are.
        reason: why a file that has it is refused.
    """

    number: int
    name: str
    kind: Kind
    repeated: bool = False
    message: str = ""
    reason: str = ""

    @property
    def wire(self) -> int:
        """The wire type of one value."""
        return _WIRE.get(self.kind, LENGTH)

    @property
    def packs(self) -> bool:
        """Whether values may also come packed, many in one field."""
        return self.repeated and self.kind in _WIRE


def _names(number: int, name: str) -> Field:
    return Field(number, name, Kind.NAME, repeated=True)


def _message(number: int, name: str, message: str) -> Field:
    return Field(number, name, Kind.MESSAGE, message=message)


def _messages(number: int, name: str, message: str) -> Field:
    return Field(number, name, Kind.MESSAGE, repeated=True, message=message)


def _refused(number: int, name: str, reason: str) -> Field:
    return Field(number, name, Kind.REFUSED, reason=reason)


_SPARSE = "is a sparse tensor; store it as a dense one"
_SUBGRAPH = "is a subgraph: control flow is not supported"
_DEVICES = "is spread over devices: not supported"

MESSAGES: dict[str, tuple[Field, ...]] = {
    "model": (
        Field(1, "ir_version", Kind.INT64),
        _messages(8, "opset_import", "operator set"),
        Field(2, "producer_name", Kind.TEXT),
        Field(3, "producer_version", Kind.TEXT),
        Field(4, "domain", Kind.TEXT),
        Field(5, "model_version", Kind.INT64),
        Field(6, "doc_string", Kind.TEXT),
        _message(7, "graph", "graph"),
        _messages(14, "metadata_props", "entry"),
        _refused(20, "training_info", "holds training information; export it for inference"),
        _refused(25, "functions", "defines functions; inline them before export"),
        _refused(26, "configuration", _DEVICES),
    ),
    "operator set": (Field(1, "domain", Kind.NAME), Field(2, "version", Kind.INT64)),
    "entry": (Field(1, "key", Kind.TEXT), Field(2, "value", Kind.TEXT)),
    "graph": (
        _messages(1, "node", "node"),
        Field(2, "name", Kind.TEXT),
        _messages(5, "initializer", "initialiser"),
        _refused(15, "sparse_initializer", "has sparse initialisers; store them as dense tensors"),
        Field(10, "doc_string", Kind.TEXT),
        _messages(11, "input", "input"),
        _messages(12, "output", "output"),
        _messages(13, "value_info", "value"),
        _messages(14, "quantization_annotation", "annotation"),
        _messages(16, "metadata_props", "entry"),
    ),
    "node": (
        _names(1, "input"),
        _names(2, "output"),
        Field(3, "name", Kind.NAME),
        Field(4, "op_type", Kind.NAME),
        Field(7, "domain", Kind.NAME),
        _refused(8, "overload", "calls an overload of a model-local function"),
        _messages(5, "attribute", "attribute"),
        Field(6, "doc_string", Kind.TEXT),
        _messages(9, "metadata_props", "entry"),
        _refused(10, "device_configurations", _DEVICES),
    ),
    "attribute": (
        Field(1, "name", Kind.NAME),
        _refused(21, "ref_attr_name", "refers to a function's attribute outside a function"),
        Field(13, "doc_string", Kind.TEXT),
        Field(20, "type", Kind.INT32),
        Field(2, "f", Kind.FLOAT),
        Field(3, "i", Kind.INT64),
        Field(4, "s", Kind.BYTES),
        _message(5, "t", "tensor"),
        _refused(6, "g", _SUBGRAPH),
        _refused(22, "sparse_tensor", _SPARSE),
        _refused(14, "tp", "is a type: not supported"),
        Field(7, "floats", Kind.FLOAT, repeated=True),
        Field(8, "ints", Kind.INT64, repeated=True),
        Field(9, "strings", Kind.BYTES, repeated=True),
        _refused(10, "tensors", "is a list of tensors: not supported"),
        _refused(11, "graphs", _SUBGRAPH),
        _refused(23, "sparse_tensors", _SPARSE),
        _refused(15, "type_protos", "is a list of types: not supported"),
    ),
    "tensor": (
        Field(1, "dims", Kind.INT64, repeated=True),
        Field(2, "data_type", Kind.INT32),
        _refused(3, "segment", "is stored in segments: not supported"),
        Field(4, "float_data", Kind.FLOAT, repeated=True),
        Field(5, "int32_data", Kind.INT32, repeated=True),
        _refused(6, "string_data", "has element type string: not supported"),
        Field(7, "int64_data", Kind.INT64, repeated=True),
        Field(8, "name", Kind.NAME),
        Field(12, "doc_string", Kind.TEXT),
        Field(9, "raw_data", Kind.BYTES),
        _refused(13, "external_data", "keeps its data in another file; save the model as one file"),
        Field(14, "data_location", Kind.INT32),
        Field(10, "double_data", Kind.DOUBLE, repeated=True),
        Field(11, "uint64_data", Kind.INT64, repeated=True),
        _messages(16, "metadata_props", "entry"),
    ),
    "value": (
        Field(1, "name", Kind.NAME),
        _message(2, "type", "type"),
        Field(3, "doc_string", Kind.TEXT),
        _messages(4, "metadata_props", "entry"),
    ),
    "type": (
        _message(1, "tensor_type", "tensor type"),
        _refused(4, "sequence_type", "is a sequence, not a tensor"),
        _refused(5, "map_type", "is a map, not a tensor"),
        _refused(9, "optional_type", "is optional, not a tensor"),
        _refused(8, "sparse_tensor_type", "is a sparse tensor, not a dense one"),
        _refused(7, "opaque_type", "is of an opaque type, not a tensor"),
        Field(6, "denotation", Kind.TEXT),
    ),
    "tensor type": (Field(1, "elem_type", Kind.INT32), _message(2, "shape", "shape")),
    "shape": (_messages(1, "dim", "size"),),
    "size": (
        Field(1, "dim_value", Kind.INT64),
        Field(2, "dim_param", Kind.NAME),
        Field(3, "denotation", Kind.TEXT),
    ),
    "annotation": (
        Field(1, "tensor_name", Kind.NAME),
        _messages(2, "quant_parameter_tensor_names", "entry"),
    ),
}
MESSAGES["initialiser"] = MESSAGES["tensor"]
MESSAGES["input"] = MESSAGES["output"] = MESSAGES["value"]

VALUE_FIELDS = frozenset({"f", "i", "s", "t", "floats", "ints", "strings"})
"""Where an attribute may have its value."""

DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
"""Where a tensor may have its elements."""

ELEMENTS: dict[int, tuple[str, int, str]] = {
    1: ("float", 32, "float_data"),
    2: ("uint8", 8, "int32_data"),
    3: ("int8", 8, "int32_data"),
    4: ("uint16", 16, "int32_data"),
    5: ("int16", 16, "int32_data"),
    6: ("int32", 32, "int32_data"),
    7: ("int64", 64, "int64_data"),
    9: ("bool", 8, "int32_data"),
    10: ("float16", 16, "int32_data"),
    11: ("double", 64, "double_data"),
    21: ("uint4", 4, "int32_data"),
    22: ("int4", 4, "int32_data"),
}
"""Element types that are admitted: name, bits, and the field that holds them if it is not raw.

Two of four bits share a byte, and an entry of the field."""

HALF_BYTES = frozenset({21, 22})
"""Element types of four bits."""

OTHER_ELEMENTS: dict[int, str] = {
    0: "undefined",
    8: "string",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    23: "float4e2m1",
}
"""Element types that ONNX has and SimCert has not."""
