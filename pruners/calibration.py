"""Calibration data: the inputs that data-aware compressors measure activations on, and labels."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simcert.claim.regions.arrays import array_names, read_npy, read_npz
from simcert.claim.regions.data import read_data
from simcert.errors import SimcertError

Array: TypeAlias = NDArray[np.generic]
DataSource: TypeAlias = Array | str | os.PathLike[str]

_LABELS = ("y", "labels", "targets")


class DataError(SimcertError):
    """Calibration data or labels do not fit the network."""


@dataclass(frozen=True)
class Calibration:
    """Inputs of a network.

    Attributes:
        inputs: (n, inputs), finite, n ≥ 1.
        sha256: of these numbers as little-endian float64, row by row.
    """

    inputs: NDArray[np.float64]
    sha256: str


def read_calibration(source: DataSource, size: int) -> Calibration:
    """Read calibration data for a network with ``size`` inputs.

    Args:
        source: an array of n rows; or a .npy or .npz file (``FILE:name`` chooses an array), read
            without pickle.
        size: values of a row, in the order of the network's input.

    Raises:
        SimcertError: the file cannot be read, a row has another number of values, there is no
            row, or a value is NaN or infinite.
    """
    if isinstance(source, np.ndarray):
        if source.ndim < 2 or not len(source) or source.size != len(source) * size:
            raise DataError(
                f"the calibration data has shape {source.shape}, but the network has {size} inputs;"
                f" each row must have {size} values"
            )
        rows = source.reshape(len(source), size).astype(np.float64)
    else:
        rows = read_data(os.fspath(source), size)
        if not len(rows):
            raise DataError(f"{source} has no rows")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise DataError(f"the calibration data holds NaN or infinity, first in row {row}")
    return Calibration(rows, hashlib.sha256(rows.astype("<f8").tobytes()).hexdigest())


def read_labels(source: DataSource, count: int, outputs: int) -> Array:
    """Read what the network ought to answer.

    Args:
        source: as for :func:`read_calibration`; in a .npz file the array y, labels or targets.
        count: number of calibration rows.
        outputs: of the network.

    Returns:
        (count,) of class indices as int64, or (count, outputs) of wanted outputs as float64.

    Raises:
        SimcertError: the labels cannot be read or do not fit.
    """
    labels = source if isinstance(source, np.ndarray) else _read(os.fspath(source))
    if labels.dtype.kind in "iu" and labels.shape == (count,):
        classes = labels.astype(np.int64)
        if np.any((classes < 0) | (classes >= outputs)):
            raise DataError(f"class labels must be 0 to {outputs - 1}")
        return classes
    if labels.dtype.kind == "f" and labels.ndim > 1 and labels.size == count * outputs:
        wanted = labels.reshape(count, outputs).astype(np.float64)
        if np.isfinite(wanted).all():
            return wanted
        raise DataError("the labels hold NaN or infinity")
    raise DataError(
        f"the labels are {labels.dtype.name} of shape {labels.shape}; {count} whole numbers are"
        f" needed (classes), or {count} rows of {outputs} floating-point outputs"
    )


def _read(text: str) -> Array:
    file, _, name = text.rpartition(":")
    path = Path(text) if not file or Path(text).exists() else Path(file)
    name = "" if str(path) == text else name
    if path.suffix == ".npy" and not name:
        return read_npy(path)
    if path.suffix != ".npz":
        raise DataError(f"{text}: labels are read from .npy and .npz files")
    if not name:
        names = array_names(path)
        usual = [known for known in names if known in _LABELS] if len(names) > 1 else names
        if len(usual) != 1:
            raise DataError(
                f"{path} has the arrays {', '.join(names)}; choose the labels by {path.name}:NAME"
            )
        name = usual[0]
    return read_npz(path, name)
