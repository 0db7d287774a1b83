"""Units: what the sensors measure and what the networks read.

Inputs are (value − mean) / range, the same for all 45 networks; scores are normalised likewise.
The constants are those of the headers of the published .nnet files (Katz, Barrett, Dill, Julian,
Kochenderfer, "Reluplex: an efficient SMT solver for verifying deep neural networks", CAV 2017).
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simcert.claim import Region

Float = NDArray[np.float64]

INPUTS = ("rho", "theta", "psi", "v_own", "v_int")
"""Distance to the intruder; its bearing, counterclockwise from the own heading; its heading
relative to the own one, counterclockwise; the two speeds."""

UNITS = ("ft", "rad", "rad", "ft/s", "ft/s")

ADVISORIES = ("COC", "WL", "WR", "SL", "SR")
"""Clear of conflict, weak left, weak right, strong left, strong right, in the outputs' order."""

_LEAST = ("0", "-3.141593", "-3.141593", "100", "0")
_GREATEST = ("60760", "3.141593", "3.141593", "1200", "1200")
_MEANS = tuple(map(Fraction, ("19791.091", "0", "0", "650", "600")))
_RANGES = tuple(map(Fraction, ("60261", "6.28318530718", "6.28318530718", "1100", "1200")))
_SCORE_MEAN, _SCORE_RANGE = 7.5188840201005975, 373.94992

Bound = float | Decimal


def normalise(raw: ArrayLike) -> Float:
    """Network units of raw inputs (n, 5), rounded to nearest and not clipped to the domain."""
    return np.asarray((np.asarray(raw, np.float64) - _floats(_MEANS)) / _floats(_RANGES))


def denormalise(inputs: ArrayLike) -> Float:
    """Raw units of normalised inputs (n, 5)."""
    return np.asarray(np.asarray(inputs, np.float64) * _floats(_RANGES) + _floats(_MEANS))


def raw_scores(outputs: ArrayLike) -> Float:
    """Raw units of the networks' outputs (n, 5)."""
    return np.asarray(np.asarray(outputs, np.float64) * _SCORE_RANGE + _SCORE_MEAN)


def advisory(outputs: ArrayLike) -> NDArray[np.int64]:
    """Indices into :data:`ADVISORIES`, (n,): the output of least score, the first of equal ones."""
    return np.asarray(np.argmin(np.asarray(outputs), axis=1), dtype=np.int64)


def normalised_box(lower: Sequence[Bound], upper: Sequence[Bound]) -> tuple[Float, Float]:
    """Network units of a raw box, computed exactly and rounded outward to float64, (5,) each."""
    low = [_outward(_exact(i, value), -math.inf) for i, value in enumerate(lower)]
    high = [_outward(_exact(i, value), math.inf) for i, value in enumerate(upper)]
    return np.array(low), np.array(high)


def region(boxes: Sequence[tuple[Sequence[Bound], Sequence[Bound]]], source: str) -> Region:
    """The region of some raw boxes, in network units."""
    bounds = [normalised_box(lower, upper) for lower, upper in boxes]
    lower, upper = (np.array(side) for side in zip(*bounds, strict=True))
    units = tuple(f"normalised {unit}" for unit in UNITS)
    return Region.from_boxes(lower, upper, source=source, names=INPUTS, units=units)


def domain() -> Region:
    """All inputs for which the networks were made."""
    box = [Decimal(value) for value in _LEAST], [Decimal(value) for value in _GREATEST]
    return region([box], "the input domain of ACAS Xu")


def _exact(index: int, value: Bound) -> Fraction:
    return (Fraction(value) - _MEANS[index]) / _RANGES[index]


def _outward(exact: Fraction, direction: float) -> float:
    nearest = float(exact)
    inside = Fraction(nearest) < exact if direction > 0 else Fraction(nearest) > exact
    return math.nextafter(nearest, direction) if inside else nearest


def _floats(values: Sequence[Fraction]) -> Float:
    return np.array([float(value) for value in values])
