"""Products of two tensors: element by element, or as a matrix product of each pair of matrices.

With centres c and radii r of the intervals,

    x y = c_y x + c_x y − c_x c_y, up to r_x r_y,
    a₁ a₂ − b₁ b₂ = a₁ δ₂ + δ₁ b₂, each of them in this way,

and of matrices the same with matrix products in the place of products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simcert.checker.curves import STEEPEST
from simcert.checker.interval import SMALL, UNIT, Float, Interval
from simcert.checker.linear import Index
from simcert.checker.program import Product
from simcert.checker.rules.layer import (
    FLOAT32_LARGEST,
    FLOAT32_SMALLEST,
    FLOAT32_UNIT,
    Blocks,
    Layer,
    Link,
    Setting,
    known,
)

_FLOAT32_EXTRA = 8
"""Roundings of one term beyond its sum's."""


@dataclass(frozen=True, eq=False)
class Bilinear(Link):
    """left · y + x · right + middle ± half, in the shape of the product.

    Attributes:
        step: the product.
        left: what y is multiplied with, (boxes, size of x).
        right: what x is multiplied with, (boxes, size of y).
        middle: (boxes, size).
        half: (boxes, size).
    """

    step: Product
    left: Float
    right: Float
    middle: Float
    half: Float

    def into(self, c: Float, box: Index, side: str) -> tuple[Sequence[Blocks], Float]:
        """Return coefficients on x and on y."""
        rows = self.step.back(c, self.left[box], self.right[box])
        return [Blocks(**{side: row}) for row in rows], _rest(self, c, box)


@dataclass(frozen=True, eq=False)
class Difference(Link):
    """a₁ δ₂ + δ₁ b₂, linear around the centres, plus middle ± half.

    Attributes:
        step: the product.
        first: centres of a₁ and δ₂, (boxes, size) each.
        second: centres of δ₁ and b₂.
        middle: (boxes, size).
        half: (boxes, size).
    """

    step: Product
    first: tuple[Float, Float]
    second: tuple[Float, Float]
    middle: Float
    half: Float

    def into(self, c: Float, box: Index, side: str) -> tuple[Sequence[Blocks], Float]:  # noqa: ARG002
        """Return coefficients on a₁ and δ₁, and on b₂ and δ₂."""
        on_a, on_second = self.step.back(c, *(centre[box] for centre in self.first))
        on_first, on_b = self.step.back(c, *(centre[box] for centre in self.second))
        return [Blocks(f=on_a, d=on_first), Blocks(g=on_b, d=on_second)], _rest(self, c, box)


def _rest(link: Bilinear | Difference, c: Float, box: Index) -> Float:
    rest = np.einsum("rn,rn->r", c, link.middle[box])
    return np.asarray(rest + np.einsum("rn,rn->r", np.abs(c), link.half[box]))


def alone(
    step: Product, operands: Sequence[Interval], setting: Setting
) -> tuple[Interval, Bilinear, Float]:
    """Return the interval of x y, linear bounds, and a runtime's error."""
    setting.require("products of two tensors")
    x, y = operands
    times = step.times
    (centre_x, half_x), (centre_y, half_y) = x.halves(), y.halves()
    size = times(x.size, y.size)
    noise = setting.noise(4 * size, 4 * step.widest) + SMALL
    error = _runtime_error(step, x, y, size) if setting.float32 else np.zeros_like(size)
    half = times(half_x, half_y) * (1 + 8 * UNIT) + noise
    if step.shapes is None:
        corners = np.stack([s * t for s in x for t in y])
        image = Interval(corners.min(axis=0), corners.max(axis=0)).outward()
    else:
        reach = times(np.abs(centre_x), half_y) + times(half_x, np.abs(centre_y)) + half
        image = _around(times(centre_x, centre_y), reach + noise)
    small = _small(step, x, y)
    link = Bilinear(
        step,
        centre_x,
        centre_y,
        -times(centre_x, centre_y),
        np.where(small, half + error, np.inf),
    )
    return image.widened(error), link, error


def together(step: Product, layer: Layer, operands: Sequence[Layer], setting: Setting) -> None:
    """Bound the difference: δ' in ``layer.d``, linear bounds of it in ``layer.planes``."""
    times = step.times
    a, b = known(operands[0].a), known(operands[1].b)
    first, second = known(operands[0].d), known(operands[1].d)
    (centre_a, half_a), (centre_b, half_b) = a.halves(), b.halves()
    (centre_1, half_1), (centre_2, half_2) = first.halves(), second.halves()
    size = times(a.size, second.size) + times(first.size, b.size)
    noise = setting.noise(8 * size, 4 * step.widest) + SMALL
    half = (times(half_a, half_2) + times(half_1, half_b)) * (1 + 8 * UNIT) + noise
    half = np.where(size == 0, 0.0, half)
    middle = times(centre_a, centre_2) + times(centre_1, centre_b)
    reach = times(np.abs(centre_a), half_2) + times(half_a, np.abs(centre_2))
    reach = reach + times(half_1, np.abs(centre_b)) + times(np.abs(centre_1), half_b)
    error = layer.error if setting.apart else 0.0
    layer.d = _around(middle, reach + half + error).meet(known(layer.d))
    half = np.where(_small(step, a, b), half + error, np.inf)
    ends = (centre_a, centre_2), (centre_1, centre_b)
    layer.planes = Difference(step, *ends, -middle, half)


def _around(centre: Float, radius: Float) -> Interval:
    return Interval(centre - radius, centre + radius).outward()


def _small(step: Product, x: Interval, y: Interval) -> Float:
    """Whether coefficients may be multiplied with the centres."""
    if step.shapes is None:
        return np.asarray(np.maximum(x.size, y.size) <= STEEPEST)
    both = [v.size.max(axis=1, keepdims=True) for v in (x, y)]
    return np.asarray(np.maximum(*both) <= STEEPEST)


def _runtime_error(step: Product, x: Interval, y: Interval, size: Float) -> Float:
    """Return what a runtime's products, summed in any order, may be off by."""
    if step.shapes is None:
        error = 4 * FLOAT32_UNIT * size + FLOAT32_SMALLEST * (x.size + y.size + 2)
    else:
        m = step.terms + _FLOAT32_EXTRA
        relative = m * FLOAT32_UNIT / (1 - m * FLOAT32_UNIT) * (1 + 2.0**-20)
        most = sum(v.size.max(axis=1, keepdims=True) for v in (x, y))
        error = relative * size + 2 * m * FLOAT32_SMALLEST * (most + 2)
    return np.where(size < FLOAT32_LARGEST, error, np.inf)
