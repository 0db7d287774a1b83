"""The protobuf wire format, as much of it as ONNX files use (protobuf.dev, "Encoding").

A message is a sequence of fields: a tag (field number and wire type), then a varint, eight bytes,
four bytes, or a length and so many bytes. Everything out of bounds is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from simcert.checker.errors import CheckError

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10

_FIXED = (_EIGHT_BYTES, _FOUR_BYTES)

Value = int | bytes


class Message:
    """The fields of one message, by number, in the order of the file.

    A field must have the wire type that its kind asks for: protobuf's own reader takes one of
    another type for a field that it does not know, so reading on would be reading something else.

    Args:
        data: the bytes of the message.

    Raises:
        CheckError: they are no message.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[tuple[int, Value]]] = {}
        for number, wire, value in _fields(data):
            self._fields.setdefault(number, []).append((wire, value))

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def integer(self, number: int, default: int = 0) -> int:
        """Return a whole number, int32 or int64."""
        value = self._single(number, _VARINT)
        return _signed(value) if isinstance(value, int) else default

    def real(self, number: int) -> float:
        """Return a number of type float; 0 where it is absent."""
        value = self._single(number, _FOUR_BYTES)
        return float(struct.unpack("<f", value)[0]) if isinstance(value, bytes) else 0.0

    def data(self, number: int) -> bytes:
        """Return bytes; empty where the field is absent."""
        value = self._single(number, _LENGTH)
        return value if isinstance(value, bytes) else b""

    def text(self, number: int) -> str:
        """Return a string; empty where the field is absent."""
        return _text(self.data(number))

    def texts(self, number: int) -> list[str]:
        """Return all strings of a repeated field."""
        return [_text(value) for value in self.parts(number)]

    def message(self, number: int) -> Message:
        """Return a message; an empty one where the field is absent."""
        return Message(self.data(number))

    def messages(self, number: int) -> list[Message]:
        """Return all messages of a repeated field."""
        return [Message(value) for value in self.parts(number)]

    def integers(self, number: int) -> list[int]:
        """Return all whole numbers of a repeated field, packed or not."""
        found: list[int] = []
        for value in self._repeated(number, _LENGTH, _VARINT):
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            position = 0
            while position < len(value):
                item, position = _varint(value, position)
                found.append(_signed(item))
        return found

    def packed(self, number: int) -> bytes:
        """Return the bytes of all fixed-size numbers of a repeated field, packed or not."""
        parts = self._repeated(number, _LENGTH, *_FIXED)
        return b"".join(part for part in parts if isinstance(part, bytes))

    def _single(self, number: int, wire: int) -> Value | None:
        values = self._repeated(number, wire)
        if len(values) > 1:
            raise CheckError(f"not an ONNX file: field {number} occurs {len(values)} times")
        return values[0] if values else None

    def parts(self, number: int) -> list[bytes]:
        """Return the bytes of all messages or strings of a repeated field."""
        return [part for part in self._repeated(number, _LENGTH) if isinstance(part, bytes)]

    def _repeated(self, number: int, *wires: int) -> list[Value]:
        values = self._fields.get(number, [])
        if any(wire not in wires for wire, _ in values):
            raise CheckError(f"not an ONNX file: field {number} is of another type")
        return [value for _, value in values]


def _fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise CheckError("not an ONNX file: field 0")
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, wire, value
            continue
        if wire == _LENGTH:
            size, position = _varint(data, position)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise CheckError(f"not an ONNX file: wire type {wire}")
        if size > len(data) - position:
            raise CheckError("not an ONNX file: it ends in the middle of a field")
        yield number, wire, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if position >= len(data):
            raise CheckError("not an ONNX file: it ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise CheckError("not an ONNX file: a number of more than ten bytes")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CheckError("not an ONNX file: a name is not text") from error
