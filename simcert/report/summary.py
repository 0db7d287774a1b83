"""The gate on a terminal: one line for each claim, and how many had which outcome."""

import re
from collections.abc import Sequence
from textwrap import wrap

from simcert.report.view import Entry
from simcert.report.words import counted


def line(entry: Entry, width: int = 12) -> str:
    """Writes a claim on one line.

    A line begins with a word of ours, and CI systems that act on ``##[...]`` or ``##vso[...]``
    anywhere in a line find none.

    Args:
        entry: the claim.
        width: of the first column.
    """
    kept = " (kept)" if entry.cached else ""
    text = f"{entry.outcome.upper():<{width}}  {entry.name}: {entry.message}{kept}"
    return re.sub(r"##(?=\w*\[)", r"#\\x23", text)


def render(entries: Sequence[Entry]) -> str:
    """Writes all claims and the counts."""
    lines = [line(entry) for entry in entries]
    return "\n".join([*lines, *closing(entries)]) + "\n"


def closing(entries: Sequence[Entry]) -> list[str]:
    """The lines that end a run."""
    return ["", *wrap(counted([entry.outcome for entry in entries]), 100)]
