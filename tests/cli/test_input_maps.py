"""Input maps and chosen outputs on the command line, in reports and in certificates."""

import json
from pathlib import Path

import numpy as np
import pytest
from certificates import resealed
from click.testing import CliRunner, Result
from networks import write_mlp

from simcert.cli import main

SLOPE = np.array([[1.0, -2.0]])


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """f reads [0, 1], g reads 0 to 250 and is 1/250 as steep: one function, in other units."""
    region = json.dumps({"lower": [0, 0], "upper": [1, 1]})
    return [
        str(
            write_mlp(
                tmp_path / f"{name}.onnx",
                [(scale * SLOPE, np.array([0.5])), (np.ones((1, 1)), np.zeros(1))],
                **{"simcert.region": region},
            )
        )
        for name, scale in (("f", 1.0), ("g", 0.004))
    ]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def verify(*arguments: str) -> Result:
    return run("verify", *arguments, "-q", "--threads", "1", "--tolerance", "0.001")


def test_one_region_for_both_files(files: list[str]) -> None:
    assert verify(*files).exit_code == 1
    done = verify(*files, "--compressed-input-map", "scale=250")
    assert done.exit_code == 0
    assert "input x: × 250" in done.stdout
    done = verify(*files, "--compressed-input-map", "scale=250", "--format", "json")
    document = json.loads(done.stdout)
    assert "interface" not in document["original"]
    [own] = document["compressed"]["interface"]["inputs"]
    assert own["map"]["scale"] == [(250.0).hex()]


def test_reports_of_results_with_maps(files: list[str], tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    options = ("--compressed-input-map", "scale=250", "--format", "json", "--output", str(result))
    assert verify(*files, *options).exit_code == 0
    for form in ("markdown", "html"):
        assert run("report", str(result), "-o", str(tmp_path / f"page.{form}")).exit_code == 0


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
def test_the_checker_checks_maps(files: list[str], tmp_path: Path, arithmetic: str) -> None:
    certificate = tmp_path / "certificate.json"
    made = ("--arithmetic", arithmetic, "--certificate", str(certificate))
    assert verify(*files, "--compressed-input-map", "scale=250", *made).exit_code == 0
    check = ("check", str(certificate), "--original", files[0], "--compressed", files[1])
    done = run(*check)
    assert done.exit_code == 0
    assert "compressed: input map of x" in done.output
    # Left out, the claim is about the files as they are, and false.
    statement = json.loads(certificate.read_text())
    del statement["predicate"]["compressed"]["interface"]
    certificate.write_text(json.dumps(resealed(statement)))
    done = run(*check)
    assert done.exit_code != 0
    assert "confirmed" not in done.output.replace("not confirmed", "")


def test_chosen_outputs(files: list[str]) -> None:
    done = verify(files[0], files[0], "--original-outputs", "z0", "--compressed-outputs", "z0")
    assert done.exit_code == 0
    assert "outputs z0" in done.stdout
    # Before and after the rectifier.
    done = verify(files[0], files[0], "--original-outputs", "z0", "--compressed-outputs", "a0")
    assert done.exit_code == 1
    done = verify(*files, "--original-outputs", "before-softmax")
    assert done.exit_code == 2
    assert "does not end in Softmax" in done.stderr
    done = verify(*files, "--original-input-map", "scale=two")
    assert done.exit_code == 2
    assert "'two' is not a number" in done.stderr
