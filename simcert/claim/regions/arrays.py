"""Arrays from untrusted .npy and .npz files, without pickle and without evaluating anything.

The header of a .npy file is a Python literal. numpy always writes it in the same form, so a
regular expression reads it; the declared shape must match the bytes that follow, and the expanded
sizes of a .npz archive are checked before anything is expanded.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import io
import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simcert.claim.regions.bytes import read_bytes
from simcert.errors import ClaimError

Float = NDArray[np.float64]

MAX_BYTES = 1 << 30
"""Most bytes of a file, and of the arrays of an archive together once expanded."""

MAX_VALUES = 1 << 26
"""Most values of an array of bounds or data that is used (512 MiB as float64)."""

MAX_MEMBERS = 256

FREE_EXPANSION = 64 << 20
"""Bytes to which an archive may always expand; beyond, to `MAX_RATIO` times what is stored."""

MAX_RATIO = 100

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4}  # of the header's length, by format version
_MAX_HEADER = 10_000
_HEADER = re.compile(
    rb"\{'descr': *'([<>|=][fiub][1248])', *'fortran_order': *(True|False), *"
    rb"'shape': *\(([0-9, ]{0,300})\) *,? *\} *\n?"
)


def array_names(path: Path) -> list[str]:
    """The names of the arrays in a .npz file, in its order.

    Raises:
        ClaimError: not a .npz file, or one beyond the limits.
    """
    with _archive(path) as archive:
        return [info.filename.removesuffix(".npy") for info in archive.infolist()]


def read_npz(path: Path, name: str) -> NDArray[np.generic]:
    """One array of a .npz file.

    Raises:
        ClaimError: no such array (the message lists those there are), or a damaged one.
    """
    with _archive(path) as archive:
        names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
        if name not in names:
            raise ClaimError(f"{path} has no array {name!r}; it has {', '.join(names) or 'none'}")
        try:
            data = archive.read(archive.infolist()[names.index(name)])
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise ClaimError(f"{path}: array {name!r} is damaged: {error}") from error
    return _array(data, f"{path}:{name}")


def read_npy(path: Path) -> NDArray[np.generic]:
    """The array of a .npy file.

    Raises:
        ClaimError: not a .npy file of plain numbers, or one beyond the limits.
    """
    return _array(read_bytes(path, MAX_BYTES), str(path))


def as_float64(array: NDArray[np.generic], where: str) -> Float:
    """The numbers of an array, unchanged.

    Raises:
        ClaimError: too many, or integers that float64 does not hold exactly.
    """
    if array.size > MAX_VALUES:
        raise ClaimError(f"{where} has {array.size} values; at most {MAX_VALUES}: select rows")
    converted = array.astype(np.float64)
    if array.dtype.kind in "iu" and array.size and np.abs(converted).max() > 2.0**53:
        raise ClaimError(f"{where} has integers beyond 2^53, which float64 does not hold")
    return converted


def _archive(path: Path) -> zipfile.ZipFile:
    """Open a .npz file, its directory checked."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(read_bytes(path, MAX_BYTES)))
    except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise ClaimError(f"{path} is not an .npz file: {error}") from error
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ClaimError(f"{path} has {len(members)} members; at most {MAX_MEMBERS}")
    if len({info.filename for info in members}) < len(members):
        raise ClaimError(f"{path} has two members of the same name")
    expanded = sum(info.file_size for info in members)
    stored = sum(info.compress_size for info in members)
    if expanded > min(MAX_BYTES, max(FREE_EXPANSION, MAX_RATIO * stored)):
        raise ClaimError(
            f"{path} expands from {stored} to {expanded} bytes; at most {MAX_BYTES}, and "
            f"{MAX_RATIO} times what is stored, are admitted"
        )
    for info in members:
        plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not plain or info.flag_bits & 1:
            raise ClaimError(
                f"{path}: member {info.filename!r} is encrypted or compressed in a way that "
                "numpy does not write"
            )
    return archive


def _array(data: bytes, where: str) -> NDArray[np.generic]:
    """The array that the bytes of a .npy file describe."""
    length_bytes = _LENGTH_BYTES.get(data[6]) if data[:6] == _MAGIC and len(data) > 8 else None
    if length_bytes is None:
        raise ClaimError(f"{where} is not a .npy array (format version 1 or 2)")
    start = 8 + length_bytes
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start:end]) if end - start <= _MAX_HEADER else None
    if header is None:
        raise ClaimError(f"{where} is not an array of plain integers or floating-point numbers")
    description, order, sizes = (group.decode("ascii") for group in header.groups())
    try:
        dtype = np.dtype(description)
        shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    except (TypeError, ValueError) as error:
        raise ClaimError(f"{where}: the header is malformed: {error}") from error
    if dtype.kind == "b" or len(shape) > 32:
        raise ClaimError(f"{where} is not an array of plain integers or floating-point numbers")
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise ClaimError(
            f"{where}: shape {shape} of {dtype} needs {math.prod(shape) * dtype.itemsize} bytes, "
            f"the file has {len(data) - end}"
        )
    flat = np.frombuffer(data, dtype, offset=end)
    return flat.reshape(shape, order="F" if order == "True" else "C")
