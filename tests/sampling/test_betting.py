"""The time-uniform bounds: the formulas by direct evaluation, and their level exactly.

For yes/no draws the walk (n, k) is a Markov chain, so the probability that a bound *ever* excludes
the truth up to a horizon is computed exactly, with no simulation.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy.integrate import quad

from simcert.sampling import betting, clopper_pearson

Bound = Callable[[int, int, float], float]


def ever_excluded(upper: Bound, p: float, alpha: float, looks: Iterable[int]) -> float:
    """P(upper(k_n, n) < p at some look n), exactly, for draws that are events with probability p.

    Uses that the bound grows with k and shrinks with n.
    """
    looks = sorted(looks)
    alive = np.array([1.0])  # alive[k] = P(k events so far, never excluded)
    excluded, rejecting = 0.0, 0  # k < rejecting are excluded
    for n in range(1, looks[-1] + 1):
        alive = np.append(alive * (1 - p), 0.0) + np.append(0.0, alive * p)
        if n in looks:
            while rejecting <= n and upper(rejecting, n, alpha) < p:
                rejecting += 1
            excluded += float(alive[:rejecting].sum())
            alive[:rejecting] = 0.0
    return excluded


@pytest.mark.parametrize("p", [0.001, 0.02, 0.3, 0.7, 0.99])
def test_the_upper_bound_may_be_looked_at_after_every_draw(p: float) -> None:
    assert ever_excluded(betting.violation_upper, p, 0.05, range(1, 1001)) <= 0.05


@pytest.mark.parametrize("p", [0.01, 0.3, 0.98])
def test_the_lower_bound_may_be_looked_at_after_every_draw(p: float) -> None:
    def upper_of_complement(k: int, n: int, alpha: float) -> float:
        return 1.0 - betting.violation_lower(n - k, n, alpha)

    assert ever_excluded(upper_of_complement, 1 - p, 0.05, range(1, 601)) <= 0.05


def test_the_level_is_nearly_used_up() -> None:
    """So that the test above could see a capital that is too large by a small factor."""
    assert ever_excluded(betting.violation_upper, 0.3, 0.05, range(1, 1001)) > 0.02


def test_the_trap_a_fixed_bound_looked_at_fifty_times() -> None:
    looks = range(100, 5001, 100)
    assert ever_excluded(clopper_pearson.upper, 0.05, 0.01, [5000]) <= 0.01
    assert ever_excluded(clopper_pearson.upper, 0.05, 0.01, looks) > 0.05  # not 0.01
    assert ever_excluded(betting.violation_upper, 0.05, 0.01, looks) <= 0.01


@pytest.mark.parametrize(
    ("k", "n", "p"), [(0, 50, 0.1), (3, 50, 0.2), (10, 30, 0.6), (30, 31, 0.99)]
)
def test_capital_is_the_mixture_over_bets(k: int, n: int, p: float) -> None:
    def capital(r: float) -> float:
        return 0.5 / math.sqrt(r) * r**k * ((1 - r * p) / (1 - p)) ** (n - k)

    direct, _ = quad(capital, 0, 1, epsabs=0, epsrel=1e-10, limit=200)
    log = betting._log_capital(k, n, p, betting.PRIOR, betting.betainc)
    assert log <= math.log(direct) + 1e-9
    assert log == pytest.approx(math.log(direct), abs=1e-6)


@pytest.mark.parametrize(("k", "n", "p"), [(1, 50, 0.001), (9, 50, 0.05), (30, 31, 0.6)])
def test_capital_below_is_the_mixture_over_bets(k: int, n: int, p: float) -> None:
    def capital(s: float) -> float:
        return 0.5 * s**-1.5 * s**k * ((1 - s * p) / (1 - p)) ** (n - k)

    direct, _ = quad(capital, 1, 1 / p, epsabs=0, epsrel=1e-10, limit=500, points=[k / n / p])
    log = betting._log_capital(k, n, p, -betting.PRIOR, betting.betaincc)
    assert log == pytest.approx(math.log(direct), abs=1e-6)


def test_bounds_enclose_the_frequency_and_are_monotone() -> None:
    uppers = [betting.violation_upper(k, 60, 0.05) for k in range(61)]
    lowers = [betting.violation_lower(k, 60, 0.05) for k in range(61)]
    assert uppers == sorted(uppers)
    assert lowers == sorted(lowers)
    assert all(low <= k / 60 <= up for k, (low, up) in enumerate(zip(lowers, uppers, strict=True)))
    assert lowers[0] == 0.0
    assert uppers[-1] == 1.0


def test_bounds_are_wider_than_the_fixed_ones_but_converge() -> None:
    for k, n in [(0, 100), (10, 10**8), (10**5, 10**8), (500, 1000)]:
        fixed = clopper_pearson.upper(k, n, 0.01)
        assert fixed < betting.violation_upper(k, n, 0.01) < 1.5 * fixed
        assert betting.violation_lower(k, n, 0.01) <= clopper_pearson.lower(k, n, 0.01)


# -- means -----------------------------------------------------------------------------------


def by_hand(values: list[float], range_: float, alpha: float) -> float:
    """Theorem 2 written down value by value."""
    total = squares = 0.0
    mean, variance, log = 0.5, 0.25, math.log(1 / alpha)
    bets = numerator = 0.0
    for i, value in enumerate(values, 1):
        x = value / range_
        bet = min(0.75, math.sqrt(2 * log / (variance * i * math.log(1 + i))))
        bets += bet
        psi = (-math.log(1 - bet) - bet) / 4
        numerator += bet * x + 4 * (x - mean) ** 2 * psi
        total += x
        mean = (0.5 + total) / (i + 1)
        squares += (x - mean) ** 2
        variance = (0.25 + squares) / (i + 1)
    return min(range_, range_ * (numerator + log) / bets)


@pytest.mark.parametrize("n", [1, 2, 50, 1000])
def test_mean_bound_is_theorem_2(n: int) -> None:
    values = 3.0 * np.random.default_rng(n).beta(0.5, 5.0, n)
    bound = betting.MeanBound(3.0, 0.05)
    assert bound.upper() == 3.0
    bound.add(values)
    assert bound.upper() == pytest.approx(by_hand(values.tolist(), 3.0, 0.05), rel=1e-9)


def test_mean_bound_does_not_depend_on_the_chunks() -> None:
    values = np.random.default_rng(3).random(1000)
    whole, parts = betting.MeanBound(1.0, 0.05), betting.MeanBound(1.0, 0.05)
    whole.add(values)
    for part in np.split(values, [1, 2, 500, 500, 777]):
        parts.add(part)
    assert whole.upper() == parts.upper()
