"""Certain bounds beside draws: what is measured, counted, and not measured again."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from networks import random_mlp

from simcert.claim import Region


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("bounded")


def test_an_undecided_claim_is_measured_once(bounded: ModuleType, tmp_path: Path) -> None:
    files = tuple(
        random_mlp(tmp_path / f"{name}.onnx", [5, 16, 16, 2], seed=0, noise=noise)
        for name, noise in (("f", 0.0), ("g", 0.02))
    )
    region = Region.from_boxes([[-1.0] * 5], [[1.0] * 5], source="cube")
    pair = bounded.Pair(files, region, "real", 50)
    path = tmp_path / "bounded.csv"
    keys = [("1_1", "int8", factor, "real", 50) for factor in (1.01, 50.0, 60.0)]
    measured = bounded.Rows(path, bounded.COLUMNS, key=len(bounded.KEY))
    bounded.climb(pair, keys, measured)
    undecided, proved = measured.stored  # the last factor says nothing new
    assert undecided["verdict"] == "inconclusive"
    assert undecided["violations"] == "0"
    assert int(undecided["draws"]) >= bounded.ROWS
    assert 0 < float(undecided["certain"]) <= float(undecided["undecided"])
    assert proved["verdict"] == "proved"
    assert proved["sampled"] == ""

    before = path.read_bytes()
    again = bounded.Rows(path, bounded.COLUMNS, key=len(bounded.KEY))
    bounded.climb(pair, keys, again)
    assert path.read_bytes() == before


def test_the_share_is_of_undecided_claims(bounded: ModuleType) -> None:
    rows = [
        {"certain": certain, "sampled": sampled}
        for certain, sampled in (("1e-9", "1e-7"), ("1e-7", "1e-7"), ("1e-2", "1e-7"), ("", ""))
    ]
    assert bounded.lower_share(rows) == "1 of 3 (33%)"
    assert bounded.lower_share(rows[3:]) == "0 of 0"
