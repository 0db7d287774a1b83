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

    While several parts are under way each tensor operation runs on one thread: threads within an
    operation wait for each other actively, which collapses beside other busy processes. A job of
    one part runs where it is called, with whatever threads torch has there.

    Args:
        threads: how many parts are under way at once.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._libraries = ThreadpoolController()

    def map(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """Return the function of each item, in order; the first exception is raised."""
        if len(items) == 1:
            return [function(items[0])]
        with self._libraries.limit(limits=1):
            return list(self._pool.map(function, items))
