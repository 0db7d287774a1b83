"""A frontier as SVG: size against what can be shown and what is measured."""

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from pruners.frontier import Frontier, Variant

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP, _RIGHT = 640, 190, 76, 34, 56, 130
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_FLOOR = 1e-9  # a probability that is proved to be 0 is drawn here

Value = Callable[[Variant], float | None]


def svg(frontier: Frontier, title: str) -> str:
    """Draw one panel each for the violation probability, the worst case, and the accuracy.

    The horizontal axis is the size of the weights without zeros, as a share of the original's.
    A filled mark met the claim, a hollow one did not.
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
        top = _TOP + index * (_HEIGHT + _GAP)
        parts += _panel(frontier, methods, label, value, logarithmic=logarithmic, top=top)
    for index, method in enumerate(methods):
        y = _TOP + 10 + 18 * index
        parts.append(_mark(_WIDTH - _RIGHT + 20, y, _colour(methods, method), filled=True))
        parts.append(f'<text x="{_WIDTH - _RIGHT + 32}" y="{y + 4}">{escape(method)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    frontier: Frontier,
    methods: Sequence[str],
    label: str,
    value: Value,
    *,
    logarithmic: bool,
    top: int,
) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, top + _HEIGHT
    points = [
        (variant, variant.cost.bytes / frontier.original.bytes, number)
        for variant in frontier.variants
        if variant.cost is not None
        and (number := value(variant)) is not None
        and math.isfinite(number)
        and (number > 0 or not logarithmic)
    ]
    scale = math.log10 if logarithmic else float
    heights = [scale(number) for _, _, number in points] or [0.0, 1.0]
    low, high = min(heights), max(heights)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    parts = [
        f'<rect x="{_LEFT}" y="{top}" width="{right - _LEFT}" height="{_HEIGHT}" fill="none"'
        ' stroke="#888"/>',
        f'<text x="{_LEFT}" y="{top - 4}">{escape(label)}</text>',
        f'<text x="{(_LEFT + right) / 2}" y="{bottom + 32}" text-anchor="middle">size of the'
        " weights / original</text>",
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = _LEFT + 8 + share * (right - _LEFT - 16)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{share:g}</text>')
    for height in (low, (low + high) / 2, high):
        y = bottom - 8 - (height - low) / (high - low) * (_HEIGHT - 16)
        text = f"{10**height:.2g}" if logarithmic else f"{height:.3g}"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for variant, share, number in points:
        x = _LEFT + 8 + min(1.0, share) * (right - _LEFT - 16)
        y = bottom - 8 - (scale(number) - low) / (high - low) * (_HEIGHT - 16)
        parts.append(
            _mark(x, y, _colour(methods, variant.method), filled=variant.passed, name=variant.name)
        )
    return parts


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
