"""In what multiples a runtime may hold the sums of an affine step, by the steps around it.

A scale s behind W x may be folded into the weights, (W s) x; the scale a of a whole tensor may be
moved behind a product, (W x) a for W (a x). Such sums are s times or 1/a times what the step makes,
and overflow or underflow there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simcert.checker.interval import Float
from simcert.checker.linear import Gather
from simcert.checker.program import Affine, Step


class Held(NamedTuple):
    """The least (at most 1) and the greatest (at least 1) multiple of each element, (size,)."""

    least: Float
    greatest: Float


def multiples_held(
    steps: Sequence[Step | None], operands: Sequence[tuple[int, ...]]
) -> list[Held | None]:
    """Return the multiples for each affine step of a network.

    Args:
        steps: in the order of their numbers; None where there is none.
        operands: their numbers.
    """
    after = [np.ones((2, 0 if step is None else step.size)) for step in steps]
    sums = [1.0] * len(steps)
    for number in range(len(steps) - 1, 0, -1):
        step, linear = steps[number], _of_elements(steps[number])
        if isinstance(step, Affine) and linear is not None:
            source, index = operands[number][0], linear.index[:, 0]
            least, greatest = after[number] * np.abs(linear.weight)
            used = (index >= 0) & (linear.weight != 0)
            np.minimum.at(after[source][0], index[used], least[used])
            np.maximum.at(after[source][1], index[used], greatest[used])
            # A folded sum has the terms of all shifts behind it besides.
            sums[source] = max(sums[source], sums[number] + (step.terms is not None))
    before = [np.ones(2) for _ in steps]
    found: list[Held | None] = []
    for number, step in enumerate(steps):
        if not isinstance(step, Affine):
            found.append(None)
            continue
        if len(operands[number]) == 1:
            source = operands[number][0]
            before[number] = before[source] * _moved(steps[source])
        least, greatest = after[number] * (before[number] * step.held)[:, None]
        found.append(Held(least, greatest * sums[number]))
    return found


def _moved(step: Step | None) -> Float:
    """Return the multiples of a sum that a scale before it makes; 0 where it may not move."""
    linear = _of_elements(step)
    if not isinstance(step, Affine) or linear is None or step.bias.any():
        return np.ones(2)
    scale = abs(float(linear.weight[0]))
    if not scale or (linear.weight != linear.weight[0]).any():
        return np.ones(2)
    return np.array([min(scale, 1 / scale), max(scale, 1 / scale)])


def _of_elements(step: Step | None) -> Gather | None:
    """Return the map of a step that scales, shifts or moves the elements of one tensor."""
    if not isinstance(step, Affine) or len(step.maps) != 1 or step.noise:
        return None
    linear = step.maps[0]
    return linear if isinstance(linear, Gather) and linear.terms == 1 else None
