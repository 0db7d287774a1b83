"""How often bounds of a probability and of a quantile are wrong, computed exactly.

The number of events is binomial, so that the probability of a wrong bound is a sum over all counts:
no simulation and no tolerance. A bound is worst where the truth lies just beyond one of its values.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from simcert.sampling import betting, clopper_pearson
from simcert.sampling.quantile import upper_rank

ALPHA = 0.05
SLACK = 1 + 1e-9
"""Of scipy's binomial probabilities."""

TRUTHS = (0.0, 1e-9, 1e-4, 0.003, 0.05, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9, 1.0)
"""Impossible, rare and ordinary events, and their complements."""

Bound = Callable[[int, int, float], float]
UPPER: dict[str, Bound] = {
    "Clopper-Pearson": clopper_pearson.upper,
    "betting": betting.violation_upper,
}
LOWER: dict[str, Bound] = {
    "Clopper-Pearson": clopper_pearson.lower,
    "betting": betting.violation_lower,
}


def probability(n: int, truth: float, wrong: np.ndarray) -> float:
    """P(the count is one of those for which the bound is wrong)."""
    counts = np.flatnonzero(wrong)
    return math.fsum(binom.pmf(counts, n, truth).tolist())


@pytest.mark.parametrize("n", [1, 2, 10, 59, 300])
@pytest.mark.parametrize("method", UPPER)
def test_upper_bounds_hold_their_level_exactly(method: str, n: int) -> None:
    bounds = np.array([UPPER[method](k, n, ALPHA) for k in range(n + 1)])
    boundary = np.nextafter(bounds, 1.0)  # just not covered
    for truth in (*TRUTHS, *boundary.tolist()):
        assert probability(n, truth, bounds < truth) <= ALPHA * SLACK


@pytest.mark.parametrize("n", [1, 2, 10, 59, 300])
@pytest.mark.parametrize("method", LOWER)
def test_lower_bounds_hold_their_level_exactly(method: str, n: int) -> None:
    bounds = np.array([LOWER[method](k, n, ALPHA) for k in range(n + 1)])
    boundary = np.nextafter(bounds, 0.0)
    for truth in (*TRUTHS, *boundary.tolist()):
        assert probability(n, truth, bounds > truth) <= ALPHA * SLACK


@pytest.mark.parametrize("n", [10, 300])
def test_a_bound_of_ten_percent_less_is_wrong_too_often(n: int) -> None:
    """So that the tests above could see a bound that is too small."""
    bounds = 0.9 * np.array([clopper_pearson.upper(k, n, ALPHA) for k in range(n + 1)])
    worst = max(
        probability(n, truth, bounds < truth) for truth in np.nextafter(bounds, 1.0).tolist()
    )
    assert worst > 1.1 * ALPHA


def test_sweeps_of_alpha_hold_their_level() -> None:
    """Small levels, as a ledger divides them; and all counts of a small sample."""
    n = 40
    for alpha in (0.5, 1e-3, 1e-6, 1e-12):
        bounds = np.array([clopper_pearson.upper(k, n, alpha) for k in range(n + 1)])
        for truth in np.nextafter(bounds, 1.0).tolist():
            assert probability(n, truth, bounds < truth) <= alpha * SLACK


# -- quantiles -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 59, 300, 1000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("values", [2, 3, 10, 1000])
def test_quantile_bounds_hold_their_level_exactly(n: int, level: float, values: int) -> None:
    """d is one of some values, among them infinity, with probabilities of every size.

    The bound X_(r) is false when P(d > X_(r)) > 1 - level: when at least r draws are so small.
    """
    random = np.random.default_rng([n, values])
    tail = 1.0 - level
    rank = upper_rank(n, tail, ALPHA)
    for _ in range(20):
        masses = random.dirichlet(np.full(values, 10.0 ** random.uniform(-2, 1)))
        below = np.cumsum(masses)
        small = below[1.0 - below > tail * SLACK]  # where a bound would be false
        if rank is not None and small.size:
            assert binom.sf(rank - 1, n, min(1.0, small[-1])) <= ALPHA * SLACK


def test_a_constant_has_one_quantile() -> None:
    """Zero variance: every order statistic is the truth."""
    draws = np.full(100, 0.25)
    rank = upper_rank(100, 0.1, ALPHA)
    assert rank is not None
    assert np.sort(draws)[rank - 1] == 0.25
