"""Mistakes that make a statistical guarantee false, and what the tool does instead.

The sample variance in the known-variance inequality and the observed maximum as the range stand in
`test_coverage.py`, a fixed-n bound that is looked at on the way in `test_betting.py`.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import write_mlp

from simcert import ClaimError, Verdict, verify
from simcert.claim import Claim, Region
from simcert.sampling import Remainder, Sampler, clopper_pearson, estimate, make_plan
from simcert.sampling.bernstein import mean_upper as bernstein_upper
from simcert.sampling.plan import VIOLATION_UPPER
from simcert.sampling.quantile import upper_rank

ALPHA = 0.01
REPETITIONS = 2000
ONE, ZERO = np.ones((1, 1)), np.zeros(1)


def test_a_tolerance_chosen_from_the_draws_is_a_quantile_and_is_bounded_as_one() -> None:
    """The sample's own quantile, certified by the same draws, is false most of the time."""
    n, level = 500, 0.9
    draws = np.sort(np.random.default_rng(3).random((REPETITIONS, n)), axis=1)
    # The wrong way: the smallest tolerance that these draws would certify if it had been fixed.
    allowed = 1.0 - level
    most = max(k for k in range(n) if clopper_pearson.upper(k, n, 0.5) <= allowed)
    chosen = draws[:, n - most - 1]
    assert (1.0 - chosen > allowed).mean() > 0.3
    # The right way: the order statistic that pays for having been chosen.
    rank = upper_rank(n, allowed, ALPHA)
    assert rank is not None
    bound = draws[:, rank - 1]
    assert (1.0 - bound > allowed).mean() <= 2 * ALPHA


def test_the_best_of_many_tolerances_pays_for_the_choice() -> None:
    """Twenty tolerances, each certified on the same draws; the claim is just false for all."""
    n, truth, choices = 400, 0.05, 20
    random = np.random.default_rng(4)
    counts = random.binomial(n, truth, (REPETITIONS, choices))
    plain = np.array([clopper_pearson.upper(k, n, ALPHA) for k in range(n + 1)])
    shared = np.array([clopper_pearson.upper(k, n, ALPHA / choices) for k in range(n + 1)])
    assert (plain[counts] < truth).any(axis=1).mean() > 0.1
    assert (shared[counts] < truth).any(axis=1).mean() <= 2 * ALPHA


def test_a_plan_is_fixed_before_its_draws(whole: Remainder, sampler: Sampler) -> None:
    """Leaves, ranges, stopping rule: none may be exchanged once a plan is made."""
    plan = make_plan(whole, samples=100, seed=0, confidence=0.99, tolerance=0.5)
    other = replace(whole, leaves=replace(whole.leaves, ranges=np.array([0.1, 0.2])))
    with pytest.raises(ClaimError, match="made for other leaves"):
        estimate(plan, other, sampler, lambda x: x[:, 0])
    with pytest.raises(ClaimError, match="does not allow stopping"):
        replace(plan, stopping="early")  # a fixed-n bound, looked at on the way
    fixed = make_plan(
        whole, samples=100, seed=0, confidence=0.99, tolerance=0.5, stopping="planned"
    )
    with pytest.raises(ClaimError, match="cannot be cut"):
        estimate(fixed, whole, sampler, lambda x: x[:, 0], deadline=1.0)
    with pytest.raises(ClaimError, match="more than 1 - confidence"):
        replace(plan, family=2)
    with pytest.raises(ClaimError, match="more than 1 - confidence"):
        replace(plan, ledger=((VIOLATION_UPPER, 0.02),))


def test_the_sample_variance_is_refused_by_the_inequality_that_knows_it() -> None:
    sample = np.random.default_rng(5).random(50)
    with pytest.raises(TypeError, match="never a sample variance"):
        bernstein_upper(50, float(sample.mean()), float(sample.var()), 1.0, ALPHA)  # type: ignore[arg-type]


def test_nothing_is_rounded_before_it_is_compared(tmp_path: Path) -> None:
    """The claim allows a little more or less than the bound, by one unit in the last place."""
    f = write_mlp(tmp_path / "f.onnx", [(ONE, ZERO), (0 * ONE, ZERO)])
    g = write_mlp(tmp_path / "g.onnx", [(ONE, ZERO - 0.9375), (ONE, ZERO)])
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit")

    def run(allowed: float) -> tuple[Verdict, float]:
        claim = Claim(region, tolerance=0.0325, max_violation=allowed, arithmetic="real")
        result = verify(f, g, claim, samples=2000, max_boxes=1, threads=1, seed=7)
        assert result.statistics is not None
        assert result.statistics.violation_upper is not None
        return result.verdict, result.statistics.violation_upper

    _, bound = run(0.1)
    for allowed in (bound, math.nextafter(bound, 0.0), math.nextafter(bound, 1.0), round(bound, 4)):
        verdict, upper = run(allowed)
        assert (verdict is Verdict.CERTIFIED) == (upper <= allowed)
    verdict, upper = run(bound)
    assert (verdict, upper) == (Verdict.CERTIFIED, bound)
