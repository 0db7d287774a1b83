"""Writing a certificate, with its evidence inside or, where that is large, beside it."""

import json
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

from simcert.atomic import write_atomically

LARGEST_INSIDE = 1 << 18
"""Bytes of evidence above which it goes to a file of its own, named by its digest."""


def schema() -> dict[str, Any]:
    """Returns the JSON Schema of certificates."""
    text = files("simcert.certificate").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def write(
    statement: dict[str, Any], path: Path, *, largest_inside: int = LARGEST_INSIDE
) -> Path | None:
    """Writes a statement as ASCII JSON, whole or not at all, once it has the form of the schema.

    Args:
        statement: with its evidence inside.
        path: where to.
        largest_inside: bytes of evidence that may stay inside.

    Returns:
        The file beside it that holds the evidence; None if that is inside.

    Raises:
        OSError: the file cannot be written.
        ValueError: the statement holds an infinity or a NaN.
        jsonschema.ValidationError: it has not the form of the schema.
    """
    import jsonschema

    statement, sidecar = _parted(statement, path, largest_inside)
    text = json.dumps(statement, allow_nan=False, indent=2) + "\n"
    jsonschema.validate(
        statement, schema(), cls=jsonschema.Draft202012Validator, format_checker=None
    )
    with ExitStack() as undo:
        beside = None
        if sidecar is not None:
            beside = path.with_name(statement["predicate"]["evidence"]["file"])
            undo.callback(_restore, beside, beside.read_bytes() if beside.is_file() else None)
            write_atomically(beside, sidecar)
        write_atomically(path, text.encode("ascii"))
        undo.pop_all()
    return beside


def _restore(path: Path, data: bytes | None) -> None:
    """Puts back what a file held before: evidence without its certificate is of no use."""
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, data)


def _parted(
    statement: dict[str, Any], path: Path, largest_inside: int
) -> tuple[dict[str, Any], bytes | None]:
    """Returns the statement as it is written, and the evidence that goes beside it."""
    evidence = statement.get("predicate", {}).get("evidence", {})
    if evidence.get("content") is None or evidence["bytes"] <= largest_inside:
        return statement, None
    data = json.dumps(
        evidence["content"], sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode("ascii")
    apart = evidence | {"file": f"{path.name}.evidence.json", "content": None}
    return statement | {"predicate": statement["predicate"] | {"evidence": apart}}, data
