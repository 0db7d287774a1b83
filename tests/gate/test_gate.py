"""``simcert gate`` in a scratch project."""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from schemas import check_junit, check_sarif
from scratch import INCONCLUSIVE, PASSING, REFUTED

from simcert.cli import main
from simcert.gate import read, run
from simcert.numerals import format_lower
from simcert.verification import verify

Project = Callable[..., Path]


def gate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["gate", *map(str, arguments)])


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ((PASSING,), 0),
        ((PASSING, INCONCLUSIVE), 3),
        ((PASSING, REFUTED, INCONCLUSIVE), 1),
        ((REFUTED, PASSING), 1),
    ],
)
def test_the_worst_claim_wins(project: Project, claims: tuple[str, ...], status: int) -> None:
    assert gate("--config", project(*claims)).exit_code == status


def test_an_error_is_worse_than_a_refutation(project: Project) -> None:
    broken = "  { name = 'broken', tolerance = 0.1, region = 'missing.json' },\n"
    result = gate("--config", project(broken, REFUTED, PASSING))
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["ERROR", "REFUTED", "PROVED"]
    assert "broken: missing.json" in lines[0]  # and not the folder of this machine
    assert lines[-1] == "3 claims: 1 proved, 1 refuted, 1 error"


def test_every_report_of_a_run(project: Project, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("junit.xml", "simcert.sarif", "summary.md")]
    options = [
        x for pair in zip(("--junit", "--sarif", "--summary"), paths, strict=True) for x in pair
    ]
    result = gate("--config", project(PASSING, REFUTED, INCONCLUSIVE), *options)
    assert result.exit_code == 1
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("PROVED        small / everywhere: d ≤ 0.0")
    assert lines[1].startswith("REFUTED       small / too strict: d ≥ 0.0")
    assert lines[2].startswith("INCONCLUSIVE  small / no budget: ")
    assert lines[3:] == ["", "3 claims: 1 proved, 1 refuted, 1 inconclusive"]

    junit = paths[0].read_text()
    check_junit(junit)
    cases = {case.get("name"): case for case in ET.fromstring(junit).iter("testcase")}  # noqa: S314
    assert cases.keys() == {"everywhere", "too strict", "no budget"}
    assert cases["everywhere"].find("failure") is None
    assert cases["too strict"].find("failure").get("type") == "refuted"
    assert cases["no budget"].find("failure").get("type") == "inconclusive"

    found = check_sarif(paths[1].read_text())
    assert [entry["kind"] for entry in found["results"]] == ["pass", "fail", "open"]
    assert found["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    summary = paths[2].read_text()
    assert summary.startswith("## SimCert: 3 claims: 1 proved, 1 refuted, 1 inconclusive\n")
    assert "| ❌ | `small / too strict` | refuted |" in summary


def test_github_and_json(project: Project) -> None:
    path = project(PASSING, REFUTED, INCONCLUSIVE)
    commands = gate("--config", path, "--format", "github").stdout.splitlines()
    assert [line.split()[0] for line in commands] == [
        *("::notice", "::error", "::warning", "::notice"),
    ]
    entries = json.loads(gate("--config", path, "--format", "json").stdout)
    assert [entry["outcome"] for entry in entries] == ["proved", "refuted", "inconclusive"]
    assert float.fromhex(entries[0]["bound_hex"]) <= entries[0]["tolerance"] == 0.06


@pytest.mark.parametrize("name", ["simcert.toml", "pyproject.toml"])
def test_the_folder_is_searched(
    project: Project, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project(PASSING, name=name)
    monkeypatch.chdir(tmp_path)
    assert gate().exit_code == 0
    (tmp_path / name).unlink()
    result = gate()
    assert result.exit_code == 2
    assert "--config" in result.stderr


def test_statistical_claims_share_the_confidence(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = "  {{ name = 'rare {0}', tolerance = 0.025, max_violation = 0.3, boxes = 1 }},\n"
    families = []

    def spy(*arguments: object, family: int, **options: object) -> object:
        families.append(family)
        return verify(*arguments, family=family, **options)

    monkeypatch.setattr("simcert.verification.verify", spy)
    path = project(PASSING, *(rare.format(i) for i in range(3)))
    entries = list(run(read(path)))
    assert families == [1, 3, 3, 3]
    for entry in entries[1:]:
        assert entry.outcome == "certified"
        statistics = entry.report.statistics
        assert statistics.family % 3 == 0
        spent = sum(alpha for _, alpha in statistics.ledger) * statistics.family
        assert spent <= 1 - statistics.confidence


def test_comparisons_are_not_rounded(project: Project) -> None:
    """A tolerance one step below what was seen is refuted, by numbers that print alike."""
    (entry,) = run(read(project(REFUTED)))
    seen = entry.report.witness.divergence
    below = f"  {{ name = 'below', tolerance = {math.nextafter(seen, 0.0)!r} }},\n"
    (entry,) = run(read(project(below)))
    assert entry.outcome == "refuted"
    assert format_lower(seen) == format_lower(math.nextafter(seen, 0.0))


def test_an_interrupted_run_ends_the_gate(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simcert.verification.verify", interrupt)
    assert gate("--config", project(PASSING)).exit_code == 130


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "missing.toml"], "missing.toml"),
        (["--format", "xml"], "--format"),
        (["--junit", "no/such/folder/j.xml"], "does not exist"),
        (["--cache", "c", "--no-cache"], "exclude"),
    ],
)
def test_options_that_make_no_sense(
    project: Project, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(PASSING).parent)
    result = gate(*options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_early_stopping_is_of_claims_about_probabilities(project: Project) -> None:
    rare = "  { name = 'rare', tolerance = 0.025, max_violation = 0.4, boxes = 1 },\n"
    path = project(PASSING, rare, top="early_stopping = true")
    everywhere, entry = (entry.report for entry in run(read(path)))
    assert everywhere is not None
    assert everywhere.passed
    assert entry is not None
    assert entry.statistics is not None
    assert (entry.statistics.method, entry.statistics.stopped) == ("betting", "early")
    assert "--early-stopping" in entry.command


def test_files_are_read_through_their_maps(project: Project) -> None:
    """On [0, 1] f(x) = x + 1 and g(2x - 1) = 2x + relu(2x - 3/2) / 10: at most 1 apart, at 0."""
    mapped = PASSING.replace(" },", ", compressed_input_map = 'scale=2,offset=-1' },")
    wide = mapped.replace("everywhere", "wide").replace("0.06", "1.01")
    result = gate("--config", project(PASSING, mapped.replace("everywhere", "mapped"), wide))
    outcomes = [line.split()[0] for line in result.stdout.splitlines()[:3]]
    assert outcomes == ["PROVED", "REFUTED", "PROVED"]
    wrong = mapped.replace("scale=2", "sale=2")
    assert "input map 'sale=2" in gate("--config", project(wrong)).stdout


def test_other_outputs_are_compared(project: Project) -> None:
    result = gate("--config", project(PASSING.replace(" },", ", original_outputs = 'none' },")))
    assert result.exit_code == 2
    assert "none" in result.stdout
    each = PASSING.replace("tolerance = 0.06", "tolerances = '0=0.06'")
    assert (
        gate(
            "--config", project(each, each.replace("0.06", "0.04").replace("every", "no"))
        ).exit_code
        == 1
    )


def test_a_bug_in_one_claim_leaves_the_others(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, junit = project(PASSING, REFUTED), tmp_path / "junit.xml"
    original = verify

    def broken(*arguments: object, **options: object) -> object:
        claim = arguments[2]
        if claim.tolerance == 0.06:
            raise AssertionError("shapes do not fit")
        return original(*arguments, **options)

    monkeypatch.setattr("simcert.verification.verify", broken)
    result = gate("--config", path, "--junit", junit)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["ERROR", "REFUTED"]
    assert "internal error: AssertionError: shapes do not fit" in lines[0]
    check_junit(junit.read_text())


@pytest.mark.parametrize("confidence", ["1e-300", "0.0", "1.0"])
def test_a_confidence_that_leaves_no_doubt_or_no_belief(project: Project, confidence: str) -> None:
    claim = f"  {{ tolerance = 0.1, max_violation = 0.5, confidence = {confidence} }},\n"
    result = gate("--config", project(claim))
    assert result.exit_code == 2
    assert "the confidence must lie between 0 and 1" in result.stdout
