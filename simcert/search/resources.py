"""What a search may use: workers, memory, and the file in which it is kept between two runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simcert.claim import Region
from simcert.search.branch_and_bound import BranchAndBound
from simcert.search.state import State
from simcert.search.workers import Kind, Workers, workers

_RESUMED = (
    "The search went on from the state that an earlier run left: what it says of decided boxes was "
    "proved then, and is taken from there."
)


@dataclass
class Resources:
    """What a search may use.

    Attributes:
        executor: threads of this process, processes of this machine, or the workers of Dask.
        count: how many workers; by default as many as the run has threads.
        scheduler: address of a Dask scheduler; without one a cluster of this machine is started.
        memory: bytes that waiting boxes may take; by default half of the machine's memory.
        resume: where the search is kept: it goes on from there, if there is such a file, and is
            written there if it ends early.
    """

    executor: Kind = "threads"
    count: int | None = None
    scheduler: str | None = None
    memory: float = field(default_factory=lambda: 0.5 * memory_of_the_machine())
    resume: Path | None = None
    _runs: int = 0
    _failure: str = ""

    def workers(self, threads: int) -> Workers:
        """Return who bounds boxes in a run with so many threads."""
        return workers(self.executor, self.count or threads, self.scheduler)

    def take_up(self, search: BranchAndBound, identity: dict[str, str], region: Region) -> int:
        """Let the search go on from the file, and return by which power of 2 to divide α.

        Whether a run is the last one is not known when it draws. With a file to go on from, the
        first run spends α/2, the next α/4, and so on, so that all together spend at most α.

        Raises:
            ClaimError: the file is no state of this search.
        """
        if self.resume is None:
            return 0
        if self.resume.exists():
            state, self._runs = State.load(self.resume, identity, search.like, region)
            search.resume(state)
        return self._runs + 1

    def put_down(self, search: BranchAndBound, identity: dict[str, Any], *, finished: bool) -> None:
        """Write the state of a search that ended early; remove that of one that is finished."""
        if self.resume is None:
            return
        try:
            if finished:
                self.resume.unlink(missing_ok=True)
            elif search.state is not None:
                search.state.save(self.resume, identity, self._runs + 1)
        except OSError as error:  # what was shown stands
            self._failure = f"The state of the search could not be written: {error}."

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a result takes for granted because of the file, and what became of it."""
        resumed = _RESUMED if self._runs else ""
        return tuple(sentence for sentence in (resumed, self._failure) if sentence)


def memory_of_the_machine() -> int:
    """Return the bytes of memory of this machine; a guess of 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30
