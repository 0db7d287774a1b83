"""Reading JSON of a certificate, strictly: what is ambiguous or malformed is an error."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from simcert.checker.errors import CheckError

LARGEST_FILE = 2**30
"""Bytes of a certificate or of its sidecar."""

_TYPES = {"float64": np.dtype("<f8"), "int64": np.dtype("<i8")}


def read_file(path: Path, what: str, largest: int = LARGEST_FILE) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        CheckError: there is none, or it is too large.
    """
    try:
        if not path.is_file():
            raise CheckError(f"{what}: {path} is no file")
        if path.stat().st_size > largest:
            raise CheckError(f"{what}: {path} has more than {largest} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CheckError(f"{what}: {path} cannot be read: {error.strerror}") from error


def parse(data: bytes) -> dict[str, Any]:
    """Return the object that ``data`` says: each key once, no NaN, no infinity, nothing after.

    Raises:
        CheckError: it is not such an object.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_real,
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise CheckError("the file is not text") from error
    except RecursionError as error:
        raise CheckError("the file nests too deeply") from error
    except ValueError as error:
        raise CheckError(f"the file is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckError("the file is not a JSON object")
    return value


def canonical(value: object) -> bytes:
    """Return the bytes that digests are taken of: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def sha256(data: bytes) -> str:
    """Return the digest in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_numbers(value: object, where: str = "") -> None:
    """Require that every number which stands in decimal and in hexadecimal is the same twice.

    Raises:
        CheckError: naming the first that is not.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_numbers(item, f"{where}[{index}]")
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        check_numbers(item, f"{where}.{key}")
        decimal = key.removesuffix("_hex")
        if decimal != key and decimal in value and not _same(value[decimal], item):
            raise CheckError(f"{where}.{decimal} and {key} differ")


def number(text: str) -> float:
    """Return a number from its hexadecimal form; only the canonical form is one.

    Raises:
        CheckError: it is none.
    """
    try:
        value = float.fromhex(text)
    except (OverflowError, TypeError, ValueError) as error:
        raise CheckError(f"{text!r} is not a hexadecimal number") from error
    if not math.isfinite(value) or value.hex() != text:
        raise CheckError(f"{text!r} is not a hexadecimal number in its canonical form")
    return value


def array(packed: dict[str, Any], kind: str, dimensions: int = 1) -> NDArray[Any]:
    """Return an array from base64 of little-endian numbers.

    Raises:
        CheckError: it is not of this kind, or does not hold what its shape says.
    """
    shape = tuple(packed["shape"])
    if (
        packed["type"] != kind
        or len(shape) != dimensions
        or not all(0 <= n < LARGEST_FILE for n in shape)
    ):
        raise CheckError(f"an array is not {dimensions}-dimensional {kind}")
    try:
        data = base64.b64decode(packed["data"], validate=True)
    except binascii.Error as error:
        raise CheckError("an array is not base64") from error
    if base64.b64encode(data).decode("ascii") != packed["data"]:
        raise CheckError("an array is not canonical base64")
    if len(data) != 8 * math.prod(shape):
        raise CheckError(f"an array of shape {shape} holds {len(data)} bytes")
    values = np.frombuffer(data, _TYPES[kind]).reshape(shape).astype(kind)
    if not np.isfinite(values).all():
        raise CheckError("an array holds NaN or infinity")
    return values


def _same(decimal: object, text: object) -> bool:
    if isinstance(decimal, list) and isinstance(text, list):
        return len(decimal) == len(text) and all(map(_same, decimal, text))
    if decimal is None or text is None:
        return decimal is text
    is_number = isinstance(decimal, int | float) and not isinstance(decimal, bool)
    return is_number and isinstance(text, str) and number(text).hex() == float(decimal).hex()  # type: ignore[arg-type]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise CheckError(f"the key {twice!r} occurs twice")
    return found


def _constant(text: str) -> NoReturn:
    raise CheckError(f"{text} is not a number")


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise CheckError(f"{text[:40]} is outside the range of float64")
    return value


def _whole(text: str) -> int:
    if len(text) > 40:
        raise CheckError(f"a whole number of {len(text)} digits")
    return int(text)
