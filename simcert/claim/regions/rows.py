"""The empirical distribution of a data set: each row is a box of zero width."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simcert.claim.region import Region, equal_weights
from simcert.claim.regions.data import read_data, source_of


def data_rows(path: str | Path, inputs: int, rows: Sequence[int] | None = None) -> Region:
    """The rows of a data set, equally likely, each rounded to float32 as networks receive it.

    Args:
        path: a .npy or .npz file, see `data.read_data`.
        inputs: number of inputs of the networks.
        rows: indices of the rows to take; all by default.

    Raises:
        ClaimError: see `data.read_data`, or values that are not finite.
    """
    with np.errstate(over="ignore"):  # infinity is refused by Region
        data = read_data(path, inputs, rows).astype(np.float32).astype(np.float64)
    source = f"{len(data)} rows of {source_of(path)}"
    return Region(data, data, equal_weights(len(data)), source)
