"""Resize and Upsample to the nearest element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simcert.checker.builder import LARGEST_TENSOR, Builder, Value
from simcert.checker.onnxfile import Constant, Node
from simcert.checker.operators.operands import Operands, Reading, given, traced


def _resize(_builder: Builder, node: Node, operands: Operands) -> Value:
    """Before operator set 11 the second operand holds the scales; later the third or fourth."""
    x = traced(node, operands)
    mode, wanted = node.text("mode", "nearest"), None
    source, rounding = "asymmetric", "floor"
    if node.operator == "Upsample" or node.opset < 11:
        factors = _numbers(given(node, operands, 1)) or node.reals("scales", [])
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
        factors = [size / n for size, n in zip(wanted, x.shape, strict=False)]
    if mode != "nearest" or len(factors) != x.index.ndim or not min(factors, default=0) > 0:
        raise node.refused(f"in mode {mode!r}, by {factors}")
    sizes = wanted or [math.floor(n * s) for n, s in zip(x.shape, factors, strict=True)]
    if math.prod(sizes) > LARGEST_TENSOR:
        raise node.refused(f"to {sizes}")
    index = x.index
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True)):
        length = x.shape[axis]
        if size != length or factor != 1:
            places = [
                _place(node, i, (size, length), factor, source, rounding) for i in range(size)
            ]
            index = np.take(index, np.clip(places, 0, length - 1), axis=axis)
    return x.moved(index)


def _numbers(values: Constant | None) -> Sequence[float]:
    return [] if values is None else [float(value) for value in values.reshape(-1)]


def _place(
    node: Node, i: int, sizes: tuple[int, int], factor: float, source: str, rounding: str
) -> int:
    """Return the element that element i of the result is."""
    size, length = sizes
    match source:
        case "asymmetric":
            x = i / factor
        case "half_pixel":
            x = (i + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            x = (i + 0.5) / factor - 0.5 if size > 1 else 0.0
        case "align_corners":
            x = i * (length - 1) / (size - 1) if size > 1 else 0.0
        case _:
            raise node.refused(f"with coordinates {source!r}")
    match rounding:
        case "floor":
            return math.floor(x)
        case "ceil":
            return math.ceil(x)
        case "round_prefer_floor":
            return math.ceil(x - 0.5)
        case "round_prefer_ceil":
            return math.floor(x + 0.5)
    raise node.refused(f"with rounding {rounding!r}")


OPERATORS: dict[str, Reading] = {"Resize": _resize, "Upsample": _resize}
