"""The bounds that stand beside each other are of the same ball, and hold on it."""

import importlib
from pathlib import Path

import pytest


def test_both_bounds_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    one_box = importlib.import_module("one_box")
    cases = list(one_box.examples(tmp_path))
    digit = next(case for case in cases if case.original.stem == "digits_mlp")
    assert digit.region.lower.min() == 0
    assert digit.region.upper.max() == 1
    for case in (digit, cases[-1]):
        _, _, _, _, seen, verifier, _, checker, _ = one_box.row(case, tmp_path / "copy.onnx")
        assert 0 < float(seen) <= float(verifier)
        assert float(seen) <= float(checker)
