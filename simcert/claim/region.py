"""Input regions: unions of axis-aligned boxes, with the weight of each box."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A union of boxes in the flattened input space of the original network.

    ``lower`` and ``upper`` have shape (boxes, inputs); a box may have zero width in some or all
    dimensions. ``weights`` (boxes,) sum to 1: a distribution on the region draws a box with its
    weight and then a point in it, so overlapping boxes make a mixture. ``source`` says in words
    where the region comes from. ``names`` and ``units`` of the inputs are optional.
    """

    lower: Float
    upper: Float
    weights: Float
    source: str
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
