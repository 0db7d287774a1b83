"""How often the bounds of a mean are wrong, at a known truth, over thousands of samples.

A rate of at most alpha is accepted up to the point where a correct bound would fail once in a
million runs of the test. That this point is near enough to see a defect is shown by the traps: the
mistakes that the inequalities are known for all fail it.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from simcert.sampling import betting
from simcert.sampling.bernstein import KnownVariance
from simcert.sampling.bernstein import mean_upper as bernstein_upper
from simcert.sampling.empirical_bernstein import mean_upper as empirical_bernstein_upper
from simcert.sampling.hoeffding import mean_upper as hoeffding_upper

Float = NDArray[np.float64]
Law = tuple[Callable[[np.random.Generator, tuple[int, int]], Float], float, float]
"""Sampler of values in [0, RANGE] of a shape, mean, variance."""

REPETITIONS = 2000
ALPHA = 0.05
RANGE = 3.0
N = 60


def acceptable(repetitions: int, alpha: float) -> int:
    return int(binom.ppf(1 - 1e-6, repetitions, alpha))


def constant(value: float) -> Law:
    return lambda _, shape: np.full(shape, value), value, 0.0


LAWS: dict[str, Law] = {
    "constant": constant(1.25),
    "always zero": constant(0.0),
    "always R": constant(RANGE),
    "uniform": (lambda g, s: RANGE * g.random(s), RANGE / 2, RANGE**2 / 12),
    "two extremes": (lambda g, s: RANGE * (g.random(s) < 0.5), RANGE / 2, RANGE**2 / 4),
    "rare extreme": (
        lambda g, s: RANGE * (g.random(s) < 1.5 / N),
        RANGE * 1.5 / N,
        RANGE**2 * (1.5 / N) * (1 - 1.5 / N),
    ),
    "rarely not extreme": (
        lambda g, s: RANGE * (g.random(s) < 1 - 1.5 / N),
        RANGE * (1 - 1.5 / N),
        RANGE**2 * (1.5 / N) * (1 - 1.5 / N),
    ),
    "skewed": (lambda g, s: RANGE * g.random(s) ** 9, RANGE / 10, RANGE**2 * (1 / 19 - 1 / 100)),
}


@pytest.mark.parametrize("law", LAWS)
def test_fixed_n_bounds_hold_their_level(law: str) -> None:
    draw, mean, variance = LAWS[law]
    x = draw(np.random.default_rng(11), (REPETITIONS, N))
    means = np.minimum(RANGE, x.mean(axis=1)).tolist()
    variances = x.var(axis=1, ddof=1).tolist()
    known = KnownVariance(variance, "law of the test")
    wrong = np.zeros(3, dtype=int)
    for m, v in zip(means, variances, strict=True):
        wrong += (
            hoeffding_upper(N, m, RANGE, ALPHA) < mean,
            bernstein_upper(N, m, known, RANGE, ALPHA) < mean,
            empirical_bernstein_upper(N, m, v, RANGE, ALPHA) < mean,
        )
    assert wrong.max() <= acceptable(REPETITIONS, ALPHA)
    if variance == 0.0:
        assert wrong.max() == 0


@pytest.mark.parametrize("law", LAWS)
def test_betting_holds_its_level_at_the_worst_of_many_looks(law: str) -> None:
    draw, mean, _ = LAWS[law]
    x = draw(np.random.default_rng(12), (REPETITIONS, 150))
    wrong = 0
    for stream in x:
        bound = betting.MeanBound(RANGE, ALPHA)
        lowest = RANGE
        for chunk in np.split(stream, [10, 30, 60, 100]):
            bound.add(chunk)
            lowest = min(lowest, bound.upper())
        wrong += lowest < mean
    assert wrong <= acceptable(REPETITIONS, ALPHA)


def test_the_trap_of_the_sample_variance() -> None:
    """Bernstein with an estimated variance, at a nominal 1 %: wrong 21 % of the time."""
    n, p = 200, 1.54 / 200
    x = np.random.default_rng(13).random((REPETITIONS, n)) < p
    wrong = honest = 0
    for m, v in zip(x.mean(axis=1).tolist(), x.var(axis=1, ddof=1).tolist(), strict=True):
        wrong += bernstein_upper(n, m, KnownVariance(v, "estimated: wrong"), 1.0, 0.01) < p
        honest += empirical_bernstein_upper(n, m, v, 1.0, 0.01) < p
    assert wrong > 0.15 * REPETITIONS > acceptable(REPETITIONS, 0.01) >= honest


def test_the_trap_of_the_observed_range() -> None:
    """The largest value seen is no range."""
    n, p = 200, 1.0 / 200
    x = (np.random.default_rng(14).random((REPETITIONS, n)) < p) + 0.001
    wrong = 0
    for sample in x:
        m, v = float(sample.mean()), float(sample.var(ddof=1))
        top = float(sample.max())
        wrong += empirical_bernstein_upper(n, min(m, top), v, top, 0.01) < p + 0.001
    assert wrong > 0.3 * REPETITIONS
