"""``simcert verify`` on a pair whose divergence is known exactly (see conftest)."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from simcert.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def report(*arguments: object) -> dict:
    result = run(*arguments, "--format", "json")
    assert result.stderr == ""
    return json.loads(result.stdout, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("options", "verdict", "status"),
    [
        ("--tolerance 0.06", "proved", 0),
        ("--tolerance 0.04", "refuted", 1),
        ("--tolerance 0.025 --max-violation 0.3", "bounded", 0),
        ("--tolerance 0.025 --max-violation 0.2", "refuted", 1),
        ("--tolerance 0.025 --max-violation 0.3 --boxes 1", "certified", 0),
        ("--tolerance 0.025 --max-violation 0.24 --boxes 1 --samples 50", "inconclusive", 3),
        ("", "proved", 0),
    ],
)
def test_verdicts_and_exit_statuses(
    arguments: list[str], options: str, verdict: str, status: int
) -> None:
    result = run(*arguments, *options.split(), "--format", "json")
    assert result.exit_code == status
    answer = json.loads(result.stdout)
    assert answer["verdict"] == verdict
    assert answer["passed"] == (None if not options else status == 0)
    assert run(*arguments, *options.split(), "--exit-zero").exit_code == 0


def test_draws_may_stop_early(arguments: list[str], tmp_path: Path) -> None:
    claim = ["--tolerance", "0.025", "--max-violation", "0.4", "--boxes", "1", "--early-stopping"]
    certificate = tmp_path / "c.json"
    answer = report(*arguments, *claim, "--certificate", certificate)
    drawn, plan = answer["statistics"]["drawn"], answer["statistics"]["plan"]
    assert (plan["method"], plan["stopping"]) == ("betting", "early")
    assert drawn < plan["samples"] == 100_000
    sampling = json.loads(certificate.read_text())["predicate"]["sampling"]
    assert (sampling["stopped"], sampling["drawn"], sampling["plan"]) == ("early", drawn, plan)
    refused = run(*arguments, "--tolerance", 0.06, "--early-stopping")
    assert refused.exit_code == 2
    assert "say which p is allowed" in refused.stderr


def test_the_text_begins_with_the_verdict(arguments: list[str]) -> None:
    result = run(*arguments, "--tolerance", 0.06)
    assert result.stdout.startswith("PROVED: ")
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_has_what_is_promised(arguments: list[str]) -> None:
    answer = report(*arguments, "--tolerance", 0.025, "--max-violation", 0.3, "--boxes", 1)
    promised = {"verdict", "passed", "claim", "proof", "statistics", "witness"}
    assert answer.keys() >= promised | {"elapsed_seconds", "versions"}
    assert answer["proof"].keys() >= {"bound", "per_output", "boxes", "undecided_mass"}
    assert answer["statistics"].keys() >= {
        *("method", "samples", "violations", "violation_upper"),
        *("mean_upper", "range_source", "confidence"),
    }
    assert answer["statistics"]["violation_upper"] >= 0.25
    assert answer["proof"]["bound"] >= 0.05 - 1e-9
    assert float.fromhex(answer["claim"]["tolerance_hex"]) == answer["claim"]["tolerance"] == 0.025


def test_without_a_tolerance_it_says_what_it_can_show(arguments: list[str]) -> None:
    answer = report(*arguments)
    assert answer["passed"] is None
    assert 0.05 - 1e-9 <= answer["proof"]["bound"] <= 0.0506
    assert answer["statistics"]["mean_upper"] >= 0.0125
    assert answer["statistics"]["quantiles"]


def test_the_witness_lies_in_the_region(arguments: list[str]) -> None:
    witness = report(*arguments, "--tolerance", 0.04)["witness"]
    assert 0 <= witness["input"][0] <= 1
    assert witness["divergence"] > 0.04


def test_balls_data_and_rows(arguments: list[str], tmp_path: Path) -> None:
    data = tmp_path / "x.npy"
    np.save(data, np.array([[0.0], [0.6], [0.9]], np.float32))
    ball = ["--around", data, "--radius", 0.2, "--upper", 1, "--tolerance", 0.001]
    assert report(*arguments, *ball, "--rows", "0")["verdict"] == "proved"
    assert report(*arguments, *ball, "--rows", "0,1-2")["claim"]["region"]["boxes"] == 3
    assert report(*arguments, *ball, "--rows", "1-2")["verdict"] == "refuted"
    rows = report(*arguments, "--inputs", data, "--tolerance", 0.02, "--max-violation", 0.5)
    assert rows["passed"]  # one of three rows violates


def test_output_replaces_stdout(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = run(*arguments, "--tolerance", 0.06, "--format", "json", "--output", path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(path.read_text())["verdict"] == "proved"


def test_a_certificate_needs_a_claim_that_holds(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    for options in (["--tolerance", 0.04], []):
        result = run(*arguments, *options, "--certificate", path)
        assert "no certificate" in result.stderr
        assert not path.exists()
    result = run(*arguments, "--tolerance", 0.06, "--certificate", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(path.read_text())["predicate"]["guarantee"]["kind"] == "proved"


def test_quiet_keeps_notes_to_itself(arguments: list[str], tmp_path: Path) -> None:
    result = run(*arguments, "-q", "--tolerance", 0.04, "--certificate", tmp_path / "c.json")
    assert (result.exit_code, result.stderr) == (1, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--around x.npy", "--radius"),
        ("--radius 1", "--around"),
        ("--region r.json --inputs x.npy", "exclude each other"),
        ("--region r.json --lower 0", "--around"),
        ("--rows 1", "--rows"),
        ("--around x.npy --radius 1 --rows 3-1", "'3-1'"),
        ("--around x.npy --radius 1 --rows 1,a", "'1,a'"),
        ("--around x.npy --radius 1 --lower a", "'a'"),
        ("--max-violation 0.1", "--tolerance"),
        ("--decision argmin", "--divergence linf"),
        ("--threads 0", "--threads"),
        ("--samples -1", "--samples"),
        ("--format yaml", "--format"),
        ("--output no/such/folder/report.txt", "does not exist"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], options: str, message: str) -> None:
    result = run(*arguments, *options.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--tolerance nan", "tolerance"),
        ("--tolerance -1", "tolerance"),
        ("--tolerance 1 --max-violation 2", "probability"),
        ("--confidence 1", "confidence"),
        ("--time-limit nan", "time limit"),
        ("--divergence l3", "l3"),
        ("--distribution normal", "normal"),
        ("--outputs 1", "output"),
        ("--region no-such-file.json", "no-such-file.json"),
    ],
)
def test_claims_that_make_no_sense(arguments: list[str], options: str, message: str) -> None:
    result = run(*arguments, *options.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("simcert: error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_no_region(pair: tuple[Path, Path]) -> None:
    result = run("verify", pair[1], pair[0])
    assert result.exit_code == 2
    for hint in ("--region", "--around", "--inputs", "simcert.region"):
        assert hint in result.stderr


def test_models_that_are_none(pair: tuple[Path, Path], tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a model")
    for original, compressed in (
        (pair[0], garbage),
        (garbage, pair[1]),
        (pair[0], tmp_path / "missing.onnx"),
    ):
        result = run("verify", original, compressed)
        assert result.exit_code == 2
        assert result.stderr.startswith("simcert: error: ")


@pytest.mark.parametrize("option", ["--output", "--certificate"])
def test_a_model_is_never_overwritten(pair: tuple[Path, Path], option: str) -> None:
    before = pair[1].read_bytes()
    result = run("verify", *pair, option, pair[1])
    assert result.exit_code == 2
    assert pair[1].read_bytes() == before


def test_report_and_certificate_need_two_files(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert run(*arguments, "--output", path, "--certificate", path).exit_code == 2


def test_options_reach_the_function(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict = {}

    def verify(*_: object, **options: object) -> None:
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("simcert.verification.verify", verify)
    options = "--samples 7 --boxes 8 --time-limit 9 --threads 1 --seed 3 --eta 0.25"
    options += " --executor processes --workers 4 --memory-limit 3MiB --resume state.npz"
    assert run(*arguments, *options.split()).exit_code == 130
    del seen["progress"]
    resources = seen.pop("resources")
    assert (resources.executor, resources.count, resources.memory) == ("processes", 4, 3 * 2**20)
    assert resources.resume == Path("state.npz")
    limits = {"samples": 7, "max_boxes": 8, "time_limit": 9.0, "threads": 1}
    assert seen == {**limits, "seed": 3, "eta": 0.25, "early_stopping": False}


def test_seeds_make_runs_repeatable(arguments: list[str]) -> None:
    options = ["--tolerance", 0.025, "--max-violation", 0.3, "--boxes", 1, "--samples", 1000]
    runs = [report(*arguments, *options, "--seed", seed) for seed in (5, 5, 6)]
    upper = [answer["statistics"]["violation_upper"] for answer in runs]
    assert upper[0] == upper[1]
    assert all(map(math.isfinite, upper))
    assert runs[0]["statistics"]["sum"] != runs[2]["statistics"]["sum"]


def test_a_pipe_is_no_search_to_go_on_from(arguments: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state")
    refused = run(*arguments, "--tolerance", 0.06, "--resume", tmp_path / "state")
    assert refused.exit_code == 2
    assert "not a regular file" in refused.stderr
