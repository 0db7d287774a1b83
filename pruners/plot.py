"""A frontier as SVG: what a variant takes against what can be shown and what is measured."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape

from pruners.frontier import Cost, Frontier, Variant

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP, _RIGHT = 640, 190, 76, 34, 56, 130
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_FLOOR = 1e-9  # a probability that is proved to be 0 is drawn here

Value = Callable[[Variant], float | None]


@dataclass(frozen=True)
class Axis:
    """What the variants are laid out by: a share of the original, from 0 to 1."""

    title: str
    share: Callable[[Cost, Cost], float]


AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "bytes": Axis("bytes of the weights / original", lambda v, f: v.bytes / f.bytes),
        "sparsity": Axis("share of the weights that are gone", lambda v, f: v.gone(f)),
        "macs": Axis("multiplications / original", lambda v, f: v.macs / f.macs if f.macs else 0.0),
        "file": Axis("bytes of the file / original", lambda v, f: v.file_bytes / f.file_bytes),
    }
)
"""Horizontal axes, by name; of a variant's cost and the original's. Bytes and multiplications are
without zeros."""


def svg(frontier: Frontier, title: str, axis: str = "bytes") -> str:
    """Draw one panel each for the violation probability, the worst case, and the accuracy.

    A filled mark met the claim, a hollow one did not. The variants of one method are joined by a
    line; the dashed line is the original's accuracy.

    Args:
        frontier: what is drawn.
        title: of the picture.
        axis: name of the horizontal axis, one of ``AXES``.
    """
    panels: list[tuple[str, Value, bool]] = [
        ("P(d > ε) ≤", lambda v: max(v.violation, _FLOOR), True),
        ("worst case d ≤", _worst, True),
    ]
    if frontier.accuracy is not None:
        panels.append(("accuracy", lambda v: v.accuracy, False))
    methods = list(dict.fromkeys(v.method for v in frontier.variants))
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for index, (label, value, logarithmic) in enumerate(panels):
        points = _points(frontier, AXES[axis], value, logarithmic=logarithmic)
        level = frontier.accuracy if label == "accuracy" else None
        panel = _Panel(_TOP + index * (_HEIGHT + _GAP), points, logarithmic, level)
        parts += panel.frame(label, AXES[axis].title)
        parts += [part for method in methods for part in panel.marks(method, methods)]
    for index, method in enumerate(methods):
        y = _TOP + 10 + 18 * index
        parts.append(_mark(_WIDTH - _RIGHT + 20, y, _colour(methods, method), filled=True))
        parts.append(f'<text x="{_WIDTH - _RIGHT + 32}" y="{y + 4}">{escape(method)}</text>')
    below = _TOP + 20 + 18 * len(methods)
    for index, (text, met) in enumerate((("meets the claim", True), ("does not", False))):
        parts.append(_mark(_WIDTH - _RIGHT + 20, below + 18 * index, "#888", filled=met))
        parts.append(f'<text x="{_WIDTH - _RIGHT + 32}" y="{below + 18 * index + 4}">{text}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _points(
    frontier: Frontier, axis: Axis, value: Value, *, logarithmic: bool
) -> list[tuple[Variant, float, float]]:
    """The variants that can be drawn, with their place and their value, from left to right."""
    points = [
        (variant, axis.share(variant.cost, frontier.original), number)
        for variant in frontier.variants
        if variant.cost is not None
        and (number := value(variant)) is not None
        and math.isfinite(number)
        and (number > 0 or not logarithmic)
    ]
    return sorted(points, key=lambda point: point[1])


class _Panel:
    """One vertical axis: where its values lie."""

    def __init__(
        self,
        top: int,
        points: Sequence[tuple[Variant, float, float]],
        logarithmic: bool,
        level: float | None,
    ) -> None:
        self.points, self.level, self.logarithmic = points, level, logarithmic
        self.top, self.bottom, self.right = top, top + _HEIGHT, _WIDTH - _RIGHT
        heights = [self._height(number) for _, _, number in points]
        heights += [] if level is None else [self._height(level)]
        self.low, self.high = min(heights, default=0.0), max(heights, default=1.0)
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def frame(self, label: str, title: str) -> list[str]:
        """The box, its titles and ticks."""
        parts = [
            f'<rect x="{_LEFT}" y="{self.top}" width="{self.right - _LEFT}" height="{_HEIGHT}"'
            ' fill="none" stroke="#888"/>',
            f'<text x="{_LEFT}" y="{self.top - 4}">{escape(label)}</text>',
            f'<text x="{(_LEFT + self.right) / 2}" y="{self.bottom + 32}"'
            f' text-anchor="middle">{escape(title)}</text>',
        ]
        parts += [
            f'<text x="{self._x(share):.1f}" y="{self.bottom + 16}" text-anchor="middle">'
            f"{share:g}</text>"
            for share in (0, 0.25, 0.5, 0.75, 1)
        ]
        for height in (self.low, (self.low + self.high) / 2, self.high):
            text = f"{10**height:.2g}" if self.logarithmic else f"{height:.3g}"
            y = self._y(height) + 4
            parts.append(f'<text x="{_LEFT - 6}" y="{y:.1f}" text-anchor="end">{text}</text>')
        if self.level is not None:
            y = self._y(self._height(self.level))
            parts.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{self.right}" y2="{y:.1f}" stroke="#888"'
                ' stroke-dasharray="4 3"/>'
            )
        return parts

    def marks(self, method: str, methods: Sequence[str]) -> list[str]:
        """The variants of one method and the line that joins them."""
        colour = _colour(methods, method)
        placed = [
            (variant, self._x(share), self._y(self._height(number)))
            for variant, share, number in self.points
            if variant.method == method
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in placed)
        parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1"/>']
        return (parts if len(placed) > 1 else []) + [
            _mark(x, y, colour, filled=variant.passed, name=variant.name)
            for variant, x, y in placed
        ]

    def _height(self, number: float) -> float:
        return math.log10(number) if self.logarithmic else number

    def _x(self, share: float) -> float:
        return _LEFT + 8 + min(1.0, share) * (self.right - _LEFT - 16)

    def _y(self, height: float) -> float:
        return self.bottom - 8 - (height - self.low) / (self.high - self.low) * (_HEIGHT - 16)


def _mark(x: float, y: float, colour: str, *, filled: bool, name: str = "") -> str:
    fill = colour if filled else "white"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}"'
        f' stroke-width="1.5"><title>{escape(name)}</title></circle>'
    )


def _colour(methods: Sequence[str], method: str) -> str:
    return _COLOURS[methods.index(method) % len(_COLOURS)]


def _worst(variant: Variant) -> float | None:
    return None if variant.result is None else variant.result.proof.bound
