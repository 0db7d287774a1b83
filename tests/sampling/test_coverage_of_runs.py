"""How often whole runs certify what is false, in a world whose truth is known.

Each rate is taken over thousands of runs with fixed seeds. It is accepted when its exact lower
confidence limit, at one in a million, is not above the level that was asked for.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from simcert.sampling import Plan, Remainder, Sampler, Statistics, estimate, make_plan
from simcert.sampling.plan import MEAN_UPPER, VIOLATION_LOWER, VIOLATION_UPPER, quantile_statement
from simcert.sampling.remainder import Float

Run = Callable[[Float], Float]

RUNS = 2000
ALPHA = 0.1


def is_within(errors: int, runs: int, alpha: float) -> bool:
    """Whether the lower confidence limit of the rate (Clopper and Pearson) is at most alpha."""
    if errors == 0:
        return True
    return bool(beta.ppf(1e-6, errors, runs - errors + 1) <= alpha)


def test_the_criterion_sees_a_rate_that_is_half_too_large() -> None:
    assert is_within(int(RUNS * ALPHA), RUNS, ALPHA)
    assert not is_within(int(RUNS * ALPHA * 1.5), RUNS, ALPHA)


def plan_of(remainder: Remainder, *statements: str, **changes: object) -> Plan:
    arguments = {
        "samples": 120,
        "seed": 0,
        "confidence": 1 - ALPHA,
        "tolerance": 0.75,
        "stopping": "planned",
        "statements": statements,
    }
    plan = make_plan(remainder, **(arguments | changes))  # type: ignore[arg-type]
    return plan if plan.stopping == "planned" else replace(plan, chunk=40)


def runs(
    plan: Plan, remainder: Remainder, sampler: Sampler, run: Run, count: int = RUNS
) -> list[Statistics]:
    return [
        estimate(replace(plan, seed=seed), remainder, sampler, run, dtype=np.float64)
        for seed in range(count)
    ]


def false_probabilities(found: list[Statistics], truth: float) -> int:
    """Runs with a bound of P(d > eps) on the wrong side."""
    return sum(
        (s.violation_upper is not None and s.violation_upper < truth)
        or (s.violation_lower is not None and s.violation_lower > truth)
        for s in found
    )


# In the worlds of `conftest.py` d is the first input, uniform on [0, 1]: P(d > t) = 1 - t.


@pytest.mark.parametrize(
    ("stopping", "tolerance"), [("planned", 0.9365), ("deadline", 0.5005), ("early", 0.75)]
)
def test_violations_of_what_is_left_to_sampling(
    hybrid: Remainder, sampler: Sampler, run: Run, stopping: str, tolerance: float
) -> None:
    """Rare, nearly certain and ordinary among the draws; the claim is just false."""
    truth = 1.0 - tolerance
    claim = float(np.nextafter(truth, 0.0))
    plan = plan_of(
        hybrid,
        VIOLATION_UPPER,
        VIOLATION_LOWER,
        stopping=stopping,
        tolerance=tolerance,
        max_violation=claim,
    )
    found = runs(plan, hybrid, sampler, run)
    assert is_within(false_probabilities(found, truth), RUNS, ALPHA)
    certified = sum(s.violation_upper is not None and s.violation_upper <= claim for s in found)
    assert is_within(certified, RUNS, plan.alpha(VIOLATION_UPPER) or 0.0)


@pytest.mark.parametrize("stopping", ["planned", "early"])
def test_means(hybrid: Remainder, sampler: Sampler, run: Run, stopping: str) -> None:
    plan = plan_of(hybrid, MEAN_UPPER, stopping=stopping)
    # What is decided counts with its bound: d ≤ 1/2 on one half, and ≤ 1 on a sixteenth.
    truth = hybrid.decided_mean + (0.9375**2 - 0.5**2) / 2
    found = runs(plan, hybrid, sampler, run)
    false = sum(s.mean_upper is not None and s.mean_upper < truth for s in found)
    assert is_within(false, RUNS, ALPHA)


def test_means_of_rare_divergences(whole: Remainder, sampler: Sampler) -> None:
    """All of the mean is in what a run sees once, on average."""
    rare = 1.0 / 120
    wide = replace(whole, leaves=replace(whole.leaves, ranges=np.ones(2)))
    found = runs(plan_of(wide, MEAN_UPPER), wide, sampler, lambda x: 1.0 * (x[:, 1] < rare))
    false = sum(s.mean_upper is not None and s.mean_upper < rare for s in found)
    assert is_within(false, RUNS, ALPHA)


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_means_without_variance_are_never_wrong(
    whole: Remainder, sampler: Sampler, value: float
) -> None:
    wide = replace(whole, leaves=replace(whole.leaves, ranges=np.ones(2)))
    plan = plan_of(wide, MEAN_UPPER)
    for s in runs(plan, wide, sampler, lambda x: np.full(len(x), value), 20):
        assert s.mean_upper is not None
        assert value <= s.mean_upper


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_quantiles(whole: Remainder, sampler: Sampler, run: Run, level: float) -> None:
    """The quantile is the level itself."""
    plan = plan_of(whole, quantile_statement(level))
    bounds = [
        next(q.upper for q in s.quantiles if q.level == level)
        for s in runs(plan, whole, sampler, run)
    ]
    assert all(bound is not None for bound in bounds)
    false = sum(bound is not None and bound < level for bound in bounds)
    assert false >= 0.4 * ALPHA * RUNS
    assert is_within(false, RUNS, ALPHA)


def test_a_family_shares_the_level(whole: Remainder, sampler: Sampler, run: Run) -> None:
    """Ten claims, all just false: any of them certified makes the family false."""
    members, family = 8, 150
    alone = together = 0
    for number in range(family):
        wrong = {1: False, members: False}
        for size in wrong:
            for member in range(members):
                tolerance = 0.9 + 0.005 * member
                plan = plan_of(whole, VIOLATION_UPPER, tolerance=tolerance, family=size)
                plan = replace(plan, seed=number, stream=member)
                s = estimate(plan, whole, sampler, run, dtype=np.float64)
                assert s.violation_upper is not None
                wrong[size] |= s.violation_upper < 1.0 - tolerance
        alone += wrong[1]
        together += wrong[members]
    assert is_within(together, family, ALPHA)
    assert not is_within(alone, family, ALPHA)  # which is why families are told


def test_leaves_whose_masses_were_rounded_up_cost_no_level(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    """Draws follow the masses as they were rounded; one leaf's is a quarter too large."""
    masses = hybrid.leaves.masses * np.array([1.0, 1.25])
    uneven = replace(hybrid, leaves=replace(hybrid.leaves, masses=masses))
    plan = plan_of(uneven, VIOLATION_UPPER, VIOLATION_LOWER)
    found = runs(plan, uneven, sampler, run)
    assert is_within(false_probabilities(found, 0.25), RUNS, ALPHA)
