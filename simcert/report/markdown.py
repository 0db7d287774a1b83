"""Reports in GitHub's Markdown: for a comment on a pull request, and for a job summary."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from simcert.numerals import format_lower, format_upper, percent_lower, percent_upper
from simcert.report.view import Entry, Layer, Network, Report
from simcert.report.words import METHODS, counted, plural
from simcert.result import Verdict

_MARKS = {
    Verdict.PROVED: "✅",
    Verdict.BOUNDED: "✅",
    Verdict.CERTIFIED: "✅",
    Verdict.REFUTED: "❌",
    Verdict.INCONCLUSIVE: "⚠️",
    "error": "⛔",
}
_SHOWN_LAYERS = 40
_SHOWN = 12  # entries of a vector that are written out
_JOINER = "\u2060"  # takes no room, and keeps what it stands in from being a mention or an address


def render(entries: Sequence[Entry]) -> str:
    """Writes one or several reports; with several, a table of all comes first.

    Nothing in a report can become markup, a link, a mention or an HTML tag.
    """
    blocks = [] if len(entries) == 1 else list(_overview(entries))
    for entry in entries:
        blocks += _entry(entry, alone=len(entries) == 1)
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Writes printable text so that Markdown shows it as it is, on one line."""
    text = re.sub(r"([\\`*_{}\[\]()<>#|~&$!])", r"\\\1", text)
    text = re.sub(r"^(\s*\d*)([-+=.:])", r"\1\\\2", text)  # what could begin a list or a heading
    return re.sub(r"(@|#|www|https?|ftp|mailto|xmpp)", rf"\1{_JOINER}", text, flags=re.IGNORECASE)


def code(text: str, *, cell: bool = False) -> str:
    """Writes printable text as a code span; ``cell`` when it stands in a table."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    span = f"{fence}{padding}{text}{padding}{fence}"
    return span.replace("|", r"\|") if cell else span


def _overview(entries: Sequence[Entry]) -> Iterator[str]:
    yield f"## SimCert: {counted([entry.outcome for entry in entries])}"
    yield _table(
        ("", "claim", "verdict", "finding"),
        (
            (
                _MARKS[entry.outcome],
                code(entry.name, cell=True),
                entry.outcome + " (kept)" * entry.cached,
                escape(entry.message),
            )
            for entry in entries
        ),
    )


def _entry(entry: Entry, *, alone: bool) -> Iterator[str]:
    report, mark = entry.report, _MARKS[entry.outcome]
    level = "##" if alone else "###"
    if report is None:
        yield f"{level} {mark} {code(entry.name)}: error"
        yield escape(entry.error)
        return
    headline = f"{report.verdict.value}: {report.headline}"
    yield f"{level} {mark} " + (headline if alone else f"{code(entry.name)}: {headline}")
    yield f"> {escape(report.claim.sentence)}"
    yield f"**{escape(report.finding)}**"
    yield _table(("", ""), _figures(report))
    yield "<details><summary>Networks, region, what this does not say</summary>"
    yield _table(
        ("", "file", "SHA-256", "size", "compression"),
        (
            ("original", *_network(report.original)),
            ("compressed", *_network(report.compressed)),
        ),
    )
    claim = report.claim
    boxes = plural(claim.boxes, "box", "boxes")
    yield f"Region: {escape(claim.region)}, {boxes} of {plural(claim.inputs, 'input')}."
    for title, network in (("Original", report.original), ("Compressed", report.compressed)):
        if network.connection:
            yield f"{title}, used with: {escape(network.connection)}. To repeat it takes these too."
    yield _bullets((*report.assumptions, *report.not_said))
    yield f"{'Check it' if report.source == 'certificate' else 'Repeat it'}: {code(report.command)}"
    yield "</details>"
    if report.proof.layers:
        yield "<details><summary>Where the difference grows, layer by layer</summary>"
        yield _table(("layer", "neurons", "max a", "max δ"), _layers(report.proof.layers))
        yield "Proved for every input of the region at once; no bound of the outputs rests on them."
        yield "</details>"


def _layers(layers: Sequence[Layer]) -> Iterator[tuple[str, ...]]:
    for layer in layers[:_SHOWN_LAYERS]:
        bounds = (
            escape(f"≤ {format_upper(x)}") if math.isfinite(x) else "no bound"
            for x in (layer.magnitude, layer.difference)
        )
        yield (code(layer.name, cell=True), f"{layer.neurons:,}", *bounds)
    if len(layers) > _SHOWN_LAYERS:
        yield f"and {len(layers) - _SHOWN_LAYERS:,} more", "", "", ""


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    """The numbers behind the verdict, each kind of guarantee on its own line."""
    claim, proof, statistics = report.claim, report.proof, report.statistics
    if claim.tolerance is not None:
        yield "ε", escape(f"{claim.tolerance!r} ({claim.unit})")
    bound = f"≤ {format_upper(proof.bound)}" if math.isfinite(proof.bound) else "no bound"
    yield "worst case, proved", escape(bound)
    if report.largest_seen is not None:
        yield "largest seen", escape(f"≥ {format_lower(report.largest_seen)}")
    if claim.tolerance is not None:
        yield "d ≤ ε proved on", escape(f"≥ {percent_lower(proof.proved_mass)}")
        yield "P(d > ε), with certainty", escape(f"≤ {format_upper(proof.violation_upper)}")
    yield from _certain(report)
    if statistics is not None:
        if statistics.violation_upper is not None:
            upper = format_upper(statistics.violation_upper)
            yield f"P(d > ε), {escape(statistics.certainty)}", escape(f"≤ {upper}")
        if statistics.mean_upper is not None:
            method = METHODS.get(statistics.mean_method, statistics.mean_method)
            mean = f"≤ {format_upper(statistics.mean_upper)} ({method})"
            yield f"mean of d, {escape(statistics.certainty)}", escape(mean)
        mass = percent_upper(statistics.sampled_mass)
        yield "draws", escape(f"{statistics.drawn:,}, on at most {mass} of the region")
    yield "arithmetic", escape(claim.numbers)
    if claim.max_violation is not None:
        yield "allowed P(d > ε)", escape(f"≤ {claim.max_violation!r}")
    if report.witness is not None:
        yield "witness", code(", ".join(_vector(report.witness.input)), cell=True)


def _certain(report: Report) -> Iterator[tuple[str, str]]:
    """What integration and concentration contribute, if anything."""
    integral, found = report.proof.integral, report.proof.concentration
    if integral is not None and report.claim.tolerance is not None:
        by = ", ".join(f"{name} {format_upper(upper)}" for name, upper in integral.methods)
        text = f"≤ {format_upper(integral.upper)} on {percent_upper(integral.mass)} of the region"
        yield "of it, integrated", escape(text + (f" ({by})" if by else ""))
    if found is not None:
        bound = f"≤ {format_upper(found.bound)}; spent {format_upper(found.spent)}"
        yield f"d but for η = {found.eta!r}", escape(found.reason or bound)


def _network(network: Network) -> tuple[str, ...]:
    size = "" if network.bytes is None else f"{network.bytes:,} bytes"
    steps = ", ".join(
        " ".join([step.method, *(f"{name}={value}" for name, value in step.parameters.items())])
        for step in network.compression
    )
    return (
        code(network.name, cell=True),
        code(network.sha256, cell=True),
        size,
        code(steps, cell=True) if steps else "–",
    )


def _vector(values: Sequence[float]) -> Iterator[str]:
    yield from map(repr, values[:_SHOWN])
    if len(values) > _SHOWN:
        yield f"and {len(values) - _SHOWN:,} more"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)
