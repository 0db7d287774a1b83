import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from simcert import verify
from simcert.certificate import CertificateError, build, write
from simcert.claim import Claim, Region
from simcert.result import Result, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"


@pytest.fixture(scope="module")
def proved() -> Result:
    region = Region.from_boxes([[0.0] * 5], [[0.1] * 5], source="a corner")
    return verify(EXAMPLE, EXAMPLE, Claim(region, tolerance=0.01, max_violation=0.1))


def test_is_an_in_toto_statement_about_the_compressed_file(proved: Result) -> None:
    statement = build(proved, NOW)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"].startswith("tag:simcert,2026:certificate/")
    assert statement["subject"] == [
        {"name": "advisory.onnx", "digest": {"sha256": proved.compressed.sha256}}
    ]
    assert statement["predicate"]["original"]["digest"] == {"sha256": proved.original.sha256}


def test_names_the_comparison_it_rests_on(proved: Result) -> None:
    guarantee = build(proved, NOW)["predicate"]["guarantee"]
    assert guarantee["kind"] == "proved"
    assert guarantee["quantity"] == "proof.bound"
    assert float.fromhex(guarantee["value_hex"]) <= float.fromhex(guarantee["limit_hex"]) == 0.01


@pytest.mark.parametrize("verdict", [Verdict.REFUTED, Verdict.INCONCLUSIVE])
def test_only_a_passing_result_has_one(proved: Result, verdict: Verdict) -> None:
    with pytest.raises(CertificateError, match=verdict):
        build(replace(proved, verdict=verdict), NOW)


def test_without_a_tolerance_there_is_none(proved: Result) -> None:
    question = replace(proved.claim, tolerance=None, max_violation=None)
    with pytest.raises(CertificateError, match="tolerance"):
        build(replace(proved, claim=question), NOW)


@pytest.mark.parametrize("bound", [0.010000000000000002, float("inf"), float("nan")])
def test_a_verdict_that_the_numbers_deny_has_none(proved: Result, bound: float) -> None:
    with pytest.raises(CertificateError, match=r"proof\.bound"):
        build(replace(proved, proof=replace(proved.proof, bound=bound)), NOW)


@pytest.mark.parametrize("verdict", [Verdict.BOUNDED, Verdict.CERTIFIED])
def test_another_guarantee_needs_its_own_numbers(proved: Result, verdict: Verdict) -> None:
    undecided = replace(proved.proof, proved_mass=0.5, undecided_mass=0.5, complete=False)
    with pytest.raises(CertificateError, match="violation_upper"):
        build(replace(proved, verdict=verdict, proof=undecided, statistics=None), NOW)


def test_bounded(proved: Result) -> None:
    proof = replace(proved.proof, proved_mass=0.95, undecided_mass=0.05, complete=False)
    guarantee = build(replace(proved, verdict=Verdict.BOUNDED, proof=proof), NOW)["predicate"][
        "guarantee"
    ]
    assert guarantee["quantity"] == "proof.violation_upper"
    assert 0.05 <= guarantee["value"] <= 0.0500001


def test_times_are_in_utc(proved: Result) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    assert build(proved, local)["predicate"]["run"]["issued"] == "2026-01-02T03:04:05+00:00"


def test_the_file_is_the_statement(proved: Result, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    statement = build(proved, NOW)
    write(statement, path)
    assert path.read_bytes().isascii()
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == statement


def test_what_is_no_json_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    with pytest.raises(ValueError, match="JSON"):
        write({"x": float("nan")}, path)
    assert not path.exists()


@pytest.mark.parametrize("old", [None, b"old"])
def test_evidence_is_not_left_without_its_certificate(
    proved: Result, tmp_path: Path, old: bytes | None
) -> None:
    """The certificate cannot take its name: what lay there before is put back."""
    path, beside = tmp_path / "c.json", tmp_path / "c.json.evidence.json"
    path.mkdir()
    if old is not None:
        beside.write_bytes(old)
    with pytest.raises(OSError, match="directory"):
        write(build(proved, NOW), path, largest_inside=0)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ([beside.name] if old else [])
    assert old is None or beside.read_bytes() == old


def test_shares_and_worst_case_of_a_proof(proved: Result) -> None:
    guarantee = build(proved, NOW)["predicate"]["guarantee"]
    assert guarantee["worst_case_hex"] == guarantee["value_hex"]
    shares = guarantee["shares"]
    assert [shares[name] for name in ("proved", "bounded", "certified")] == [1.0, 0.0, 0.0]


def test_a_checker_is_left_room(proved: Result) -> None:
    """Between what was proved and what was asked for, never less than the one or more than both."""

    def stated(bound: float, tolerance: float) -> float:
        result = replace(
            proved,
            claim=replace(proved.claim, tolerance=tolerance),
            proof=replace(proved.proof, bound=bound),
        )
        return float.fromhex(build(result, NOW)["predicate"]["guarantee"]["value_hex"])

    assert stated(0.25, 1.0) == pytest.approx(0.5)
    assert 0.25 < stated(0.25, 0.25 + 2.0**-50) <= 0.25 + 2.0**-50
    assert stated(0.25, 0.25) == 0.25
    assert stated(0.0, 1.0) == 0.0
    assert stated(5e-324, 1e-320) <= 1e-320


def test_many_inputs_leave_all_of_it(proved: Result) -> None:
    inputs = 17
    region = Region.from_boxes(np.zeros((1, inputs)), np.ones((1, inputs)), source="box")
    result = replace(
        proved,
        claim=replace(proved.claim, region=region, tolerance=1.0),
        proof=replace(proved.proof, bound=0.25),
    )
    guarantee = build(result, NOW)["predicate"]["guarantee"]
    assert guarantee["value"] == guarantee["worst_case"] == 1.0
