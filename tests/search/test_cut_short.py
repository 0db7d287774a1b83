"""A search that is cut short within a batch, and goes on: no box may be lost."""

import math
import time
from pathlib import Path

import pytest

import pruners
from simcert.claim import Claim, divergences, read_region
from simcert.progress import Silent
from simcert.search import BranchAndBound
from simcert.search.boxes import Boxes
from simcert.search.frontier import Frontier
from simcert.verification.pair import Pair


def hopeless(data: Path, tmp_path: Path, memory: float = math.inf) -> BranchAndBound:
    """A search in which nothing can be proved: the outputs differ by more than ε everywhere."""
    original = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
    copy = tmp_path / "copy.onnx"
    pruners.float16(original).save(copy)
    region = read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)
    claim = Claim(region, divergence=divergences.parse("linf"), tolerance=1e-9, max_violation=0.999)
    pair = Pair.read(original, copy, claim, 1)
    assert pair.dual is not None
    return BranchAndBound(pair.dual, pair.claim, pair.exceeding, pair.f.dtype, memory=memory)


def test_boxes_of_a_batch_that_was_cut_short_stay_undecided(data: Path, tmp_path: Path) -> None:
    search = hopeless(data, tmp_path)
    first = search.run(deadline=math.inf, max_boxes=1500, progress=Silent())
    assert len(first.undecided) > 512  # more than a batch
    for _ in range(20):
        found = search.run(deadline=time.monotonic() + 1e-3, max_boxes=None, progress=Silent())
        assert found.undecided_mass + found.violated_upper >= 1 - 1e-9
        assert found.stopped == "time limit"


def test_an_interruption_while_a_batch_is_written_down_says_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cuts may be noted and its parts not; what is not undecided would count as proved."""
    search = hopeless(data, tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_push", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search.run(deadline=math.inf, max_boxes=None, progress=Silent())


def test_an_interruption_while_stored_boxes_are_read_loses_none(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCERT_CACHE", str(tmp_path))
    search = hopeless(data, tmp_path, memory=1.0)
    search.run(deadline=math.inf, max_boxes=40, progress=Silent())
    insert = Frontier._insert

    def interrupt(frontier: Frontier, boxes: Boxes) -> None:
        monkeypatch.setattr(Frontier, "_insert", insert)
        raise KeyboardInterrupt

    monkeypatch.setattr(Frontier, "_insert", interrupt)
    found = search.run(deadline=math.inf, max_boxes=80, progress=Silent())
    search.close()
    assert found.stopped == "interrupted"
    assert found.undecided_mass + found.violated_upper >= 1 - 1e-9


def test_a_search_that_lost_a_box_says_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = hopeless(data, tmp_path)
    monkeypatch.setattr(Frontier, "push", lambda _, boxes: boxes.take(slice(0, 0)))
    with pytest.raises(RuntimeError, match="lost boxes"):
        search.run(deadline=math.inf, max_boxes=600, progress=Silent())
