"""Resize and Upsample to the nearest element.

Places are fractions here, float32 numbers in a runtime. A place on an edge between two elements, as
every second one of a doubled image, is found exactly (a division whose result is a float32 number
is exact); one beside an edge may be rounded across it, and cannot be checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from simcert.checker.builder import LARGEST_TENSOR, Builder, Value
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import Operands, Reading, given, traced

_NEAR = Fraction(1, 10**5)
"""Of a place: float32 does not tell it from an edge that is so near."""


def _resize(_builder: Builder, node: Node, operands: Operands) -> Value:
    """Before operator set 11 the second operand holds the scales; later the third or fourth."""
    x = traced(node, operands)
    mode, wanted = node.text("mode", "nearest"), None
    factors: Sequence[Fraction]
    source, rounding = "asymmetric", "floor"
    if node.operator == "Upsample" or node.opset < 11:
        factors = _numbers(given(node, operands, 1))
        factors = factors or [Fraction(scale) for scale in node.reals("scales", [])]
    else:
        source = node.text("coordinate_transformation_mode", "half_pixel")
        rounding = node.text("nearest_mode", "round_prefer_floor")
        factors = _numbers(given(node, operands, 2))
        wanted = [int(size) for size in _numbers(given(node, operands, 3))] or None
        node.real("cubic_coeff_a", -0.75)
        node.real("extrapolation_value", 0.0)
        node.integer("exclude_outside", 0)
        if (
            node.integer("antialias", 0)
            or node.integers("axes", []) not in ([], list(range(x.index.ndim)))
            or node.text("keep_aspect_ratio_policy", "stretch") != "stretch"
        ):
            raise node.refused("of single axes, antialiased, or with a kept aspect ratio")
    if wanted is not None:
        sizes_of = zip(wanted, x.shape, strict=False)
        factors = [Fraction(float(np.float32(size / n))) for size, n in sizes_of]
    if mode != "nearest" or len(factors) != x.index.ndim or not min(factors, default=0) > 0:
        raise node.refused(f"in mode {mode!r}, by {[float(factor) for factor in factors]}")
    sizes = wanted or [
        math.floor(_apart(node, n * s, Fraction(0))) for n, s in zip(x.shape, factors, strict=True)
    ]
    if min(sizes) < 1 or math.prod(sizes) > LARGEST_TENSOR:
        raise node.refused(f"to {sizes}")
    index = x.index
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True)):
        length = x.shape[axis]
        if size == length and factor != 1:  # copied or not, as the other axes go
            raise node.refused(f"by {float(factor)} to the same size")
        if size != length:
            # Before operator set 11 ONNX Runtime rounds up where it shrinks.
            way = "ceil" if node.opset < 11 and factor < 1 else rounding
            places = [_place(node, i, (size, length), factor, source, way) for i in range(size)]
            index = np.take(index, np.clip(places, 0, length - 1), axis=axis)
    return x.moved(index)


def _numbers(values: Constant | None) -> Sequence[Fraction]:
    return [] if values is None else [Fraction(float(value)) for value in values.reshape(-1)]


def _apart(node: Node, x: Fraction, edge: Fraction) -> Fraction:
    """Return x, which must be on an edge, ``edge`` or whole numbers away from it, or not near one.

    Raises:
        CannotCheckError: float32 arithmetic may find it on the other side of the edge.
    """
    distance = abs(x - edge - round(x - edge))
    if 0 < distance <= _NEAR * max(abs(x), Fraction(1)):
        raise node.refused(f"at {float(x)}, beside an edge that float32 may round across")
    return x


def _place(
    node: Node, i: int, sizes: tuple[int, int], factor: Fraction, source: str, rounding: str
) -> int:
    """Return the element that element i of the result is."""
    size, length = sizes
    half = Fraction(1, 2)
    match source:
        case "asymmetric":
            x = i / factor
        case "half_pixel":
            x = (i + half) / factor - half
        case "pytorch_half_pixel":
            x = (i + half) / factor - half if size > 1 else Fraction(0)
        case "align_corners":
            x = Fraction(i * (length - 1), size - 1) if size > 1 else Fraction(0)
        case _:
            raise node.refused(f"with coordinates {source!r}")
    x = _apart(node, x, half if rounding.startswith("round") else Fraction(0))
    match rounding:
        case "floor":
            return math.floor(x)
        case "ceil":
            return math.ceil(x)
        case "round_prefer_floor":
            return math.ceil(x - half)
        case "round_prefer_ceil":
            return math.floor(x + half)
    raise node.refused(f"with rounding {rounding!r}")


OPERATORS: dict[str, Reading] = {"Resize": _resize, "Upsample": _resize}
