"""Who bounds the parts of a batch: threads, processes, or the workers of a Dask cluster.

What is computed does not depend on who computes it: a batch is cut into parts of a fixed size, and
each part is bounded by itself. A part whose worker is lost has no bounds; its boxes stay undecided.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

from simcert.bounds import RowBounds
from simcert.errors import ClaimError
from simcert.search.job import Job, Part

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Kind: TypeAlias = Literal["threads", "processes", "dask"]


class Workers(Protocol):
    """Bounds parts, side by side."""

    def bound(
        self, job: Job, parts: Sequence[Part], compiled: bool, seconds: float
    ) -> list[RowBounds | None]:
        """Return the bounds of each part, None where its worker was lost.

        Raises:
            OutOfTimeError: the seconds were over.
        """

    def close(self) -> None:
        """End the workers."""


class Threads:
    """A few threads of this process.

    Each tensor operation of a part runs on one thread: threads within an operation wait for each
    other actively, which collapses beside other busy processes.

    Args:
        count: how many parts are under way at once.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        self._libraries = ThreadpoolController()

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """Return the function of each item, in order; the first exception is raised."""
        with self._libraries.limit(limits=1):
            return list(self._pool.map(function, items))

    def bound(
        self, job: Job, parts: Sequence[Part], compiled: bool, seconds: float
    ) -> list[RowBounds | None]:
        """Bound the parts; a thread without memory is lost."""

        def bound(part: Part) -> RowBounds | None:
            try:
                return job.bound(part, compiled, seconds)
            except MemoryError:
                return None

        if len(parts) == 1:  # of a wide network, whose rows the threads share
            return [bound(parts[0])]
        return self.map(bound, parts)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Processes of this machine, started afresh where one was lost.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._job: Job | None = None

    def bound(
        self, job: Job, parts: Sequence[Part], compiled: bool, seconds: float
    ) -> list[RowBounds | None]:
        """Bound the parts; with one process all are lost that were under way."""
        if self._pool is None or self._job is not job:
            self.close()
            self._job = job
            self._pool = ProcessPoolExecutor(
                self._count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(job,),
            )
        futures: list[Future[RowBounds]] = []
        with contextlib.suppress(BrokenExecutor):
            for part in parts:
                futures.append(self._pool.submit(_bound, part, compiled, seconds))  # noqa: PERF401
        answers = [_answer(future.result, (BrokenExecutor, MemoryError)) for future in futures]
        if len(futures) < len(parts) or None in answers:
            self.close()
        return answers + [None] * (len(parts) - len(futures))

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


_own: list[Job] = []
"""The job of a worker process."""


def _start(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    torch.set_num_threads(1)
    threadpool_limits(1)
    _own[:] = [job]


def _bound(part: Part, compiled: bool, seconds: float) -> RowBounds:
    return _own[0].bound(part, compiled, seconds)


class Dask:
    """The workers of a Dask cluster (the extra ``simcert[dask]``).

    Args:
        scheduler: its address; without one a cluster of this machine is started.
        count: workers of that cluster.

    Raises:
        ClaimError: Dask is not installed, or nobody answers at the address.
    """

    def __init__(self, scheduler: str | None, count: int) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise ClaimError("--executor dask needs Dask: pip install 'simcert[dask]'") from error
        try:
            self._client = (
                distributed.Client(n_workers=count, threads_per_worker=1, dashboard_address=None)
                if scheduler is None
                else distributed.Client(scheduler)
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise ClaimError(f"no Dask scheduler at {scheduler}: {error}") from error
        self._lost = (
            distributed.KilledWorker,
            distributed.comm.CommClosedError,
            distributed.client.FutureCancelledError,
            MemoryError,
        )
        self._job: Job | None = None
        self._sent: Any = None

    def bound(
        self, job: Job, parts: Sequence[Part], compiled: bool, seconds: float
    ) -> list[RowBounds | None]:
        """Bound the parts."""
        if self._job is not job:
            self._job, self._sent = job, self._client.scatter(job, broadcast=True, hash=False)
        futures = [
            self._client.submit(Job.bound, self._sent, part, compiled, seconds, pure=False)
            for part in parts
        ]
        return [_answer(future.result, self._lost) for future in futures]

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._client.close()


def _answer(
    result: Callable[[], RowBounds], lost: tuple[type[BaseException], ...]
) -> RowBounds | None:
    try:
        return result()
    except lost:
        return None


def workers(kind: Kind, count: int, scheduler: str | None = None) -> Workers:
    """Return the workers of a kind.

    Args:
        kind: threads, processes or dask.
        count: how many.
        scheduler: address of a Dask scheduler.

    Raises:
        ClaimError: there are none of that kind.
    """
    if scheduler is not None and kind != "dask":
        raise ClaimError(f"a scheduler has no part in the executor {kind!r}; choose 'dask'")
    if kind == "dask":
        return Dask(scheduler, count)
    if kind == "processes":
        return Processes(count)
    if kind == "threads":
        return Threads(count)
    raise ClaimError(f"there is no executor {kind!r}: threads, processes or dask")
