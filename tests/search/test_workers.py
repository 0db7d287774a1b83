"""Who bounds the boxes changes nothing; a worker that is lost proves nothing."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from searches import assert_same, run, search, small_pair

from simcert import ClaimError
from simcert.bounds import RowBounds
from simcert.search.job import Job, Part
from simcert.search.workers import Processes, Threads, workers

BOXES = 900  # enough for the compiled loops


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    pair = small_pair(tmp_path, 0.21)
    alone = run(search(pair, Threads(1)), BOXES)
    assert alone.boxes == BOXES
    for count in (2, 4):
        assert_same(alone, run(search(pair, Threads(count)), BOXES))


def test_processes_find_what_threads_find(tmp_path: Path) -> None:
    pair = small_pair(tmp_path, 0.21)
    own = search(pair, workers("processes", 2))
    assert_same(run(search(pair), 300), run(own, 300))
    own.close()


def test_a_dask_cluster_finds_what_threads_find(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra simcert[dask]")
    pair = small_pair(tmp_path, 0.21)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        own = search(pair, workers("dask", 2, cluster.scheduler_address))
        found = run(own, 300)
        own.close()
    assert_same(run(search(pair), 300), found)


class Mortal(Job):
    """Kills the process in which it bounds a small box that covers a point near the centre."""

    def bound(self, part: Part, compiled: bool, seconds: float) -> RowBounds:
        inside = ((part.lower < 0.1) & (part.upper > 0.1)).all(axis=1)
        volume = (part.upper - part.lower).prod(axis=1)
        if (inside & (volume < 0.1)).any():
            os._exit(1)
        return super().bound(part, compiled, seconds)


def test_a_killed_process_leaves_its_boxes_undecided(tmp_path: Path) -> None:
    pair = small_pair(tmp_path, 0.25)
    whole = run(search(pair))
    assert whole.undecided_mass == 0.0  # with nobody lost all is proved
    own = search(pair, Processes(2))
    own._job.__class__ = Mortal
    found = run(own)
    own.close()
    assert found.stopped == "finished"
    assert 0.0 < found.undecided_mass < 1.0
    centre = (found.undecided.lower < 0.1) & (found.undecided.upper > 0.1)
    assert centre.all(axis=1).any()


class Forgetful(Threads):
    """Has no memory for any second part."""

    def bound(
        self, job: Job, parts: Sequence[Part], compiled: bool, seconds: float
    ) -> list[RowBounds | None]:
        answers = super().bound(job, parts, compiled, seconds)
        return [None if index % 2 else answer for index, answer in enumerate(answers)]


def test_parts_without_an_answer_are_never_proved(tmp_path: Path) -> None:
    pair = small_pair(tmp_path, 0.25)
    assert run(search(pair)).undecided_mass == 0.0
    found = run(search(pair, Forgetful(1)))
    assert found.undecided_mass > 0.0
    assert len(found.undecided) > 0


@pytest.mark.parametrize(
    ("kind", "scheduler"), [("threads", "tcp://127.0.0.1:1"), ("cluster", None)]
)
def test_executors_that_do_not_exist(kind: str, scheduler: str | None) -> None:
    with pytest.raises(ClaimError):
        workers(kind, 1, scheduler)
