"""The result for people: plain text that reads well at 80 columns and stays readable at 40."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from simcert.numerals import format_lower, format_upper, percent_lower, percent_upper
from simcert.report.printable import printable
from simcert.result import ModelReference, Result, Verdict, Witness

if TYPE_CHECKING:
    from simcert.sampling import Statistics

_HEADLINES = {
    Verdict.PROVED: "the claim holds for every input of the region",
    Verdict.BOUNDED: "the claim holds, with certainty",
    Verdict.CERTIFIED: "the claim holds, with the stated confidence",
    Verdict.REFUTED: "the claim is false",
    Verdict.INCONCLUSIVE: "neither shown nor refuted within the budget",
}
_HEADLINES_WITHOUT_TOLERANCE = {
    Verdict.PROVED: "a worst case over the region; no tolerance was given to pass",
    Verdict.CERTIFIED: "estimates with confidence; no tolerance was given to pass",
    Verdict.INCONCLUSIVE: "nothing could be shown within the budget",
}
_SHOWN = 8  # entries of a vector that are written out


def render(result: Result, width: int = 80) -> str:
    """Writes a result as text; the first line is the verdict.

    Printed bounds are rounded outward, so that each is itself a bound. Nothing from a file reaches
    the text without its control characters escaped.

    Args:
        result: what to write.
        width: columns, at least 30.

    Returns:
        Lines of at most ``width`` characters, ending with a newline.
    """
    page = _Page(width)
    page.paragraph(_headline(result), indent=0)
    page.gap()
    page.paragraph(result.claim.sentence())
    if result.explanation:
        page.section("What backs it")
        for sentence in result.explanation:
            page.item(sentence)
    if result.claim.tolerance is not None:
        page.section("Probability of the region")
        page.table(_shares(result))
    page.section("Divergence d")
    page.table(_divergence(result))
    if result.witness is not None:
        page.section("Witness")
        page.table(_witness(result.witness, result.claim.region.names, result.claim.region.units))
    page.section("What this does not say")
    for sentence in result.assumptions:
        page.item(sentence)
    page.section("Run")
    page.table(_run(result))
    return page.text()


def _headline(result: Result) -> str:
    headlines = _HEADLINES if result.passed is not None else _HEADLINES_WITHOUT_TOLERANCE
    return f"{result.verdict.upper()}: {headlines[result.verdict]}"


def _shares(result: Result) -> Iterable[tuple[str, str]]:
    proof = result.proof
    yield "proved d ≤ ε", f"≥ {percent_lower(proof.proved_mass)}"
    yield "proved d > ε", f"≥ {percent_lower(proof.violated_mass)}"
    yield "undecided by proof", f"≤ {percent_upper(proof.undecided_mass)}"
    yield "P(d > ε), certain", f"≤ {format_upper(proof.violation_upper)}"
    if result.statistics is not None:
        confidence = percent_lower(result.statistics.confidence, 12)
        yield f"P(d > ε), confidence {confidence}", _upper(result.statistics.violation_upper)


def _divergence(result: Result) -> Iterable[tuple[str, str]]:
    proof = result.proof
    yield "worst case, proved", _upper(proof.bound) + (f" ({proof.reason})" if proof.reason else "")
    if result.witness is not None:
        yield "largest seen", f"≥ {format_lower(result.witness.divergence)}"
    if len(proof.per_output) > 1:
        yield "per output, proved", _vector(_upper(bound) for bound in proof.per_output)
    yield "search", f"{proof.boxes:,} boxes, {proof.stopped}"
    if proof.pairing:
        yield "pairing", proof.pairing


def _statistics(statistics: "Statistics") -> Iterable[tuple[str, str]]:
    yield "samples", f"{statistics.samples:,}"


def _witness(
    witness: Witness, names: Sequence[str], units: Sequence[str]
) -> Iterable[tuple[str, str]]:
    yield "divergence", repr(witness.divergence)
    yield (
        "input",
        _vector(
            (f"{names[i]} = " if names else "")
            + repr(value)
            + (f" {units[i]}" if units and units[i] else "")
            for i, value in enumerate(witness.input)
        ),
    )
    yield "original answers", _vector(map(repr, witness.original_output))
    yield "compressed answers", _vector(map(repr, witness.compressed_output))
    yield "run by", witness.runtime


def _run(result: Result) -> Iterable[tuple[str, str]]:
    yield "original", _model(result.original)
    yield "compressed", _model(result.compressed)
    yield "time", f"{result.elapsed_seconds:.1f} s on {result.threads} threads"
    yield "seed", str(result.seed)
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())


def _model(model: ModelReference) -> str:
    return (
        f"{Path(model.path).name}, sha256 {model.sha256[:12]}…, "
        f"{model.parameters:,} parameters, {model.bytes:,} bytes"
    )


def _upper(bound: float | None) -> str:
    return "none" if bound is None or bound == float("inf") else f"≤ {format_upper(bound)}"


def _vector(entries: Iterable[str]) -> str:
    texts = list(entries)
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f", and {more:,} more in the JSON report" * (more > 0))


class _Page:
    """Collects lines; everything passes through ``_wrapped``, which escapes and breaks it."""

    def __init__(self, width: int) -> None:
        self._width = max(width, 30)
        self._lines: list[str] = []

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def gap(self) -> None:
        self._lines.append("")

    def section(self, title: str) -> None:
        self.gap()
        self.paragraph(title, indent=0)

    def paragraph(self, text: str, indent: int = 2) -> None:
        self._wrapped(text, " " * indent, " " * indent)

    def item(self, text: str) -> None:
        self._wrapped(text, "  - ", "    ")

    def table(self, rows: Iterable[tuple[str, str]]) -> None:
        """Two columns; where the second would be narrow, each value goes below its label."""
        rows = [(printable(label), value) for label, value in rows]
        column = 4 + max((len(label) for label, _ in rows), default=0)
        for label, value in rows:
            if self._width - column >= 30:
                self._wrapped(value, f"  {label}".ljust(column), " " * column)
            else:
                self.paragraph(label)
                self.paragraph(value, indent=4)

    def _wrapped(self, text: str, first: str, rest: str) -> None:
        self._lines += wrap(
            printable(text),
            self._width,
            initial_indent=first,
            subsequent_indent=rest,
            break_on_hyphens=False,
        )
