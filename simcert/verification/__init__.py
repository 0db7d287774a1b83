"""The main job: two files and a claim in; one verdict, and all that backs it, out.

The way of the data: read both files and pair them (``pair``), look for a witness, bound and split
(``findings``), sample what the search left undecided (``sample``), judge (``judge``). A stage may
be missing (an unknown operator, no time left); the verdict is then what the other stages show, and
never better.
"""

from __future__ import annotations

import math
import platform
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from simcert.claim import Claim
from simcert.concentration import check_eta
from simcert.errors import ClaimError
from simcert.evidence import Evidence
from simcert.model import Model
from simcert.progress import Progress, Silent
from simcert.result import ModelReference, Result, Verdict
from simcert.search import Resources
from simcert.threads import check_threads
from simcert.verification.findings import Findings
from simcert.verification.judge import assumptions_of, judge
from simcert.verification.pair import Pair

_DEFAULT_SAMPLES = 100_000


def verify(
    original: str | Path | Model,
    compressed: str | Path | Model,
    claim: Claim,
    *,
    samples: int | None = None,
    time_limit: float = 60.0,
    max_boxes: int | None = None,
    threads: int = 2,
    seed: int = 0,
    family: int = 1,
    eta: float | None = None,
    early_stopping: bool = False,
    progress: Progress | None = None,
    resources: Resources | None = None,
) -> Result:
    """Decide a claim about two ONNX files, or say what can be shown.

    Args:
        original: path of the reference network, or what `load` made of it with input maps or
            chosen outputs.
        compressed: of the network that is judged against it, likewise.
        claim: what is to be shown.
        samples: draws at most; 100,000 by default, and 0 for none.
        time_limit: seconds for everything.
        max_boxes: boxes to bound at most; a search that ends by it, and not by the clock, has the
            same result on every machine.
        threads: for the analysis and for ONNX Runtime.
        seed: of every random draw.
        family: how many claims share the confidence: each may spend α/``family``.
        eta: probability over the inputs that a bound of d may spend by layer-wise concentration;
            by default, of a claim with many inputs about a probability, that probability.
        early_stopping: stop drawing as soon as the claim is decided, with bounds that hold at
            whatever number of draws one stops; needs a claim about a probability.
        progress: is told how far the run is.
        resources: who bounds boxes and where they wait; threads of this process by default.

    Raises:
        SimcertError: the models, the pair or the claim are rejected; nothing is decided then.
    """
    if not (math.isfinite(time_limit) and time_limit > 0):
        raise ClaimError(f"the time limit must be a positive number of seconds, not {time_limit}")
    check_threads(threads)
    if family < 1 or seed < 0 or (samples is not None and samples < 0):
        raise ClaimError("family must be at least 1; seed and samples must not be negative")
    if early_stopping and claim.max_violation is None:
        raise ClaimError(
            "early stopping ends the draws once P(d > ε) ≤ p is decided: say which p is allowed"
        )
    resources = resources or Resources()
    if eta is not None:
        check_eta(eta)
    start = time.monotonic()
    threads_before = torch.get_num_threads()
    # Threads within an operation wait for each other actively, which collapses beside other busy
    # processes. Boxes and rows are shared among threads instead.
    torch.set_num_threads(1)
    try:
        pair = Pair.read(original, compressed, claim, threads)
        evidence = Findings.gather(
            pair,
            samples=_DEFAULT_SAMPLES if samples is None else samples,
            start=start,
            time_limit=time_limit,
            max_boxes=max_boxes,
            seed=seed,
            family=family,
            eta=eta,
            stopping="early" if early_stopping else "deadline",
            progress=progress or Silent(),
            resources=resources,
        )
    finally:
        torch.set_num_threads(threads_before)
    verdict, explanation = judge(pair.claim, evidence)
    return Result(
        verdict=verdict,
        claim=pair.claim,
        original=ModelReference.of(pair.original),
        compressed=ModelReference.of(pair.compressed),
        proof=evidence.proof,
        statistics=evidence.statistics,
        witness=evidence.witness,
        explanation=explanation,
        assumptions=(*assumptions_of(pair, evidence), *resources.assumptions),
        seed=seed,
        threads=threads,
        elapsed_seconds=time.monotonic() - start,
        versions=_versions(),
        evidence=Evidence.of(
            pair.claim.region,
            evidence.found,
            evidence.statistics if verdict is Verdict.CERTIFIED else None,
        ),
    )


@cache
def _versions() -> dict[str, str]:
    packages = ("simcert", "numpy", "onnx", "onnxruntime", "scipy", "torch")
    return {"python": platform.python_version(), **{p: version(p) for p in packages}}
