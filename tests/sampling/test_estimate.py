"""Whole runs in a world whose violation probability, mean and quantiles are known exactly."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from simcert.sampling import (
    Leaves,
    Plan,
    Remainder,
    Sampler,
    Statistics,
    clopper_pearson,
    estimate,
    make_plan,
)
from simcert.sampling.empirical_bernstein import mean_upper as empirical_bernstein_upper
from simcert.sampling.plan import MEAN_UPPER, VIOLATION_LOWER, VIOLATION_UPPER
from simcert.sampling.remainder import Float

Run = Callable[[Float], Float]
REPETITIONS = 2000


def acceptable(alpha: float) -> int:
    """Errors among REPETITIONS that a correct bound exceeds once in a million."""
    return int(binom.ppf(1 - 1e-6, REPETITIONS, alpha))


def plan_of(remainder: Remainder, *, chunk: int | None = None, **changes: object) -> Plan:
    arguments = {"samples": 4000, "seed": 1, "confidence": 0.99, "tolerance": 0.75}
    plan = make_plan(remainder, **(arguments | changes))  # type: ignore[arg-type]
    return plan if chunk is None else replace(plan, chunk=chunk)


def wrong(statistics: Statistics, truth: float) -> list[bool]:
    """Which statements fail in the tiny world, where P(d > t) = 1 - t and E[d] = 1/2."""
    upper, lower = statistics.violation_upper, statistics.violation_lower
    mean = statistics.mean_upper
    assert upper is not None
    assert lower is not None
    assert mean is not None
    return [
        upper < truth,
        lower > truth,
        mean < 0.5,
        *(q.upper is not None and q.upper < q.level for q in statistics.curve),
    ]


# -- coverage --------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", [VIOLATION_UPPER, VIOLATION_LOWER])
def test_a_planned_run_covers_the_violation_probability(
    hybrid: Remainder, sampler: Sampler, run: Run, statement: str
) -> None:
    truth, alpha, errors = 0.25, 0.1, 0
    plan = plan_of(
        hybrid, samples=200, chunk=200, confidence=0.9, stopping="planned", statements=[statement]
    )
    for seed in range(REPETITIONS):
        statistics = estimate(replace(plan, seed=seed), hybrid, sampler, run)
        if statement == VIOLATION_UPPER:
            assert statistics.violation_upper is not None
            assert statistics.violation_lower is None
            errors += statistics.violation_upper < truth
        else:
            assert statistics.violation_lower is not None
            errors += statistics.violation_lower > truth
    assert 0.4 * alpha * REPETITIONS <= errors <= acceptable(alpha)  # neither false nor idle


def test_all_statements_hold_jointly_when_an_adversary_owns_the_clock(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    """The clock strikes as soon as the draws look better than they should."""
    plan = plan_of(hybrid, samples=400, chunk=25, confidence=0.8, stopping="deadline")
    errors, cut = np.zeros(len(plan.ledger), dtype=int), 0
    for seed in range(REPETITIONS):
        seen: list[int] = []

        def spied(x: Float, seen: list[int] = seen) -> Float:
            d = run(x)
            seen.extend((d > 0.75).tolist())
            return d

        def clock(seen: list[int] = seen) -> float:
            n, expected = len(seen), 0.1875 / 0.4375
            return float(n > 0 and sum(seen) < n * expected - math.sqrt(n))

        statistics = estimate(
            replace(plan, seed=seed), hybrid, sampler, spied, deadline=0.5, clock=clock
        )
        cut += statistics.stopped == "deadline"
        errors += wrong(statistics, 0.25)
    assert cut > 0.05 * REPETITIONS
    assert errors.sum() <= acceptable(0.2)
    for count, (_, alpha) in zip(errors, plan.ledger, strict=True):
        assert count <= acceptable(alpha)


@pytest.mark.parametrize("claim", [0.2500001, 0.2499999])
def test_early_stopping_covers_whichever_way_the_claim_lies(
    hybrid: Remainder, sampler: Sampler, run: Run, claim: float
) -> None:
    """A claim that is all but the truth: every look is a temptation."""
    statements = (VIOLATION_UPPER, VIOLATION_LOWER, MEAN_UPPER)
    plan = plan_of(
        hybrid,
        samples=400,
        chunk=100,
        confidence=0.9,
        max_violation=claim,
        stopping="early",
        statements=statements,
    )
    errors, early = np.zeros(3, dtype=int), 0
    for seed in range(REPETITIONS):
        statistics = estimate(replace(plan, seed=seed), hybrid, sampler, run)
        early += statistics.stopped == "early"
        errors += wrong(statistics, 0.25)
    assert early >= errors[0]
    assert errors.sum() <= acceptable(0.1)


# -- what is stated --------------------------------------------------------------------------


def test_bounds_are_the_formulas(hybrid: Remainder, sampler: Sampler, run: Run) -> None:
    plan = plan_of(hybrid, stopping="planned", max_violation=0.3)
    s = estimate(plan, hybrid, sampler, run)
    assert (s.method, s.stopped, s.drawn, s.samples) == ("clopper-pearson", "planned", 4000, 4000)
    assert s.violations is not None
    mass, violated = 0.4375, 0.0625
    alpha = dict(plan.ledger)
    high = clopper_pearson.upper(s.violations, 4000, alpha[VIOLATION_UPPER])
    low = clopper_pearson.lower(s.violations, 4000, alpha[VIOLATION_LOWER])
    assert s.violation_upper == pytest.approx(violated + mass * high, rel=1e-12)
    assert s.violation_lower == pytest.approx(violated + mass * low, rel=1e-12)
    assert s.violation_lower < 0.25 < s.violation_upper
    moments = s.moments
    assert s.mean == pytest.approx(moments.sum / 4000)
    conditional = empirical_bernstein_upper(
        4000, moments.mean, moments.variance_upper, 0.9375, alpha[MEAN_UPPER]
    )
    assert s.mean_upper == pytest.approx(0.25 + violated + mass * conditional, rel=1e-9)
    assert s.mean_method == "empirical-bernstein"
    assert [method for method, _ in s.mean_beside] == ["hoeffding", "betting"]
    assert [q.level for q in s.quantiles] == [0.5, 0.9, 0.99, 0.999]
    assert (s.quantiles[0].upper, s.quantiles[0].rank) != (None, None)
    assert s.quantiles[1].upper == pytest.approx(0.9, abs=0.03)
    assert s.quantiles[2].upper is None  # 6 % violate for certain, by an unknown amount
    assert s.maximum == s.maximum_input[0] > 0.93
    assert s.sampled_mass == hybrid.mass_upper
    assert (s.range, s.range_source, s.range_exceeded) == (0.9375, "symbolic bound", False)
    assert s.confidence == 0.99


def test_nothing_seen_costs_the_mass_times_plain_sampling(
    hybrid: Remainder, sampler: Sampler
) -> None:
    """P(d > eps) <= M (1 - alpha^(1/n))."""
    clean = replace(hybrid, violated_upper=0.0, violated_lower=0.0)
    plan = plan_of(clean, stopping="planned", statements=[VIOLATION_UPPER])
    s = estimate(plan, clean, sampler, lambda x: np.zeros(len(x)))
    assert s.violation_upper == pytest.approx(0.4375 * (1 - 0.01 ** (1 / 4000)), rel=1e-9)
    assert s.moments.variance_upper == pytest.approx(0.0, abs=1e-300)


def test_json_has_no_nan_and_keeps_numbers_exactly(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    s = estimate(plan_of(hybrid), hybrid, sampler, run)
    record = json.loads(json.dumps(s.to_dict(), allow_nan=False))
    for name in ("violation_upper", "violation_lower", "mean_upper", "maximum"):
        assert float.fromhex(record[f"{name}_hex"]) == getattr(s, name) == record[name]
    assert float.fromhex(record["sum_hex"]) == s.moments.sum
    assert record["plan_sha256"] == s.plan.digest()
    assert record["plan"]["strata"] == hybrid.digest()


@pytest.mark.parametrize("stopping", ["planned", "early"])
def test_the_number_of_workers_changes_nothing(
    hybrid: Remainder, sampler: Sampler, run: Run, stopping: str
) -> None:
    plan = plan_of(hybrid, samples=5000, chunk=256, stopping=stopping, max_violation=0.35)
    alone = estimate(plan, hybrid, sampler, run)
    assert alone.stopped == stopping
    for workers in (2, 5):
        assert estimate(plan, hybrid, sampler, run, workers=workers) == alone
    assert estimate(replace(plan, seed=9), hybrid, sampler, run) != alone


def test_early_stopping_certifies_and_refutes(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    for claim in (0.27, 0.23):
        plan = plan_of(hybrid, samples=10**6, chunk=500, max_violation=claim, stopping="early")
        s = estimate(plan, hybrid, sampler, run)
        assert (s.method, s.stopped) == ("betting", "early")
        assert 500 < s.drawn < 20_000
        assert s.violation_upper is not None
        assert s.violation_lower is not None
        assert s.violation_upper <= claim or s.violation_lower > claim
        assert s.mean_method == "betting"


# -- cut short -------------------------------------------------------------------------------


def test_a_cut_run_is_judged_at_the_last_checkpoint(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    ticks = iter(range(100))
    plan = plan_of(hybrid, samples=4000, chunk=100)
    s = estimate(plan, hybrid, sampler, run, deadline=23.0, clock=lambda: float(next(ticks)))
    assert (s.stopped, s.drawn, s.samples, s.share) == ("deadline", 2300, 2000, 0.0625)
    assert s.moments.n == 2000
    assert s.quantiles[1].samples == 2000
    assert s.violations is not None
    alpha = dict(plan.ledger)[VIOLATION_UPPER] * 0.0625
    high = clopper_pearson.upper(s.violations, 2000, alpha)
    assert s.violation_upper == pytest.approx(0.0625 + 0.4375 * high, rel=1e-12)


@pytest.mark.parametrize("stopping", ["deadline", "early"])
def test_a_run_without_a_draw_states_what_is_certain(
    hybrid: Remainder, sampler: Sampler, run: Run, stopping: str
) -> None:
    plan = plan_of(hybrid, stopping=stopping)
    s = estimate(plan, hybrid, sampler, run, deadline=0.0, clock=lambda: 1.0)
    assert (s.stopped, s.drawn, s.samples, s.violations) == ("deadline", 0, 0, 0)
    assert s.violation_upper == pytest.approx(0.5)
    assert s.violation_lower == pytest.approx(0.0625)
    assert s.mean_method == "proved ranges"
    assert s.mean is None
    assert s.maximum_input == ()
    assert all(quantile.rank is None for quantile in s.quantiles)
    json.dumps(s.to_dict(), allow_nan=False)


# -- what may be missing ---------------------------------------------------------------------


def test_without_a_proved_range_there_is_no_mean(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    ranges = np.array([1.0, np.inf])
    unknown = replace(hybrid, leaves=replace(hybrid.leaves, ranges=ranges))
    plan = plan_of(unknown)
    assert plan.alpha(MEAN_UPPER) is None
    s = estimate(plan, unknown, sampler, run)
    assert (s.mean_upper, s.mean_reason) == (None, "no proved range")
    assert s.violation_upper is not None
    json.dumps(s.to_dict(), allow_nan=False)


def test_a_draw_beyond_the_proved_range_is_not_hidden(hybrid: Remainder, sampler: Sampler) -> None:
    s = estimate(plan_of(hybrid), hybrid, sampler, lambda x: 2.0 * x[:, 0])
    assert s.range_exceeded
    assert (s.mean_upper, s.mean_reason) == (None, "a draw exceeded the proved range")


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_what_is_no_number_violates(whole: Remainder, sampler: Sampler, strange: float) -> None:
    unknown = replace(whole, leaves=replace(whole.leaves, ranges=np.full(2, np.inf)))

    def run(x: Float) -> Float:
        return np.where(x[:, 0] > 0.9, strange, 0.0)

    s = estimate(plan_of(unknown), unknown, sampler, run)
    assert s.violations == pytest.approx(400, abs=100)
    assert s.maximum == math.inf
    assert s.maximum_input[0] > 0.9
    assert s.moments.sum == math.inf
    assert s.quantiles[-1].upper is None
    assert s.quantiles[0].upper == 0.0
    json.dumps(s.to_dict(), allow_nan=False)


def test_without_a_tolerance_nothing_is_said_about_violations(
    whole: Remainder, sampler: Sampler, run: Run
) -> None:
    s = estimate(plan_of(whole, tolerance=None), whole, sampler, run)
    assert s.violations is s.violation_upper is s.violation_lower is None
    assert s.mean_upper == pytest.approx(0.5, abs=0.05)
    for quantile in s.quantiles[:3]:
        assert quantile.upper is not None
        assert quantile.level < quantile.upper < quantile.level + 0.05


def test_nothing_but_zero(whole: Remainder, sampler: Sampler) -> None:
    zero = replace(whole, leaves=replace(whole.leaves, ranges=np.zeros(2)))
    s = estimate(plan_of(zero), zero, sampler, lambda x: np.zeros(len(x)))
    assert s.mean_upper == pytest.approx(0.0, abs=1e-300)


def test_a_lower_bound_needs_a_lower_bound_of_the_mass(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    unsure = replace(hybrid, mass_lower=0.0)
    s = estimate(plan_of(unsure), unsure, sampler, run)
    assert s.violation_lower == pytest.approx(0.0625)


def test_masses_that_are_far_too_large_stay_sound(
    hybrid: Remainder, sampler: Sampler, run: Run
) -> None:
    """Only the total of the masses is known: P(U) - W (1 - l), and never more than P(U)."""
    coarse = replace(hybrid, leaves=replace(hybrid.leaves, masses=1.25 * hybrid.leaves.masses))
    plan = plan_of(coarse, stopping="planned")
    s = estimate(plan, coarse, sampler, run)
    assert s.violations is not None
    low = clopper_pearson.lower(s.violations, 4000, dict(plan.ledger)[VIOLATION_LOWER])
    expected = 0.0625 + 0.4375 - 1.25 * 0.4375 * (1 - low)
    assert s.violation_lower == pytest.approx(expected, rel=1e-9)
    everywhere = estimate(plan, coarse, sampler, lambda x: np.ones(len(x)))
    assert everywhere.violation_upper == pytest.approx(0.5)


def test_a_quantile_is_never_below_the_proved_bound(hybrid: Remainder, sampler: Sampler) -> None:
    """The proved leaves may reach it, whatever the draws from the others look like."""
    clean = replace(hybrid, violated_upper=0.0, violated_lower=0.0)
    s = estimate(plan_of(clean), clean, sampler, lambda x: np.zeros(len(x)))
    assert [q.upper for q in s.quantiles] == [0.5, 0.5, 0.5, 0.5]
    assert [q.rank is None for q in s.quantiles] == [True, False, False, False]


def test_a_broken_run_is_refused(hybrid: Remainder, sampler: Sampler) -> None:
    with pytest.raises(ValueError, match="shape"):
        estimate(plan_of(hybrid), hybrid, sampler, lambda x: x)


def test_progress_is_told_after_each_chunk(hybrid: Remainder, sampler: Sampler, run: Run) -> None:
    told: list[object] = []

    class Listener:
        def update(self, stage: str, **numbers: object) -> None:
            assert stage == "sampling"
            told.append(numbers["samples"])

    estimate(plan_of(hybrid, chunk=1500), hybrid, sampler, run, progress=Listener())
    assert told == [1500, 3000, 4000]


# -- finite supports -------------------------------------------------------------------------

VALUES = [0.9, 0.1, 0.1, 0.5]
MASSES = [0.125, 0.25, 0.5, 0.125]


def test_a_finite_support_is_enumerated(
    points: Callable[..., Remainder], sampler: Sampler, run: Run
) -> None:
    remainder = points(VALUES, MASSES)
    plan = plan_of(remainder, tolerance=0.5, samples=4)
    s = estimate(plan, remainder, sampler, run)
    assert (s.method, s.confidence, s.alpha_ledger) == ("exhaustive", 1.0, ())
    assert (s.drawn, s.violations, s.stopped) == (4, 1, "planned")
    assert s.violation_lower is not None
    assert s.violation_upper is not None
    assert s.violation_lower <= 0.125 <= s.violation_upper
    assert s.violation_upper - s.violation_lower < 1e-15
    mean = sum(Fraction(v) * Fraction(m) for v, m in zip(VALUES, MASSES, strict=True))
    assert s.mean_upper is not None
    assert mean <= Fraction(s.mean_upper) <= mean * (1 + Fraction(1, 2**40))
    assert [q.upper for q in s.quantiles] == [0.1, 0.9, 0.9, 0.9]
    assert s.maximum_input == (0.9,)


def test_a_finite_support_beyond_the_budget_is_sampled(
    points: Callable[..., Remainder], sampler: Sampler, run: Run
) -> None:
    remainder = points(VALUES, MASSES)
    plan = plan_of(remainder, samples=3)
    assert plan.method == "clopper-pearson"
    assert estimate(plan, remainder, sampler, run, dtype=np.float64).drawn == 3


def test_points_that_were_not_reached_may_go_either_way(
    points: Callable[..., Remainder], sampler: Sampler, run: Run
) -> None:
    remainder = points(VALUES, MASSES, [1.0] * 4)
    plan = plan_of(remainder, tolerance=0.5, chunk=1)
    ticks = iter(range(10))
    s = estimate(plan, remainder, sampler, run, deadline=3.0, clock=lambda: float(next(ticks)))
    assert (s.stopped, s.drawn) == ("deadline", 3)
    assert s.violation_lower == pytest.approx(0.125)
    assert s.violation_upper == pytest.approx(0.25)
    mean = 0.9 * 0.125 + 0.1 * 0.75 + 1.0 * 0.125
    assert s.mean_upper == pytest.approx(mean)
    assert [q.upper for q in s.quantiles] == [0.1, None, None, None]


# -- the curve, single outputs, the cap of the mean --------------------------------------------


def test_the_curve_reaches_what_the_draws_can_show(whole: Remainder, sampler: Sampler) -> None:
    plan = make_plan(whole, samples=100_000, seed=3, confidence=0.999)
    statistics = estimate(plan, whole, sampler, lambda x: x[:, 0])
    levels = [quantile.level for quantile in statistics.curve]
    bounds = [quantile.upper for quantile in statistics.curve]
    assert levels == sorted(levels)
    assert 1 - levels[-1] <= 5e-4
    assert None not in bounds
    assert bounds == sorted(bounds)
    # P(d > t) = 1 - t: every point of the staircase lies above the curve, and not far above.
    for level, bound in zip(levels, bounds, strict=True):
        assert level <= bound <= level + 6 * math.sqrt(level * (1 - level) / 100_000) + 1e-3
    assert statistics.quantiles == tuple(
        quantile for quantile in statistics.curve if quantile.level in (0.5, 0.9, 0.99, 0.999)
    )


def test_single_outputs_are_covered_jointly_with_the_rest(
    hybrid: Remainder, sampler: Sampler
) -> None:
    """|f_0 - g_0| = x_0 = d and |f_4 - g_4| = x_0/2: the quantiles of both are known."""
    plan = plan_of(hybrid, samples=300, confidence=0.8, outputs=(0, 4))
    errors = 0
    for seed in range(500):
        statistics = estimate(
            replace(plan, seed=seed),
            hybrid,
            sampler,
            lambda x: np.column_stack([x[:, 0], x[:, 0], x[:, 0] / 2]),
        )
        first, second = statistics.per_output
        assert (first.output, second.output) == (0, 4)
        assert first.maximum == statistics.maximum == 2 * second.maximum
        errors += any(q.upper is not None and q.upper < q.level for q in first.quantiles)
        errors += any(q.upper is not None and 2 * q.upper < q.level for q in second.quantiles)
    assert errors <= acceptable(0.2)
    assert estimate(plan, hybrid, sampler, lambda x: x[:, 0]).per_output == ()


def test_rare_leaves_with_large_ranges_do_not_set_the_range(sampler: Sampler, run: Run) -> None:
    """One leaf in a thousand is proved within 1,000 only; the bound of the mean hardly notices."""
    edges = np.array([0.0, 0.999, 1.0])
    leaves = Leaves(
        lower=np.stack([edges[:-1], np.zeros(2)], axis=1),
        upper=np.stack([edges[1:], np.ones(2)], axis=1),
        masses=np.nextafter(np.diff(edges), 1.0),
        box=np.zeros(2, dtype=np.int64),
        box_lower=np.zeros((1, 2)),
        box_upper=np.ones((1, 2)),
        ranges=np.array([1.0, 1000.0]),
    )
    cap, rest = leaves.capped(0.002)
    assert cap == 1.0
    assert rest == pytest.approx(0.999)
    assert leaves.capped(1e-4) == (1000.0, 0.0)
    assert leaves.capped(2.0)[0] == 1.0
    remainder = Remainder(leaves, 1.0, 0.0, 0.0, 0.0, mass_lower=0.999)
    plan = make_plan(remainder, samples=4000, seed=0, confidence=0.99, statements=[MEAN_UPPER])
    mean = estimate(plan, remainder, sampler, run).mean_upper
    assert mean is not None
    assert 0.5 <= mean < 2.0  # 1000 * 7 ln(2/alpha)/3n alone is 3
