"""Boxes of a wide network in stages: a coarse bound at once, finer ones while there is time.

How long a given work takes depends on the machine and on what else runs there. A box of a wide
network may take all the time there is, and without stages it would have no bound if that was not
enough. How much work each stage may take does not depend on the clock; only how many there are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

from torch import Tensor

from simcert.bounds import Propagator, RowBounds

_FIRST, _FACTOR = 1e9, 8.0
"""Multiplications for a box in the first stage at most, about a second, and how many times more in
each one after it."""


class StagedPropagator:
    """Bounds boxes with more and more work.

    Args:
        make: returns the propagator for a limit of work.
        work: the limit of the last stage.
    """

    def __init__(self, make: Callable[[float], Propagator], work: float) -> None:
        self._make = cache(make)
        self._last = make(work)
        self._stages = _works(min(work, self._last.full_work))

    @property
    def part(self) -> int | None:
        """As in :class:`~simcert.bounds.Propagator`."""
        return self._last.part

    @property
    def neurons(self) -> int:
        """As in :class:`~simcert.bounds.Propagator`."""
        return self._last.neurons

    @property
    def is_quick(self) -> bool:
        """Whether there is but one stage."""
        return not self._stages

    def bound(
        self, lower: Tensor, upper: Tensor, inherited: Tensor | None, deadline: float
    ) -> RowBounds:
        """Bound the functions on each box; see :meth:`~simcert.bounds.Propagator.bound`.

        Parts of boxes that were bounded before have a bound already: for them there is one stage.
        """
        if inherited is not None and not inherited.numel():
            inherited = None  # no box keeps anything, see `BranchAndBound`
        known = inherited is not None and bool(inherited.isfinite().any())
        if self.part is not None or known or not self._stages:
            return self._last.bound(lower, upper, inherited, deadline)
        bounds = self._make(self._stages[0]).bound(lower, upper, inherited, deadline)
        for work in [*self._stages[1:], None]:
            if time.monotonic() > deadline:
                break
            propagator = self._last if work is None else self._make(work)
            finer = propagator.bound(lower, upper, bounds.inherited, deadline)
            late = time.monotonic() > deadline  # then it has no lines for some of the functions
            best = finer.tightened(bounds) if late else bounds.tightened(finer)
            bounds = best._replace(inherited=finer.inherited)
        return bounds


def _works(limit: float) -> list[float]:
    """Return the limits of the stages before the last one, which all together take little of it."""
    count = max(0, math.ceil(math.log(limit / _FIRST, _FACTOR))) if limit > 0 else 0
    return [limit / _FACTOR**stage for stage in range(count, 0, -1)]
