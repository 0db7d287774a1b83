"""What can be said of a pair of networks before any box is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simcert.checker.align import PairNode
from simcert.checker.curves import STEEPEST
from simcert.checker.errors import CannotCheckError
from simcert.checker.linear import Gather
from simcert.checker.program import (
    Affine,
    DynamicQuantiser,
    Elementwise,
    Input,
    Joining,
    Pass,
    Product,
    Quantiser,
    Relu,
    Smooth,
    Softmax,
    Stair,
    Step,
)

LARGEST_INPUT, LARGEST_GROWTH = 2.0**100, 2.0**200

_ROOM = 1.0 + 2.0**-10
"""Bounds of what a function can reach may be this much larger than it."""


def refined(nodes: Sequence[PairNode], *, near: bool = False) -> dict[int, bool]:
    """Return the nodes that a rectifier reads, or (true) what is nowhere a line.

    But not those next to the input: one map away from it intervals are exact, also of the
    difference where both networks read the input alike. Where bounds need only hold with a
    probability, those are wanted too (``near``).
    """
    depth, apart = [0], [False]
    found: dict[int, bool] = {}

    def far(o: int) -> bool:
        return near or depth[o] > 1 or apart[o]

    for node in nodes[1:]:
        operands = {*node.f_operands, *node.g_operands}
        for kinds, bent in ((Relu | Quantiser | Stair, False), (Smooth | Joining, True)):
            if any(isinstance(step, kinds) for step in (node.f, node.g)):
                found |= {o: bent or found.get(o, False) for o in operands if far(o)}
        apart.append(not node.alike or any(apart[o] for o in operands))
        depth.append(max(depth[o] for o in operands) + max(map(_mixes, (node.f, node.g))))
    return found


def _mixes(step: Step | None) -> int:
    """Return 0 where intervals of single elements stay exact, 1 where those of their sums do."""
    if isinstance(step, Affine) and len(step.maps) == 1:
        return 0 if isinstance(step.maps[0], Gather) and step.maps[0].terms == 1 else 1
    return 0 if step is None else 2


def check_growth(steps: Sequence[Step | None], operands: Sequence[tuple[int, ...]]) -> None:
    """Refuse networks in which coefficients could grow out of, or shrink into, rounding's limits.

    With all products of norms, over all paths, below 2^200 what underflow loses, 2^-1074 a product,
    stays far below SMALL when it reaches the end.
    """
    growth: list[float] = []
    reach: list[float] = []
    for step, numbers in zip(steps, operands, strict=True):
        own = 1.0
        if isinstance(step, Affine):
            norms = [max(1.0, linear.norm) for linear in step.maps]
            own = sum(norm * growth[o] for norm, o in zip(norms, numbers, strict=True))
            if not step.bias_size.max(initial=0.0) <= LARGEST_INPUT:
                own = np.inf
        elif isinstance(step, Product):
            most = [min(STEEPEST, reach[o]) for o in numbers]
            own = 8 * step.widest * (most[1] * growth[numbers[0]] + most[0] * growth[numbers[1]])
        elif step is not None and not isinstance(step, Input):
            own = _steepness(step) * growth[numbers[0]]
        growth.append(own)
        reach.append(_reach(step, [reach[o] for o in numbers]))
        if not growth[-1] <= LARGEST_GROWTH:
            raise CannotCheckError("the weights are too large for the checker")


def _steepness(step: Elementwise | Softmax) -> float:
    """Return at least the coefficient on x that one on the result becomes."""
    match step:
        case Smooth():
            return 2 * step.curve.steepest
        case Quantiser() | DynamicQuantiser() | Stair() | Pass():
            return 1.0
    return 4.0


def _reach(step: Step | None, operands: Sequence[float]) -> float:
    """Return at least the largest number that a step makes of numbers up to ``operands``."""
    match step:
        case Affine():
            norms = (linear.norm for linear in step.maps)
            parts = (norm * x for norm, x in zip(norms, operands, strict=True) if norm)
            return _ROOM * (sum(parts) + float(step.bias_size.max(initial=0.0)))
        case Relu() | Pass():
            return operands[0]
        case Quantiser():
            return _ROOM * float(step.largest.max(initial=0.0))
        case Smooth():
            return _ROOM * step.curve.reach
        case Softmax():
            return _ROOM
        case Product():
            return _ROOM * step.terms * operands[0] * operands[1]
        case Stair() if step.kind in ("Positive", "NotNegative"):
            return 1.0
    return np.inf
