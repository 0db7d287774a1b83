"""GitHub workflow commands: one annotation for each claim.

A line of a job's log that begins with ``::`` is a command to the runner. Every line here is one,
made by this file; text from outside stands in it with its own escapes and cannot begin another.
"""

from collections.abc import Sequence

from simcert.report.view import Entry
from simcert.report.words import counted
from simcert.result import Verdict


def render(entries: Sequence[Entry]) -> str:
    """Writes an annotation for each entry, and a notice with the counts."""
    lines = [_annotation(entry) for entry in entries]
    lines.append(f"::notice title=SimCert::{_data(counted([e.outcome for e in entries]))}")
    return "\n".join(lines) + "\n"


def _annotation(entry: Entry) -> str:
    level = "error"
    message = entry.error
    if entry.report is not None:
        report = entry.report
        message = f"{report.finding}. Claim: {report.claim.sentence}. "
        message += f"Arithmetic: {report.claim.numbers}"
        level = "notice" if report.passed is not False else level
        level = "warning" if report.verdict is Verdict.INCONCLUSIVE else level
    properties = {"title": f"SimCert: {entry.outcome}: {entry.name}"}
    if entry.location:
        properties = {"file": entry.location, **properties}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {written}::{_data(message)}"


def _data(text: str) -> str:
    """Escapes the message of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escapes a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
