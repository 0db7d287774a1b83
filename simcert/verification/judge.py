"""Judging: the verdict that the findings support, and what it takes for granted."""

from __future__ import annotations

import math

from simcert.claim import Claim
from simcert.model.graph import INTEGER
from simcert.result import Proof, Verdict
from simcert.sampling import Statistics
from simcert.verification.findings import Findings
from simcert.verification.pair import Pair


def judge(claim: Claim, evidence: Findings) -> tuple[Verdict, tuple[str, ...]]:
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
        bounded = "1 box" if proof.boxes == 1 else f"{proof.boxes:,} boxes"
        return Verdict.PROVED, (
            f"d ≤ ε is proved on each of the boxes into which the region was split "
            f"({bounded} bounded).",
        )
    if claim.max_violation is None:
        if witness is not None:
            return Verdict.REFUTED, ("Both files were run on the witness below, and d > ε.",)
        return Verdict.INCONCLUSIVE, _unfinished(proof)
    if proof.violation_lower > claim.max_violation:
        return Verdict.REFUTED, ("d > ε is proved on boxes with more probability than allowed.",)
    if proof.not_proved <= claim.max_violation:
        return Verdict.BOUNDED, ("All that is not proved has less probability than allowed.",)
    if proof.concentration and proof.concentration.violation_upper <= claim.max_violation:
        return Verdict.BOUNDED, (
            "d ≤ ε for all inputs but a share of less probability than allowed: layer by layer, "
            "intervals that linear bounds leave so rarely, under the distribution.",
        )
    if proof.violation_upper <= claim.max_violation:
        return Verdict.BOUNDED, (
            "Where d ≤ ε is not proved, linear bounds of the difference, integrated over the "
            "distribution, leave d > ε no more probability than allowed.",
        )
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
                "draws were made from the undecided boxes only."
                + _INTEGRATED
                * (statistics.remainder.integrated_mass > 0.0),
            )
    return Verdict.INCONCLUSIVE, _unfinished(proof)


_INTEGRATED = (
    " Undecided boxes on which integrated linear bounds say more than draws could were not sampled."
)


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


_PROOFS = {
    "real": "Proofs speak of the two networks in real arithmetic; the analysis' own float64 "
    "rounding is included, the rounding of a float32 runtime is not.",
    "float32": "Proofs speak of what any float32 runtime computes that rounds to nearest, sums "
    "products in any order, with or without fused multiply-add and with or without flushing "
    "subnormals, and may fold constants into affine operators; the analysis' own float64 rounding "
    "is included.",
}
_SAFE_WEIGHT = 64

_SAME = (
    "Both files are the same file, and one runtime computes it in the same way both times: its "
    "rounding cancels."
)
_DRAWS = (
    "Draws come from a pseudo-random generator, and the confidence is over these draws. They "
    "measure the files as they run in ONNX Runtime (ORT_DISABLE_ALL, CPU)"
)
_DRAWS_OVER_REALS = (
    "; a draw that exceeds the bound proved over the reals by no more than float32 rounding counts "
    "as that bound"
)


def _of_integer_kernels(pair: Pair) -> list[str]:
    """Return what is taken for granted of the integer kernels in the files."""
    nodes = [node for model in (pair.original, pair.compressed) for node in model.graph.nodes]
    kernels = [node for node in nodes if node.integer(INTEGER, 0)]
    if not kernels:
        return []
    said = ["Integer kernels accumulate exactly."]
    saturating = [node.name or node.operator for node in kernels if node.integer(INTEGER, 0) > 1]
    if saturating:
        said.append(
            f"On processors without VNNI the sums of {len(saturating)} integer kernels may "
            f"saturate, {saturating[0]!r} among them: their codes exceed {_SAFE_WEIGHT} in "
            "absolute value. There nothing is said."
        )
    return said


def assumptions_of(pair: Pair, evidence: Findings) -> tuple[str, ...]:
    """Return what the verdict takes for granted."""
    assumptions = []
    if evidence.proof.stopped != "unavailable":
        assumptions.append(_PROOFS[pair.claim.arithmetic])
        if pair.dual is not None and pair.dual.same and not pair.is_real:
            assumptions.append(_SAME)
    assumptions += _of_integer_kernels(pair)
    assumptions.append(
        "Region bounds are rounded outward to the networks' input type; draws are rounded to it."
    )
    if evidence.statistics is not None:
        assumptions.append(_DRAWS + (_DRAWS_OVER_REALS if pair.is_real else "") + ".")
    return tuple(assumptions)
