"""Sampling what the search left undecided, or the whole region where nothing is claimed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simcert.claim import Claim
from simcert.integration import Integral
from simcert.progress import Progress
from simcert.sampling import Leaves, Remainder, Statistics, clopper_pearson, estimate, make_plan
from simcert.sampling.moments import LARGEST
from simcert.sampling.plan import Stopping
from simcert.search import Boxes, Candidate, Found
from simcert.search.boxes import UP, Float
from simcert.search.witness import Evaluate, best_of
from simcert.verification.pair import Pair

_NO_MASS = 2.0**-900
"""Probabilities below this cannot be written in tickets, and need not be."""


def sample_remainder(
    pair: Pair,
    found: Found | None,
    samples: int,
    seed: int,
    look: int,
    family: int,
    deadline: float,
    progress: Progress,
    integral: Integral | None = None,
    *,
    stopping: Stopping = "deadline",
) -> Statistics | None:
    """Plan, draw and run both files on the draws; None where nothing is left to draw from.

    What ``integral`` says of an undecided box stands where draws could not say more.
    """
    claim = pair.claim
    remainder = _remainder(claim, pair.f.outputs, found, integral, samples)
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
        stopping=stopping,
        outputs=claim.divergence.columns(pair.f.outputs) if _is_norm(claim) else (),
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
        statistics = draw(pair.drawn(remainder.leaves.range, plan.outputs))
        allowed = claim.max_violation
        if pair.is_real and allowed is not None and (statistics.violation_lower or 0.0) > allowed:
            # The same draws, counting only what exceeds ε over the reals too: rounding refutes
            # nothing.
            lower = draw(pair.exceeding).violation_lower
            statistics = replace(statistics, violation_lower=lower)
    except KeyboardInterrupt:
        return None  # what was proved stands
    return statistics


def _is_norm(claim: Claim) -> bool:
    """Whether no single output differs by more than d."""
    return claim.divergence.name in ("linf", "l1", "l2")


def better_of(
    pair: Pair, candidate: Candidate | None, statistics: Statistics | None
) -> Candidate | None:
    """Return the better of a candidate and the draw with the largest divergence."""
    if statistics is None or not statistics.maximum_input:
        return candidate
    x, region = np.array([statistics.maximum_input]), pair.claim.region
    inside = np.logical_and(region.lower <= x, x <= region.upper).all(axis=1)
    return best_of(candidate, x, np.flatnonzero(inside)[:1], pair.exceeding(x))


def _remainder(
    claim: Claim, outputs: int, found: Found | None, integral: Integral | None, samples: int
) -> Remainder | None:
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
        positions = np.arange(region.boxes) if found is None else None
        return Remainder(leaves, 1.0, 0.0, 0.0, 0.0, mass_lower=1.0, positions=positions)
    mass = found.undecided.mass
    shares = mass if integral is None else integral.shares
    drawn = _drawn(claim, mass, shares, samples)
    undecided, rest = found.undecided.take(drawn), found.undecided.take(~drawn)
    if len(undecided) == 0 or undecided.mass_upper < _NO_MASS:
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
        mass_upper=undecided.mass_upper,
        mass_lower=undecided.mass_lower,
        violated_upper=found.violated_upper,
        proved_bound=max(found.decided_bound, claim.tolerance if len(rest) else 0.0),
        decided_mean=found.decided_mean + _mean(rest, prior),
        violated_lower=found.violated_mass,
        integrated_mass=math.fsum(rest.mass) * UP,
        integrated_upper=math.fsum(shares[~drawn]) * UP,
        positions=np.flatnonzero(drawn),
    )


def _drawn(claim: Claim, mass: Float, shares: Float, samples: int) -> NDArray[np.bool_]:
    """Choose, before any draw, the undecided boxes to draw from, (B,).

    Draws without a single violation show no less than P(d > ε) ≤ u on a box, with u the bound of
    Clopper and Pearson for 0 in n. Where integrated linear bounds show less than that, they
    answer for the box; if that is everywhere, there is nothing to gain, and all boxes are drawn
    from.
    """
    least = clopper_pearson.upper(0, samples, 1.0 - claim.confidence)
    possible = mass > 0
    drawn: NDArray[np.bool_] = possible & (shares > least * mass)
    return drawn if drawn.any() else possible


def _mean(boxes: Boxes, prior: float) -> float:
    """Return at least E[d; x in the boxes], by what is proved of d on each."""
    with np.errstate(over="ignore", invalid="ignore"):
        products = boxes.mass * np.minimum(boxes.bound, prior)
    return math.fsum(np.nan_to_num(products, nan=np.inf)) * UP


def _ranges(bound: Float) -> Float:
    """Return proved bounds of d; none where their sums would leave the range of float64."""
    return np.where(bound <= LARGEST, bound, np.inf)
