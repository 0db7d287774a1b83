"""Points of a box: its corners, random ones, and those that come nearest to the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Random = np.random.Generator
_CANDIDATES = 4
"""Random points for each that is kept."""


def points(
    random: Random,
    low: np.ndarray,
    high: np.ndarray,
    slopes: np.ndarray,
    count: int,
    excess: Callable[[np.ndarray], np.ndarray],
    dtype: type = np.float64,
) -> np.ndarray:
    """Points of a box (count, inputs) that `dtype` holds.

    Args:
        random: the generator.
        low, high: corners of the box (inputs,), numbers of `dtype`.
        slopes: of linear bounds (rows, inputs): their worst corners are among the points.
        count: how many.
        excess: says of points (n, inputs), for every bound, by how much the value passes it
            (n, bounds), about; the points where it is greatest are kept.
        dtype: float32 or float64.
    """
    shape = (_CANDIDATES * count, len(low))
    inside = low + (high - low) * random.random(shape)
    corners = np.where(random.random(shape) < 0.5, low, high)
    drawn = np.where(random.random((len(inside), 1)) < 0.5, inside, corners)
    pointed = [np.where(slopes > 0, low, high), np.where(slopes > 0, high, low)]
    fixed = [low, high, low / 2 + high / 2, 0 * low, np.nextafter(low, high)]
    candidates = np.concatenate([np.array(fixed), *pointed, drawn])
    candidates = np.clip(candidates.astype(dtype).astype(np.float64), low, high)
    beyond = np.nan_to_num(excess(candidates), nan=-np.inf)
    worst = random.permutation(beyond.argmax(axis=0))[: count // 2]
    others = random.permutation(len(fixed) + 2 * len(slopes))[: count // 4]
    rest = np.arange(len(candidates) - (count - len(worst) - len(others)), len(candidates))
    return candidates[np.concatenate([worst, others, rest])]
