"""``simcert sweep`` as a user types it."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from simcert.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "examples"
DATA = FOLDER / "digits.npz"


@pytest.fixture
def sweep(tmp_path):
    def run(original, arguments):
        target = tmp_path / "sweep"
        given = ["sweep", str(FOLDER / original), "--folder", str(target), "--quiet"]
        return CliRunner().invoke(main, [*given, *arguments.split()]), target

    return run


def read(target):
    """The JSON of a sweep, and its chosen variant."""
    found = json.loads((target / "sweep.json").read_text())
    for variant in found["variants"]:
        options = (f"{name} {value}" for name, value in variant["options"].items())
        if found["chosen"] == " ".join([variant["method"], *options]):
            return found, variant
    return found, None


def again(original, target, variant, claim):
    """Verify one variant by itself, with the seed that it had."""
    file = target / variant["file"]
    given = [str(FOLDER / original), str(file), "--seed", str(variant["seed"]), "--quiet"]
    return CliRunner().invoke(main, ["verify", *given, *claim.split()])


def test_the_advisory_network(sweep):
    claim = "--tolerance 0.07 --max-violation 0.01 --time-limit 10 --boxes 300 --samples 20000"
    result, target = sweep(
        "advisory.onnx",
        f"--methods magnitude,lamp,quantize --sparsities 0.1:0.3:0.2 --bits 8,4 {claim}",
    )
    assert result.exit_code == 0, result.output
    found, chosen = read(target)
    assert found["family"] == len(found["variants"]) == 6
    assert [variant["seed"] for variant in found["variants"]] == list(range(6))
    assert found["chosen"] == "quantize bits 8"
    assert "Smallest that meets the claim: quantize bits 8" in result.stdout
    assert chosen["passed"]
    smaller = [v for v in found["variants"] if v["cost"]["bytes"] < chosen["cost"]["bytes"]]
    assert smaller
    assert not any(variant["passed"] for variant in smaller)
    assert again("advisory.onnx", target, chosen, claim).exit_code == 0
    picture = ElementTree.fromstring((target / "sweep.svg").read_text())  # noqa: S314 - our own
    circles = [element for element in picture.iter() if element.tag.endswith("circle")]
    assert len(circles) >= 6


def test_digits_with_accuracy(sweep):
    claim = (
        f"--around {DATA}:test_images --rows 0-4 --radius 0.01 --tolerance 4 --max-violation 0.05"
        " --time-limit 5 --boxes 50 --samples 5000"
    )
    result, target = sweep(
        "digits_mlp.onnx",
        f"--methods wanda,agf,slamp,quantize --sparsities 0.1,0.4 --bits 6 --calibration {DATA}"
        f" --labels {DATA} --test {DATA}:test_images --test-labels {DATA}:test_labels {claim}",
    )
    assert result.exit_code == 0, result.output
    found, chosen = read(target)
    assert found["family"] == 7
    assert found["accuracy"] > 0.95
    assert all(0 <= variant["accuracy"] <= 1 for variant in found["variants"])
    assert again("digits_mlp.onnx", target, chosen, claim).exit_code == 0
    assert "accuracy" in result.stdout


def test_what_is_impossible_is_said_and_left_out(sweep):
    claim = "--tolerance 1 --time-limit 5 --boxes 20 --samples 1000"
    result, target = sweep("advisory.onnx", f"--methods lamp --sparsities 0.1,0.9999 {claim}")
    found, _ = read(target)
    assert found["family"] == 1
    assert "cannot be reached" in found["variants"][1]["error"]
    assert "cannot be reached" in result.stdout


def test_none_is_good_enough(sweep):
    claim = "--tolerance 1e-6 --time-limit 5 --boxes 5 --samples 0"
    result, _ = sweep("advisory.onnx", f"--methods quantize --bits 2 {claim}")
    assert result.exit_code == 3
    assert "No variant meets the claim" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--methods lottery --tolerance 1", "no method 'lottery'"),
        ("--methods lamp --sparsities 0.5:0.1 --tolerance 1", "FIRST:LAST:STEP"),
        ("--methods lamp --sparsities 0.5,1 --tolerance 1", "below 1"),
        ("--methods lamp --sparsities many --tolerance 1", "numbers"),
        ("--methods quantize --bits 9 --tolerance 1", "2 to 8"),
        ("--methods wanda --tolerance 1", "needs --calibration"),
        ("--methods lamp --sparsities 0.1", "needs a tolerance"),
        ("--methods lamp --test x.npy --tolerance 1", "go together"),
    ],
)
def test_mistakes_exit_with_2(sweep, arguments, message):
    result, target = sweep("advisory.onnx", arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (target / "sweep.json").exists()
