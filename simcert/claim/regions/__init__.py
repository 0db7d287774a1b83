"""Where regions come from: one reader a file. All bytes are untrusted; every limit is stated."""

from collections.abc import Callable
from pathlib import Path

from simcert.claim.region import Region
from simcert.claim.regions import json_file, npz, vnnlib
from simcert.claim.regions.around import balls_around
from simcert.claim.regions.metadata import region_from_metadata
from simcert.claim.regions.rows import data_rows
from simcert.errors import ClaimError

__all__ = ["balls_around", "data_rows", "read_region", "region_from_metadata"]

_READERS: dict[str, Callable[[Path, int], Region]] = {
    ".vnnlib": vnnlib.read,
    ".vnnlib.gz": vnnlib.read,
    ".npz": npz.read,
    ".json": json_file.read,
}


def read_region(path: str | Path, inputs: int) -> Region:
    """The region in a file, by the end of its name.

    Args:
        path: ``.vnnlib``, ``.vnnlib.gz``, ``.npz`` or ``.json``.
        inputs: number of inputs of the networks.

    Raises:
        ClaimError: an unknown kind of file, or what its reader rejects.
    """
    for suffix, read in _READERS.items():
        if str(path).endswith(suffix):
            return read(Path(path), inputs)
    raise ClaimError(f"{path}: a region is read from {', '.join(_READERS)} files")
