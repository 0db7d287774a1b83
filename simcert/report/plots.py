"""The geometry of the pictures: where things stand, in percent of the width and in pixels.

Horizontal positions are shares of the width, so that a picture fills a page as well as a phone
while its text keeps its size. Pictures are no bounds: positions are rounded, numbers beside them
are not.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from simcert.numerals import format_lower, format_upper
from simcert.report.view import Report, Shares

HEIGHT = 132
"""Pixels of the area of the bars."""

_MARGIN = 1.06
_FAR = 6.0  # a mark this many times further than the data is put at the edge, as further away
_MOST_TICKS = 5  # along the axis of a curve
_LEVELS = (0.5, 0.99, 0.999)  # quantiles that are marked
_ROW = 21  # pixels between the labels of two marks


@dataclass(frozen=True)
class Bar:
    """A bar: left edge and width in percent, height in pixels."""

    x: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A vertical line with a label in a row of its own below the axis."""

    x: float
    y: float
    label: str
    kind: str
    far: bool

    @property
    def to_the_left(self) -> bool:
        """Whether the label stands to the left of the line."""
        return self.x > 50.0


@dataclass(frozen=True)
class Scale:
    """Divergences along an axis: draws as bars, and what is known as marks."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]
    excluded: float | None
    height: int
    total: float


def scale(report: Report) -> Scale | None:
    """The picture of d; None where there is nothing to show."""
    wanted = _wanted(report)
    histogram = None if report.statistics is None else report.statistics.histogram
    data = histogram.upper if histogram is not None else 0.0
    finite = [value for value, _, _ in wanted if 0.0 < value < math.inf]
    near = [value for value in finite if value <= _FAR * data] if data else finite
    right = max([data, *near], default=0.0) * _MARGIN
    if right == 0.0 or report.claim.yes_or_no:
        return None
    height = HEIGHT if histogram is not None else 34
    marks = _marks(wanted, right, height)
    bound = report.proof.bound
    return Scale(
        bars=tuple(_bars(report, right)),
        ticks=tuple(_ticks(right)),
        levels=tuple(_levels(histogram.counts if histogram is not None else ())),
        marks=marks,
        excluded=100.0 * bound / right if bound < right else None,
        height=height,
        total=height + 34.0 + _ROW * len(marks),
    )


def _wanted(report: Report) -> list[tuple[float, str, str]]:
    """Value, label and kind of what is marked."""
    marks = []
    tolerance, bound, seen = report.claim.tolerance, report.proof.bound, report.largest_seen
    if tolerance is not None:
        marks.append((tolerance, f"tolerance ε = {tolerance!r}", "tolerance"))
    if math.isfinite(bound):
        marks.append((bound, f"proved worst case ≤ {format_upper(bound)}", "proved"))
    if seen is not None and math.isfinite(seen):
        marks.append((seen, f"largest seen {format_lower(seen)}", "seen"))
    if report.statistics is not None:
        wanted = {q.upper: q.level for q in report.statistics.quantiles if q.level in _LEVELS}
        for upper, level in wanted.items():  # of equal bounds the highest level
            if upper < bound:
                label = f"{100 * level:.6g} % certified ≤ {format_upper(upper)}"
                marks.append((upper, label, "certified"))
    return marks


def _marks(wanted: list[tuple[float, str, str]], right: float, height: int) -> tuple[Mark, ...]:
    # Lines run down to their labels. In the left half labels run to the right, so that the
    # rightmost comes first; in the right half it is the other way round.
    marks = [
        Mark(min(100.0, 100.0 * value / right), 0.0, label, kind, far=value > right)
        for value, label, kind in wanted
    ]
    marks.sort(key=lambda mark: (not mark.to_the_left, mark.x if mark.to_the_left else -mark.x))
    return tuple(replace(mark, y=height + 46.0 + _ROW * row) for row, mark in enumerate(marks))


def _bars(report: Report, right: float) -> Iterator[Bar]:
    if report.statistics is None or report.statistics.histogram is None:
        return
    histogram, tolerance = report.statistics.histogram, report.claim.tolerance
    most = max(histogram.counts)
    for lower, upper, count in histogram.edges:
        if count:
            above = tolerance is not None and lower > tolerance
            yield Bar(
                x=100.0 * lower / right,
                width=max(0.4, 100.0 * (upper - lower) / right),
                height=_log_height(count, most),
                kind="violating" if above else "draws",
                title=f"{count:,} draws with d from {lower:.4g} to {upper:.4g}",
            )


def _log_height(count: int, most: int) -> float:
    """A height that shows single draws beside many."""
    if most <= 1:
        return float(HEIGHT)
    return HEIGHT * (0.06 + 0.9 * math.log(count) / math.log(most))


def _levels(counts: Sequence[int]) -> Iterator[tuple[float, str]]:
    """Heights above the axis, and counts that they stand for."""
    most = max(counts, default=0)
    powers = [10**k for k in range(16) if 10**k <= most]
    step = 1 if len(powers) <= 4 else 2
    for count in powers[::step]:
        yield HEIGHT - _log_height(count, most), f"{count:,}"


def _ticks(right: float) -> Iterator[tuple[float, str]]:
    """Round numbers along the axis."""
    rough = right / 4.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
    for index in range(int(right / step) + 1):
        yield 100.0 * index * step / right, f"{index * step:.6g}"


@dataclass(frozen=True)
class Stair:
    """A level stretch of a staircase: from ``x`` to ``end`` in percent, ``y`` in pixels.

    ``drop`` is where the next stretch begins, in pixels from the top.
    """

    x: float
    end: float
    y: float
    drop: float
    kind: str
    title: str


@dataclass(frozen=True)
class Curve:
    """Upper bounds of P(d > t) over t, with logarithmic heights."""

    stairs: tuple[Stair, ...]
    ticks: tuple[tuple[float, str], ...]
    levels: tuple[tuple[float, str], ...]
    tolerance: float | None
    allowed: float | None
    height: int
    total: float


def curve(report: Report) -> Curve | None:
    """The picture of P(d > t); None where there are fewer than two points.

    Both scales are logarithmic: what draws say ends where what is integrated begins.
    """
    kinds = staircases(report)
    points = [point for some in kinds.values() for point in some]
    if report.claim.yes_or_no or not any(t > 0.0 for t, _ in points) or len(points) < 2:
        return None
    tolerance, allowed = report.claim.tolerance or 0.0, report.claim.max_violation or 0.0
    marked = [t for t, _ in points if t > 0.0]
    marked += [tolerance] if min(marked) / _FAR <= tolerance <= max(marked) * _FAR else []
    left, right = min(marked) / 1.5, max(marked) * 1.5
    least = min(p for p in [1.0, allowed, *(p for _, p in points)] if p > 0.0)
    decades = max(1, math.ceil(-math.log10(max(least, 1e-12)) - 1e-9))

    def across(t: float) -> float:
        return 100.0 * math.log(max(t, left) / left) / math.log(right / left)

    def down(p: float) -> float:
        return HEIGHT * min(1.0, -math.log10(max(p, 1e-300)) / decades)

    return Curve(
        stairs=tuple(
            stair for kind, some in kinds.items() for stair in _stairs(kind, some, across, down)
        ),
        ticks=tuple((across(t), f"{t:.6g}") for t in _round_numbers(left, right)),
        levels=tuple(
            (down(10.0**-k), f"{10.0**-k:.6g}") for k in range(0, decades + 1, -(-decades // 4))
        ),
        tolerance=across(tolerance) if tolerance in marked else None,
        allowed=down(allowed) if allowed else None,
        height=HEIGHT,
        total=HEIGHT + 34.0,
    )


def _round_numbers(left: float, right: float) -> list[float]:
    """Numbers 1, 2 or 5 times a power of ten, or fewer of them, at most about five."""
    first, last = math.floor(math.log10(left)), math.ceil(math.log10(right))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**k for k in range(first, last + 1) for f in factors]
        found = [t for t in found if left <= t <= right]
        if len(found) <= _MOST_TICKS:
            return found
    return found[:: -(-len(found) // _MOST_TICKS)]


def staircases(report: Report) -> dict[str, tuple[tuple[float, float], ...]]:
    """Pairs (t, p) with P(d > t) ≤ p and growing t, by the kind of their guarantee."""
    kinds = {"bounded": report.proof.curve}
    if report.statistics is not None:
        of_draws = report.statistics.curve
        kinds["certified"] = tuple((q.upper, 1.0 - q.level) for q in of_draws)
    return {kind: tuple(sorted(points)) for kind, points in kinds.items() if points}


def _stairs(
    kind: str,
    points: Sequence[tuple[float, float]],
    across: Callable[[float], float],
    down: Callable[[float], float],
) -> Iterator[Stair]:
    """Nothing is said of d below the first point; what holds at one holds further right too."""
    steps = [(0.0, 1.0), *points, (math.inf, points[-1][1])]
    least = 1.0
    for (t, p), (following, then) in pairwise(steps):
        least = min(least, p)
        end = 100.0 if math.isinf(following) else across(following)
        if end > across(t):
            title = f"P(d > {t:.4g}) ≤ {format_upper(least)}"
            yield Stair(across(t), end, down(least), down(min(least, then)), kind, title)


@dataclass(frozen=True)
class Segment:
    """A part of the bar of shares, in percent of its width."""

    kind: str
    x: float
    width: float


def segments(shares: Shares) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """The bar of all shares, and one of what is not proved, enlarged; empty where not needed."""
    parts = [
        (kind, getattr(shares, kind))
        for kind in ("proved", "bounded", "certified", "undecided", "violated")
    ]
    whole = _in_a_row(parts)
    rest = parts[1:]
    total = math.fsum(share for _, share in rest)
    if not 0.0 < total < 0.15:
        return whole, ()
    return whole, _in_a_row([(kind, share / total) for kind, share in rest])


def _in_a_row(parts: Sequence[tuple[str, float]]) -> tuple[Segment, ...]:
    row, x = [], 0.0
    for kind, share in parts:
        if share > 0.0:
            row.append(Segment(kind, 100.0 * x, 100.0 * share))
            x += share
    return tuple(row)


def decades(values: Sequence[float]) -> tuple[float, ...]:
    """Widths of horizontal bars in percent, logarithmic: each tenth part is as much shorter.

    The least bar that is not 0 has 4 %; what has no bound fills the picture.
    """
    finite = [math.log10(value) for value in values if 0.0 < value < math.inf]
    least, most = min(finite, default=0.0), max(finite, default=0.0)
    scale = 96.0 / (most - least) if most > least else 0.0
    return tuple(
        0.0
        if value == 0.0
        else 100.0
        if math.isinf(value) or not scale
        else 4.0 + scale * (math.log10(value) - least)
        for value in values
    )


def widths(values: Sequence[float], tolerance: float | None) -> tuple[tuple[float, ...], float]:
    """Widths of horizontal bars in percent, and where ε stands; beyond 100 it is not shown."""
    finite = [value for value in values if math.isfinite(value)]
    largest = max(finite, default=0.0)
    right = largest
    if tolerance is not None and tolerance <= 3.0 * largest:
        right = max(right, tolerance)
    right = right * 1.02 or 1.0
    bars = tuple(min(100.0, 100.0 * value / right) for value in values)
    return bars, math.inf if tolerance is None else 100.0 * tolerance / right
