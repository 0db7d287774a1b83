"""Building the certificate of a passing result.

The envelope is an in-toto Statement v1 (https://github.com/in-toto/attestation, spec/v1): its
subject is the compressed file, named by its SHA-256 alone; everything else, the original included,
is in the predicate. Its type is SimCert's own, with a version.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simcert.errors import SimcertError
from simcert.numerals import exact
from simcert.result import ModelReference, Result, Verdict

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "tag:simcert,2026:certificate/v0.1"


class CertificateError(SimcertError):
    """A certificate was asked for a result that did not pass."""


def build(result: Result, issued: datetime) -> dict[str, Any]:
    """Builds the statement of a passing result.

    Args:
        result: proved, bounded or certified, with a tolerance.
        issued: when, with a time zone.

    Returns:
        The statement as plain JSON types; numbers that are compared stand in decimal and in
        hexadecimal.

    Raises:
        CertificateError: ``result`` did not pass, or its numbers do not bear out its verdict.
    """
    if not result.passed:
        why = "without a tolerance nothing is claimed" if result.passed is None else result.verdict
        raise CertificateError(f"no certificate: {why}")
    proof = result.proof
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(result.compressed)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "original": _resource(result.original) | _size(result.original),
            "compressed": _size(result.compressed),
            "claim": result.claim.to_dict(),
            "guarantee": {
                "kind": result.verdict.value,
                **_comparison(result),
                "explanation": list(result.explanation),
                "shares": {
                    **exact("proved", proof.proved_mass),
                    **exact("violated", proof.violated_mass),
                    **exact("undecided", proof.undecided_mass),
                },
            },
            "arithmetic": result.claim.arithmetic,
            "assumptions": list(result.assumptions),
            "evidence": {
                "proof": proof.to_dict(),
                "statistics": None if result.statistics is None else result.statistics.to_dict(),
                "witness": None if result.witness is None else result.witness.to_dict(),
            },
            "run": {
                "issued": issued.astimezone(UTC).isoformat(timespec="seconds"),
                "elapsed_seconds": result.elapsed_seconds,
                "seed": result.seed,
                "threads": result.threads,
                "versions": dict(result.versions),
            },
        },
    }


def _comparison(result: Result) -> dict[str, Any]:
    """Returns the comparison that the guarantee rests on: a quantity, its value, its limit.

    Raises:
        CertificateError: the numbers of the result do not bear out its verdict.
    """
    claim, statistics = result.claim, result.statistics
    quantity, value, limit = {
        Verdict.PROVED: ("proof.bound", result.proof.bound, claim.tolerance),
        Verdict.BOUNDED: (
            "proof.violation_upper",
            result.proof.violation_upper,
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


def _resource(model: ModelReference) -> dict[str, Any]:
    return {"name": Path(model.path).name, "digest": {"sha256": model.sha256}}


def _size(model: ModelReference) -> dict[str, Any]:
    return {
        "bytes": model.bytes,
        "parameters": model.parameters,
        "operators": dict(sorted(model.operators.items())),
    }
