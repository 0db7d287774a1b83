"""Drawing again from the seeds, and running both files on the draws (``--resample``).

The files run in ONNX Runtime, which is imported only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from simcert.checker import normal
from simcert.checker.claim import Claim
from simcert.checker.divergences import measured
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.interface import Interface
from simcert.checker.interval import Float
from simcert.checker.statistics import Tickets
from simcert.checker.tree import Leaves

_ROWS = 4096

_ALIKE = 2.0**-16
"""Of an output: as far as kernels of batches may round in another way than those of rows."""


class Runner:
    """A file in ONNX Runtime at ORT_DISABLE_ALL, as the certificate's runs were.

    Args:
        data: the file.
        used: how its tensors make the flat input and output.
    """

    def __init__(self, data: bytes, used: Interface) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise CannotCheckError("running the files needs onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._used = used
        self._session: Any = _made(
            lambda: onnxruntime.InferenceSession(
                used.runnable(data), options, providers=["CPUExecutionProvider"]
            )
        )
        self._rows = _ROWS if used.batched else 1

    def run(self, x: Float) -> Float:
        """Return the outputs (n, outputs) of inputs (n, inputs), each row run alone."""
        return self._run(x, 1)

    def readings(self, x: Float) -> list[Float]:
        """Return the outputs of rows that are run alone and, where the file can, in batches.

        A claim speaks of what a file makes of one input. What was counted may be batches, in which
        other kernels round in another way; a row that a batch answers otherwise counts as alone.
        """
        alone = self.run(x)
        if self._rows == 1:
            return [alone]
        batch = self._run(x, self._rows)
        if batch.shape != alone.shape:
            raise CheckError("a file gives another number of outputs for several rows")
        with np.errstate(invalid="ignore"):
            alike = (np.abs(batch - alone) <= _ALIKE * np.abs(alone)) | (batch == alone)
        return [alone, np.where(alike.all(axis=1, keepdims=True), batch, alone)]

    def _run(self, x: Float, size: int) -> Float:
        found = []
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            run = partial(self._session.run, list(self._used.outputs), self._used.feed(rows))
            outputs = [np.asarray(y, dtype=np.float64).reshape(len(rows), -1) for y in _made(run)]
            found.append(np.hstack(outputs))
        return np.concatenate(found)


def _made(action: Callable[[], Any]) -> Any:
    """Return what ONNX Runtime makes.

    Raises:
        CannotCheckError: it fails.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    failures = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
        ValueError,
    )
    try:
        return action()
    except failures as error:
        raise CannotCheckError(f"ONNX Runtime cannot run a file: {error}") from error


@dataclass(frozen=True, eq=False)
class Drawn:
    """All draws, run again.

    Attributes:
        divergences: d (n,).
        differences: |f_i − g_i| of all outputs, (n, outputs).
        rounding: how far d may be from what was counted: over the reals a run that exceeds what
            is proved by its own rounding counts as what is proved.
    """

    divergences: Float
    differences: Float
    rounding: float


_REAL_ROUNDING = 2.0**-13
"""Of the largest output of a float32 run: its rounding errors, with room to spare."""


def divergences(
    sampling: dict[str, Any],
    tickets: Tickets,
    leaves: Leaves,
    claim: Claim,
    runners: tuple[Runner, Runner],
    input_type: np.dtype[np.floating],
) -> list[Drawn]:
    """Return the divergences of all draws, in each way in which the files may have been run."""
    count = sampling["drawn"]
    if sampling["plan"]["method"] == "exhaustive":
        chunks: Iterator[Float] = iter([leaves.lower[np.flatnonzero(tickets.counts > 0)]])
    else:
        chunks = _draws(sampling["plan"], tickets, leaves, claim, input_type)
    found: list[list[tuple[Float, Float]]] = []
    drawn = 0
    while drawn < count:
        x = next(chunks, np.zeros((0, leaves.lower.shape[1])))[: count - drawn]
        if len(x) == 0:
            raise CheckError("fewer points than draws")
        drawn += len(x)
        outputs = [runner.readings(x) for runner in runners]
        if outputs[0][0].shape != outputs[1][0].shape:
            raise CheckError("the two networks have different numbers of outputs")
        found.append([(f, g) for f in outputs[0] for g in outputs[1]])
    if not found:
        return [Drawn(np.zeros(0), np.zeros((0, 0)), 0.0)]
    return [_drawn(claim, parts) for parts in zip(*found, strict=True)]


def _drawn(claim: Claim, parts: Sequence[tuple[Float, Float]]) -> Drawn:
    """Return the divergences of the outputs of both files, chunk by chunk."""
    f, g = (np.concatenate(outputs) for outputs in zip(*parts, strict=True))
    columns = list(claim.compared(f.shape[1]))
    d = measured(claim.divergence, f[:, columns], g[:, columns])
    with np.errstate(invalid="ignore"):
        differences = np.nan_to_num(np.abs(f - g), nan=np.inf)
    finite = np.where(np.isfinite(f) & np.isfinite(g), np.maximum(np.abs(f), np.abs(g)), 0.0)
    rounding = float(finite.max()) * (_REAL_ROUNDING if claim.arithmetic == "real" else 2.0**-45)
    return Drawn(d, differences, rounding)


def recount(sampling: dict[str, Any], tickets: Tickets, drawn: Drawn, tolerance: float) -> int:
    """Require the stated count of violations; return the tickets of the violating points.

    Raises:
        CheckError: another number of draws violates.
    """
    violating = ~(drawn.divergences[: sampling["samples"]] <= tolerance)
    found = int(violating.sum())
    if found != sampling["violations"]:
        raise CheckError(
            f"{found} of the {len(violating)} draws violate, not {sampling['violations']}"
        )
    if sampling["plan"]["method"] != "exhaustive":
        return 0
    points = tickets.counts[tickets.counts > 0]
    return sum(points[: len(violating)][violating].tolist())


def _draws(
    plan: dict[str, Any],
    tickets: Tickets,
    leaves: Leaves,
    claim: Claim,
    input_type: np.dtype[np.floating],
) -> Iterator[Float]:
    """Yield the chunks of draws, in order."""
    drawn_from = np.flatnonzero(tickets.counts > 0)
    lower, upper = leaves.lower[drawn_from], leaves.upper[drawn_from]
    region, root = claim.region, leaves.root[drawn_from]
    centre = (region.lower / 2 + region.upper / 2)[root]
    half_width = ((region.upper - region.lower) / 2)[root]
    cumulative = np.cumsum(tickets.counts[drawn_from])
    chunk = 0
    while True:
        sequence = np.random.SeedSequence(plan["seed"], spawn_key=(plan["stream"], chunk))
        generator = np.random.Generator(np.random.Philox(sequence))
        chosen = generator.integers(cumulative[-1], size=plan["chunk"])
        leaf = np.searchsorted(cumulative, chosen, side="right")
        position = generator.random((plan["chunk"], lower.shape[1]))
        if claim.scale is None:
            x = lower[leaf] + (upper[leaf] - lower[leaf]) * position
        else:
            deviation = np.maximum(claim.scale * half_width, np.finfo(np.float64).tiny)
            x = normal.drawn(lower[leaf], upper[leaf], centre[leaf], deviation[leaf], position)
        rounded = x.astype(input_type).astype(np.float64)
        yield np.clip(rounded, lower[leaf], upper[leaf])
        chunk += 1
