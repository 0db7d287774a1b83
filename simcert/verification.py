"""The main job: two files and a claim in; one verdict, and all that backs it, out.

The way of the data: read both files, pair them, look for a witness, bound and split, sample what
the search left undecided, judge. A stage may be missing (an unknown operator, no time left); the
verdict is then what the other stages show, and never better.
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simcert.bounds import Propagator
from simcert.claim import Claim
from simcert.errors import ClaimError, ModelError, PairError, UnsupportedOperatorError
from simcert.evidence import Evidence
from simcert.model import Model, load
from simcert.model.executor import Executor
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime
from simcert.pairing import DualProgram, align, spread
from simcert.progress import Progress, Silent
from simcert.result import (
    MAX_LISTED_INPUTS,
    MAX_WORST,
    ModelReference,
    Proof,
    Result,
    Verdict,
    Witness,
    WorstBox,
)
from simcert.sampling import Leaves, Remainder, Statistics, estimate, make_plan
from simcert.sampling.moments import LARGEST
from simcert.search import BranchAndBound, Candidate, Found, Network, attack
from simcert.search.boxes import Float
from simcert.search.witness import Evaluate, best_of

_DEFAULT_SAMPLES = 100_000
_ATTACK_SHARE, _PILOT_SHARE, _SEARCH_SHARE = 0.1, 0.2, 0.8
"""Shares of the time limit at which the attack, a first short search and the search end."""

_PILOT_BOXES = 1000
"""Boxes of the short search that comes before the first look at a probability."""

_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators that draw: two sessions draw the same numbers, which makes a noise look like none."""

_FLOAT32_ROUNDING = 2.0**-14
"""Of the outputs' size: what a float32 run may be off by before it contradicts a proof."""

_SMALL, _SPOT_CHECKS = 256, 64
"""Up to this width every draw is run in float64 too, on wider networks so many of each chunk."""

_SOFTMAX_ROUNDING = 2.0**-40
"""Of the outputs' size: more than the rounding of a divergence of softmax in float64."""

_CONFIRMED = 16
"""Inputs with d > ε whose outputs are bounded, the greatest d first."""

_NO_MASS = 2.0**-900
"""Probabilities below this cannot be written in tickets, and need not be."""


def verify(
    original: str | Path,
    compressed: str | Path,
    claim: Claim,
    *,
    samples: int | None = None,
    time_limit: float = 60.0,
    max_boxes: int | None = None,
    threads: int = 2,
    seed: int = 0,
    family: int = 1,
    progress: Progress | None = None,
) -> Result:
    """Decide a claim about two ONNX files, or say what can be shown.

    Args:
        original: path of the reference network.
        compressed: path of the network that is judged against it.
        claim: what is to be shown.
        samples: draws at most; 100,000 by default, and 0 for none.
        time_limit: seconds for everything.
        max_boxes: boxes to bound at most; a search that ends by it, and not by the clock, has the
            same result on every machine.
        threads: for torch and ONNX Runtime.
        seed: of every random draw.
        family: how many claims share the confidence: each may spend α/``family``.
        progress: is told how far the run is.

    Raises:
        SimcertError: the models, the pair or the claim are rejected; nothing is decided then.
    """
    if not (math.isfinite(time_limit) and time_limit > 0):
        raise ClaimError(f"the time limit must be a positive number of seconds, not {time_limit}")
    if threads < 1 or family < 1 or seed < 0 or (samples is not None and samples < 0):
        raise ClaimError(
            "threads and family must be at least 1; seed and samples must not be negative"
        )
    start = time.monotonic()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pair = _Pair.read(Path(original), Path(compressed), claim, threads)
        evidence = _Evidence.gather(
            pair,
            samples=_DEFAULT_SAMPLES if samples is None else samples,
            start=start,
            time_limit=time_limit,
            max_boxes=max_boxes,
            seed=seed,
            family=family,
            progress=progress or Silent(),
        )
    finally:
        torch.set_num_threads(threads_before)
    verdict, explanation = _judge(pair.claim, evidence)
    return Result(
        verdict=verdict,
        claim=pair.claim,
        original=ModelReference.of(pair.original),
        compressed=ModelReference.of(pair.compressed),
        proof=evidence.proof,
        statistics=evidence.statistics,
        witness=evidence.witness,
        explanation=explanation,
        assumptions=_assumptions(evidence),
        seed=seed,
        threads=threads,
        elapsed_seconds=time.monotonic() - start,
        versions=_versions(),
        evidence=Evidence.of(pair.claim.region, evidence.found, evidence.statistics),
    )


# -- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """Both files, read and ready to run; the claim's region fits their inputs."""

    original: Model
    compressed: Model
    f: Runtime
    g: Runtime
    claim: Claim
    networks: tuple[Network, Network] | None
    dual: DualProgram | None
    reason: str
    threads: int

    @classmethod
    def read(cls, original: Path, compressed: Path, claim: Claim, threads: int) -> _Pair:
        """Read and check both files and fit the claim to them."""
        models = load(original), load(compressed)
        f, g = (Runtime(model, threads) for model in models)
        for what, one, other in (
            ("inputs", f.inputs, g.inputs),
            ("outputs", f.outputs, g.outputs),
            ("input type", f.dtype, g.dtype),
        ):
            if one != other:
                raise PairError(
                    f"{original} and {compressed} cannot be compared: {what} {one} and {other}"
                )
        if claim.region.inputs != f.inputs:
            raise ClaimError(
                f"{claim.region.source} has {claim.region.inputs} inputs, the networks {f.inputs}"
            )
        claim.divergence.check(f.outputs)
        claim = replace(claim, region=claim.region.rounded_outward(f.dtype))
        _check_mass(claim)
        for model, runtime in zip(models, (f, g), strict=True):
            _refuse_random(model, runtime, claim)
        networks: tuple[Network, Network] | None = None
        dual, reason = None, ""
        try:
            networks = Executor(models[0].graph), Executor(models[1].graph)
            programs = lower(models[0].graph), lower(models[1].graph)
            networks = programs[0].run, programs[1].run
            claim.divergence.rows(f.outputs)
            dual = align(programs[0], spread(*programs, models[1].graph.metadata))
        except (UnsupportedOperatorError, ClaimError) as error:  # these can be sampled all the same
            reason = str(error)
        return cls(*models, f, g, claim, networks, dual, reason, threads)

    def measured(self, x: Float) -> Float:
        """Run both files on points (n, inputs) and return d (n,); NaN becomes infinite."""
        return self.claim.divergence.evaluate(self.f.run(x), self.g.run(x))

    def drawn(self, proved: float) -> Evaluate:
        """Return how draws are measured where d ≤ ``proved`` was proved over the reals.

        A float32 run may exceed that by its rounding; up to 2^-14 of the outputs' size such a draw
        counts as ``proved``. One that exceeds it by more contradicts the proof and is left as it
        is, to be reported; so is one that is not finite. A difference over the reals (in float64)
        that the run hides, by absorption, counts as it is.
        """

        def run(x: Float) -> Float:
            f, g = self.f.run(x), self.g.run(x)
            d = self.claim.divergence.evaluate(f, g)
            rounding = _FLOAT32_ROUNDING * np.maximum(np.abs(f), np.abs(g)).max(axis=1)
            close = np.isfinite(rounding) & (d > proved) & (d <= proved + rounding)
            d = np.where(close, proved, d)
            if self.dual is not None:
                # Where float32 hides a difference of the real networks, that difference counts.
                some = slice(None if self._is_small else _SPOT_CHECKS)
                real = self._real(x[some])
                hidden = ~(real - d[some] <= rounding[some])
                d[some] = np.where(hidden, np.fmax(real, d[some]), d[some])
            return d

        return run

    def exceeding(self, x: Float) -> Float:
        """Return d (n,), where it exceeds ε the lesser of what was run and what is real.

        The claim is about the networks over the reals. A difference above ε that is only rounding,
        of the float32 run, of the float64 one or of the divergence, is no witness against it.
        """
        d, tolerance = self.measured(x), self.claim.tolerance
        if tolerance is None or self.networks is None:
            return d
        above = np.flatnonzero(d > tolerance)
        if len(above):
            d[above] = np.fmin(d[above], self._real(x[above]))
            above = above[d[above] > tolerance]
        if len(above) and self.claim.max_violation is None:
            first = above[np.argsort(-d[above], kind="stable")[:_CONFIRMED]]
            doubtful = np.setdiff1d(above, first[self._confirmed(x[first], tolerance)])
            d[doubtful] = tolerance
        return d

    @property
    def _is_small(self) -> bool:
        """Whether the networks are cheap enough to be run a second time on every draw."""
        return self.dual is not None and max(node.size for node in self.dual.nodes) <= _SMALL

    def _real(self, x: Float) -> Float:
        """Return d (n,) of the two networks in float64."""
        assert self.networks is not None  # noqa: S101 - for the type checker
        points = torch.as_tensor(x)
        with torch.no_grad():
            outputs = [network(points).numpy() for network in self.networks]
        return self.claim.divergence.evaluate(*outputs)

    def _confirmed(self, x: Float, tolerance: float) -> NDArray[np.bool_]:
        """Whether d > ε (n,) whatever was rounded on the way: bounds on boxes that are points.

        A divergence of softmax has no lower bound; there d is above ε by more than the rounding of
        its own formula.
        """
        divergence = self.claim.divergence
        if divergence.unit == "nats":
            size = np.maximum(np.abs(self.f.run(x)), np.abs(self.g.run(x))).max(axis=1)
            d = np.fmin(self.measured(x), self._real(x))
            surely: NDArray[np.bool_] = d > tolerance + _SOFTMAX_ROUNDING * (1.0 + size)
            return surely
        if self._propagator is None:
            return np.ones(len(x), dtype=bool)
        points = torch.as_tensor(x)
        bounds = self._propagator.bound(points, points)
        confirmed: NDArray[np.bool_] = (
            divergence.lower(bounds.lower.numpy(), bounds.upper.numpy()) > tolerance
        )
        return confirmed

    @cached_property
    def _propagator(self) -> Propagator | None:
        if self.dual is None:
            return None
        rows = self.claim.divergence.rows(self.dual.outputs)
        f, g, delta = (torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
        return Propagator(self.dual, f, g, delta)

    def contradicts(self, candidate: Candidate | None, bound: float) -> bool:
        """Whether d exceeds a proved bound at an input, as run and in float64, beyond rounding."""
        if candidate is None or self.networks is None or not math.isfinite(bound):
            return False
        x = candidate.input[None]
        f, g = self.f.run(x), self.g.run(x)
        size = float(np.maximum(np.abs(f), np.abs(g)).max())
        d = np.fmin(self.claim.divergence.evaluate(f, g), self._real(x))[0]
        return bool(d > bound + _FLOAT32_ROUNDING * size)


def _check_mass(claim: Claim) -> None:
    """Refuse a distribution whose probabilities float64 does not hold on this region.

    Raises:
        ClaimError: the computed probability of the whole region is not 1.
    """
    region = claim.region
    with np.errstate(over="ignore", invalid="ignore"):
        whole = claim.distribution.mass(region.lower, region.upper, region.lower, region.upper)
    if not (np.abs(whole - 1.0) <= 1e-3).all():
        raise ClaimError(
            f"{region.source}: the probabilities of {claim.distribution.spec} on boxes of this "
            "size leave the range of float64; choose a smaller region or scale"
        )


def _refuse_random(model: Model, runtime: Runtime, claim: Claim) -> None:
    """Refuse a network that answers one input in more than one way.

    Raises:
        ModelError: naming the operator, if it is one that is known to draw.
    """
    for node in model.graph.nodes:
        trains = node.operator == "Dropout" and len(node.inputs) > 2 and bool(node.inputs[2])
        if node.operator in _RANDOM or trains:
            raise ModelError(
                f"{model.path}: operator {node.operator!r} (node {node.name!r}) draws random "
                "numbers; a network without a definite output cannot be compared"
            )
    x = np.concatenate([claim.region.lower[:1], claim.region.upper[:1]])
    if not np.array_equal(runtime.run_exact(x), runtime.run_exact(x), equal_nan=True):
        raise ModelError(
            f"{model.path}: two runs of one input differ; a network without a definite output "
            "cannot be compared"
        )


# -- evidence --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Evidence:
    """What the stages established."""

    found: Found | None
    proof: Proof
    statistics: Statistics | None
    witness: Witness | None
    looks: int
    contradicted: bool = False

    @classmethod
    def gather(
        cls,
        pair: _Pair,
        *,
        samples: int,
        start: float,
        time_limit: float,
        max_boxes: int | None,
        seed: int,
        family: int,
        progress: Progress,
    ) -> _Evidence:
        """Attack, search, and sample what is left.

        A claim about a probability is looked at twice: after a short search, which often is
        enough, and at the end. The looks share the confidence (union bound).
        """
        claim, dtype = pair.claim, pair.f.dtype
        end = start + time_limit
        candidate = attack(
            pair.networks,
            claim,
            pair.exceeding,
            dtype,
            seed=seed,
            deadline=start + _ATTACK_SHARE * time_limit,
        )
        found: Found | None = None
        statistics: Statistics | None = None
        looks = 2 if claim.max_violation is not None and pair.dual is not None else 1
        search = None
        if pair.dual is not None and not _refutes(candidate, claim):
            search = BranchAndBound(
                pair.dual, claim, pair.exceeding, dtype, candidate, pair.threads
            )
        for look in range(1, looks + 1):
            if search is not None:
                pilot = look < looks
                share = _PILOT_SHARE if pilot else _SEARCH_SHARE if samples else 1.0
                limit = min(_PILOT_BOXES, max_boxes or _PILOT_BOXES) if pilot else max_boxes
                found = search.run(
                    deadline=start + share * time_limit, max_boxes=limit, progress=progress
                )
                candidate = found.candidate
            if not samples or _refutes(candidate, claim) or _interrupted(found):
                continue
            statistics = _sample(pair, found, samples, seed, look, looks * family, end, progress)
            candidate = _better(pair, candidate, statistics)
            if _decides(statistics, claim):
                break
        contradicted = found is not None and pair.contradicts(candidate, found.bound)
        return cls(
            found, _proof(pair, found), statistics, _replay(pair, candidate), looks, contradicted
        )


def _sample(
    pair: _Pair,
    found: Found | None,
    samples: int,
    seed: int,
    look: int,
    family: int,
    deadline: float,
    progress: Progress,
) -> Statistics | None:
    """Plan, draw and run both files on the draws; None where nothing is left to draw from."""
    claim = pair.claim
    remainder = _remainder(claim, pair.f.outputs, found)
    if remainder is None:
        return None
    plan = make_plan(
        remainder,
        samples=samples,
        seed=seed,
        stream=look,
        family=family,
        confidence=claim.confidence,
        tolerance=claim.tolerance,
        max_violation=claim.max_violation,
    )

    def draw(run: Evaluate) -> Statistics:
        return estimate(
            plan,
            remainder,
            claim.distribution,
            run,
            dtype=pair.f.dtype,
            deadline=deadline,
            progress=progress,
        )

    try:
        statistics = draw(pair.drawn(remainder.leaves.range))
        allowed = claim.max_violation
        if allowed is not None and (statistics.violation_lower or 0.0) > allowed:
            # The same draws, counting only what exceeds ε over the reals too: rounding refutes
            # nothing.
            lower = draw(pair.exceeding).violation_lower
            statistics = replace(statistics, violation_lower=lower)
    except KeyboardInterrupt:
        return None  # what was proved stands
    return statistics


def _better(
    pair: _Pair, candidate: Candidate | None, statistics: Statistics | None
) -> Candidate | None:
    """Return the better of a candidate and the draw with the largest divergence."""
    if statistics is None or not statistics.maximum_input:
        return candidate
    x, region = np.array([statistics.maximum_input]), pair.claim.region
    inside = np.logical_and(region.lower <= x, x <= region.upper).all(axis=1)
    return best_of(candidate, x, np.flatnonzero(inside)[:1], pair.exceeding(x))


def _decides(statistics: Statistics | None, claim: Claim) -> bool:
    """Whether confidence bounds decide the claim about a probability."""
    allowed = claim.max_violation
    if statistics is None or allowed is None:
        return statistics is None
    lower, upper = statistics.violation_lower, statistics.violation_upper
    return (upper is not None and upper <= allowed) or (lower or 0.0) > allowed


def _interrupted(found: Found | None) -> bool:
    return found is not None and found.stopped == "interrupted"


def _refutes(candidate: Candidate | None, claim: Claim) -> bool:
    """Whether an input alone refutes the claim."""
    return (
        candidate is not None
        and claim.tolerance is not None
        and claim.max_violation is None
        and candidate.divergence > claim.tolerance
    )


def _remainder(claim: Claim, outputs: int, found: Found | None) -> Remainder | None:
    """Return what is left to sampling: the undecided boxes, or the region where nothing is claimed.

    The proved ranges of d come from the symbolic bounds, never from a sample.
    """
    region = claim.region
    prior = claim.divergence.range(outputs)
    if found is None or claim.tolerance is None:
        bound = prior if found is None else min(prior, found.bound)
        leaves = Leaves(
            region.lower,
            region.upper,
            region.weights * claim.distribution.mass(*(region.lower, region.upper) * 2),
            np.arange(region.boxes),
            region.lower,
            region.upper,
            _ranges(np.full(region.boxes, bound)),
        )
        return Remainder(leaves, 1.0, 0.0, 0.0, 0.0, mass_lower=1.0)
    undecided = found.undecided.take(found.undecided.mass > 0)
    if len(undecided) == 0 or found.undecided_mass < _NO_MASS:
        return None
    leaves = Leaves(
        undecided.lower,
        undecided.upper,
        undecided.mass,
        undecided.root,
        region.lower,
        region.upper,
        _ranges(np.minimum(undecided.bound, prior)),
    )
    return Remainder(
        leaves,
        mass_upper=found.undecided_mass,
        mass_lower=found.undecided_lower,
        violated_upper=found.violated_upper,
        proved_bound=found.decided_bound,
        decided_mean=found.decided_mean,
        violated_lower=found.violated_mass,
    )


def _ranges(bound: Float) -> Float:
    """Return proved bounds of d; none where their sums would leave the range of float64."""
    return np.where(bound <= LARGEST, bound, np.inf)


def _proof(pair: _Pair, found: Found | None) -> Proof:
    """Return what was proved."""
    claim = pair.claim
    if found is None or pair.dual is None:
        reason = pair.reason or "a witness was found before the search"
        return Proof.unavailable(pair.f.outputs, reason)
    claimed = claim.tolerance is not None
    undecided = found.undecided_mass if claimed else 1.0
    complete = claimed and len(found.undecided) == 0
    proved = 1.0 - undecided - found.violated_upper
    if len(found.undecided) or found.violated_upper > 0.0:
        proved = math.nextafter(max(0.0, proved), 0.0)
    return Proof(
        bound=found.bound,
        per_output=claim.divergence.per_output(found.rows),
        boxes=found.boxes,
        proved_mass=max(0.0, proved),
        violated_mass=found.violated_mass,
        undecided_mass=undecided,
        complete=complete,
        stopped=found.stopped,
        pairing=pair.dual.describe(),
        worst=_worst(found) if claimed else (),
    )


def _worst(found: Found) -> tuple[WorstBox, ...]:
    """Return the undecided boxes with the largest bounds."""
    boxes = found.undecided
    boxes = boxes.take(np.argsort(-boxes.bound, kind="stable")[:MAX_WORST])
    listed = boxes.lower.shape[1] <= MAX_LISTED_INPUTS
    return tuple(
        WorstBox(
            tuple(lower.tolist()) if listed else (),
            tuple(upper.tolist()) if listed else (),
            float(bound),
            float(mass),
        )
        for lower, upper, bound, mass in zip(
            boxes.lower, boxes.upper, boxes.bound, boxes.mass, strict=True
        )
    )


def _replay(pair: _Pair, candidate: Candidate | None) -> Witness | None:
    """Run the unmodified files on the best input; it is a witness if d exceeds the tolerance."""
    tolerance = pair.claim.tolerance
    if candidate is None or (tolerance is not None and candidate.divergence <= tolerance):
        return None
    x = candidate.input[None]
    f, g = pair.f.run_exact(x), pair.g.run_exact(x)
    divergence = float(pair.claim.divergence.evaluate(f, g)[0])
    inside = pair.claim.region.contains(x, candidate.root)[0]
    if not inside or (tolerance is not None and not divergence > tolerance):
        return None
    return Witness(
        tuple(x[0].tolist()),
        candidate.root,
        tuple(f[0].tolist()),
        tuple(g[0].tolist()),
        divergence,
        pair.f.description,
    )


# -- judging ---------------------------------------------------------------------------------


def _judge(claim: Claim, evidence: _Evidence) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict and, sentence by sentence, what backs it. Comparisons are exact."""
    proof, statistics, witness = evidence.proof, evidence.statistics, evidence.witness
    if evidence.contradicted:
        return Verdict.INCONCLUSIVE, (
            "A run exceeded the bound that was proved: proof and runs contradict each other. "
            "Please report this pair.",
        )
    if claim.tolerance is None:
        if math.isfinite(proof.bound):
            return Verdict.PROVED, ("The worst case is proved on every box of a partition.",)
        if statistics is not None and _states(statistics):
            return Verdict.CERTIFIED, ("No worst case is proved; the numbers rest on draws.",)
        return Verdict.INCONCLUSIVE, ("Neither a proof nor a draw was possible.",)
    if proof.complete and proof.bound <= claim.tolerance:
        return Verdict.PROVED, (
            f"d ≤ ε is proved on each of the boxes into which the region was split "
            f"({proof.boxes} boxes bounded).",
        )
    if claim.max_violation is None:
        if witness is not None:
            return Verdict.REFUTED, ("Both files were run on the witness below, and d > ε.",)
        return Verdict.INCONCLUSIVE, _unfinished(proof)
    if proof.violation_lower > claim.max_violation:
        return Verdict.REFUTED, ("d > ε is proved on boxes with more probability than allowed.",)
    if proof.violation_upper <= claim.max_violation:
        return Verdict.BOUNDED, ("All that is not proved has less probability than allowed.",)
    if statistics is not None and statistics.range_exceeded:
        return Verdict.INCONCLUSIVE, (
            "A draw exceeded the range that was proved: proof and runs contradict each other. "
            "Please report this pair.",
        )
    if statistics is not None:
        if (statistics.violation_lower or 0.0) > claim.max_violation:
            return Verdict.REFUTED, ("The lower confidence bound of P(d > ε) is above p.",)
        upper = statistics.violation_upper
        if upper is not None and upper <= claim.max_violation:
            return Verdict.CERTIFIED, (
                "The upper confidence bound of P(d > ε) is at most p: proved boxes count as 0, "
                "draws were made from the undecided boxes only.",
            )
    return Verdict.INCONCLUSIVE, _unfinished(proof)


def _states(statistics: Statistics) -> bool:
    """Whether draws show anything: a mean or a quantile."""
    numbers = (statistics.mean_upper, *(quantile.upper for quantile in statistics.quantiles))
    return statistics.drawn > 0 and any(number is not None for number in numbers)


def _unfinished(proof: Proof) -> tuple[str, ...]:
    if proof.reason:
        return (f"The symbolic analysis was not possible: {proof.reason}.",)
    return (
        f"The search stopped ({proof.stopped}) after {proof.boxes} boxes; no witness was found.",
    )


def _assumptions(evidence: _Evidence) -> tuple[str, ...]:
    """Return what the verdict takes for granted."""
    assumptions = []
    if evidence.proof.stopped != "unavailable":
        assumptions.append(
            "Proofs speak of the two networks in real arithmetic; the analysis' own float64 "
            "rounding is included, the rounding of a float32 runtime is not."
        )
    assumptions.append(
        "Region bounds are rounded outward to the networks' input type; draws are rounded to it."
    )
    if evidence.statistics is not None:
        assumptions.append(
            "Draws come from a pseudo-random generator, and the confidence is over these draws. "
            "They measure the files as they run in ONNX Runtime (ORT_ENABLE_BASIC, CPU, float32); "
            "a draw that exceeds the bound proved over the reals by no more than float32 rounding "
            "counts as that bound."
        )
    return tuple(assumptions)


def _versions() -> dict[str, str]:
    packages = ("simcert", "numpy", "onnx", "onnxruntime", "scipy", "torch")
    return {"python": platform.python_version(), **{p: version(p) for p in packages}}
