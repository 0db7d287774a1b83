import json
import math
from dataclasses import replace

import pytest

from simcert.report.json import render
from simcert.result import Proof, Result, Verdict


def parsed(result: Result) -> dict:
    return json.loads(render(result), parse_constant=pytest.fail)


def test_is_ascii_and_complete(result: Result) -> None:
    text = render(result)
    assert text.isascii()
    assert text.endswith("}\n")
    assert parsed(result) == result.to_dict()


def test_compared_numbers_are_exact(result: Result) -> None:
    answer = parsed(result)
    assert float.fromhex(answer["proof"]["bound_hex"]) == result.proof.bound
    assert float.fromhex(answer["claim"]["tolerance_hex"]) == 0.05
    assert [float.fromhex(x) for x in answer["witness"]["input_hex"]] == [*result.witness.input]


def test_what_is_not_finite_is_null_with_a_reason(result: Result) -> None:
    without = parsed(replace(result, proof=Proof.unavailable(1, "no operator")))["proof"]
    assert (without["bound"], without["per_output"]) == (None, [None])
    assert without["reason"] == "no operator"
    stopped = parsed(replace(result, proof=replace(result.proof, bound=math.inf)))["proof"]
    assert stopped["bound"] is None
    assert stopped["reason"]
    diverging = replace(result.witness, divergence=math.inf, compressed_output=(1.0, math.nan))
    assert parsed(replace(result, witness=diverging))["witness"]["divergence"] is None


@pytest.mark.parametrize("verdict", Verdict)
def test_passed_follows_from_the_verdict(result: Result, verdict: Verdict) -> None:
    assert parsed(replace(result, verdict=verdict))["passed"] is verdict.holds
    question = replace(result.claim, tolerance=None, max_violation=None)
    assert parsed(replace(result, verdict=verdict, claim=question))["passed"] is None


def test_certain_bounds_of_the_violation_probability(result: Result) -> None:
    assert 0.25 <= result.proof.violation_upper <= 0.25 + 1e-15
    assert result.proof.violation_lower == 0.125
    assert Proof.unavailable(1, "").violation_upper == 1.0
    assert replace(result.proof, proved_mass=1.0).violation_upper == 0.0
