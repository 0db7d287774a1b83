"""Sufficient statistics against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest

from simcert.sampling import Moments


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).random(70_000),
        np.random.default_rng(2).random(1000)
        * 10.0 ** np.random.default_rng(3).integers(-30, 5, 1000),
        np.full(5000, 0.1),  # no variance, and a mean that is no float
        np.full(300, 1e-200),  # squares that vanish
        np.array([1e16, 1.0, 1.0]),
    ],
)
def test_bounds_enclose_the_exact_moments(values: np.ndarray) -> None:
    exact = [Fraction(value) for value in values.tolist()]
    mean = sum(exact) / len(exact)
    variance = (sum(v * v for v in exact) - len(exact) * mean**2) / (len(exact) - 1)
    moments = Moments.of(values)
    assert moments.n == len(values)
    assert Fraction(moments.mean_upper) >= mean
    assert moments.mean_upper == pytest.approx(float(mean), rel=1e-13)
    assert Fraction(moments.variance_upper) >= variance
    scale = float(max(exact)) ** 2
    assert moments.variance_upper == pytest.approx(
        float(variance), rel=1e-9, abs=1e-14 * scale + 1e-300
    )


def test_what_has_no_mean() -> None:
    for values in ([1.0, math.inf], [1.0, 1e200]):
        moments = Moments.of(np.array(values))
        assert moments.sum == moments.squares == moments.variance_upper == math.inf
    assert Moments.of(np.empty(0)) == Moments(0, 0.0, 0.0)
