"""Boxes come back in the order of urgency, wherever they were kept; a full disk proves nothing."""

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from searches import assert_same, run, search, small_pair

from simcert.claim import Region, Uniform
from simcert.search.boxes import Boxes, roots
from simcert.search.frontier import Frontier

BYTES = 2000


def boxes(count: int, seed: int = 0) -> Boxes:
    """Boxes with few different keys, so that many tie."""
    generator = np.random.default_rng(seed)
    lower = generator.random((count, 2))
    region = Region.from_boxes(lower, lower + 1, source="boxes")
    own = roots(region, Uniform(), 1, 4)
    key = generator.integers(0, 5, count).astype(float)
    return replace(
        own, inherited=own.inherited.copy(), bound=key, node=generator.permutation(count)
    )


def drain(frontier: Frontier, generator: np.random.Generator) -> list[int]:
    """Take boxes in batches of any size."""
    nodes: list[int] = []
    while len(frontier):
        nodes += frontier.pop(int(generator.integers(1, 40))).node.tolist()
    return nodes


@pytest.mark.parametrize("memory", [math.inf, 20_000, 1])
def test_the_order_does_not_depend_on_the_memory(tmp_path: Path, memory: float) -> None:
    own = boxes(500)
    frontier = Frontier(own.take(slice(0, 0)), by_bound=True, memory=memory, folder=tmp_path)
    for start in range(0, 500, 50):
        assert len(frontier.push(own.take(slice(start, start + 50)))) == 0
    assert (frontier.on_disk > 0) == math.isfinite(memory)
    assert frontier.mass == pytest.approx(own.mass.sum())
    assert frontier.bound == 4.0
    together = Boxes.concatenated(list(frontier.parts()))
    assert sorted(together.node) == list(range(500))
    expected = own.node[np.lexsort((own.node, -own.bound))]
    assert drain(frontier, np.random.default_rng(1)) == expected.tolist()
    frontier.close()
    assert not list(tmp_path.iterdir())


def test_boxes_come_back_as_they_were(tmp_path: Path) -> None:
    own = boxes(100)
    frontier = Frontier(own, by_bound=True, memory=1, folder=tmp_path)
    back = frontier.pop(100)
    order = np.lexsort((own.node, -own.bound))
    for f in fields(Boxes):
        assert np.array_equal(getattr(back, f.name), getattr(own, f.name)[order])
    frontier.close()


@pytest.mark.parametrize("tolerance", [0.21, None])
def test_a_search_on_disk_is_the_same(
    tmp_path: Path, tolerance: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCERT_CACHE", str(tmp_path / "cache"))
    pair = small_pair(tmp_path, tolerance)
    free, tight = search(pair), search(pair, memory=30 * BYTES)
    first, second = run(free, 700), run(tight, 700)
    assert len(first.undecided) > 60
    assert len(list((tmp_path / "cache").glob("search-*/*.npz"))) > 0
    assert_same(first, second)
    tight.close()
    assert not list((tmp_path / "cache").iterdir())


def test_boxes_without_a_place_stay_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache lies below a file, as where a disk is full or cannot be written."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SIMCERT_CACHE", str(tmp_path / "file" / "cache"))
    pair = small_pair(tmp_path, 0.22)
    own = search(pair, memory=10 * BYTES)
    found = run(own, 3000)
    assert found.stopped == "finished"
    assert 0.0 < found.undecided_mass < 1.0
    covered = found.undecided.upper - found.undecided.lower
    assert np.prod(covered / 2, axis=1).sum() == pytest.approx(found.undecided_mass, abs=1e-6)
