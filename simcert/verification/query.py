"""Queries: is there an input whose outputs satisfy a formula? One claim a case, d ≤ 0 on its boxes.

A case's condition on the outputs is a divergence that is positive where it is satisfied
(:class:`~simcert.claim.vnnlib2.Condition`). The query is ``unsat`` where d ≤ 0 is proved for every
case, and ``sat`` where both files were run on an input and what they answered satisfies the query,
checked in exact arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from simcert.claim import Claim
from simcert.claim.rounding import Float
from simcert.claim.vnnlib2 import Case, Network, Query
from simcert.claim.vnnlib2.query import REAL
from simcert.errors import ClaimError, ModelError
from simcert.model import Model, load
from simcert.model.runtime import Runtime
from simcert.progress import Progress
from simcert.result import Result, Verdict
from simcert.threads import check_threads
from simcert.verification import verify

Status: TypeAlias = Literal["sat", "unsat", "unknown", "timeout"]


@dataclass(frozen=True, eq=False)
class Assignment:
    """An input that satisfies a query, and what the files answer.

    Attributes:
        input: (inputs,) of every network, flat.
        outputs: (outputs,) of each network, flat, as run in ONNX Runtime.
    """

    input: Float
    outputs: tuple[Float, ...]


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to a query.

    Attributes:
        status: "sat", "unsat", "unknown" or "timeout".
        assignment: what satisfies the query, where it is "sat".
        results: one of each case that was looked at.
        notes: what the answer takes for granted or why there is none, sentence by sentence.
    """

    status: Status
    assignment: Assignment | None
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()


def decide(
    query: Query,
    files: Mapping[str, str | Path],
    *,
    arithmetic: str | None = None,
    time_limit: float = 60.0,
    max_boxes: int | None = None,
    threads: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer:
    """Decide a query.

    Args:
        query: what is asked.
        files: an ONNX file for each network by name; one that is ``equal-to`` another needs none.
        arithmetic: "real" or "float32"; by default that of the query's element types.
        time_limit: seconds for everything.
        max_boxes: boxes to bound at most, over all cases.
        threads: for torch and ONNX Runtime.
        seed: of the search for an input.
        progress: is told how far the run is.

    Raises:
        ClaimError: the query and the networks do not fit together.
        SimcertError: a file is rejected.
    """
    check_threads(threads)
    start = time.monotonic()
    models = _models(query, files)
    for network, model in zip(query.networks, models, strict=True):
        _check(network, model)
    if arithmetic is None:
        arithmetic = "real" if query.element == REAL else "float32"
    runtimes = [Runtime(model, threads) for model in models]
    results: list[Result] = []
    notes: list[str] = []
    boxes_left = max_boxes
    for case in query.cases:
        left = time_limit - (time.monotonic() - start)
        if left <= 0 or (boxes_left is not None and boxes_left <= 0):
            notes.append(f"{len(query.cases) - len(results)} cases were not looked at.")
            return Answer("timeout" if left <= 0 else "unknown", None, tuple(results), tuple(notes))
        result = verify(
            models[0],
            models[-1],
            Claim(
                case.region(query.source),
                divergence=case.condition(runtimes[0].outputs),
                tolerance=0.0,
                arithmetic=arithmetic,
            ),
            samples=0,
            time_limit=left,
            max_boxes=boxes_left,
            threads=threads,
            seed=seed,
            progress=progress,
        )
        results.append(result)
        if boxes_left is not None:
            boxes_left -= result.proof.boxes
        if result.verdict is Verdict.REFUTED:
            assignment = _assignment(case, result, runtimes, notes)
            if assignment is not None:
                return Answer("sat", assignment, tuple(results), tuple(notes))
            notes.append(
                "An input next to the bounds satisfies the query, or satisfies it but for rounding."
            )
        elif result.verdict is not Verdict.PROVED:
            notes.extend(result.explanation)
    return Answer(_status(results), None, tuple(results), tuple(notes))


def _status(results: list[Result]) -> Status:
    """The answer where no case is satisfied for certain."""
    if all(result.verdict is Verdict.PROVED for result in results):
        return "unsat"
    undecided = [r for r in results if r.verdict is Verdict.INCONCLUSIVE]
    out_of_time = [r for r in undecided if r.proof.stopped == "time limit"]
    return "timeout" if out_of_time else "unknown"


def _models(query: Query, files: Mapping[str, str | Path]) -> list[Model]:
    """The model of each network."""
    names = [network.name for network in query.networks]
    for name in files:
        if name not in names:
            raise ClaimError(f"{query.source} declares no network {name!r}, but {', '.join(names)}")
    models: list[Model] = []
    for network in query.networks:
        equal = network.relation == "equal-to"
        if network.name in files:
            model = load(files[network.name])
        elif equal:
            model = models[0]
        else:
            raise ClaimError(f"which file is network {network.name!r} of {query.source}?")
        if equal and model.sha256 != models[0].sha256:
            raise ClaimError(
                f"{network.name!r} is declared equal to {network.other!r}, but the files differ"
            )
        models.append(model)
    return models


def _check(network: Network, model: Model) -> None:
    """Require that a model has the inputs and outputs that are declared.

    Shapes may differ where the elements are as many (``[5]`` for a model of [1, 1, 1, 5]): they are
    taken in row-major order.
    """
    for what, declared, actual in (
        ("input", network.inputs, model.interface.inputs),
        ("output", network.outputs, model.interface.outputs),
    ):
        if len(declared) != len(actual):
            raise ModelError(
                f"{model.path} has {len(actual)} {what}s, but network {network.name!r} is declared "
                f"with {len(declared)}"
            )
        for tensor, own in zip(declared, actual, strict=True):
            if tensor.size != own.size:
                raise ModelError(
                    f"{model.path}: {what} {own.name!r} has {own.size} elements, but {tensor.name} "
                    f"is declared with {tensor.size}"
                )
            if tensor.element not in (REAL, own.dtype.name):
                raise ModelError(
                    f"{model.path}: {what} {own.name!r} is of type {own.dtype.name}, but "
                    f"{tensor.name} is declared as {tensor.element}; declare it as "
                    f"{own.dtype.name} or {REAL}"
                )


def _assignment(
    case: Case, result: Result, runtimes: list[Runtime], notes: list[str]
) -> Assignment | None:
    """The witness as an assignment, if it satisfies the case exactly.

    A witness may lie on a bound that was rounded outward; then the nearest point inside is tried.
    Constants that no number of the input type equals are rounded to the nearest one, with a note.
    """
    witness = result.witness
    if witness is None:
        return None
    dtype = runtimes[0].dtype
    x, box = np.array(witness.input), witness.box
    rounded = case.widened(dtype)
    for point in (x, case.nearest(x, box, dtype)):
        outputs = tuple(runtime.run_exact(point[None])[0] for runtime in runtimes)
        if rounded.holds(point, box, outputs[0], outputs[-1]):
            if rounded.boxes[box] != case.boxes[box]:
                notes.append(
                    f"Input constants that are no {dtype} numbers were rounded to the nearest one."
                )
            return Assignment(point, outputs)
    return None
