"""The result for people: plain text that reads well at 80 columns and stays readable at 40."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from simcert.numerals import format_lower, format_upper, percent_lower, percent_upper
from simcert.report.printable import printable
from simcert.report.words import ARITHMETICS, HEADLINES, HEADLINES_WITHOUT_TOLERANCE, METHODS
from simcert.result import ModelReference, Result

if TYPE_CHECKING:
    from simcert.bounds.layers import LayerBound
    from simcert.concentration import Concentration
    from simcert.integration import Integral
    from simcert.sampling import Statistics

Row: TypeAlias = tuple[str, str | list[str]]
"""A label and its value, which may have several lines."""

_SHOWN = 10  # entries of a vector that are written out


def render(result: Result, width: int = 80) -> str:
    """Writes a result as text; the verdict comes first.

    Printed bounds are rounded outward, so that each is itself a bound. Nothing from a file reaches
    the text without its control characters escaped.

    Args:
        result: what to write.
        width: columns; fewer than 30 count as 30.

    Returns:
        Lines of at most ``width`` characters, ending with a newline.
    """
    page = _Page(width)
    page.paragraph(_headline(result))
    page.gap()
    page.paragraph(result.claim.sentence(result.original.output_unit), indent=2)
    page.table(_subject(result))
    page.items("What backs it", result.explanation)
    page.section("Worst case", _worst_case(result))
    if result.claim.tolerance is not None:
        page.section("Probability", _probability(result))
    if result.statistics is not None:
        page.section("Draws", _draws(result.statistics))
    page.section(_witness_title(result), _witness(result))
    page.items("What this does not say", _limits(result))
    page.section("Run", _run(result))
    return page.text()


def _headline(result: Result) -> str:
    headlines = HEADLINES_WITHOUT_TOLERANCE if result.passed is None else HEADLINES
    return f"{result.verdict.upper()}: {headlines[result.verdict]}"


def _subject(result: Result) -> Iterator[Row]:
    region = result.claim.region
    yield "f", _model(result.original)
    yield "g", _model(result.compressed)
    yield "R", f"{region.source}: {_count(region.boxes, 'box', 'boxes')} of {region.inputs} inputs"
    yield "arithmetic", ARITHMETICS[result.claim.arithmetic]


def _worst_case(result: Result) -> Iterator[Row]:
    """What is proved of d, beside the largest value that was seen."""
    proof, tolerance = result.proof, result.claim.tolerance
    if tolerance is not None:
        yield "tolerance", f"{tolerance!r}"
    yield "proved", _upper(proof.bound)
    seen = _largest_seen(result)
    if seen is not None:
        yield "largest seen", "unbounded" if math.isinf(seen) else f"≥ {format_lower(seen)}"
    if tolerance is None and seen is not None and math.isfinite(max(seen, proof.bound)):
        smallest = f"between {format_lower(seen)} and {format_upper(proof.bound)}"
        yield "smallest ε", f"{smallest}: what was seen, and what is proved"
    if len(proof.per_output) > 1 and any(map(math.isfinite, proof.per_output)):
        yield "proved per output", "≤ " + _vector(map(format_upper, proof.per_output))
    growth = _growth(proof.layers)
    if growth is not None:
        layer, times = growth
        bound = (
            f"|δ| ≤ {format_upper(layer.difference)}, {times:.3g} times that of the layer before"
        )
        yield "grows most in", f"{layer.original}: {bound}"
    if proof.concentration is not None:
        yield f"but for η = {proof.concentration.eta!r}", _concentrated(proof.concentration)
    if proof.stopped == "unavailable":
        yield "search", f"none: {proof.reason}"
    else:
        yield "search", f"{proof.stopped}, {_count(proof.boxes, 'box', 'boxes')}"
        yield "pairing", proof.pairing


def _growth(layers: Sequence["LayerBound"]) -> "tuple[LayerBound, float] | None":
    """The layer whose δ is the most times that of the layer before, and how many times."""
    return max(
        (
            (layer, layer.difference / before.difference)
            for before, layer in pairwise(layers)
            if 0.0 < before.difference < math.inf and math.isfinite(layer.difference)
        ),
        key=lambda pair: pair[1],
        default=None,
    )


def _concentrated(found: "Concentration") -> list[str]:
    """The bound of d for all inputs but a share η, and where that went."""
    if found.reason:
        return [f"no bound: {found.reason}"]
    spent: dict[str, list[str]] = {}
    for share in found.shares:
        cost = f"{format_upper(share.eta, 2)} on {share.bounds:,} of the {share.tensor}"
        spent.setdefault(share.layer, []).append(cost.replace("the outputs", "d"))
    return [
        f"{_upper(found.bound)}, with certainty; P(d > this) ≤ {format_upper(found.spent)}",
        *(f"{layer}: {', '.join(costs)}" for layer, costs in spent.items()),
    ]


def _probability(result: Result) -> Iterator[Row]:
    """The shares of the region's probability that each guarantee covers."""
    proof, statistics = result.proof, result.statistics
    yield "d ≤ ε proved on", f"≥ {percent_lower(proof.proved_mass)}"
    if proof.violated_mass > 0.0:
        yield "d > ε proved on", f"≥ {percent_lower(proof.violated_mass)}"
    yield "undecided by proof", f"≤ {percent_upper(proof.undecided_mass)}"
    if proof.integral is not None and proof.integral.upper < proof.integral.mass:
        yield "there, integrated", _integrated(proof.integral)
    lines = [f"{_between(proof.violation_lower, proof.violation_upper)}, with certainty"]
    if statistics is not None and statistics.violation_upper is not None:
        bounds = _between(statistics.violation_lower or 0.0, statistics.violation_upper)
        lines.append(f"{bounds}, {_confidence(statistics)}")
    if result.claim.max_violation is not None:
        lines.append(f"≤ {result.claim.max_violation!r} is allowed")
    yield "P(d > ε)", lines


def _integrated(integral: "Integral") -> list[str]:
    """What linear bounds, integrated over the undecided boxes, leave of P(d > ε) there."""
    by = ", ".join(f"{name} {format_upper(upper)}" for name, upper in integral.methods)
    return [f"P(d > ε) ≤ {format_upper(integral.upper)}, with certainty", *([by] if by else [])]


def _draws(statistics: "Statistics") -> Iterator[Row]:
    """What sampling established, of the whole region unless a line says otherwise."""
    yield (
        "runs",
        f"{statistics.drawn:,}, on at most {percent_upper(statistics.sampled_mass)} of the region",
    )
    remainder = statistics.remainder
    if remainder.integrated_mass > 0.0:
        yield (
            "not drawn from",
            f"at most {percent_upper(remainder.integrated_mass)} of the region, where integration "
            f"leaves P(d > ε) ≤ {format_upper(remainder.integrated_upper)}",
        )
    if statistics.violations is not None:
        of = f" of the first {statistics.samples:,}" * (statistics.samples < statistics.drawn)
        yield "violations", f"{statistics.violations:,}{of}"
    mean = "mean of d"
    method = statistics.mean_method
    if statistics.mean_upper is None:
        yield mean, f"no bound: {statistics.mean_reason}"
    else:
        yield mean, f"{_upper(statistics.mean_upper)} ({METHODS.get(method, method)})"
    for quantile in statistics.quantiles:
        if quantile.upper is not None:
            yield f"{100 * quantile.level:.6g} % quantile", _upper(quantile.upper)
    for level in statistics.per_output[0].quantiles if statistics.per_output else ():
        bounds = [
            math.inf if quantile.upper is None else quantile.upper
            for output in statistics.per_output
            for quantile in output.quantiles
            if quantile.level == level.level
        ]
        if any(map(math.isfinite, bounds)) and len(set(bounds)) > 1:
            label = f"{100 * level.level:.6g} %, per output"
            yield label, "≤ " + _vector(map(format_upper, bounds))
    rarest = [quantile for quantile in statistics.curve if quantile.upper is not None][-1:]
    if rarest and (rarest[0].upper or 0.0) < statistics.range:
        tail = format_upper(1 - rarest[0].level)
        yield "rarest", f"P(d > {format_upper(rarest[0].upper or 0.0)}) ≤ {tail}"
    yield "method", METHODS.get(statistics.method, statistics.method)
    yield "range of d", f"{_upper(statistics.range)} ({statistics.range_source})"
    yield "all jointly", _confidence(statistics)
    if statistics.range_exceeded:
        yield "WARNING", "a run exceeded the proved range: proof and runs contradict each other"


def _witness_title(result: Result) -> str:
    tolerance, witness = result.claim.tolerance, result.witness
    if tolerance is None or witness is None or witness.divergence <= tolerance:
        return "Largest divergence found"
    return "Witness: an input with d > ε"


def _witness(result: Result) -> Iterator[Row]:
    witness, region = result.witness, result.claim.region
    if witness is None:
        return
    yield "d", f"{witness.divergence!r}"
    yield "input", _inputs(witness.input, region.names, region.units)
    if region.boxes > 1:
        yield "box", str(witness.box)
    yield "f answers", _vector(map(_float, witness.original_output))
    yield "g answers", _vector(map(_float, witness.compressed_output))
    yield "run by", witness.runtime


def _limits(result: Result) -> Iterator[str]:
    yield from result.assumptions
    yield "Nothing is said about inputs outside R."
    if result.claim.max_violation is not None or result.statistics is not None:
        law = result.claim.distribution.describe()
        yield f"Probabilities are those of the stated distribution: {law}."


def _run(result: Result) -> Iterator[Row]:
    threads = _count(result.threads, "thread", "threads")
    yield "time", f"{result.elapsed_seconds:.1f} s on {threads}"
    yield "seed", str(result.seed)
    yield "versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())


def _model(model: ModelReference) -> list[str]:
    return [
        f"{Path(model.path).name} ({model.parameters:,} parameters, {model.bytes:,} bytes)",
        f"sha256 {model.sha256[:16]}…",
        *([model.connection] if model.connection else []),
    ]


def _largest_seen(result: Result) -> float | None:
    seen = []
    if result.witness is not None:
        seen.append(result.witness.divergence)
    if result.statistics is not None and result.statistics.drawn:
        seen.append(result.statistics.maximum)
    return max(seen, default=None)


def _confidence(statistics: "Statistics") -> str:
    if statistics.confidence == 1.0:
        return "with certainty"
    return f"with confidence {100 * statistics.confidence:.12g} %"


def _upper(bound: float) -> str:
    return f"≤ {format_upper(bound)}" if math.isfinite(bound) else "no bound"


def _between(lower: float, upper: float) -> str:
    at_least = f"≥ {format_lower(lower)} and " if lower > 0.0 else ""
    return f"{at_least}≤ {format_upper(upper)}"


def _float(value: float) -> str:
    """Writes a number with the digits that tell it from its neighbours in its own type."""
    single = np.float32(value)
    return str(single if float(single) == value else value)


def _inputs(values: Sequence[float], names: Sequence[str], units: Sequence[str]) -> str | list[str]:
    if not names and not units:
        return _vector(map(_float, values))
    lines = [
        (names[i] if names else f"input {i}")
        + f" = {_float(value)}"
        + (f" [{units[i]}]" if units and units[i] else "")
        for i, value in enumerate(values[:_SHOWN])
    ]
    return lines + _more(len(values))


def _vector(entries: Iterable[str]) -> str:
    texts = list(entries)
    return ", ".join(texts[:_SHOWN] + _more(len(texts)))


def _more(count: int) -> list[str]:
    return [f"and {count - _SHOWN:,} more in the JSON report"] if count > _SHOWN else []


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


class _Page:
    """Collects lines; everything passes through ``_wrapped``, which escapes and breaks it."""

    _NARROW = 60  # below this many columns, values go below their labels

    def __init__(self, width: int) -> None:
        self._width = max(width, 30)
        self._lines: list[str] = []

    def text(self) -> str:
        """Returns the page."""
        return "\n".join(self._lines) + "\n"

    def gap(self) -> None:
        """Leaves a line empty."""
        self._lines.append("")

    def paragraph(self, text: str, indent: int = 0) -> None:
        """Adds running text."""
        self._wrapped(text, " " * indent, " " * indent)

    def items(self, title: str, sentences: Iterable[str]) -> None:
        """Adds a titled list, if there is anything in it."""
        sentences = list(sentences)
        if sentences:
            self.gap()
            self.paragraph(title)
        for sentence in sentences:
            self._wrapped(sentence, "  - ", "    ")

    def section(self, title: str, rows: Iterable[Row]) -> None:
        """Adds a titled table, if there is anything in it."""
        rows = list(rows)
        if rows:
            self.gap()
            self.paragraph(title)
            self.table(rows)

    def table(self, rows: Iterable[Row]) -> None:
        """Adds a table: values beside their labels, or below them where there is little room."""
        rows = [(printable(label), value) for label, value in rows]
        column = 4 + max(len(label) for label, _ in rows)
        for label, value in rows:
            first = f"  {label}".ljust(column)
            if self._width < self._NARROW:
                self.paragraph(label, indent=2)
                first = " " * 4
            rest = " " * len(first)
            for line in [value] if isinstance(value, str) else value:
                self._wrapped(line, first, rest)
                first = rest

    def _wrapped(self, text: str, first: str, rest: str) -> None:
        self._lines += wrap(
            printable(text) or "–",
            self._width,
            initial_indent=first,
            subsequent_indent=rest,
            break_on_hyphens=False,
        )
