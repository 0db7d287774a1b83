"""The first gate: a model's bytes are walked, within limits, before any library sees them.

The walk follows the wire format of protobuf by the fields that `schema` admits. It copies no
weights, it goes as deep as the schema, which has no recursion, and its time is linear in the
number of fields, which is limited. What comes out is a *skeleton*: the same model, in which each
large tensor's data is replaced by the place where the file has it. Libraries parse the skeleton.

Source: protobuf.dev, "Encoding".
"""

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from simcert.errors import ModelError
from simcert.model.admission.schema import (
    DATA_FIELDS,
    EIGHT_BYTES,
    ELEMENTS,
    FOUR_BYTES,
    LENGTH,
    MESSAGES,
    OTHER_ELEMENTS,
    VALUE_FIELDS,
    VARINT,
    Field,
    Kind,
)

LARGEST_SKELETON = 2**26
"""Bytes of a model without the data of its large tensors."""

MAX_FIELDS = 2**20
"""Fields of the whole file. A quantised network of ten thousand layers has about half of them."""

MAX_NAME = 4096
"""Bytes of a name."""

MAX_AXES = 32
MAX_ATTRIBUTES = 64
"""Attributes of one node; no operator of ONNX has more than twenty."""

MAX_NUMBERS = 2**16
"""Numbers or strings in one attribute."""

MAX_OPERANDS = 2**12
"""Inputs or outputs of one node."""

INLINE = 4096
"""Bytes of tensor data up to which they stay in the skeleton."""

_RAW_DATA = 9 << 3 | LENGTH
_FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
_PLACE = struct.Struct("<QQ")
_CONTINUED = bytes(range(0x80, 0x100))
_UNNAMED = frozenset({"model", "graph", "tensor", "type", "tensor type", "shape"})
"""Messages of which there is one where they stand: an error is about what they belong to."""

Span = tuple[int, int, int]
"""Bytes of the file: where their field starts, where they start, where they stop."""

Found = dict[str, list[Any]]
"""Values by the name of their field: int, str, `Span`, or the label of a message."""


def skeleton(data: bytes) -> bytes:
    """Walk an ONNX file and return it without the data of its large tensors.

    Args:
        data: the file.

    Returns:
        The bytes of a model. A tensor of more than `INLINE` bytes has, as raw data, the place
        where the file has its elements, see `place`.

    Raises:
        ModelError: the bytes are no ONNX model, are beyond a limit, or hold what SimCert does not
            admit, wherever it stands in the file.
    """
    try:
        _, rebuilt = _Scan(data).message("model", 0, len(data))
    except _Refusal as refusal:
        raise ModelError(str(refusal)) from None
    result = data if rebuilt is None else rebuilt
    if len(result) > LARGEST_SKELETON:
        raise ModelError(
            f"the model has {len(result)} bytes beside the raw data of its tensors; at most "
            f"{LARGEST_SKELETON} are admitted"
        )
    return result


def bytes_of(dims: list[int], element: int) -> int:
    """The bytes that a tensor of an admitted element type takes."""
    return (math.prod(dims) * ELEMENTS[element][1] + 7) // 8


def place(reference: bytes) -> tuple[int, int]:
    """Where the file has the elements of a large tensor: offset and length in bytes."""
    offset, length = _PLACE.unpack(reference)
    return offset, length


class _Refusal(Exception):  # noqa: N818 - it becomes a ModelError at the top
    """What is wrong, and with what: each message on the way out adds its name."""

    def __init__(self, reason: str, *where: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where

    def __str__(self) -> str:
        return f"{' of '.join(self.where) or 'the model'} {self.reason}"


def _broken(detail: str) -> NoReturn:
    raise ModelError(f"is not an ONNX file: {detail}")


class _Scan:
    """One walk over one file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_FIELDS

    def message(self, kind: str, start: int, end: int) -> tuple[str, bytes | None]:
        """Walk one message.

        A refusal waits until the end of the message, so that it can say its name.

        Returns:
            Its label, and its bytes if the data of a tensor was taken out of them, else None.
        """
        data, fields = self._data, _BY_TAG[kind]
        found: Found = {}
        refusal: _Refusal | None = None
        pieces: list[bytes] = []
        kept = position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"the model has more than {MAX_FIELDS} fields")
            at = position
            tag, position = self._varint(at, end)
            field = fields.get(tag) or _unknown(kind, tag)
            value: Any
            position, value = self._value(field, tag & 7, at, position, end)
            try:
                if field.kind is Kind.MESSAGE:
                    value, rebuilt = self.message(field.message, value[1], value[2])
                    if rebuilt is not None:
                        pieces += data[kept:at], _length_field(tag, rebuilt)
                        kept = position
                else:
                    value = self._checked(field, value)
            except _Refusal as error:
                refusal = refusal or error
                continue
            found.setdefault(field.name, []).append(value)
            if not field.repeated and len(found[field.name]) > 1:
                _broken(f"field {field.name!r} of a {kind} occurs twice")
        label = _label(kind, found)
        try:
            if refusal is not None:
                raise refusal
            if kind in _CHECKS:
                _CHECKS[kind](self, found)
            cut = self._cut(found) if MESSAGES[kind] is MESSAGES["tensor"] else None
        except _Refusal as error:
            where = () if kind in _UNNAMED else (f"{kind} {label}" if label else f"one {kind}",)
            raise _Refusal(error.reason, *error.where, *where) from None
        if cut is not None:
            at, first, stop = cut
            reference = _length_field(_RAW_DATA, _PLACE.pack(first, stop - first))
            return label, data[start:at] + data[stop:end] + reference
        return label, b"".join([*pieces, data[kept:end]]) if pieces else None

    def _value(
        self, field: Field, wire: int, at: int, position: int, end: int
    ) -> tuple[int, int | Span]:
        """Return where a value ends, and a number or where its bytes are."""
        if wire == VARINT:
            value, stop = self._varint(position, end)
            value -= (value >> 63) << 64
            if field.kind is Kind.INT32 and not -(1 << 31) <= value < 1 << 31:
                _broken(f"field {field.name!r} is outside the range of its type")
            return stop, value
        size = _FIXED.get(wire, 0)
        if wire == LENGTH:
            size, position = self._varint(position, end)
        stop = position + size
        if stop > end:
            _broken("it ends in the middle of a field")
        return stop, (at, position, stop)

    def _checked(self, field: Field, value: int | Span) -> int | str | Span:
        """Return the value of a field that is no message; texts are decoded."""
        if field.kind is Kind.REFUSED:
            raise _Refusal(field.reason)
        if isinstance(value, int) or field.kind not in (Kind.TEXT, Kind.NAME):
            return value
        _, start, stop = value
        if field.kind is Kind.NAME and stop - start > MAX_NAME:
            raise _Refusal(f"has a name of {stop - start} bytes; at most {MAX_NAME} are admitted")
        try:
            text = self._data[start:stop].decode()
        except UnicodeDecodeError:
            raise _Refusal("holds a name or a text that is not valid UTF-8") from None
        if field.kind is Kind.NAME and not text.isprintable():
            raise _Refusal(f"has a name with control characters: {text[:80]!a}")
        return text

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        data = self._data
        value = shift = 0
        while position < end:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 64:
                    _broken("it has a number of more than 64 bits")
                return value, position
            shift += 7
            if shift > 63:
                _broken("it has a number of more than ten bytes")
        _broken("it ends in the middle of a number")

    def _cut(self, found: Found) -> Span | None:
        """Check a tensor against its data; the data's span if it is to be taken out."""
        dims = self._integers(found.get("dims", []), MAX_AXES, "axes")
        element = found.get("data_type", [0])[0]
        if element not in ELEMENTS:
            name = OTHER_ELEMENTS.get(element, f"number {element}")
            raise _Refusal(f"has element type {name}: not supported")
        if found.get("data_location", [0])[0]:
            raise _Refusal("keeps its data in another file; save the model as one file")
        if any(size < 0 for size in dims):
            raise _Refusal("has a negative size")
        name, bits, typed = ELEMENTS[element]
        sources = [source for source in DATA_FIELDS if found.get(source)]
        if len(sources) > 1 or not set(sources) <= {"raw_data", typed}:
            raise _Refusal(f"of type {name} has its data in {' and '.join(sources)}")
        source = sources[0] if sources else "raw_data"
        values = found.get(source, [])
        if source == "raw_data":
            have = sum(stop - first for _, first, stop in values)
        else:
            have = max(1, bits // 8) * self._count(source, values)
        expected = bytes_of(dims, element)
        if have != expected:
            shape = "x".join(map(str, dims)) or "()"
            raise _Refusal(
                f"does not hold what its shape says: {shape} of {name} takes {expected} bytes, "
                f"the file has {have}"
            )
        fixed = source in ("raw_data", "float_data", "double_data")
        if expected <= INLINE or not fixed or len(values) != 1:
            return None
        span: Span = values[0]
        return span

    def _count(self, name: str, values: list[int | Span]) -> int:
        """The number of numbers in a repeated field of them, packed or not."""
        width = {"float_data": 4, "floats": 4, "double_data": 8}.get(name)
        count = 0
        for value in values:
            if isinstance(value, int):
                count += 1
            elif width:
                count += (value[2] - value[1]) // width
            else:  # the last byte of each number is below 0x80
                count += len(self._data[value[1] : value[2]].translate(None, _CONTINUED))
        return count

    def _integers(self, values: list[int | Span], limit: int, what: str) -> list[int]:
        """The whole numbers of a repeated field, packed or not."""
        if self._count("", values) > limit:
            raise _Refusal(f"has more than {limit} {what}")
        return [number for value in values for number in self._each(value)]

    def _each(self, value: int | Span) -> Iterator[int]:
        if isinstance(value, int):
            yield value
            return
        _, position, stop = value
        while position < stop:
            number, position = self._varint(position, stop)
            yield number - ((number >> 63) << 64)

    # -- what is checked of a whole message

    def check_model(self, found: Found) -> None:
        _check_unique(found.get("metadata_props", []), "has the metadata key {} twice")
        _check_unique(found.get("opset_import", []), "imports the operator set {!r} twice")

    def check_graph(self, found: Found) -> None:
        _check_unique(found.get("initializer", []), "has the initialiser {} twice")
        _check_unique(found.get("input", []), "has the input {} twice")
        _check_unique(found.get("output", []), "has the output {} twice")
        _check_unique(found.get("value_info", []), "declares the tensor {} twice")

    def check_node(self, found: Found) -> None:
        for field in ("input", "output"):
            if len(found.get(field, [])) > MAX_OPERANDS:
                raise _Refusal(f"has more than {MAX_OPERANDS} {field}s")
        attributes = found.get("attribute", [])
        if len(attributes) > MAX_ATTRIBUTES:
            raise _Refusal(f"has {len(attributes)} attributes; at most {MAX_ATTRIBUTES}")
        _check_unique(attributes, "has the attribute {} twice")

    def check_attribute(self, found: Found) -> None:
        present = sorted(VALUE_FIELDS & found.keys())
        if len(present) > 1:
            raise _Refusal(f"has several values: {', '.join(present)}")
        for field in ("floats", "ints"):
            if self._count(field, found.get(field, [])) > MAX_NUMBERS:
                raise _Refusal(f"has more than {MAX_NUMBERS} numbers")
        if len(found.get("strings", [])) > MAX_NUMBERS:
            raise _Refusal(f"has more than {MAX_NUMBERS} strings")

    def check_shape(self, found: Found) -> None:
        if len(found.get("dim", [])) > MAX_AXES:
            raise _Refusal(f"has more than {MAX_AXES} axes")

    def check_size(self, found: Found) -> None:
        if "dim_value" in found and "dim_param" in found:
            raise _Refusal("is both a number and a name")


def _check_unique(labels: list[str], reason: str) -> None:
    seen: set[str] = set()
    for label in labels:
        if label in seen:
            raise _Refusal(reason.format(label))
        seen.add(label)


_CHECKS: dict[str, Callable[[_Scan, Found], None]] = {
    "model": _Scan.check_model,
    "graph": _Scan.check_graph,
    "node": _Scan.check_node,
    "attribute": _Scan.check_attribute,
    "shape": _Scan.check_shape,
    "size": _Scan.check_size,
}


def _label(kind: str, found: Found) -> str:
    """What tells a message from its neighbours, quoted: ``'y' (Relu)`` for a node."""
    names = (found[name] for name in ("name", "key", "tensor_name", "output") if name in found)
    label = repr(next(names, [""])[0])
    if kind == "operator set":
        domain = found.get("domain", [""])[0]
        return "" if domain == "ai.onnx" else str(domain)
    if kind == "node":
        return f"{label} ({found.get('op_type', ['no operator'])[0]})"
    return label


def _length_field(tag: int, content: bytes) -> bytes:
    return _encoded(tag) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _unknown(kind: str, tag: int) -> NoReturn:
    if any(field.number == tag >> 3 for field in MESSAGES[kind]):
        _broken(f"field {tag >> 3} of one {kind} is of another type")
    raise ModelError(
        f"is not an ONNX file, or a newer one: field {tag >> 3} of one {kind} is not known"
    )


def _tags(field: Field) -> Iterator[int]:
    yield field.number << 3 | field.wire
    if field.packs:
        yield field.number << 3 | LENGTH


_BY_TAG: dict[str, dict[int, Field]] = {
    kind: {tag: field for field in fields for tag in _tags(field)}
    for kind, fields in MESSAGES.items()
}
