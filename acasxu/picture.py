"""The advisory map as a picture: original, compressed, and what is proved, side by side.

One self-contained SVG, in light and dark. The sectors are drawn as they were verified; the colours
of the advisories are runs of the files at the centres of a fine grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from acasxu import units
from acasxu.advisory_map import AdvisoryMap, Run, Status, Witness
from simcert.numerals import percent_lower, percent_upper
from simcert.report.printable import printable

Float = NDArray[np.float64]

_RADIUS, _GAP, _LEFT, _TOP = 190.0, 46.0, 74.0, 104.0
_WIDTH = _LEFT + 3 * 2 * _RADIUS + 2 * _GAP + 24
_PIXELS = 380
_MARKS, _APART, _LISTED = 24, 0.13, 5
"""Witnesses that are drawn, no nearer than that share of the reach; how many are listed, too."""

_STRAIGHT = 0.01
"""Arcs that bend by less, in pixels, are drawn as lines: the file is smaller."""

_NAMES = ("clear of conflict", "weak left", "weak right", "strong left", "strong right")

_STYLE = """
.amap { --paper: #ffffff; --ink: #16202a; --soft: #556270; --grid: #16202a33; --line: #8b96a3;
  --a0: #e3e8ed; --a1: #9ecae9; --a2: #fdc98f; --a3: #2b7bba; --a4: #d9610b;
  --proved: #bfe3d2; --bounded: #1668b3; --violated: #c5352b; --undecided: #6c7885; }
@media (prefers-color-scheme: dark) { .amap {
  --paper: #10151b; --ink: #e8edf2; --soft: #9dabb9; --grid: #e8edf233; --line: #6c7885;
  --a0: #2c3640; --a1: #5f93b8; --a2: #b98a4e; --a3: #2f7fd0; --a4: #ee7420;
  --proved: #1c5a43; --bounded: #66b0ff; --violated: #ff6b61; --undecided: #a9b4c0; } }
.amap text { fill: var(--ink); }
.amap .soft { fill: var(--soft); }
.amap .tick { fill: var(--soft); font-size: 11px; }
.amap .title { font-size: 19px; font-weight: 650; }
.amap .panel { font-size: 15px; font-weight: 600; }
.amap .ring { fill: none; stroke: var(--grid); }
.amap .edge { fill: none; stroke: var(--line); }
.amap .bounded { fill: var(--bounded); fill-opacity: .28; stroke: var(--bounded); }
.amap .violated { fill: var(--violated); }
.amap .undecided { fill: var(--undecided); stroke: var(--undecided); stroke-width: .6; }
.amap .halo { fill: none; stroke: var(--paper); stroke-width: 4.5; }
.amap .mark { fill: none; stroke: var(--ink); stroke-width: 1.6; }
.amap .ship { fill: var(--ink); stroke: var(--paper); }
"""


def svg(found: AdvisoryMap, run: Run) -> str:
    """Draw a map.

    Args:
        found: what is known of each position.
        run: runs both files, for the colours of the advisories.
    """
    scale = _RADIUS / found.plane.reach
    centres = [_LEFT + _RADIUS + i * (2 * _RADIUS + _GAP) for i in range(3)]
    middle = _TOP + _RADIUS
    marks = spread(found.witnesses, _APART * found.plane.reach, _MARKS)
    legend = list(_legend(found, marks, _TOP + 2 * _RADIUS + 66))
    height = _TOP + 2 * _RADIUS + 66 + 22 * len(_NAMES) + 52
    title = f"{_name(found.original.path)} and {_name(found.compressed.path)}"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" class="amap" role="img" '
        f'viewBox="0 0 {_WIDTH:.0f} {height:.0f}" font-family="system-ui, sans-serif" '
        'font-size="13">',
        f"<title>Advisory map of {escape(title)}</title>",
        f"<desc>{escape(_summary(found))}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH:.0f}" height="{height:.0f}" fill="var(--paper)"/>',
        _text("title", _LEFT, 32, title),
        _text("soft", _LEFT, 55, _encounter(found)),
    ]
    for x, name, advisories in zip(
        centres, ("Original", "Compressed"), _advisories(found, run), strict=False
    ):
        parts += _panel(x, middle, name, list(_raster(advisories, x, middle)), found, marks, scale)
    parts += _panel(
        centres[2],
        middle,
        _question(found),
        _proofs(found, centres[2], middle, scale),
        found,
        marks,
        scale,
    )
    parts.append(
        f'<text class="soft" transform="translate(18 {middle:.0f}) rotate(-90)" '
        'text-anchor="middle">to the left of the own ship (1,000 ft)</text>'
    )
    return "\n".join([*parts, *legend, "</svg>"]) + "\n"


def spread(witnesses: Sequence[Witness], distance: float, most: int) -> list[Witness]:
    """Some witnesses, none nearer than ``distance`` (ft) to another, the same ones each time."""
    chosen: list[Witness] = []
    places: list[complex] = []
    for index in np.random.default_rng(0).permutation(len(witnesses)).tolist():
        witness = witnesses[index]
        place = witness.rho * complex(math.cos(witness.theta), math.sin(witness.theta))
        if all(abs(place - other) >= distance for other in places):
            chosen.append(witness)
            places.append(place)
        if len(chosen) == most:
            break
    return chosen


def _advisories(found: AdvisoryMap, run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What both files advise at the centres of a square grid, (pixels, pixels); −1 outside."""
    reach = found.plane.reach
    side = (np.arange(_PIXELS) + 0.5) * 2 / _PIXELS - 1
    ahead, left = np.meshgrid(side * reach, -side * reach)
    rho, theta = np.hypot(ahead, left).ravel(), np.arctan2(left, ahead).ravel()
    inside = rho <= reach * (1 + 2 / _PIXELS)  # the clip path cuts off what is too much
    inputs = found.plane.inputs(np.minimum(rho[inside], reach), theta[inside])
    pictures = []
    for outputs in run(inputs):
        picture = np.full(len(rho), -1)
        picture[inside] = units.advisory(outputs)
        pictures.append(picture.reshape(_PIXELS, _PIXELS))
    return pictures[0], pictures[1]


def _raster(advisories: NDArray[np.int64], x: float, y: float) -> Iterator[str]:
    """Runs of equal pixels in a row as rectangles, one path an advisory."""
    pixel = 2 * _RADIUS / _PIXELS
    paths: list[list[str]] = [[] for _ in _NAMES]
    for row, line in enumerate(advisories):
        starts = np.flatnonzero(np.r_[True, line[1:] != line[:-1]])
        for start, stop in zip(starts, np.r_[starts[1:], len(line)], strict=True):
            if line[start] >= 0:
                paths[line[start]].append(f"M{start} {row}h{stop - start}v1h{start - stop}z")
    place = f"translate({x - _RADIUS:.2f} {y - _RADIUS:.2f}) scale({pixel:.5f})"
    for index, path in enumerate(paths):
        if path:
            yield (
                f'<path fill="var(--a{index})" shape-rendering="crispEdges" transform="{place}" '
                f'd="{"".join(path)}"/>'
            )


def _proofs(found: AdvisoryMap, x: float, y: float, scale: float) -> list[str]:
    """The verified sectors: all is proved that no other sector covers."""
    cells = found.cells
    parts = [f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{_RADIUS:.2f}" fill="var(--proved)"/>']
    for name, polar in (
        ("bounded", found.blocks[found.bounded]),
        ("violated", cells.take(cells.status == Status.VIOLATED).polar),
        ("undecided", cells.take(cells.status == Status.UNDECIDED).polar),
    ):
        if len(polar):
            path = "".join(sector(cell, x, y, scale) for cell in polar.tolist())
            parts.append(f'<path class="{name}" d="{path}"/>')
    return parts


def sector(cell: Sequence[float], x: float, y: float, scale: float) -> str:
    """The path of a cell (ρ from, ρ to, θ from, θ to): ahead is to the right, left is up."""
    inner, outer, right, left = max(0.0, cell[0]) * scale, cell[1] * scale, cell[2], cell[3]
    large = int(left - right > math.pi)
    bend = 1 - math.cos((left - right) / 2)

    def point(radius: float, angle: float) -> str:
        return f"{x + radius * math.cos(angle):.2f} {y - radius * math.sin(angle):.2f}"

    def line_to(radius: float, angle: float, turn: int) -> str:
        if radius * bend < _STRAIGHT:
            return f"L{point(radius, angle)}"
        return f"A{radius:.2f} {radius:.2f} 0 {large} {turn} {point(radius, angle)}"

    return (
        f"M{point(inner, right)}L{point(outer, right)}{line_to(outer, left, 0)}"
        f"L{point(inner, left)}{line_to(inner, right, 1)}Z"
    )


def _panel(
    x: float,
    y: float,
    name: str,
    content: Iterable[str],
    found: AdvisoryMap,
    marks: Sequence[Witness],
    scale: float,
) -> Iterator[str]:
    clip = f"clip{x:.0f}"
    yield f'<clipPath id="{clip}"><circle cx="{x:.2f}" cy="{y:.2f}" r="{_RADIUS:.2f}"/></clipPath>'
    yield _text("panel", x, y - _RADIUS - 14, name, "middle")
    yield f'<g clip-path="url(#{clip})">'
    yield from content
    yield "</g>"
    for tick in _ticks(found.plane.reach):
        yield f'<circle class="ring" cx="{x:.2f}" cy="{y:.2f}" r="{tick * scale:.2f}"/>'
    yield f'<circle class="edge" cx="{x:.2f}" cy="{y:.2f}" r="{_RADIUS:.2f}"/>'
    yield from _axes(x, y, found.plane.reach, scale)
    ship = f"M{x + 9:.1f} {y:.1f}l-15 -6l4 6l-4 6z"
    yield f'<path class="ship" d="{ship}"><title>own ship</title></path>'
    for mark in marks:
        across = x + mark.rho * scale * math.cos(mark.theta)
        yield _cross(across, y - mark.rho * scale * math.sin(mark.theta), _told(found, mark))


def _cross(x: float, y: float, told: str = "") -> str:
    path = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"
    title = f"<title>{told}</title>" if told else ""
    return f'<path class="halo" d="{path}"/><path class="mark" d="{path}">{title}</path>'


def _axes(x: float, y: float, reach: float, scale: float) -> Iterator[str]:
    bottom = y + _RADIUS + 17
    ticks = _ticks(reach)
    for value in [*(-tick for tick in ticks), 0.0, *ticks]:
        label = f"{value / 1000:g}".replace("-", "−")
        yield _text("tick", x + value * scale, bottom, label, "middle")
        if value and x < _LEFT + 2 * _RADIUS:  # only beside the first panel
            yield _text("tick", x - _RADIUS - 8, y - value * scale + 4, label, "end")
    yield _text("soft", x, bottom + 20, "ahead of the own ship (1,000 ft)", "middle")


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _ticks(reach: float) -> list[float]:
    """Two to five round distances within reach."""
    step = 10 ** math.floor(math.log10(reach))
    step = next(s for s in (step / 2, step, 2 * step) if reach / s < 4)
    return [step * k for k in range(1, math.floor(reach / step + 1e-9) + 1)]


def _legend(found: AdvisoryMap, marks: Sequence[Witness], top: float) -> Iterator[str]:
    columns = [_LEFT + i * (2 * _RADIUS + _GAP) for i in range(3)]
    yield _text("panel", columns[0], top, "Advisory with the intruder at that place")
    for line, (short, name) in enumerate(zip(units.ADVISORIES, _NAMES, strict=True), 1):
        look = f'fill="var(--a{line - 1})"'
        yield from _entry(columns[0], top + 22 * line, look, f"{name} ({short})")
    yield _cross(columns[1] + 6, top - 5)
    count = f"Witnesses ({len(found.witnesses):,}): both files were run"
    yield _text("panel", columns[1] + 20, top, count)
    for line, witness in enumerate(marks[:_LISTED], 1):
        yield _text("told", columns[1], top + 22 * line, _told(found, witness))
    yield _text("panel", columns[2], top, "Share of the area")
    shares = [found.share(status) for status in Status]
    entries = (
        ('fill="var(--proved)"', f"{_claim(found)}, proved: {percent_lower(shares[0])}"),
        ('class="violated"', f"{_opposite(found)}, proved: {percent_lower(shares[1])}"),
        ('class="undecided"', f"undecided: {percent_upper(shares[2], 3)}"),
        ('class="bounded"', f"bounded: proved on all but {100 * found.allowed:g} % of the sector"),
    )
    for line, (look, text) in enumerate(entries, 1):
        yield from _entry(columns[2], top + 22 * line, look, text)
    y = top + 22 * len(_NAMES) + 32
    yield _text("soft", _LEFT, y, _small_print(found))


def _entry(x: float, y: float, look: str, text: str) -> Iterator[str]:
    yield f'<rect x="{x}" y="{y - 12:.1f}" width="15" height="15" {look}/>'
    yield _text("told", x + 24, y, text)


def _name(path: str) -> str:
    return printable(Path(path).name)


def _question(found: AdvisoryMap) -> str:
    return "Same advisory?" if found.decision else f"Scores within {found.tolerance:g}?"


def _claim(found: AdvisoryMap) -> str:
    return "same advisory" if found.decision else f"d ≤ {found.tolerance:g}"


def _opposite(found: AdvisoryMap) -> str:
    return "different advisories" if found.decision else f"d > {found.tolerance:g}"


def _encounter(found: AdvisoryMap) -> str:
    plane = found.plane
    return (
        f"Intruder's heading {math.degrees(plane.psi):.0f}° from the own one; own speed "
        f"{plane.v_own:g} ft/s, intruder's {plane.v_int:g} ft/s. The own ship flies to the right."
    )


def _small_print(found: AdvisoryMap) -> str:
    return (
        f"Proofs: {found.boxes:,} boxes, {found.arithmetic} arithmetic; undecided cells have an "
        "outline, so that none is too small to be seen. Colours of the advisories: runs at pixel "
        "centres."
    )


def _summary(found: AdvisoryMap) -> str:
    return (
        f"{_encounter(found)} {_claim(found)} is proved on "
        f"{percent_lower(found.share(Status.PROVED))} of the area."
    )


def _told(found: AdvisoryMap, witness: Witness) -> str:
    one, other = (units.ADVISORIES[i] for i in (witness.original, witness.compressed))
    angle = math.degrees(witness.theta)
    side = "left" if angle > 0 else "right"
    seen = f"{one}, compressed {other}" if found.decision else f"d = {witness.divergence:.4g}"
    return f"{witness.rho:,.0f} ft, {abs(angle):.1f}° {side}: {seen}"
