"""Balls around the rows of a data set, in the L∞ norm."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simcert.claim.region import Float, Region, equal_weights
from simcert.claim.regions.data import read_data, source_of
from simcert.claim.rounding import sum_above, sum_below
from simcert.errors import ClaimError

Limit = float | Sequence[float] | None


def balls_around(
    path: str | Path,
    inputs: int,
    radius: float,
    *,
    rows: Sequence[int] | None = None,
    lower: Limit = None,
    upper: Limit = None,
) -> Region:
    """Balls of a radius around data, equally weighted; the bounds are rounded outward.

    Args:
        path: a .npy or .npz file, see `data.read_data`. Integers are taken as they are.
        inputs: number of inputs of the networks.
        radius: of the balls.
        rows: indices of the rows to take; all by default.
        lower: balls are cut off below, at one number or one for each input.
        upper: balls are cut off above.

    Raises:
        ClaimError: the data (see `data.read_data`), a radius that is negative or not finite, or
            rows that lie outside the limits.
    """
    if not (math.isfinite(radius) and radius >= 0):
        raise ClaimError(f"the radius must be finite and not negative, not {radius}")
    centres = read_data(path, inputs, rows)
    if not np.isfinite(centres).all():
        raise ClaimError(f"{path}: the data must be finite")
    floor = _limit(lower, -np.inf, inputs, "lower")
    ceiling = _limit(upper, np.inf, inputs, "upper")
    outside = (centres < floor) | (centres > ceiling)
    if outside.any():
        row, dimension = (int(index) for index in np.argwhere(outside)[0])
        value = centres[row, dimension]
        raise ClaimError(
            f"{path}: input {dimension} of row {row if rows is None else rows[row]} is {value}, "
            f"outside the limits [{floor[dimension]}, {ceiling[dimension]}] of the balls; "
            "is the data scaled as the networks expect it?"
        )
    distance = np.array(radius)
    return Region(
        np.maximum(sum_below(centres, -distance), floor),
        np.minimum(sum_above(centres, distance), ceiling),
        equal_weights(len(centres)),
        f"balls of radius {radius} around {len(centres)} rows of {source_of(path)}",
    )


def _limit(values: Limit, default: float, inputs: int, name: str) -> Float:
    """The limits of all inputs, (inputs,)."""
    limits = np.atleast_1d(np.asarray(default if values is None else values, dtype=np.float64))
    if limits.shape not in ((1,), (inputs,)) or np.isnan(limits).any():
        raise ClaimError(
            f"the {name} limit must be one number or {inputs}, one for each input; "
            f"not {limits.size}"
        )
    return np.broadcast_to(limits, (inputs,))
