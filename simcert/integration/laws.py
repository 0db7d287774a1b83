"""The law of the inputs within a box, seen from the corner where a linear bound is greatest.

On a box an input is x_j = corner_j ± w_j U_j, with w_j the width and U_j in [0, 1]. The laws of the
project have independent inputs, also conditioned on a box, so all that the inequalities need are
the transforms log E[e^{−t U_j}], the means, the variances and the greatest densities of the U_j.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from simcert.claim import Distribution, TruncatedNormal, Uniform
from simcert.integration.rounding import Float

_TRANSFORM_ERROR = 2.0**-48
"""Absolute error of `_uniform_transform`, per 1 + |t|, the rounding of t included."""

_LOG_ERROR = 2.0**-38
"""Error of a logarithm of a normal probability, per 1 + the squares of what it is made from."""

_PROBE = 2.0**-8
"""Where a transform is evaluated to bound a mean."""


class Law(Protocol):
    """Independent U_j on [0, 1], one row (n,) for each of M half-spaces."""

    @property
    def density(self) -> Float:
        """At least the density of U_j, (M, n)."""

    @property
    def mean_lower(self) -> Float:
        """At most E[U_j], (M, n)."""

    @property
    def mean_upper(self) -> Float:
        """At least E[U_j], (M, n)."""

    @property
    def variance_upper(self) -> Float:
        """At least Var[U_j], (M, n)."""

    def log_transform(self, t: Float) -> Float:
        """Return log E[e^{−t U_j}] for any real t (M, n), rounded up; t is taken within 2^-52."""


@dataclass(frozen=True, eq=False)
class UniformLaw:
    """U_j uniform on [0, 1]; its numbers do not depend on the box.

    Attributes:
        one: (M, n), ones.
    """

    one: Float

    @property
    def density(self) -> Float:
        """See `Law`."""
        return self.one

    @property
    def mean_lower(self) -> Float:
        """See `Law`."""
        return 0.5 * self.one

    @property
    def mean_upper(self) -> Float:
        """See `Law`."""
        return 0.5 * self.one

    @property
    def variance_upper(self) -> Float:
        """See `Law`."""
        return (1.0 + 2.0**-50) / 12.0 * self.one

    def log_transform(self, t: Float) -> Float:
        """See `Law`."""
        return _uniform_transform(t)


@dataclass(frozen=True, eq=False)
class NormalLaw:
    """x_j standard normal, truncated to [a_j, b_j], and U_j = (b_j − x_j)/(b_j − a_j).

    Attributes:
        lower: a (M, n).
        upper: b (M, n), where the corner is.
        width: b − a (M, n), known without cancellation; 0 where the box is flat.
    """

    lower: Float
    upper: Float
    width: Float

    @classmethod
    def of(
        cls,
        law: TruncatedNormal,
        box: tuple[Float, Float],
        root: tuple[Float, Float],
        corner_above: NDArray[np.bool_],
    ) -> Self:
        """The law on parts ``box`` of the boxes ``root``, seen from the corners."""
        mean, deviation = law.parameters(*root)
        a, b = (box[0] - mean) / deviation, (box[1] - mean) / deviation
        return cls(
            np.where(corner_above, a, -b),
            np.where(corner_above, b, -a),
            (box[1] - box[0]) / deviation,
        )

    @cached_property
    def _size(self) -> Float:
        return 1.0 + np.square(self.lower) + np.square(self.upper)

    @cached_property
    def _log_mass(self) -> Float:
        """Log P(a ≤ N(0, 1) ≤ b), rounded down."""
        return _log_normal(self.lower, self.upper, self.width) - _LOG_ERROR * self._size

    def _log_peak(self, z: Float) -> Float:
        """Log of the density of U_j at x_j = z, rounded up; 0 where the box is flat."""
        log = np.log(self.width) - np.square(z) / 2 - _LOG_ROOT - self._log_mass
        return np.where(self.width > 0, log + _LOG_ERROR * self._size, 0.0)

    @cached_property
    def density(self) -> Float:
        """See `Law`; the normal density is greatest nearest to 0."""
        nearest = np.clip(0.0, self.lower, self.upper)
        return np.maximum(1.0, np.exp(self._log_peak(nearest)))

    @cached_property
    def mean_lower(self) -> Float:
        """See `Law`; E[U] ≥ −log E[e^{−tU}]/t, by Jensen's inequality."""
        return np.maximum(0.0, -self.log_transform(np.full_like(self.width, _PROBE)) / _PROBE)

    @cached_property
    def mean_upper(self) -> Float:
        """See `Law`; E[U] ≤ log E[e^{tU}]/t."""
        return np.minimum(1.0, self.log_transform(np.full_like(self.width, -_PROBE)) / _PROBE)

    @property
    def variance_upper(self) -> Float:
        """See `Law`; E[(U − 1/2)²] with the greatest density, and never above 1/4."""
        return np.minimum(0.25, self.density * ((1.0 + 2.0**-50) / 12.0))

    def log_transform(self, t: Float) -> Float:
        """See `Law`: the lesser of the exact transform and of one for a simpler density.

        Exactly, with s = t/(b − a),

            E[e^{−tU}] = e^{s²/2 − s b} P(a − s ≤ N(0, 1) ≤ b − s) / P(a ≤ N(0, 1) ≤ b),

        which cancels where b − a is small. There the normal density is close to an exponential
        function that is nowhere below it, its tangent's at b in logarithms, and the transform of
        that is the density at b times a uniform one at t − b (b − a).
        """
        simple = self._log_peak(self.upper) + _uniform_transform(t - self.upper * self.width)
        simple += 2.0**-48 * np.abs(self.upper * self.width)
        with np.errstate(all="ignore"):
            s = t / self.width
            error = _LOG_ERROR * (self._size + np.square(s))
            exact = s * (s / 2 - self.upper) - self._log_mass
            exact += _log_normal(self.lower - s, self.upper - s, self.width) + error
        return np.fmin(simple, np.where(np.isfinite(exact), exact, np.inf))


def law_of(
    distribution: Distribution,
    box: tuple[Float, Float],
    root: tuple[Float, Float],
    corner_above: NDArray[np.bool_],
) -> Law:
    """Return the law within boxes, seen from corners.

    Args:
        distribution: on the region's boxes.
        box: lower and upper corners (M, n).
        root: those of the region's boxes around them (M, n).
        corner_above: (M, n) whether the corner is at the upper bound.

    Raises:
        TypeError: a distribution whose transforms are not known here.
    """
    if isinstance(distribution, Uniform):
        return UniformLaw(np.ones_like(box[0]))
    if isinstance(distribution, TruncatedNormal):
        return NormalLaw.of(distribution, box, root, corner_above)
    raise TypeError(f"no transforms are known of {distribution.spec}")


_LOG_ROOT = math.log(2.0 * math.pi) / 2.0
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)


def _uniform_transform(t: Float) -> Float:
    """log((1 − e^{−t})/t) for any real t, rounded up."""
    size = np.abs(t)
    safe = np.where(size > 0, size, 1.0)
    with np.errstate(under="ignore"):
        log = np.where(size > 0, np.log(-np.expm1(-safe) / safe), 0.0)
    return np.asarray(log + np.maximum(-t, 0.0) + _TRANSFORM_ERROR * (1.0 + size))


def _log_normal(a: Float, b: Float, width: Float) -> Float:
    """Log P(a ≤ N(0, 1) ≤ b), to about 12 digits of 1 + a² + b², at any distance from 0.

    The cases are those of `simcert.claim.distributions`, in logarithms: an interval that holds 0; a
    narrow one on one side, by Gauss-Legendre quadrature; a wide one on one side.
    """
    mirror = a + b > 0
    a, b = np.where(mirror, -b, a), np.where(mirror, -a, b)
    with np.errstate(all="ignore"):
        straddling = np.log((special.erf(b / math.sqrt(2)) - special.erf(a / math.sqrt(2))) / 2)
        middle = a / 2 + b / 2
        density = np.zeros_like(middle)
        for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
            step = width / 2 * node
            density += weight / 2 * np.exp(-step * (middle + step / 2))
        narrow = np.log(width) - np.square(middle) / 2 - _LOG_ROOT + np.log(density)
        log_a, log_b = special.log_ndtr(a), special.log_ndtr(b)
        wide = log_b + np.log1p(-np.exp(log_a - log_b))
    one_side = np.where(width * np.maximum(1.0, -middle) <= 1.0, narrow, wide)
    return np.asarray(np.where(b >= 0, straddling, one_side))
