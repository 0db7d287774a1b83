"""Data sets: the rows of .npy and .npz files as inputs of a network."""

from collections.abc import Sequence
from pathlib import Path

from simcert.claim.region import Float
from simcert.claim.regions.arrays import array_names, as_float64, read_npy, read_npz
from simcert.errors import ClaimError

_USUAL_NAMES = ("x", "inputs", "images")


def read_data(path: str | Path, inputs: int, rows: Sequence[int] | None = None) -> Float:
    """Rows of a data set, flattened in C order and otherwise as they are stored.

    In a .npz file the data is the only array, or the one named x, inputs or images; any other
    one is chosen by ``FILE:name``.

    Args:
        path: the file, with ``:name`` if need be.
        inputs: number of inputs of the networks: the values of a row.
        rows: indices of the rows to take; all by default.

    Returns:
        (rows, inputs).

    Raises:
        ClaimError: a file that cannot be read, another number of inputs, or rows that are not
            there or come twice.
    """
    file, name = _split(str(path))
    if file.suffix == ".npz":
        array = read_npz(file, name or _usual_name(file))
    elif file.suffix == ".npy" and not name:
        array = read_npy(file)
    else:
        raise ClaimError(f"{path}: data is read from .npy and .npz files")
    if array.size == inputs:
        array = array.reshape(1, inputs)
    elif array.ndim < 2 or array.size != len(array) * inputs:
        raise ClaimError(
            f"{path} has shape {array.shape}, but the networks have {inputs} inputs; "
            f"each row must have {inputs} values"
        )
    array = array.reshape(-1, inputs)
    if rows is not None:
        _check_rows(rows, len(array), str(path))
        array = array[list(rows)]
    return as_float64(array, str(path))


def source_of(path: str | Path) -> str:
    """The data set in words: the name of the file, without its folder."""
    return Path(path).name


def _split(text: str) -> tuple[Path, str]:
    """The file and the array's name of ``FILE:name``; a file with a colon comes first."""
    file, _, name = text.rpartition(":")
    if file and not Path(text).exists():
        return Path(file), name
    return Path(text), ""


def _usual_name(path: Path) -> str:
    names = array_names(path)
    usual = [name for name in names if name in _USUAL_NAMES] if len(names) > 1 else names
    if len(usual) != 1:
        raise ClaimError(
            f"{path} has the arrays {', '.join(names) or '(none)'}; choose one by {path.name}:NAME"
        )
    return usual[0]


def _check_rows(rows: Sequence[int], count: int, where: str) -> None:
    if not rows:
        raise ClaimError(f"{where}: no row is selected")
    seen: set[int] = set()
    for row in rows:
        if not 0 <= row < count:
            raise ClaimError(f"{where} has {count} rows, 0 to {count - 1}; there is no row {row}")
        if row in seen:
            raise ClaimError(f"{where}: row {row} is selected twice")
        seen.add(row)
