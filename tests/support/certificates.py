"""Making certificates, and changing them as a forger would."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simcert import verify
from simcert.certificate import build, sealed, write
from simcert.checker import Report, check
from simcert.claim import Claim
from simcert.model import Model
from simcert.result import Verdict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Certified:
    """A certificate and the files it speaks of."""

    path: Path
    original: Path
    compressed: Path

    @property
    def statement(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    def check(self, path: Path | None = None, **options: Any) -> Report:
        return check(path or self.path, self.original, self.compressed, **options)

    def changed(
        self, change: Callable[[dict[str, Any]], object], path: Path, **options: Any
    ) -> Report:
        """Check a copy that ``change`` edited in place and whose digests were made anew."""
        statement = self.statement
        change(statement)
        path.write_text(json.dumps(resealed(statement)))
        return self.check(path, **options)


def resealed(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the statement with all digests of its own contents made anew."""
    predicate = statement["predicate"]
    evidence = predicate["evidence"]
    data = canonical(evidence["content"])
    evidence |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if predicate["sampling"] is not None:
        plan = canonical(predicate["sampling"]["plan"])
        predicate["sampling"]["plan_sha256"] = hashlib.sha256(plan).hexdigest()
    return sealed(statement)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def certify(
    folder: Path,
    name: str,
    original: Path | Model,
    compressed: Path | Model,
    claim: Claim,
    verdict: Verdict | None,
    *,
    largest_inside: int = 1 << 18,
    **options: Any,
) -> Certified:
    """Verify a claim, require a verdict (any that passes if None), write the certificate."""
    result = verify(original, compressed, claim, threads=1, **options)
    assert result.passed
    assert verdict in (None, result.verdict)
    path = folder / f"{name}.json"
    write(build(result, NOW, ["simcert", "verify"]), path, largest_inside=largest_inside)
    files = (model.path if isinstance(model, Model) else model for model in (original, compressed))
    return Certified(path, *files)
