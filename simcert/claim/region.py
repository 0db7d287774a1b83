"""Input regions: unions of axis-aligned boxes, with the weight of each box."""

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from simcert.errors import ClaimError
from simcert.numerals import exact, exact_list

Float = NDArray[np.float64]

WEIGHT_TOLERANCE = 1e-12
"""How far the sum of the weights may be from 1; `distributions` rounds masses up by more."""

MAX_LISTED = 4096
"""Most bounds of one kind that reports and certificates list; of larger regions the digest."""


@dataclass(frozen=True, eq=False)
class Region:
    """A union of boxes in the flattened input space of the original network.

    A box may have zero width in some or all dimensions. A distribution on the region draws a box
    with its weight and then a point in it, so overlapping boxes make a mixture. The arrays are
    read-only copies.

    Attributes:
        lower: (boxes, inputs) lower bounds, finite.
        upper: (boxes, inputs) upper bounds, finite, nowhere below ``lower``.
        weights: (boxes,) non-negative, with sum 1.
        source: in words, where the region comes from.
        names: of the inputs; empty when unknown.
        units: of the inputs; empty when unknown.

    Raises:
        ClaimError: arrays of other shapes, no box, a bound that is not finite, inverted bounds
            (an empty box would make every claim true), or weights that do not sum to 1.
    """

    lower: Float
    upper: Float
    weights: Float
    source: str
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("lower", "upper", "weights"):
            array = np.array(getattr(self, field), dtype=np.float64, order="C") + 0.0
            array.flags.writeable = False
            object.__setattr__(self, field, array)
        self._check_bounds()
        self._check_weights()
        for label, words in (("names", self.names), ("units", self.units)):
            if words and len(words) != self.inputs:
                raise ClaimError(
                    f"{self.source}: {len(words)} {label} for {self.inputs} inputs; "
                    "give one for each input or none"
                )

    def _check_bounds(self) -> None:
        lower, upper = self.lower, self.upper
        if lower.ndim != 2 or lower.shape != upper.shape:
            raise ClaimError(
                f"{self.source}: lower and upper bounds must have the same shape "
                f"(boxes, inputs), not {lower.shape} and {upper.shape}"
            )
        if 0 in lower.shape:
            raise ClaimError(f"{self.source}: a region needs at least one box and one input")
        for bad, problem in (
            (~(np.isfinite(lower) & np.isfinite(upper)), "the bounds must be finite"),
            (lower > upper, "the lower bound is above the upper bound"),
        ):
            if bad.any():
                raise ClaimError(f"{self._place(bad)}; {problem}")
        with np.errstate(over="ignore"):
            too_wide = ~np.isfinite(upper - lower)
        if too_wide.any():
            raise ClaimError(f"{self._place(too_wide)}; the width overflows float64")

    def _place(self, bad: NDArray[np.bool_]) -> str:
        box, dimension = (int(index) for index in np.argwhere(bad)[0])
        name = f" ({self.names[dimension]})" if len(self.names) > dimension else ""
        return (
            f"{self.source}: input {dimension}{name} of box {box} is bounded by "
            f"[{self.lower[box, dimension]}, {self.upper[box, dimension]}]"
        )

    def _check_weights(self) -> None:
        weights = self.weights
        if weights.shape != (self.boxes,):
            raise ClaimError(
                f"{self.source}: weights of shape {weights.shape} for {self.boxes} boxes"
            )
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ClaimError(f"{self.source}: weights must be finite and not negative")
        total = math.fsum(weights)
        if abs(total - 1.0) > WEIGHT_TOLERANCE:
            raise ClaimError(f"{self.source}: the weights sum to {total}, not to 1")

    @classmethod
    def from_boxes(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        source: str,
        weights: ArrayLike | None = None,
        names: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
    ) -> "Region":
        """A region with relative weights, or the weights that its boxes suggest.

        Args:
            lower: (boxes, inputs).
            upper: (boxes, inputs).
            source: in words, where the region comes from.
            weights: (boxes,) relative to each other; they are divided by their sum. By default
                proportional to the volume of the boxes when all have zero width in the same
                dimensions (volumes of the same dimension can be compared), else equal.
            names: of the inputs.
            units: of the inputs.

        Raises:
            ClaimError: see the class; or weights whose sum is not positive and finite.
        """
        low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        boxes = low.shape[0] if low.ndim else 0
        # The bounds are checked before anything is computed from them.
        region = cls(low, high, equal_weights(boxes), source, names, units)
        if weights is None:
            return dataclasses.replace(region, weights=_volume_weights(region))
        relative = np.asarray(weights, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(relative.sum())
        if not (math.isfinite(total) and total > 0 and (relative >= 0).all()):
            raise ClaimError(f"{source}: weights must be finite, not negative, and not all zero")
        if abs(math.fsum(relative.ravel()) - 1.0) > WEIGHT_TOLERANCE:
            relative = relative / total
        return dataclasses.replace(region, weights=relative)

    @property
    def boxes(self) -> int:
        """Number of boxes."""
        return int(self.lower.shape[0])

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.lower.shape[1])

    def contains(self, x: Float, box: int | None = None) -> NDArray[np.bool_]:
        """Which points lie in the region, or in one of its boxes; boxes are closed.

        Args:
            x: (n, inputs).
            box: index of a box; all boxes by default.

        Returns:
            (n,) booleans.
        """
        inside = np.zeros(len(x), dtype=bool)
        for index in range(self.boxes) if box is None else (box,):
            inside |= ((self.lower[index] <= x) & (x <= self.upper[index])).all(axis=1)
        return inside

    def rounded_outward(self, dtype: DTypeLike) -> "Region":
        """The smallest region with bounds in ``dtype`` that contains this one.

        Weights are kept. A zero-width dimension whose value is not representable becomes one
        step of ``dtype`` wide.

        Args:
            dtype: a floating type, the input type of the networks.

        Raises:
            ClaimError: not a floating type, or a bound outside its range.
        """
        target = np.dtype(dtype)
        if target.kind != "f":
            raise ClaimError(
                f"{self.source}: inputs of type {target} have no region of real numbers; "
                "use a network with floating-point inputs"
            )
        with np.errstate(over="ignore"):
            low, high = self.lower.astype(target), self.upper.astype(target)
            low = np.where(low > self.lower, np.nextafter(low, np.array(-np.inf, target)), low)
            high = np.where(high < self.upper, np.nextafter(high, np.array(np.inf, target)), high)
        outside = ~(np.isfinite(low) & np.isfinite(high))
        if outside.any():
            raise ClaimError(f"{self._place(outside)}; that is outside the range of {target}")
        return dataclasses.replace(
            self, lower=low.astype(np.float64), upper=high.astype(np.float64)
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form.

        ``sha256`` is the digest of lower bounds, upper bounds and weights as little-endian
        float64, in C order. The bounds themselves are listed up to `MAX_LISTED` values.
        """
        digest = hashlib.sha256()
        for array in (self.lower, self.upper, self.weights):
            digest.update(array.astype("<f8").tobytes())
        listed = None
        if self.lower.size <= MAX_LISTED:
            bounds = zip(
                self.lower.tolist(), self.upper.tolist(), self.weights.tolist(), strict=True
            )
            listed = [
                {**exact_list("lower", low), **exact_list("upper", high), **exact("weight", weight)}
                for low, high, weight in bounds
            ]
        return {
            "source": self.source,
            "inputs": self.inputs,
            "boxes": self.boxes,
            "sha256": digest.hexdigest(),
            "bounds": listed,
            "names": list(self.names),
            "units": list(self.units),
        }


def equal_weights(boxes: int) -> Float:
    """(boxes,) weights 1/boxes: for balls around data and for data itself."""
    return np.full(boxes, 1.0 / max(boxes, 1))


def _volume_weights(region: Region) -> Float:
    width = region.upper - region.lower
    free = width > 0
    if (free != free[0]).any():
        return equal_weights(region.boxes)
    # Volumes of thousands of dimensions leave the range of float64; their logarithms do not.
    log_volume = np.log(np.where(free, width, 1.0)).sum(axis=1)
    volume = np.exp(log_volume - log_volume.max())
    return np.asarray(volume / volume.sum())
