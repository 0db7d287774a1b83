"""``simcert prune`` as a user types it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import pruners
from simcert.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"


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
