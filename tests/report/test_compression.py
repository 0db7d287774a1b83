"""What a file's metadata says about its compression, from files that may say anything."""

import json
from pathlib import Path

import pytest

import pruners
from simcert.model import load
from simcert.result import ModelReference, recorded

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"


def test_what_the_pruners_record_is_read(tmp_path: Path) -> None:
    pruners.magnitude(EXAMPLE, sparsity=0.1, scope="global").save(tmp_path / "a.onnx")
    pruners.quantize(tmp_path / "a.onnx", bits=8, exclude=["no such node"][:0]).save(
        tmp_path / "b.onnx"
    )
    steps = ModelReference.of(load(tmp_path / "b.onnx")).to_dict()["compression"]
    assert [step["method"] for step in steps] == ["magnitude", "quantize"]
    assert steps[0]["parameters"]["sparsity"] == 0.1
    assert steps[0]["original_sha256"] == load(EXAMPLE).sha256
    assert ModelReference.of(load(EXAMPLE)).compression == ()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "7", "[1]", "[" * 100_000, "[" * 2_000_000, '[{"a"', "null"],
)
def test_other_records_count_as_none(text: str) -> None:
    assert recorded({"simcert.compression": text}) == ()


def test_only_plain_values_are_kept() -> None:
    hostile = (
        '[{"method": 3, "parameters": {"a": 1e999, "b": NaN, "c": {"d": [1]}, "e": ["x", 2]}}]'
    )
    (step,) = recorded({"simcert.compression": hostile})
    assert step == {
        "method": "3",
        "parameters": {"a": None, "b": None, "c": None, "e": "x"},
        "seed": None,
        "original_sha256": "",
    }
    json.dumps(step, allow_nan=False)
