"""Region, data and configuration files that must be refused; the names are the reasons."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable

import numpy as np

FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {}
"""Suffix, contents, and a regular expression that the refusal matches. Networks have 2 inputs."""


def spelled(suffix: str, message: str) -> Callable[[Callable[[], bytes]], None]:
    """Register the bytes of a file."""

    def register(spell: Callable[[], bytes]) -> None:
        FILES[spell.__name__] = suffix, spell, message

    return register


_NAMES = b"(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
_BOX = b"(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= X_1 1))(assert (>= X_1 0))"


@spelled(".vnnlib", "more than 64 nested parentheses")
def parentheses_nested_a_million_deep() -> bytes:
    return b"(" * 1_000_000


@spelled(".vnnlib", "more than 1048576 opening parentheses")
def ten_million_forms() -> bytes:
    return _NAMES + b"(and)" * 10_000_000


@spelled(".vnnlib", "more than 3500000 words and parentheses")
def ten_million_words() -> bytes:
    return b"(assert " + b"a " * 10_000_000


@spelled(".vnnlib", "is a union of .* boxes or more")
def union_of_two_to_the_thirty_boxes() -> bytes:
    either = b"(assert (or (<= X_0 1) (<= X_0 2)))(assert (or (>= X_0 0) (>= X_1 0)))"
    return _NAMES + either * 30


@spelled(".vnnlib", "a number of 100000 characters")
def constant_of_a_hundred_thousand_digits() -> bytes:
    return _NAMES + b"(assert (<= X_0 " + b"9" * 100_000 + b"))"


@spelled(".vnnlib", "outside the range of float64")
def constant_with_an_exponent_of_a_million() -> bytes:
    return _NAMES + b"(assert (<= X_0 1e999999))"


@spelled(".vnnlib", "neither a declaration of a Real nor an assertion")
def command_to_run() -> bytes:
    return _NAMES + _BOX + b'(eval "import os")'


@spelled(".vnnlib", "X_0 is declared twice")
def name_declared_twice() -> bytes:
    return _NAMES + _NAMES


@spelled(".vnnlib", "the lower bound is above the upper bound")
def box_that_is_empty() -> bytes:
    return _NAMES + _BOX + b"(assert (<= X_0 -1))"


@spelled(".vnnlib", "is not text")
def property_that_is_no_text() -> bytes:
    return b"\xff\xfe" + _NAMES


@spelled(".vnnlib.gz", "holds more than 64 MiB")
def gzip_bomb() -> bytes:
    return gzip.compress(b" " * (1 << 28))


@spelled(".vnnlib.gz", "is not a gzip file")
def gzip_that_is_none() -> bytes:
    return _NAMES


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _archive(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def _header(text: str) -> bytes:
    padded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


@spelled(".npz", "is not an array of plain integers or floating-point numbers")
def pickled_object() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, lower=np.array([print], dtype=object), upper=np.zeros(2))
    return stream.getvalue()


@spelled(".npz", "expands from .* to .* bytes")
def zip_bomb() -> bytes:
    zeros = b"".join([_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}"), bytes(8)])
    return _archive([("lower.npy", zeros), ("upper.npy", zeros + bytes(1 << 27))])


@spelled(".npz", "expands from .* to .* bytes")
def zip_that_claims_a_terabyte() -> bytes:
    data = bytearray(_archive([("lower.npy", b"x"), ("upper.npy", b"y")]))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFF_FFF0)
    return bytes(data)


@spelled(".npz", "is damaged|bytes, the file has")
def zip_that_claims_too_little() -> bytes:
    content = _npy(np.zeros(1 << 16))
    data = bytearray(_archive([("lower.npy", content), ("upper.npy", content)]))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)
    return bytes(data)


@spelled(".npz", "two members of the same name")
def zip_with_two_lower_bounds() -> bytes:
    first, second = _npy(np.zeros(2)), _npy(np.ones(2))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("lower.npy", first)
        archive.writestr("upper.npy", second)
        archive.writestr("lowes.npy", second)
    return stream.getvalue().replace(b"lowes", b"lower")


@spelled(".npz", "300 members; at most 256")
def zip_of_three_hundred_members() -> bytes:
    return _archive([(f"{number}.npy", b"") for number in range(300)])


@spelled(".npz", "is not an .npz file")
def zip_that_is_none() -> bytes:
    return b"PK\x03\x04" + bytes(100)


@spelled(".npz", "is not an array of plain integers or floating-point numbers")
def header_that_is_code() -> bytes:
    code = _header("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': ()}")
    return _archive([("lower.npy", code), ("upper.npy", code)])


@spelled(".npz", "needs 147573952589676412928 bytes, the file has 0")
def shape_that_overflows() -> bytes:
    array = _header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}")
    return _archive([("lower.npy", array), ("upper.npy", array)])


@spelled(".npz", "NaN|finite|nan")
def bounds_that_are_nan() -> bytes:
    return _archive([("lower.npy", _npy(np.full(2, np.nan))), ("upper.npy", _npy(np.ones(2)))])


@spelled(".json", "the key 'lower' comes twice")
def json_key_given_twice() -> bytes:
    return b'{"lower": [0, 0], "upper": [1, 1], "lower": [9, 9]}'


@spelled(".json", "NaN is not a number that a bound can have")
def json_nan() -> bytes:
    return b'{"lower": [NaN, 0], "upper": [1, 1]}'


@spelled(".json", "is nested too deeply")
def json_nested_a_million_deep() -> bytes:
    return b"[" * 1_000_000


@spelled(".json", "more than 2097152 items")
def json_of_three_million_items() -> bytes:
    return b"[" + b"0," * 3_000_000 + b"0]"


@spelled(".json", "a number of 100000 characters")
def json_number_of_a_hundred_thousand_digits() -> bytes:
    return b'{"lower": [' + b"9" * 100_000 + b', 0], "upper": [1, 1]}'


@spelled(".json", "names must be a list of printable strings")
def json_name_that_commands_the_terminal() -> bytes:
    box = {"lower": [0, 0], "upper": [1, 1], "names": ["\x1b[2J", "b"]}
    return json.dumps(box).encode()


@spelled(".json", "is not JSON")
def json_that_is_no_text() -> bytes:
    return b'{"lower": "\xff"}'


@spelled(".json", "holds more than 16 MiB")
def json_of_a_gigabyte_of_blanks() -> bytes:
    return b" " * ((16 << 20) + 1)


@spelled(".toml", "is not TOML: .*overwrite|is not TOML")
def toml_key_given_twice() -> bytes:
    return b"tolerance = 1.0\ntolerance = 2.0\n"


@spelled(".toml", "is nested too deeply")
def toml_nested_a_hundred_thousand_deep() -> bytes:
    return b"a = " + b"[" * 100_000


@spelled(".toml", "a dotted key of more than 16 parts")
def toml_key_of_a_hundred_thousand_parts() -> bytes:
    """What tomllib keeps of it grows by the square: 40 GB."""
    return b"a." * 100_000 + b"a = 1"


@spelled(".toml", "is not TOML")
def toml_number_of_a_hundred_thousand_digits() -> bytes:
    return b"seed = " + b"9" * 100_000


@spelled(".toml", "seed must be a whole number")
def toml_number_beyond_float64() -> bytes:
    return b"seed = 1" + b"0" * 400


@spelled(".toml", "is larger than 1 MiB")
def toml_of_two_megabytes() -> bytes:
    return b"# " + b"x" * (2 << 20)


@spelled(".toml", "unknown key 'execute'")
def toml_with_an_unknown_key() -> bytes:
    return b'execute = "rm -rf /"\n'
