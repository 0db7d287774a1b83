"""The report for people: one HTML file that needs no network, no script and no other file."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from functools import cache
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from simcert.numerals import format_lower, format_upper, percent_lower, percent_upper
from simcert.report import plots
from simcert.report.view import OutputStatistics, Report
from simcert.report.words import METHODS, plural
from simcert.result import Verdict

_KINDS = {
    Verdict.PROVED: "a proof",
    Verdict.BOUNDED: "a certain probability",
    Verdict.CERTIFIED: "a statistical confidence",
    Verdict.REFUTED: "a refutation",
    Verdict.INCONCLUSIVE: "no guarantee",
}
_SHOWN_OUTPUTS = 24
_SHOWN_INPUTS = 64
_SHOWN_LAYERS = 40


def render(report: Report) -> str:
    """Writes one report as a self-contained page."""
    outputs = _outputs(report)
    widths, tolerance = plots.widths([bound for _, bound in outputs], report.claim.tolerance)
    layers = report.proof.layers[:_SHOWN_LAYERS]
    shares = report.shares
    bar, rest = plots.segments(shares) if shares is not None else ((), ())
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            kind=_KINDS[report.verdict],
            claim=report.claim,
            proof=report.proof,
            statistics=report.statistics,
            witness=report.witness,
            scale=plots.scale(report),
            plot_height=plots.HEIGHT,
            shares=shares,
            bar=bar,
            rest=rest,
            outputs=[(i, bound, w) for (i, bound), w in zip(outputs, widths, strict=True)],
            outputs_tolerance=tolerance,
            hidden_outputs=len(report.proof.per_output) - len(outputs),
            shown_inputs=_SHOWN_INPUTS,
            histogram_csv=_histogram_csv(report),
            outputs_csv=_csv(
                ("output", "proved_upper_bound", "hex"),
                ((i, bound, bound.hex()) for i, bound in _numbered(report)),
            ),
            shares_csv=_shares_csv(report),
            curve=plots.curve(report),
            curve_csv=_curve_csv(report),
            layers=list(zip(layers, plots.decades([x.difference for x in layers]), strict=True)),
            hidden_layers=len(report.proof.layers) - len(layers),
            layers_csv=_layers_csv(report),
            per_output=_per_output(report),
            per_output_csv=_per_output_csv(report),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("simcert.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_together,
    )
    environment.filters.update(
        upper=_upper,
        lower=lambda value: f"{format_lower(value)}",
        percent_up=percent_upper,
        percent_down=percent_lower,
        point=_point,
        method=lambda name: METHODS.get(name, name),
        percents=lambda value: f"{value:.4f}%",
        pixels=lambda value: f"{value:.1f}",
        grouped=lambda value: f"{value:,}",
        level=lambda value: f"{100 * value:.6g} %",
    )
    environment.globals.update(plural=plural, isfinite=math.isfinite)
    return environment


def _together(value: object) -> object:
    """Keeps a number and its percent sign on one line."""
    return value.replace(" %", "\u00a0%") if isinstance(value, str) else value


def _upper(value: float) -> str:
    return f"≤ {format_upper(value)}" if math.isfinite(value) else "no bound"


def _point(value: float) -> str:
    """Writes a number with the digits that tell it from its neighbours in its own type."""
    if not math.isfinite(value):
        return "not a finite number"
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single if float(single) == value else value)


def _numbered(report: Report) -> list[tuple[int, float]]:
    numbers = report.claim.outputs or range(len(report.proof.per_output))
    return list(zip(numbers, report.proof.per_output, strict=False))


def _outputs(report: Report) -> list[tuple[int, float]]:
    """The outputs that are drawn: all, or those with the largest bounds."""
    numbered = _numbered(report)
    if not any(math.isfinite(bound) for _, bound in numbered):
        return []
    if len(numbered) <= _SHOWN_OUTPUTS:
        return numbered
    return sorted(numbered, key=lambda pair: -pair[1])[:_SHOWN_OUTPUTS]


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A data: link to a table of numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return f"data:text/csv;charset=utf-8,{quote(text.getvalue())}"


def _histogram_csv(report: Report) -> str:
    if report.statistics is None or report.statistics.histogram is None:
        return ""
    return _csv(("from", "to", "draws"), report.statistics.histogram.edges)


def _curve_csv(report: Report) -> str:
    rows = [
        (kind, t, t.hex(), p, p.hex())
        for kind, points in plots.staircases(report).items()
        for t, p in points
    ]
    return _csv(("kind", "t", "t_hex", "upper_bound_of_P(d>t)", "hex"), rows)


def _layers_csv(report: Report) -> str:
    head = ("original", "compressed", "neurons", "magnitude", "hex", "difference", "hex")
    return _csv(
        head,
        (
            (
                _cell(layer.original),
                _cell(layer.compressed),
                layer.neurons,
                layer.magnitude,
                layer.magnitude.hex(),
                layer.difference,
                layer.difference.hex(),
            )
            for layer in report.proof.layers
        ),
    )


def _cell(text: str) -> str:
    """Text from a file as a spreadsheet shows it: never a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _per_output(report: Report) -> tuple[list[float], list[OutputStatistics]]:
    """The levels of single outputs' quantiles, and the outputs that are shown."""
    statistics = report.statistics
    if statistics is None:
        return [], []
    levels = {q.level for output in statistics.per_output for q in output.quantiles}
    return sorted(levels), list(statistics.per_output[:_SHOWN_OUTPUTS])


def _per_output_csv(report: Report) -> str:
    if report.statistics is None:
        return ""
    return _csv(
        ("output", "level", "upper_bound", "hex"),
        (
            (output.output, quantile.level, quantile.upper, quantile.upper.hex())
            for output in report.statistics.per_output
            for quantile in output.quantiles
        ),
    )


def _shares_csv(report: Report) -> str:
    shares = report.shares
    if shares is None:
        return ""
    kinds = ("proved", "bounded", "certified", "violated", "undecided")
    values = [(kind, getattr(shares, kind)) for kind in kinds]
    return _csv(("kind", "share", "hex"), ((k, v, float(v).hex()) for k, v in values))
