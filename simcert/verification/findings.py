"""Gathering: an attack, the search, and draws from what the search left, within the time limit."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch

from simcert.bounds.layers import LayerBound, bound_layers
from simcert.claim import Claim
from simcert.concentration import (
    LEAST,
    Concentration,
    applies,
    concentrate,
    concentrate_within,
)
from simcert.integration import Integral, Integrator
from simcert.progress import Progress
from simcert.result import MAX_LISTED_INPUTS, MAX_WORST, Proof, Witness, WorstBox
from simcert.sampling import Statistics
from simcert.sampling.plan import Stopping
from simcert.search import BranchAndBound, Candidate, Found, Resources, attack
from simcert.verification.pair import Pair
from simcert.verification.sample import better_of, sample_remainder

_ATTACK_SHARE, _PILOT_SHARE, _SEARCH_SHARE = 0.1, 0.2, 0.8
"""Shares of the time limit at which the attack, a first short search and the search end."""

_CONCENTRATION_SHARE, _LEAST_SHARE = 0.5, 0.1
"""Where the bound but for η must be there, and what any search has behind it at least."""

_LAYERS_SHARE = 0.05
"""How much of it the bounds of single layers may take."""

_ALONE_SHARE = 0.95
"""Where the search ends when nothing is drawn: the rest is for integrating what it left."""

_WORK_RATE = 2e9
"""Multiplications that one box's inner bounds may take, for each second of the time limit, whatever
the number of threads: a network that needs more is bounded more coarsely, and still in time."""

_PILOT_BOXES = 1000
"""Boxes of the short search that comes before the first look at a probability."""


_FINISHED = ("finished", "target reached")


@dataclass(frozen=True)
class Findings:
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
        pair: Pair,
        *,
        samples: int,
        start: float,
        time_limit: float,
        max_boxes: int | None,
        seed: int,
        family: int,
        eta: float | None = None,
        stopping: Stopping = "deadline",
        progress: Progress,
        resources: Resources | None = None,
    ) -> Findings:
        """Attack, search, and sample what is left.

        Where the first bound of the region settles the claim, the attack is a few draws.

        A claim about a probability is looked at twice: after a short search, which often is
        enough, and at the end. The looks share the confidence (union bound).
        """
        claim, dtype, resources = pair.claim, pair.f.dtype, resources or Resources()
        end = start + time_limit
        candidate: Candidate | None = None
        found: Found | None = None
        integral: Integral | None = None
        concentration: Concentration | None = None
        least = start + _LEAST_SHARE * time_limit
        layers: tuple[LayerBound, ...] = ()
        statistics: Statistics | None = None
        looks = 2 if claim.max_violation is not None and pair.dual is not None else 1
        work = _WORK_RATE * time_limit
        identity = _identity(pair, seed)
        search = _search_of(pair, work, resources)
        try:
            if search is not None:
                family *= 2 ** resources.take_up(search, identity, claim.region)
            attacked = start + _ATTACK_SHARE * time_limit
            # What is settled at once is run on a few inputs too: a proof that is wrong may show.
            climbs = search is None or not search.settles_at_once(attacked)
            candidate = attack(
                pair.networks,
                claim,
                pair.exceeding,
                dtype,
                seed=seed,
                deadline=attacked,
                climbs=climbs,
            )
            if search is not None and refutes(candidate, claim):
                search.close()
                search = None
            if search is not None:
                search.offer(candidate)
                layers = _layers(pair, _LAYERS_SHARE * time_limit)
                before = start + _CONCENTRATION_SHARE * time_limit
                concentration = _concentration(pair, eta, before, work)
                if concentration is not None:
                    least = time.monotonic() + _LEAST_SHARE * time_limit
            for look in range(1, looks + 1):
                if search is not None:
                    pilot = look < looks
                    share = _PILOT_SHARE if pilot else _SEARCH_SHARE if samples else _ALONE_SHARE
                    limit = min(_PILOT_BOXES, max_boxes or _PILOT_BOXES) if pilot else max_boxes
                    if pilot and pair.is_faster_run(samples):
                        limit = 0
                    found = search.run(
                        deadline=max(start + share * time_limit, least),
                        max_boxes=limit,
                        progress=progress,
                        integrate=not pilot,
                    )
                    candidate = found.candidate
                    integral = _integral(pair, found, end)
                bounded = _is_bounded(claim, _proof(pair, found, integral, concentration))
                if not samples or refutes(candidate, claim) or _interrupted(found):
                    if bounded or _interrupted(found):
                        break
                    continue
                statistics = sample_remainder(
                    pair,
                    found,
                    samples,
                    seed,
                    look,
                    looks * family,
                    end,
                    progress,
                    integral,
                    stopping=stopping,
                )
                candidate = better_of(pair, candidate, statistics)
                if bounded or _decides(statistics, claim):
                    break
            if search is not None and found is not None:
                resources.put_down(search, identity, finished=found.stopped in _FINISHED)
        finally:
            if search is not None:
                search.close()
        contradicted = found is not None and pair.contradicts(candidate, found.bound)
        proof = replace(_proof(pair, found, integral, concentration), layers=layers)
        return cls(found, proof, statistics, _replay(pair, candidate), looks, contradicted)


def _search_of(pair: Pair, work: float, resources: Resources) -> BranchAndBound | None:
    """Return the search; None where the pair cannot be bounded."""
    if pair.dual is None:
        return None
    return BranchAndBound(
        pair.dual,
        pair.claim,
        pair.exceeding,
        pair.f.dtype,
        threads=pair.threads,
        work=work,
        workers=resources.workers(pair.threads),
        memory=resources.memory,
        keep=resources.resume is not None,
    )


def _identity(pair: Pair, seed: int) -> dict[str, str]:
    """Return what a state of a search belongs to: digests of all that decides how it goes."""
    claim = json.dumps(pair.claim.to_dict(), sort_keys=True, default=str)
    region = pair.claim.region
    corners = region.lower.tobytes() + region.upper.tobytes() + region.weights.tobytes()
    models = [f"{m.sha256} {m.interface}" for m in (pair.original, pair.compressed)]
    texts = {
        "original": models[0].encode(),
        "compressed": models[1].encode(),
        "claim": claim.encode() + corners,
        "seed": str(seed).encode(),
        "version of simcert": version("simcert").encode(),
    }
    return {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}


def _decides(statistics: Statistics | None, claim: Claim) -> bool:
    """Whether confidence bounds decide the claim about a probability."""
    allowed = claim.max_violation
    if statistics is None or allowed is None:
        return statistics is None
    lower, upper = statistics.violation_lower, statistics.violation_upper
    return (upper is not None and upper <= allowed) or (lower or 0.0) > allowed


def _is_bounded(claim: Claim, proof: Proof) -> bool:
    """Whether what is certain decides the claim about a probability."""
    return claim.max_violation is not None and proof.violation_upper <= claim.max_violation


def _interrupted(found: Found | None) -> bool:
    return found is not None and found.stopped == "interrupted"


def refutes(candidate: Candidate | None, claim: Claim) -> bool:
    """Whether an input alone refutes the claim."""
    return (
        candidate is not None
        and claim.tolerance is not None
        and claim.max_violation is None
        and candidate.divergence > claim.tolerance
    )


def _layers(pair: Pair, seconds: float) -> tuple[LayerBound, ...]:
    """Bound the layers over the whole region."""
    if pair.dual is None:
        return ()
    region = pair.claim.region
    return bound_layers(
        pair.dual,
        torch.tensor(region.lower),
        torch.tensor(region.upper),
        float32=not pair.is_real,
        deadline=time.monotonic() + seconds,
    )


def _concentration(
    pair: Pair, eta: float | None, deadline: float, work: float
) -> Concentration | None:
    """Bound the divergence but for η; without one, but for what the claim allows, or less.

    Then only where splitting the inputs cannot narrow much.
    """
    dual, claim, dtype = pair.dual, pair.claim, pair.f.dtype
    if dual is None:
        return None
    if eta is not None:
        return concentrate(dual, claim, dtype, eta, deadline=deadline, work=work)
    allowed = claim.max_violation
    if allowed is None or allowed < LEAST or not applies(claim):
        return None
    return concentrate_within(dual, claim, dtype, allowed, deadline=deadline, work=work)


def _integral(pair: Pair, found: Found, deadline: float) -> Integral | None:
    """Integrate the linear bounds on what is undecided."""
    if not len(found.undecided):
        return None
    tolerance = pair.claim.tolerance
    least = found.decided_bound if tolerance is None else tolerance
    integrator = Integrator(pair.claim, pair.f.dtype, len(found.rows))
    return integrator.integral(found.undecided, least, deadline)


def _proof(
    pair: Pair,
    found: Found | None,
    integral: Integral | None,
    concentration: Concentration | None,
) -> Proof:
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
        violated_upper=found.violated_upper,
        integral=integral,
        concentration=concentration,
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


def _replay(pair: Pair, candidate: Candidate | None) -> Witness | None:
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
