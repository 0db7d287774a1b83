"""Operators that repeat elements, or move them between channels and space.

Resize to the nearest element: ONNX Runtime computes places and sizes in float32, where a place next
to a rounding edge may fall on either side. So one is taken only where it is exact in float32, or
away from the edge by more than float32 rounds; a factor that puts one elsewhere is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simcert.model.graph import Node
from simcert.model.operators.kernel import Kernel, bounded, integers, table, unsupported

_MARGIN = Fraction(1, 10**5)
"""How near to an edge a place may be, relative to the numbers that it is made of: many times what
float32 rounds."""


def _resize(
    node: Node,
    x: Tensor,
    region: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    """To the nearest element; before operator set 11 the second input holds the scales."""
    if node.opset < 11:
        return _nearest(node, x, _numbers(region), None, "asymmetric", "floor")
    axes = node.integers("axes") or tuple(range(x.ndim))
    if (
        axes != tuple(range(x.ndim))
        or node.text("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        raise unsupported(node, "single axes or a kept aspect ratio")
    transform = node.text("coordinate_transformation_mode", "half_pixel")
    rounding = node.text("nearest_mode", "round_prefer_floor")
    wanted = integers(sizes) if sizes is not None and sizes.numel() else None
    factors = _numbers(scales) if wanted is None else None
    return _nearest(node, x, factors, wanted, transform, rounding)


def _upsample(node: Node, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """Resize before operator set 10; in version 7 the scales are an attribute."""
    given = node.attributes.get("scales", ())
    factors = [float(f) for f in given] if isinstance(given, tuple) and scales is None else None
    return _nearest(node, x, factors or _numbers(scales), None, "asymmetric", "floor")


def _numbers(values: Tensor | None) -> list[float]:
    if values is None or not values.numel():
        raise ValueError("neither scales nor sizes are given")
    return [float(v) for v in values.tolist()]


def _nearest(
    node: Node,
    x: Tensor,
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    transform: str,
    rounding: str,
) -> Tensor:
    if node.text("mode", "nearest") != "nearest":
        raise unsupported(node, f"mode {node.text('mode', 'nearest')!r}")
    if scales is None:
        assert sizes is not None  # noqa: S101 - one of the two is given
        scales = [
            float(np.float32(size) / np.float32(length))
            for size, length in zip(sizes, x.shape, strict=True)
        ]
    if not all(0 < scale < math.inf for scale in scales):
        raise unsupported(node, f"scales {list(scales)}")
    targets = sizes or [
        _size(length, scale, node) for length, scale in zip(x.shape, scales, strict=True)
    ]
    bounded(targets)
    for axis, (target, scale) in enumerate(zip(targets, scales, strict=True)):
        length = x.shape[axis]
        if target == length:
            if scale != 1.0:  # ONNX Runtime then copies, if the other axes keep their sizes too
                raise unsupported(node, f"scale {scale} to the same size")
            continue
        # Before operator set 11 ONNX Runtime rounds up where it shrinks.
        way = "ceil" if node.opset < 11 and scale < 1 else rounding
        index = [_element(o, target, length, scale, transform, way, node) for o in range(target)]
        kept = torch.tensor(index, dtype=torch.int64).clamp(0, length - 1)
        x = x.index_select(axis, kept.to(x.device))
    return x


def _size(length: int, scale: float, node: Node) -> int:
    """Return the length of the result along an axis."""
    exact = length * Fraction(scale)
    computed = Fraction(float(np.float32(length) * np.float32(scale)))
    _check(exact, computed, Fraction(0), exact, node)
    return math.floor(exact)


def _element(
    target: int, count: int, length: int, scale: float, transform: str, rounding: str, node: Node
) -> int:
    """Return the element that an element of the result is."""
    exact = _source(Fraction(target), count, length, Fraction(scale), transform, node)
    computed = _source(np.float32(target), count, length, np.float32(scale), transform, node)
    edges = Fraction(1, 2) if rounding.startswith("round") else Fraction(0)
    _check(exact, Fraction(float(computed)), edges, abs(exact) + 1, node)
    return _round(exact, rounding, node)


def _check(
    exact: Fraction, computed: Fraction, edges: Fraction, size: Fraction, node: Node
) -> None:
    """Refuse a number that float32 may put on another side of a whole number plus ``edges``."""
    distance = abs(exact - edges - round(exact - edges))
    if computed != exact and distance <= _MARGIN * size:
        raise unsupported(node, "a factor whose places depend on how float32 rounds")


def _source(target: Any, count: int, length: int, scale: Any, transform: str, node: Node) -> Any:
    """Return the place that an element of the result comes from, in the numbers given."""
    number = type(target)
    half = number(1) / number(2)
    match transform:
        case "asymmetric":
            return target / scale
        case "half_pixel":
            return (target + half) / scale - half
        case "pytorch_half_pixel":
            return (target + half) / scale - half if count > 1 else number(0)
        case "align_corners":
            return target * number(length - 1) / number(count - 1) if count > 1 else number(0)
    raise unsupported(node, f"coordinates {transform!r}")


def _round(x: Fraction, rounding: str, node: Node) -> int:
    match rounding:
        case "floor":
            return math.floor(x)
        case "ceil":
            return math.ceil(x)
        case "round_prefer_floor":
            return math.ceil(x - Fraction(1, 2))
        case "round_prefer_ceil":
            return math.floor(x + Fraction(1, 2))
    raise unsupported(node, f"rounding {rounding!r}")


def _tile(node: Node, x: Tensor, repeats: Tensor) -> Tensor:  # noqa: ARG001
    counts = integers(repeats)
    bounded(size * count for size, count in zip(x.shape, counts, strict=True))
    return x.repeat(counts)


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Blocks of channels become blocks of pixels (depth first, DCR, or columns first, CRD)."""
    size = node.integer("blocksize", 1)
    n, channels, height, width = x.shape
    rest = channels // (size * size)
    if node.text("mode", "DCR") == "DCR":
        y = x.reshape(n, size, size, rest, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, rest, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, rest, height * size, width * size)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    size = node.integer("blocksize", 1)
    n, channels, height, width = x.shape
    y = x.reshape(n, channels, height // size, size, width // size, size)
    y = y.permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, channels * size * size, height // size, width // size)


KERNELS: dict[str, Kernel] = table(
    {
        "DepthToSpace": _depth_to_space,
        "Resize": _resize,
        "SpaceToDepth": _space_to_depth,
        "Tile": _tile,
        "Upsample": _upsample,
    }
)
