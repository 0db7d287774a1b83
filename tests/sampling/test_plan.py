"""A plan is fixed before the first draw, spends no more than alpha, and refuses the known traps."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from simcert.errors import ClaimError
from simcert.sampling import Plan, Remainder, estimate, make_plan
from simcert.sampling.plan import (
    MEAN_UPPER,
    QUANTILES,
    VIOLATION_LOWER,
    VIOLATION_UPPER,
    quantile_statement,
)

ARGUMENTS = {"samples": 1000, "seed": 1, "confidence": 0.99, "tolerance": 0.6}


def plan_of(remainder: Remainder, **changes: object) -> Plan:
    return make_plan(remainder, **(ARGUMENTS | changes))  # type: ignore[arg-type]


def test_alpha_is_divided_by_the_union_bound(hybrid: Remainder) -> None:
    for family in (1, 20):
        plan = plan_of(hybrid, family=family)
        named = {statement for statement, _ in plan.ledger}
        assert named == {
            *(VIOLATION_UPPER, VIOLATION_LOWER, MEAN_UPPER),
            *map(quantile_statement, plan.levels),
        }
        assert set(QUANTILES) < set(plan.levels)
        spent = sum(Fraction(alpha) for _, alpha in plan.ledger) * family
        assert Fraction(0.0099999) < spent <= 1 - Fraction(0.99)


def test_the_claim_gets_half_and_alone_gets_all(hybrid: Remainder) -> None:
    claim = plan_of(hybrid, max_violation=0.5)
    assert claim.alpha(VIOLATION_UPPER) == pytest.approx(0.005)
    assert claim.alpha(VIOLATION_LOWER) == pytest.approx(0.0025 / 2)
    alone = plan_of(hybrid, max_violation=0.5, statements=(VIOLATION_UPPER,))
    assert alone.ledger == ((VIOLATION_UPPER, alone.alpha(VIOLATION_UPPER)),)
    assert alone.alpha(VIOLATION_UPPER) == pytest.approx(0.01)
    assert alone.alpha(MEAN_UPPER) is None


def test_checkpoints_share_at_most_everything(hybrid: Remainder) -> None:
    checkpoints = list(plan_of(hybrid, stopping="deadline").checkpoints())
    assert checkpoints[:3] == [(1000, 0.875), (500, 0.0625), (250, 0.03125)]
    assert checkpoints[-1][0] == 1
    assert sum(Fraction(share) for _, share in checkpoints) <= 1
    assert list(plan_of(hybrid, stopping="planned").checkpoints()) == [(1000, 1.0)]


def test_the_trap_of_looking_at_a_fixed_bound_is_refused(hybrid: Remainder) -> None:
    fixed = plan_of(hybrid, stopping="planned")
    with pytest.raises(ClaimError, match="false when it is looked at on the way"):
        replace(fixed, stopping="early")
    assert plan_of(hybrid, stopping="early").method == "betting"


def test_a_planned_run_refuses_a_clock(hybrid: Remainder, sampler: object, run: object) -> None:
    with pytest.raises(ClaimError, match="cannot be cut"):
        estimate(plan_of(hybrid, stopping="planned"), hybrid, sampler, run, deadline=1.0)  # type: ignore[arg-type]


def test_a_plan_is_bound_to_what_is_drawn_from(
    hybrid: Remainder, whole: Remainder, sampler: object, run: object
) -> None:
    """Ranges and masses are a part of it: neither can be adapted to the draws."""
    plan = plan_of(hybrid)
    wider = replace(hybrid, leaves=replace(hybrid.leaves, ranges=2 * hybrid.leaves.ranges))
    for other in (whole, wider, replace(hybrid, violated_upper=0.07)):
        assert other.digest() != hybrid.digest()
        with pytest.raises(ClaimError, match="other leaves"):
            estimate(plan, other, sampler, run)  # type: ignore[arg-type]


def test_digest_covers_every_field(hybrid: Remainder) -> None:
    plan = plan_of(hybrid, max_violation=0.5, stopping="planned")
    others = [
        replace(plan, samples=999),
        replace(plan, seed=2),
        replace(plan, stream=1),
        replace(plan, chunk=4),
        replace(plan, confidence=np.nextafter(0.99, 0.0)),
        replace(plan, tolerance=0.5),
        replace(plan, max_violation=0.4),
        replace(plan, stopping="deadline"),
        replace(plan, strata="0"),
        replace(plan, ledger=plan.ledger[:-1]),
        replace(plan_of(hybrid, family=2, max_violation=0.5, stopping="planned"), family=1),
    ]
    digests = {other.digest() for other in others}
    assert len(digests) == len(others)
    assert plan.digest() not in digests
    assert plan.digest() == replace(plan).digest()
    assert json.loads(json.dumps(plan.to_dict(), allow_nan=False)) == plan.to_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 0},
        {"samples": 10**9},
        {"seed": -1},
        {"stream": -1},
        {"family": 0},
        {"confidence": 0.0},
        {"confidence": 1.0},
        {"confidence": float("nan")},
        {"tolerance": float("nan")},
        {"tolerance": -1.0},
        {"tolerance": float("inf")},
        {"max_violation": 0.0},
        {"max_violation": 1.0},
        {"max_violation": float("nan")},
        {"tolerance": None, "max_violation": 0.1},
        {"tolerance": None, "statements": (VIOLATION_LOWER,)},
        {"statements": ("the moon is round",)},
        {"statements": (MEAN_UPPER, MEAN_UPPER)},
    ],
)
def test_bad_plans_are_refused(hybrid: Remainder, changes: dict[str, object]) -> None:
    with pytest.raises(ClaimError):
        plan_of(hybrid, **changes)


def test_an_overspent_ledger_is_refused(hybrid: Remainder) -> None:
    plan = plan_of(hybrid)
    with pytest.raises(ClaimError, match="spends more"):
        replace(plan, ledger=((MEAN_UPPER, 0.01), (VIOLATION_UPPER, 0.0001)))
    with pytest.raises(ClaimError, match="spends more"):
        replace(plan, family=2)
    with pytest.raises(ClaimError, match="some alpha"):
        replace(plan, ledger=((MEAN_UPPER, 0.0),))
