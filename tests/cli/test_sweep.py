"""``simcert sweep`` as a user types it."""

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import onnx
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
    chosen = [variant for variant in found["variants"] if variant["name"] == found["chosen"]]
    return found, chosen[0] if chosen else None


def again(result, *more):
    """Verify the chosen variant by itself, with the command that was printed."""
    command = next(line for line in result.stdout.splitlines() if "simcert verify" in line)
    return CliRunner().invoke(main, [*shlex.split(command)[1:], "--quiet", *more])


def drawn(target):
    """The variants that are marked in each panel of the picture, and the titles of its axes."""
    picture = ElementTree.fromstring((target / "sweep.svg").read_text())  # noqa: S314 - our own
    titles = [element.text for element in picture.iter() if element.tag.endswith("title")]
    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    return [title for title in titles if title], texts


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
    assert again(result).exit_code == 0
    assert again(result, "--seed", "12345").exit_code == 0
    marks, texts = drawn(target)
    assert set(marks) == {variant["name"] for variant in found["variants"]}
    assert "bytes of the weights / original" in texts


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
    found, _ = read(target)
    assert found["family"] == 7
    assert found["accuracy"] > 0.95
    assert all(0 <= variant["accuracy"] <= 1 for variant in found["variants"])
    assert again(result).exit_code == 0
    assert again(result, "--seed", "12345").exit_code == 0
    assert "accuracy" in result.stdout
    marks, texts = drawn(target)
    assert "accuracy" in texts
    assert all(marks.count(variant["name"]) >= 2 for variant in found["variants"])


@pytest.mark.parametrize(
    ("axis", "title"),
    [
        ("sparsity", "share of the weights that are gone"),
        ("macs", "multiplications / original"),
        ("file", "bytes of the file / original"),
    ],
)
def test_the_axis_of_the_plot(sweep, axis, title):
    claim = "--tolerance 1 --time-limit 5 --boxes 5 --samples 100 --max-violation 0.9"
    result, target = sweep(
        "advisory.onnx", f"--methods lamp --sparsities 0.1,0.2 --x-axis {axis} {claim}"
    )
    assert result.exit_code in (0, 3), result.output
    assert title in drawn(target)[1]


def test_every_variant_is_trained(sweep):
    claim = (
        f"--around {DATA}:test_images --rows 0 --radius 0.001 --tolerance 20 --max-violation 0.5"
        " --time-limit 5 --boxes 5 --samples 200"
    )
    arguments = (
        "--methods lamp,agf,quantize --sparsities 0.8 --bits 3 --finetune 2 --rate 0.003"
        f" --calibration {DATA} --labels {DATA} {claim}"
    )
    result, target = sweep("digits_mlp.onnx", arguments)
    assert result.exit_code == 0, result.output
    found, _ = read(target)
    assert found["epochs"] == 2
    for variant, chain in zip(
        found["variants"],
        (["lamp", "finetune"], ["agf", "finetune"], ["finetune", "quantize"]),
        strict=True,
    ):
        properties = {p.key: p.value for p in onnx.load(target / variant["file"]).metadata_props}
        entries = json.loads(properties["simcert.compression"])
        assert [entry["method"] for entry in entries] == chain
        (training,) = [entry for entry in entries if entry["method"] == "finetune"]
        assert (training["parameters"]["epochs"], training["parameters"]["rate"]) == (2, 0.003)


def test_a_narrow_terminal(sweep, monkeypatch):
    """One paragraph a variant, and no line that the terminal would break."""
    monkeypatch.setenv("COLUMNS", "50")
    claim = "--tolerance 1 --time-limit 5 --boxes 5 --samples 100 --max-violation 0.9"
    result, _ = sweep("advisory.onnx", f"--methods lamp --sparsities 0.1 {claim}")
    lines = result.stdout.splitlines()
    assert "lamp sparsity 0.1" in [line.strip() for line in lines]
    table = lines[: lines.index("")]
    assert all(len(line) <= 50 for line in table)
    assert "verdict" in " ".join(table)


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
        ("--methods lamp --rate 0.1 --tolerance 1", "--rate belongs"),
        ("--methods lamp --finetune 1 --tolerance 1", "needs --calibration and --labels"),
        ("--methods lamp --labels x.npy --tolerance 1", "--labels needs --calibration"),
        ("--methods wanda --calibration none.npy --tolerance 1", "none.npy"),
        (f"--methods wanda --calibration {DATA} --tolerance 1", "5 inputs"),
    ],
)
def test_mistakes_exit_with_2(sweep, arguments, message):
    result, target = sweep("advisory.onnx", arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not target.exists()
