"""The formats of a report by their names."""

from collections.abc import Callable, Sequence

from simcert.report import github, html, junit, markdown, sarif
from simcert.report.view import Entry, Report


def _sarif(entries: Sequence[Entry]) -> str:
    from simcert import __version__

    return sarif.render(entries, __version__)


OF_ONE: dict[str, Callable[[Report], str]] = {"html": html.render}
"""Formats of a single report."""

OF_SEVERAL: dict[str, Callable[[Sequence[Entry]], str]] = {
    "markdown": markdown.render,
    "junit": junit.render,
    "sarif": _sarif,
    "github": github.render,
}
"""Formats of one or several reports."""
