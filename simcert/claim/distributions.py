"""Input distributions on the boxes of a region: exact masses of sub-boxes, and draws from them.

The distribution on a region is a mixture: a box is drawn with its weight, then a point in it.
All laws here have independent inputs within a box, so the mass of a sub-box is a product.

Masses are rounded up: the computed mass times 1 + (inputs + 2)·2^-39. The special functions and
their arguments are accurate to 2^-40 in each factor, and the two spare terms exceed what the
weights of a region may miss of 1 (`region.WEIGHT_TOLERANCE`). Sums of masses over a partition
therefore never fall below the true probability, and exceed it by a factor of at most
1 + (inputs + 2)·2^-38. A mass is at least the smallest normal float64, so that underflow is rounded
up too.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import special

from simcert.claim import specification
from simcert.errors import ClaimError

Float = NDArray[np.float64]

_SLACK_PER_FACTOR = 2.0**-39


class Distribution(Protocol):
    """A law on each box of a region, with independent inputs.

    Arguments of both methods: ``lower``, ``upper`` bound sub-boxes, ``box_lower``, ``box_upper``
    the boxes of the region in which they lie; all (inputs,) or with one row for each sub-box.
    """

    @property
    def spec(self) -> str:
        """What `parse` turns into this distribution."""

    def describe(self) -> str:
        """The law in words that fit between "x" and "on R"."""

    def mass(self, lower: Float, upper: Float, box_lower: Float, box_upper: Float) -> Float:
        """Probability of each sub-box within its box, rounded up.

        Dimensions in which the box has zero width contribute the factor 1.

        Returns:
            (B,) for sub-boxes of shape (B, inputs).
        """

    def sample(
        self,
        lower: Float,
        upper: Float,
        box_lower: Float,
        box_upper: Float,
        generator: np.random.Generator,
        count: int,
        dtype: DTypeLike = np.float32,
    ) -> Float:
        """Draws from the law conditioned on a sub-box, or one draw from each of ``count``.

        A draw is a real number x (as far as float64 goes) rounded to ``dtype``. Rounding is
        monotone and the bounds of the sub-box are values of ``dtype``, so x in [l, u] gives
        round(x) in [l, u]: choosing a part of a partition by its mass and drawing in it has the
        same law as drawing in the whole box, and what is proved on a closed sub-box holds for
        every draw that belongs to it.

        Args:
            lower: (inputs,), or (count, inputs) with a sub-box for each draw.
            upper: as ``lower``.
            box_lower: (inputs,) or (count, inputs).
            box_upper: as ``box_lower``.
            generator: source of randomness.
            count: number of draws.
            dtype: type of the values.

        Returns:
            (count, inputs), values of ``dtype`` widened to float64.
        """


@dataclass(frozen=True)
class Uniform:
    """Uniform on the box."""

    @property
    def spec(self) -> str:
        """See `Distribution`."""
        return "uniform"

    def describe(self) -> str:
        """See `Distribution`."""
        return "uniform"

    def mass(self, lower: Float, upper: Float, box_lower: Float, box_upper: Float) -> Float:
        """See `Distribution`; the factors are ratios of widths."""
        width = box_upper - box_lower
        free = width > 0
        share = np.where(free, (upper - lower) / np.where(free, width, 1.0), 1.0)
        return _product_above(share)

    def sample(
        self,
        lower: Float,
        upper: Float,
        box_lower: Float,  # noqa: ARG002 - the law within a sub-box is the same in every box
        box_upper: Float,  # noqa: ARG002
        generator: np.random.Generator,
        count: int,
        dtype: DTypeLike = np.float32,
    ) -> Float:
        """See `Distribution`."""
        x = generator.random((count, lower.shape[-1]))
        x *= upper - lower
        x += lower
        return _rounded_into(x, lower, upper, dtype)


@dataclass(frozen=True)
class TruncatedNormal:
    """Independent normals with the mean at the centre of the box, truncated to the box.

    Mean and standard deviation are the float64 values of (lower + upper)/2 and of
    ``scale`` × half-width: that is the definition, not an approximation.

    Attributes:
        scale: standard deviation in half-widths of the box.

    Raises:
        ClaimError: a scale that is not between 1e-3 and 1e3.
    """

    scale: float = 0.5

    def __post_init__(self) -> None:
        if not 1e-3 <= self.scale <= 1e3:
            raise ClaimError(
                f"truncated-normal: scale={self.scale} must be between 0.001 and 1000 half-widths"
            )

    @property
    def spec(self) -> str:
        """See `Distribution`."""
        return f"truncated-normal:scale={self.scale}"

    def describe(self) -> str:
        """See `Distribution`."""
        return (
            "truncated normal (inputs independent, mean at the centre of the box, "
            f"standard deviation {self.scale} half-widths)"
        )

    def mass(self, lower: Float, upper: Float, box_lower: Float, box_upper: Float) -> Float:
        """See `Distribution`; the factors are ratios of normal probabilities."""
        mean, deviation = self.parameters(box_lower, box_upper)
        part = _normal_mass(lower - mean, upper - mean, upper - lower, deviation)
        whole = _normal_mass(box_lower - mean, box_upper - mean, box_upper - box_lower, deviation)
        free = np.broadcast_to(box_upper > box_lower, part.shape)
        return _product_above(np.where(free, part / np.where(whole > 0, whole, 1.0), 1.0))

    def sample(
        self,
        lower: Float,
        upper: Float,
        box_lower: Float,
        box_upper: Float,
        generator: np.random.Generator,
        count: int,
        dtype: DTypeLike = np.float32,
    ) -> Float:
        """See `Distribution`; the distribution function is inverted in logarithms."""
        mean, deviation = self.parameters(box_lower, box_upper)
        a, b = (lower - mean) / deviation, (upper - mean) / deviation
        # Mirror to the left half, where the logarithm of the distribution function keeps its
        # digits: a + b <= 0.
        mirror = np.where(a + b > 0, -1.0, 1.0)
        a, b = np.minimum(mirror * a, mirror * b), np.maximum(mirror * a, mirror * b)
        log_a, log_b = special.log_ndtr(a), special.log_ndtr(b)
        ratio = np.exp(log_a - log_b)
        level = 1.0 - generator.random((count, lower.shape[-1]))  # in (0, 1]
        z = special.ndtri_exp(log_b + np.log(ratio + level * (1.0 - ratio)))
        return _rounded_into(mean + deviation * mirror * z, lower, upper, dtype)

    def parameters(self, box_lower: Float, box_upper: Float) -> tuple[Float, Float]:
        """Return mean and standard deviation of each input before it is truncated."""
        half_width = (box_upper - box_lower) / 2
        deviation = np.maximum(self.scale * half_width, np.finfo(np.float64).tiny)
        return box_lower / 2 + box_upper / 2, deviation


_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)


def _normal_mass(left: Float, right: Float, width: Float, deviation: Float) -> Float:
    """P(left <= N(0, deviation²) <= right) to about 14 digits, at any distance from the mean.

    The width is passed because it is known without cancellation. Three cases, after reflection
    to the left half of the axis (z = left/deviation, ...):

    - the interval holds the mean: a sum of two error functions of the same sign;
    - h·max(1, |z|) <= 1 with h the standardised width: an 8-point Gauss-Legendre rule on the
      density, whose relative error is below 1e-15 there;
    - otherwise the two distribution functions differ by a factor of more than 1.5, and their
      difference loses no digits.
    """
    mirror = (left + right > 0) & (left > 0)
    a = np.where(mirror, -right, left) / deviation
    b = np.where(mirror, -left, right) / deviation
    h = width / deviation
    middle = a / 2 + b / 2

    straddling = (special.erf(b / math.sqrt(2)) - special.erf(a / math.sqrt(2))) / 2
    density = np.zeros_like(middle + h)
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        density += weight / 2 * np.exp(-np.square(middle + h / 2 * node) / 2)
    narrow = h * density / math.sqrt(2 * math.pi)
    wide = special.ndtr(b) - special.ndtr(a)
    same_side = np.where(h * np.maximum(1.0, -middle) <= 1.0, narrow, wide)
    return np.asarray(np.where((a <= 0) & (b >= 0), straddling, same_side))


def _product_above(factors: Float) -> Float:
    """Products along the last axis, rounded up as the module says."""
    slack = 1.0 + (factors.shape[-1] + 2) * _SLACK_PER_FACTOR
    # A partial product that is subnormal lost digits, but then so small is the whole product.
    return np.asarray(np.maximum(np.prod(factors, axis=-1) * slack, np.finfo(np.float64).tiny))


def _rounded_into(x: Float, lower: Float, upper: Float, dtype: DTypeLike) -> Float:
    """Round to ``dtype``, then undo what float64 rounding pushed out of the sub-box.

    Raises:
        ValueError: bounds that are not values of ``dtype``; of bounds for each draw only where a
            draw has to be moved onto one.
    """
    rounded = x.astype(dtype).astype(np.float64)
    outside = (rounded < lower) | (rounded > upper)
    if lower.ndim == 1 or outside.any():
        for bound in (lower, upper):
            if (bound.astype(dtype) != bound).any():
                raise ValueError(f"the bounds of a sub-box must be values of {np.dtype(dtype)}")
        np.clip(rounded, lower, upper, out=rounded)
    return rounded


_KNOWN = ("uniform", "truncated-normal")


def parse(text: str) -> Distribution:
    """A distribution from ``"uniform"`` or ``"truncated-normal[:scale=0.5]"``.

    Raises:
        ClaimError: an unknown name (the message lists the known ones) or option.
    """
    name, options = specification.split(text, "distribution", _KNOWN)
    if name == "uniform":
        specification.only(options, (), name)
        return Uniform()
    specification.only(options, ("scale",), name)
    return TruncatedNormal(specification.number(options, "scale", 0.5, name))
