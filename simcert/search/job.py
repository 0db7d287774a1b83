"""What a worker does: bound some boxes of one pair, in this process or on another machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from simcert.bounds import Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.bounds.phases import PhasePropagator
from simcert.pairing import DualProgram
from simcert.search.boxes import Boxes, Float
from simcert.search.stages import StagedPropagator


def one_by_one(function: Callable[[slice], Any], parts: Sequence[slice]) -> list[Any]:
    """Return the function of each part, in order."""
    return [function(part) for part in parts]


class Part(NamedTuple):
    """Boxes (B, inputs) that are bounded together, and what is inherited, (B, 6, neurons or 0)."""

    lower: Float
    upper: Float
    inherited: NDArray[np.float32]

    @classmethod
    def of(cls, boxes: Boxes) -> Part:
        """Return the part that some boxes make."""
        return cls(boxes.lower, boxes.upper, boxes.inherited)


_TUNING_STEPS = 20
"""Of gradient descent on the relaxations of wide networks, where splitting inputs is hopeless."""


class Job:
    """Bounds the linear functions that a divergence needs, on parts of a region.

    Args:
        dual: the aligned pair.
        rows: coefficients (S, outputs) on f, g and f − g.
        float32: whether to cover the rounding of a float32 runtime.
        work: of :class:`~simcert.bounds.Propagator`.
        parallel: likewise; it stays behind when the job is sent.
    """

    def __init__(
        self,
        dual: DualProgram,
        rows: tuple[Float, Float, Float],
        *,
        float32: bool,
        work: float,
        parallel: Callable[[Callable[[slice], Any], Sequence[slice]], list[Any]] = one_by_one,
    ) -> None:
        self._dual, self._rows, self._float32, self._work = dual, rows, float32, work
        self._parallel = parallel
        self.compiles = layers_of(dual, float32=float32) is not None

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what is made where it is needed."""
        kept = ("_dual", "_rows", "_float32", "_work", "compiles")
        return {**{name: self.__dict__[name] for name in kept}, "_parallel": one_by_one}

    @property
    def part(self) -> int | None:
        """How many boxes make a part for tensor operations; None: as many as there are."""
        return self.propagator.part

    @property
    def neurons(self) -> int:
        """Length of the last axis of what is inherited."""
        return self.propagator.neurons

    @property
    def is_quick(self) -> bool:
        """Whether one box is bounded in less than the first stage of a wide network may take."""
        return self.propagator.is_quick

    @cached_property
    def propagator(self) -> StagedPropagator:
        """What bounds any pair."""

        def make(work: float) -> Propagator:
            return Propagator(
                self._dual,
                *self._functions,
                float32=self._float32,
                work=work,
                parallel=self._parallel,
            )

        return StagedPropagator(make, self._work)

    @cached_property
    def tuner(self) -> Propagator:
        """What bounds a pair of wide networks more tightly, with slopes and planes by gradient."""
        return Propagator(
            self._dual,
            *self._functions,
            float32=self._float32,
            work=self._work,
            steps=_TUNING_STEPS,
            parallel=self._parallel,
        )

    @cached_property
    def brancher(self) -> PhasePropagator:
        """What branches on the phases of rectifiers inside a box."""
        return PhasePropagator(self._dual, *self._functions, float32=self._float32, work=self._work)

    @cached_property
    def compiled(self) -> DensePropagator:
        """What bounds a pair of small dense networks faster."""
        layers = layers_of(self._dual, float32=self._float32)
        if layers is None:
            raise ValueError("the compiled loops do not take this pair")
        return DensePropagator(layers, *self._functions)

    def prepare(self) -> threading.Thread:
        """Begin to compile the loops, beside other work; join the thread to have them.

        The result is cached, so that it takes long once on a machine. The thread is not stopped by
        the end of the program: a compiler that is cut off may bring it down.
        """
        box = torch.zeros(1, self._dual.inputs, dtype=torch.float64)
        thread = threading.Thread(target=self.compiled.bound, args=(box, box))
        thread.start()
        return thread

    def bound(self, part: Part, compiled: bool, seconds: float) -> RowBounds:
        """Bound a part.

        Args:
            part: the boxes.
            compiled: whether to use the compiled loops.
            seconds: after which to give up.

        Raises:
            OutOfTimeError: the time was up.
        """
        engine = self.compiled if compiled else self.propagator
        lower, upper, inherited = (torch.as_tensor(array) for array in part)
        bounds = engine.bound(lower, upper, inherited, time.monotonic() + seconds)
        return bounds._replace(triples=[])

    @cached_property
    def _functions(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        f, g, delta = (torch.as_tensor(c) for c in self._rows)
        return f, g, delta
