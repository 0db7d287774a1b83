"""Building the certificate of a passing result.

The envelope is an in-toto Statement v1 (https://github.com/in-toto/attestation, spec/v1): its
subject is the compressed file, named by its SHA-256 alone; everything else, the original included,
is in the predicate. Its type is SimCert's own, with a version; its form is in ``schema.json``.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from simcert.concentration import MANY, Concentration
from simcert.errors import SimcertError
from simcert.evidence import Evidence
from simcert.numerals import exact
from simcert.result import ModelReference, Result, Verdict
from simcert.sampling.rounding import below
from simcert.sampling.statistics import Statistics

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "tag:simcert,2026:certificate/v1"

_SCHEME = (
    "draw i is row i mod chunk of chunk i div chunk; a chunk comes from numpy's "
    "Generator(Philox(SeedSequence(seed, spawn_key=(stream, chunk index)))): integers below the "
    "sum of all tickets choose the undecided leaves, then the distribution draws in each, in "
    "float64; values are rounded to the networks' input type and clipped into the leaf"
)


class CertificateError(SimcertError):
    """A certificate was asked for a result that did not pass."""


def build(result: Result, issued: datetime, command: Sequence[str] = ()) -> dict[str, Any]:
    """Builds the statement of a passing result.

    Args:
        result: proved, bounded or certified, with a tolerance.
        issued: when, with a time zone.
        command: the command line, if there was one.

    Returns:
        The statement as plain JSON types, evidence inside; numbers that are compared stand in
        decimal and in hexadecimal.

    Raises:
        CertificateError: ``result`` did not pass, or its numbers do not bear out its verdict.
    """
    if not result.passed:
        why = "without a tolerance nothing is claimed" if result.passed is None else result.verdict
        raise CertificateError(f"no certificate: {why}")
    proof, versions = result.proof, result.versions
    comparison = _comparison(result)
    statistics = result.statistics if result.verdict is Verdict.CERTIFIED else None
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(result.compressed)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "original": _resource(result.original) | _properties(result.original),
            "compressed": _properties(result.compressed),
            "claim": result.claim.to_dict(),
            "guarantee": {
                "kind": result.verdict.value,
                **comparison,
                **exact("worst_case", _worst_case(result)),
                "explanation": list(result.explanation),
                "shares": {
                    **exact("proved", proof.proved_mass),
                    **exact("violated", proof.violated_mass),
                    **exact("undecided", proof.undecided_mass),
                    **_added(result, comparison["value"]),
                },
            },
            "arithmetic": result.claim.arithmetic,
            "runtime": f"ONNX Runtime {versions.get('onnxruntime')}, ORT_DISABLE_ALL, CPU",
            "assumptions": list(result.assumptions),
            "search": {
                "boxes": proof.boxes,
                "stopped": proof.stopped,
                "reason": proof.reason or None,
                "pairing": proof.pairing or None,
            },
            "integration": _integration(result, statistics),
            **_concentration(result),
            "sampling": None if statistics is None else _sampling(statistics),
            "ledger": _ledger(statistics, _rests_on(result)),
            "witness": None if result.witness is None else result.witness.to_dict(),
            "evidence": _evidence(result.evidence, statistics),
            "run": {
                "issued": issued.astimezone(UTC).isoformat(timespec="seconds"),
                "elapsed_seconds": result.elapsed_seconds,
                "seed": result.seed,
                "threads": result.threads,
                "command": list(command),
                "versions": dict(versions),
            },
        },
    }
    return sealed(statement)


def sealed(statement: dict[str, Any]) -> dict[str, Any]:
    """Returns the statement with its seal: the digest of everything else.

    Evidence counts by its digest, so that it may move to a file of its own. The seal finds
    accidents; what finds intent is a signature, and the check itself.
    """
    predicate = {k: v for k, v in statement["predicate"].items() if k != "seal"}
    evidence = predicate["evidence"]
    bare = predicate | {"evidence": {key: evidence[key] for key in ("bytes", "sha256")}}
    seal = _digest(_canonical(statement | {"predicate": bare}))
    return statement | {"predicate": predicate | {"seal": seal}}


def _comparison(result: Result) -> dict[str, Any]:
    """Returns the comparison that the guarantee rests on: a quantity, its value, its limit.

    Raises:
        CertificateError: the numbers of the result do not bear out its verdict.
    """
    claim, statistics = result.claim, result.statistics
    quantity, value, limit = {
        Verdict.PROVED: ("proof.bound", _stated_bound(result), claim.tolerance),
        Verdict.BOUNDED: (
            "proof.violation_upper",
            _certain_upper(result),
            claim.max_violation,
        ),
        Verdict.CERTIFIED: (
            "statistics.violation_upper",
            None if statistics is None or statistics.range_exceeded else statistics.violation_upper,
            claim.max_violation,
        ),
    }[result.verdict]
    if value is None or limit is None or not value <= limit:
        raise CertificateError(
            f"no certificate: {quantity} is {value}, which does not show that it is at most {limit}"
        )
    return {"quantity": quantity, **exact("value", value), **exact("limit", limit)}


def _worst_case(result: Result) -> float | None:
    """Returns the proved bound of d on all of the region.

    Of a claim that does not rest on it only where cutting the inputs narrows bounds: elsewhere a
    checker that bounds more simply would have to give up on it, and with it on the claim.
    """
    if result.verdict is Verdict.PROVED:
        return _stated_bound(result)
    return result.proof.bound if result.claim.region.inputs <= MANY else None


def _stated_bound(result: Result) -> float | None:
    """Returns a bound of d between the one that was proved and ε.

    A checker that bounds more simply needs room: their geometric mean where cutting the inputs
    narrows its bounds too, ε itself elsewhere. Less than was proved is never stated.
    """
    proved, allowed = result.proof.bound, result.claim.tolerance
    if proved is None or allowed is None or not 0 < proved < allowed:
        return proved
    if result.claim.region.inputs > MANY:
        return allowed
    mean = math.nextafter(math.sqrt(proved) * math.sqrt(allowed), math.inf)
    return min(max(proved, mean), allowed)


def _added(result: Result, value: float) -> dict[str, Any]:
    """Returns what is shown of d ≤ ε beyond the proved leaves: for certain, and by draws.

    Each is a probability that its kind adds to those before it, rounded down. What is certain of
    a certified claim is what the leaves that are not drawn from say; the certificate has no more.
    """
    statistics = result.statistics if result.verdict is Verdict.CERTIFIED else None
    # Where every point of a finite region was run, the draws are certain.
    certain = statistics is None or statistics.confidence == 1.0
    shown = Fraction(result.proof.proved_mass)
    violation = Fraction(0 if result.verdict is Verdict.PROVED else value)
    left = {"bounded": violation, "certified": violation}
    if statistics is not None and not certain:
        remainder = statistics.remainder
        left["bounded"] = remainder.certain_upper + Fraction(remainder.mass_upper)
    added: dict[str, Any] = {}
    for kind, most in left.items():
        undrawn = kind == "certified" and certain
        share = 0.0 if undrawn else max(0.0, below(1 - most - shown))
        added |= exact(kind, share)
        shown += Fraction(share)
    return added


def _certain_upper(result: Result) -> float:
    """Returns the certain bound of P(d > ε); without integration where that is good enough."""
    proof, limit = result.proof, result.claim.max_violation
    found = _rests_on(result)
    if found is not None and limit is not None:
        return _stated_eta(found.spent, limit)
    enough = limit is not None and proof.not_proved <= limit
    return proof.not_proved if enough else proof.violation_upper


def _sampling(statistics: Statistics) -> dict[str, Any]:
    """Returns the plan, what came of it, and the counts and moments of the draws."""
    return {
        "scheme": _SCHEME,
        "plan": statistics.plan.to_dict(),
        "plan_sha256": statistics.plan.digest(),
        "stopped": statistics.stopped,
        "drawn": statistics.drawn,
        "samples": statistics.samples,
        **exact("share", statistics.share),
        "violations": statistics.violations,
        **exact("sum", statistics.moments.sum),
        **exact("sum_of_squares", statistics.moments.squares),
        **exact("violation_upper", statistics.violation_upper),
        "divergences": {
            **exact("maximum", statistics.maximum),
            "histogram": statistics.histogram.to_dict(),
            "curve": [quantile.to_dict() for quantile in statistics.curve],
            "per_output": [output.to_dict() for output in statistics.per_output],
        },
    }


def _integration(result: Result, statistics: Statistics | None) -> dict[str, Any] | None:
    """Returns what integrated linear bounds contribute to the guarantee; None if nothing.

    Of a bounded claim all undecided leaves are integrated over, of a certified one those that have
    no tickets.
    """
    proof, limit = result.proof, result.claim.max_violation
    integral = proof.integral
    if integral is None or limit is None or proof.not_proved <= limit or _rests_on(result):
        return None
    leaves, mass, upper = integral.boxes, integral.mass, integral.upper
    methods = integral.methods
    if statistics is not None:
        methods = ()  # they are of all undecided leaves
        remainder = statistics.remainder
        leaves -= len(remainder.leaves)
        mass, upper = remainder.integrated_mass, remainder.integrated_upper
    if leaves == 0:
        return None
    return {
        "leaves": leaves,
        **exact("mass", mass),
        **exact("upper", upper),
        **exact("eta", integral.eta),
        "methods": [{"method": name, **exact("upper", whole)} for name, whole in methods],
    }


def _rests_on(result: Result) -> Concentration | None:
    """Returns the bound but for η, if the guarantee rests on it and on nothing else."""
    limit, without = result.claim.max_violation, replace(result.proof, concentration=None)
    bounded = limit is not None and without.violation_upper <= limit
    return None if bounded or result.verdict is not Verdict.BOUNDED else result.proof.concentration


def _concentration(result: Result) -> dict[str, Any]:
    """Returns d ≤ ε but for η; nothing, if the guarantee does not rest on it."""
    found, claim = _rests_on(result), result.claim
    if found is None or claim.max_violation is None:
        return {}
    eta = _stated_eta(found.spent, claim.max_violation)
    numbers = {"eta": eta, "bound": claim.tolerance, "spent": found.spent}
    stated = [exact(name, number) for name, number in numbers.items()]
    return {"concentration": dict(item for one in stated for item in one.items())}


def _stated_eta(spent: float, allowed: float) -> float:
    """Returns a probability between what was spent and what is allowed, in the middle of √(−log).

    d ≤ ε was shown but for about the least probability with which it can be. A checker whose bounds
    are a little looser needs room: what holds but for the least holds but for more.
    """
    if not spent < allowed:
        return spent
    root = (math.sqrt(-math.log(spent)) + math.sqrt(-math.log(allowed))) / 2
    return min(allowed, max(spent, math.exp(-(root**2))))


def _ledger(statistics: Statistics | None, found: Concentration | None) -> dict[str, Any]:
    """Returns where error probabilities went: α over the draws, η over the inputs."""
    spent = () if statistics is None else statistics.alpha_ledger
    return {
        "family": 1 if statistics is None else statistics.plan.family,
        "alpha": [{"statement": name, **exact("alpha", alpha)} for name, alpha in spent],
        "eta": [] if found is None else [share.to_dict() for share in found.shares],
    }


def _evidence(evidence: Evidence | None, statistics: Statistics | None) -> dict[str, Any]:
    """Returns the split tree and, where draws count, their tickets."""
    if evidence is None:
        raise CertificateError("no certificate: the result carries no evidence")
    if statistics is None:
        evidence = replace(evidence, tickets=np.zeros(0, np.int64), ticket=0.0)
    data = evidence.encoded()
    return {
        "sha256": _digest(data),
        "bytes": len(data),
        "file": None,
        "content": evidence.content(),
    }


def _resource(model: ModelReference) -> dict[str, Any]:
    return {"name": Path(model.path).name, "digest": {"sha256": model.sha256}}


def _properties(model: ModelReference) -> dict[str, Any]:
    return {
        "bytes": model.bytes,
        "parameters": model.parameters,
        "operators": dict(sorted(model.operators.items())),
        "compression": [dict(step) for step in model.compression],
        **({} if model.interface is None else {"interface": dict(model.interface)}),
    }


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
