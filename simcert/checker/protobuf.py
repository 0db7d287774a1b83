"""The protobuf wire format, as much of it as ONNX files use (protobuf.dev, "Encoding").

A message is a sequence of fields: a tag (field number and wire type), then a varint, eight bytes,
four bytes, or a length and so many bytes. Parsers part ways on what is unusual: they skip fields
that they do not know, cut tags to 32 bits, merge a field that comes twice. So only one reading is
let through: fields of ``FIELDS``, in their types, single ones once, numbers in their shortest form.
Everything else is an error, wherever it stands in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from simcert.checker.errors import CannotCheckError, CheckError

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_SIZES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_LONGEST_VARINT = 10
_NO_FILE = "not an ONNX file"


class _Field(NamedTuple):
    """A field: its wire type, whether it may come again, and the kind of its messages."""

    wire: int = _LENGTH
    repeated: bool = False
    message: str = ""


_WHOLE, _FLOAT, _BYTES, _STRINGS = (
    _Field(_VARINT),
    _Field(_FOUR_BYTES),
    _Field(),
    _Field(_LENGTH, True),
)
_WHOLES, _FLOATS, _DOUBLES = (_Field(w, True) for w in (_VARINT, _FOUR_BYTES, _EIGHT_BYTES))


def _one(message: str) -> _Field:
    return _Field(message=message)


def _many(message: str) -> _Field:
    return _Field(repeated=True, message=message)


FIELDS: dict[str, dict[int, _Field]] = {
    "model": {
        **dict.fromkeys((1, 5), _WHOLE),  # ir_version, model_version
        **dict.fromkeys((2, 3, 4, 6), _BYTES),  # who made it, documentation
        7: _one("graph"),
        8: _many("operator set"),
        14: _many("entry"),
        25: _STRINGS,  # functions
    },
    "operator set": {1: _BYTES, 2: _WHOLE},
    "entry": {1: _BYTES, 2: _BYTES},
    "graph": {
        1: _many("node"),
        **dict.fromkeys((2, 10), _BYTES),  # name, documentation
        5: _many("tensor"),
        **dict.fromkeys((11, 12, 13), _many("value")),
        14: _many("annotation"),
        15: _STRINGS,  # sparse initialisers
        16: _many("entry"),
    },
    "node": {
        **dict.fromkeys((1, 2), _STRINGS),  # inputs, outputs
        **dict.fromkeys((3, 4, 6, 7), _BYTES),  # name, operator, documentation, domain
        5: _many("attribute"),
        9: _many("entry"),
    },
    "attribute": {
        **dict.fromkeys((1, 13), _BYTES),  # name, documentation
        20: _WHOLE,  # type
        2: _FLOAT,
        3: _WHOLE,
        4: _BYTES,
        5: _one("tensor"),
        6: _one("graph"),
        7: _FLOATS,
        8: _WHOLES,
        9: _STRINGS,
        11: _many("graph"),
    },
    "tensor": {
        **dict.fromkeys((1, 5, 7, 11), _WHOLES),  # sizes; int32, int64 and uint64 data
        **dict.fromkeys((2, 14), _WHOLE),  # element type, where the data is
        4: _FLOATS,
        10: _DOUBLES,
        **dict.fromkeys((8, 9, 12), _BYTES),  # name, raw data, documentation
        13: _STRINGS,  # data in other files
        16: _many("entry"),
    },
    "value": {1: _BYTES, 2: _one("type"), 3: _BYTES, 4: _many("entry")},
    "type": {1: _one("tensor type"), 6: _BYTES},
    "tensor type": {1: _WHOLE, 2: _one("shape")},
    "shape": {1: _many("size")},
    "size": {1: _WHOLE, 2: _BYTES, 3: _BYTES},
    "annotation": {1: _BYTES, 2: _many("entry")},
}
"""What is read of an ONNX file, by kind of message and number (onnx.proto, IR versions 3 to 10)."""

_CHOICES = {"attribute": (*range(2, 10), 11), "tensor": (4, 5, 7, 9, 10, 11), "size": (1, 2)}
"""Fields of which a message has one at most."""

Value = int | bytes


class Message:
    """The fields of one message, by number, in the order of the file.

    Args:
        data: the bytes of the message.
        kind: of ``FIELDS``.

    Raises:
        CheckError: they are no such message, or one that parsers may read in several ways.
        CannotCheckError: it has a field that is not known.
    """

    def __init__(self, data: bytes, kind: str = "model") -> None:
        self._kind = kind
        self._fields: dict[int, list[Value | Message]] = {}
        for number, wire, value in _fields(data):
            field = FIELDS[kind].get(number)
            if field is None:
                raise CannotCheckError(f"the checker does not know field {number} of one {kind}")
            packed = wire == _LENGTH and field.repeated
            if wire != field.wire and not packed:
                raise CheckError(f"{_NO_FILE}: field {number} of one {kind} is of another type")
            if number in self._fields and not field.repeated:
                raise CheckError(f"{_NO_FILE}: field {number} of one {kind} occurs twice")
            read = Message(_bytes(value), field.message) if field.message else value
            self._fields.setdefault(number, []).append(read)
        if sum(number in self._fields for number in _CHOICES.get(kind, ())) > 1:
            raise CheckError(f"{_NO_FILE}: one {kind} holds several values")

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def integer(self, number: int, default: int = 0) -> int:
        """Return a whole number, int32 or int64."""
        value = self._single(number)
        return _signed(value) if isinstance(value, int) else default

    def real(self, number: int) -> float:
        """Return a number of type float; 0 where it is absent."""
        value = self._single(number)
        return float(struct.unpack("<f", value)[0]) if isinstance(value, bytes) else 0.0

    def data(self, number: int) -> bytes:
        """Return bytes; empty where the field is absent."""
        return _bytes(self._single(number))

    def text(self, number: int) -> str:
        """Return a string; empty where the field is absent."""
        return _text(self.data(number))

    def texts(self, number: int) -> list[str]:
        """Return all strings of a repeated field."""
        return [_text(_bytes(value)) for value in self._fields.get(number, [])]

    def message(self, number: int) -> Message:
        """Return a message; an empty one where the field is absent."""
        value = self._single(number)
        return (
            value
            if isinstance(value, Message)
            else Message(b"", FIELDS[self._kind][number].message)
        )

    def messages(self, number: int) -> list[Message]:
        """Return all messages of a repeated field."""
        return [value for value in self._fields.get(number, []) if isinstance(value, Message)]

    def integers(self, number: int) -> list[int]:
        """Return all whole numbers of a repeated field, packed or not."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            data, position = _bytes(value), 0
            while position < len(data):
                item, position = _varint(data, position)
                found.append(_signed(item))
        return found

    def packed(self, number: int) -> bytes:
        """Return the bytes of all fixed-size numbers of a repeated field, packed or not."""
        return b"".join(_bytes(value) for value in self._fields.get(number, []))

    def _single(self, number: int) -> Value | Message | None:
        return self._fields[number][0] if number in self._fields else None


def _fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        if tag >= 1 << 32:
            raise CheckError(f"{_NO_FILE}: a tag of more than 32 bits")
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, wire, value
            continue
        if wire == _LENGTH:
            size, position = _varint(data, position)
        elif wire in _SIZES:
            size = _SIZES[wire]
        else:
            raise CheckError(f"{_NO_FILE}: wire type {wire}")
        if size > len(data) - position:
            raise CheckError(f"{_NO_FILE}: it ends in the middle of a field")
        yield number, wire, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if position >= len(data):
            raise CheckError(f"{_NO_FILE}: it ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 1 << 64 or (index and not byte):
                raise CheckError(f"{_NO_FILE}: a number that is not in its shortest form")
            return value, position
    raise CheckError(f"{_NO_FILE}: a number of more than ten bytes")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: Value | Message | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CheckError(f"{_NO_FILE}: a name is not text") from error
