"""SARIF 2.1.0 (OASIS), for code-scanning dashboards: one result for each claim.

A claim that holds has the kind "pass", one that is refuted "fail", an inconclusive one "open"
("insufficient information", section 3.27.9), a question without a tolerance "informational". A
claim that could not be judged is a notification of the run, not a result.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from simcert.numerals import exact
from simcert.report.view import Entry, Network, Report
from simcert.result import Verdict

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_RULES = {
    "behaves-like-original": (
        "BehavesLikeOriginal",
        "The compressed network behaves like the original.",
        "On every input of the region the divergence of the outputs is at most the tolerance.",
    ),
    "rarely-differs": (
        "RarelyDiffers",
        "The compressed network rarely differs from the original.",
        "The probability of a divergence above the tolerance is at most the allowed one.",
    ),
    "how-far": (
        "HowFar",
        "How far the compressed network is from the original.",
        "Without a tolerance nothing is claimed; the result says what could be shown.",
    ),
}


def render(entries: Sequence[Entry], version: str) -> str:
    """Writes a log with one run.

    Args:
        entries: the claims.
        version: of SimCert.
    """
    artifacts: dict[tuple[str, str], dict[str, Any]] = {}
    results = [
        _result(entry, entry.report, artifacts) for entry in entries if entry.report is not None
    ]
    failures = [entry for entry in entries if entry.report is None]
    run = {
        "tool": {
            "driver": {
                "name": "SimCert",
                "version": version,
                "rules": [_rule(name, *texts) for name, texts in _RULES.items()],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not failures,
                "toolExecutionNotifications": [_notification(entry) for entry in failures],
            }
        ],
        "artifacts": list(artifacts.values()),
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, allow_nan=False, indent=2) + "\n"


def _rule(name: str, title: str, short: str, full: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": title,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "defaultConfiguration": {"level": "error"},
    }


def _result(
    entry: Entry, report: Report, artifacts: dict[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    claim = report.claim
    name = "behaves-like-original" if claim.max_violation is None else "rarely-differs"
    name = "how-far" if claim.tolerance is None else name
    kind = "informational" if claim.tolerance is None else _KINDS[report.verdict]
    pair = [_artifact(artifacts, report.compressed), _artifact(artifacts, report.original)]
    identity = json.dumps([entry.name, claim.sentence, claim.region_sha256]).encode()
    return {
        "ruleId": name,
        "ruleIndex": list(_RULES).index(name),
        "kind": kind,
        "level": "error" if kind == "fail" else "none",  # section 3.27.10: none unless "fail"
        "message": {
            "text": _text(f"{entry.name}: {report.verdict.value}: {report.headline}. ")
            + _text(f"{report.finding}. Claim: {claim.sentence}. Arithmetic: {claim.numbers}")
        },
        "locations": [{"physicalLocation": {"artifactLocation": pair[0]}}],
        "relatedLocations": [{"physicalLocation": {"artifactLocation": pair[1]}}],
        "partialFingerprints": {"simcertClaim/v1": hashlib.sha256(identity).hexdigest()},
        "properties": {
            "verdict": report.verdict.value,
            "passed": report.passed,
            "cached": entry.cached,
            "arithmetic": claim.arithmetic,
            **exact("tolerance", claim.tolerance),
            **exact("max_violation", claim.max_violation),
            **exact("bound", report.proof.bound),
            **exact("violation_upper", report.proof.violation_upper),
        },
    }


_KINDS: Mapping[Verdict, str] = {
    Verdict.PROVED: "pass",
    Verdict.BOUNDED: "pass",
    Verdict.CERTIFIED: "pass",
    Verdict.REFUTED: "fail",
    Verdict.INCONCLUSIVE: "open",
}


def _artifact(artifacts: dict[tuple[str, str], dict[str, Any]], network: Network) -> dict[str, Any]:
    """Adds a file to the run's artifacts and returns where it is."""
    key = (network.name, network.sha256)
    if key not in artifacts:
        entry: dict[str, Any] = {
            "location": {"uri": quote(network.name)},
            "hashes": {"sha-256": network.sha256},
            "mimeType": "application/octet-stream",
        }
        if network.bytes is not None:
            entry["length"] = network.bytes
        artifacts[key] = entry
    return {"uri": quote(network.name), "index": list(artifacts).index(key)}


def _notification(entry: Entry) -> dict[str, Any]:
    return {"level": "error", "message": {"text": _text(f"{entry.name}: {entry.error}")}}


def _text(text: str) -> str:
    """Escapes links and placeholders of SARIF's plain text (sections 3.11.5 and 3.11.6)."""
    for special in ("\\", "[", "]"):
        text = text.replace(special, f"\\{special}")
    return text.replace("{", "{{").replace("}", "}}")
