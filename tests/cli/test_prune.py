"""``simcert prune`` as a user types it."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from click.testing import CliRunner

import pruners
from simcert.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE = FOLDER / "advisory.onnx"
DIGITS, DATA = FOLDER / "digits_mlp.onnx", FOLDER / "digits.npz"
CALIBRATION = f"--calibration {DATA}"
LABELS = f"{CALIBRATION} --labels {DATA}"


@pytest.fixture
def prune(tmp_path):
    def run(*arguments, original=EXAMPLE):
        output = tmp_path / "compressed.onnx"
        result = CliRunner().invoke(main, ["prune", str(original), "-o", str(output), *arguments])
        return result, output

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            "--method magnitude --sparsity 0.1 --scope global",
            lambda: pruners.magnitude(EXAMPLE, sparsity=0.1, scope="global"),
        ),
        (
            "--method magnitude --nm 2:4 --exclude layer_1 --seed 3",
            lambda: pruners.magnitude(EXAMPLE, nm=(2, 4), exclude=["layer_1"]),
        ),
        (
            "--method quantize --bits 4 --per tensor --format qdq-weight",
            lambda: pruners.quantize(EXAMPLE, bits=4, per="tensor", format="qdq-weight"),
        ),
        ("--method float16", lambda: pruners.float16(EXAMPLE)),
        ("--method magnitude --sparsity 0", lambda: pruners.magnitude(EXAMPLE, sparsity=0)),
    ],
)
def test_the_options_reach_the_method(prune, arguments, expected):
    result, output = prune(*arguments.split())
    compressed = expected()
    assert result.exit_code == 0, result.output
    assert output.read_bytes() == compressed.data
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    assert printed == str(compressed.report).splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method magnitude", "takes a sparsity"),
        ("--method magnitude --sparsity 1", "below 1"),
        ("--method magnitude --nm 2-4", "N:M"),
        ("--method magnitude --sparsity 0.5 --bits 4", "--bits does not belong"),
        ("--method quantize --bits 1", "2 to 8"),
        ("--method float16 --exclude nobody", "nobody"),
        ("--method lottery", "lottery"),
    ],
)
def test_errors_exit_with_2_and_write_nothing(prune, arguments, message):
    result, output = prune(*arguments.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()


def test_a_missing_original_is_named(prune, tmp_path):
    result, _ = prune("--method", "float16", original=tmp_path / "none.onnx")
    assert result.exit_code == 2
    assert "none.onnx: no such file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            f"--method wanda --nm 2:4 --propagate dense {CALIBRATION}",
            lambda: pruners.wanda(DIGITS, nm=(2, 4), propagate="dense", calibration=DATA),
        ),
        ("--method lamp --sparsity 0.5", lambda: pruners.lamp(DIGITS, sparsity=0.5)),
        (
            f"--method slamp --sparsity 0.5 --leak 0.9 {CALIBRATION}",
            lambda: pruners.slamp(DIGITS, sparsity=0.5, leak=0.9, calibration=DATA),
        ),
        (
            f"--method agf --keep 0.5 {LABELS}",
            lambda: pruners.agf(DIGITS, keep=0.5, calibration=DATA, labels=DATA),
        ),
        (
            f"--method quantize --format qdq {CALIBRATION}",
            lambda: pruners.quantize(DIGITS, format="qdq", calibration=DATA),
        ),
    ],
)
def test_calibration_reaches_the_method(prune, arguments, expected):
    result, output = prune(*arguments.split(), original=DIGITS)
    assert result.exit_code == 0, result.output
    assert output.read_bytes() == expected().data


@pytest.mark.parametrize(
    ("arguments", "chain"),
    [
        (f"--method wanda --sparsity 0.5 {LABELS}", ["wanda", "finetune"]),
        (f"--method lamp --sparsity 0.5 --rate 0.002 {LABELS}", ["lamp", "finetune"]),
        (f"--method agf --sparsity 0.5 {LABELS}", ["agf", "finetune"]),
        (f"--method quantize --bits 3 {LABELS}", ["finetune", "quantize"]),
        (f"--method float16 {LABELS}", ["finetune", "float16"]),
    ],
)
def test_training(prune, arguments, chain, tmp_path):
    report = tmp_path / "report.json"
    given = [*arguments.split(), "--finetune", "1", "--report", str(report)]
    result, output = prune(*given, original=DIGITS)
    assert result.exit_code == 0, result.output
    properties = {item.key: item.value for item in onnx.load(output).metadata_props}
    assert [entry["method"] for entry in json.loads(properties["simcert.compression"])] == chain
    accounts = json.loads(report.read_text())
    assert [account["method"] for account in accounts] == chain
    assert all(layer["macs"][0] >= layer["macs"][1] for layer in accounts[0]["layers"])


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        ("--method quantize --tolerance 0.07 --boxes 100 --time-limit 10", (0, 3)),
        ("--method float16 --tolerance 1e-9 --time-limit 5", (1,)),
    ],
)
def test_the_result_can_be_verified_at_once(prune, arguments, statuses):
    result, output = prune(*arguments.split(), "--verify", "--quiet")
    assert result.exit_code in statuses
    assert output.exists()
    assert "File:" in result.stdout
    assert "simcert 0" in " ".join(result.stdout.split())  # the versions of the report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method wanda --sparsity 0.5", "needs --calibration"),
        ("--method lamp", "needs --sparsity"),
        (f"--method lamp --sparsity 0.5 {CALIBRATION}", "--calibration does not belong"),
        (f"--method wanda --sparsity 0.5 {LABELS}", "--labels does not belong"),
        ("--method lamp --sparsity 0.5 --finetune 2", "needs --calibration and --labels"),
        ("--method lamp --sparsity 0.5 --rate 0.1", "--rate belongs"),
        ("--method lamp --sparsity 0.5 --tolerance 0.1", "--tolerance needs --verify"),
        ("--method lamp --sparsity 0.9999", "cannot be reached"),
        (f"--method agf --keep 2 {CALIBRATION}", "keep must be"),
    ],
)
def test_options_that_do_not_fit_write_nothing(prune, arguments, message):
    result, output = prune(*arguments.split(), original=DIGITS)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()


def test_bad_data_write_nothing(prune, tmp_path):
    rows = np.zeros((3, 64))
    rows[0, 0] = np.nan
    np.save(tmp_path / "nan.npy", rows)
    np.save(tmp_path / "narrow.npy", np.zeros((3, 63)))
    for name, message in (("nan", "NaN"), ("narrow", "64 inputs"), ("none", "none.npy")):
        data = str(tmp_path / f"{name}.npy")
        given = ("--method", "wanda", "--sparsity", "0.5", "--calibration", data)
        result, output = prune(*given, original=DIGITS)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not output.exists()


def test_the_original_is_never_replaced(tmp_path):
    copy = tmp_path / "network.onnx"
    copy.write_bytes(EXAMPLE.read_bytes())
    given = ["prune", str(copy), "-o", str(copy), "--method", "float16"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2
    assert "replace the original" in result.stderr
    assert copy.read_bytes() == EXAMPLE.read_bytes()


def test_networks_that_cannot_be_pruned_write_nothing(prune, tmp_path):
    """No weights, and an operator that stands on the path of the data and cannot be run."""
    for nodes, method, message in (
        ("y = Relu(x)", "--method magnitude --sparsity 0.5", "nothing to compress"),
        ("y = MatMul(x, w)", "--method magnitude --sparsity 0.5 --exclude y", "exclusions"),
        ("a = MatMul(x, w) b = Det(a) y = MatMul(b, w)", "--method agf --sparsity 0.5", "Det"),
        ("a = MatMul(x, w) b = Det(a) y = MatMul(b, w)", "--method wanda --sparsity 0.5", "Det"),
        ("y = MatMul(x, w)", "--method agf --sparsity 0.5", "no channel can be removed"),
    ):
        model = onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> '
            f"g (float[1,4] x) => (float[n,m] y) {{ {nodes} }}"
        )
        if "w" in nodes:
            weights = np.eye(4, dtype=np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
        original = tmp_path / "original.onnx"
        original.write_bytes(model.SerializeToString())
        np.save(tmp_path / "x.npy", np.ones((3, 4)))
        given = [] if "magnitude" in method else ["--calibration", str(tmp_path / "x.npy")]
        result, output = prune(*method.split(), *given, original=original)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert not output.exists()


def test_the_batches_of_agf(prune):
    result, output = prune(
        *f"--method agf --sparsity 0.5 --batches 4 {CALIBRATION}".split(), original=DIGITS
    )
    assert result.exit_code == 0, result.output
    expected = pruners.agf(DIGITS, sparsity=0.5, batches=4, calibration=DATA)
    assert output.read_bytes() == expected.data


def test_the_table_says_what_became_smaller(prune, monkeypatch):
    """Channels, multiplications and bytes of each layer, also of a depthwise convolution."""
    network = FOLDER / "digits_residual.onnx"
    result, output = prune(*f"--method agf --sparsity 0.5 {CALIBRATION}".split(), original=network)
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("depthwise"))
    assert " ".join(row.split()) == "depthwise 72 → 36 8 → 4 1,152 → 576 288 → 144"
    assert f"File: {network.stat().st_size:,} → {output.stat().st_size:,} bytes." in result.stdout
    assert "zeros" not in result.stdout
    monkeypatch.setenv("COLUMNS", "50")
    result, _ = prune(*f"--method agf --sparsity 0.5 {CALIBRATION}".split(), original=network)
    assert all(len(line.rstrip()) <= 50 for line in result.stdout.splitlines())
