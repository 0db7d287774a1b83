"""Threads that share a batch of boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Workers:
    """A few threads for independent parts of one job.

    Each tensor operation of a part runs on one thread: threads within an operation wait for each
    other actively, which collapses beside other busy processes.

    Args:
        threads: how many parts are under way at once.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._libraries = ThreadpoolController()

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """Return the function of each item, in order; the first exception is raised."""
        with self._libraries.limit(limits=1):
            return list(self._pool.map(function, items))
