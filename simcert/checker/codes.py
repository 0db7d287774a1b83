"""Quantisers that read single inputs: where a box holds a threshold, it is bounded code by code.

No box around a threshold is so small that the quantiser does not jump on it, but it makes one of
two numbers there, and nothing in between. Every input of the box has one of these codes; so what
holds for all inputs of the box that have the one, and for all that have the other, holds on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simcert.checker.align import PairNode
from simcert.checker.linear import Gather, Index
from simcert.checker.program import Affine, Elementwise, Input, Quantiser, Step

_SEVERAL, _NONE = -1, -2
"""An element that depends on several inputs, and one that depends on none."""


class Coded(NamedTuple):
    """One quantiser of inputs.

    Attributes:
        node: its pair node.
        side: "f" or "g".
        columns: of its elements among those of all such quantisers.
        inputs: the input that each element reads; negative if it does not read one alone.
    """

    node: int
    side: str
    columns: slice
    inputs: Index


def quantised_inputs(nodes: Sequence[PairNode]) -> list[Coded]:
    """Return the quantisers of either network that read inputs one by one."""
    found: list[Coded] = []
    end = 0
    for side in ("f", "g"):
        sources: list[Index | None] = []
        for number, node in enumerate(nodes):
            step = node.f if side == "f" else node.g
            operands = node.f_operands if side == "f" else node.g_operands
            read = [sources[operand] for operand in operands]
            inputs = None if step is None else _sources(step, read)
            sources.append(inputs)
            if isinstance(step, Quantiser) and inputs is not None and (inputs >= 0).any():
                found.append(Coded(number, side, slice(end, end + step.size), inputs))
                end += step.size
    return found


def _sources(step: Step, read: Sequence[Index | None]) -> Index | None:
    """Return the input on which each element depends; None where none depends on one alone."""
    if isinstance(step, Input):
        return np.arange(step.size)
    if any(one is None for one in read):
        return None
    if isinstance(step, Elementwise):
        return read[0]
    if not isinstance(step, Affine):
        return None
    made = np.full(step.size, _NONE)
    for linear, own in zip(step.maps, read, strict=True):
        if not isinstance(linear, Gather) or linear.terms != 1 or own is None:
            return None
        chosen = np.where(linear.weight == 0, _NONE, np.append(own, _NONE)[linear.index[:, 0]])
        differ = (made != _NONE) & (chosen != _NONE) & (made != chosen)
        made = np.where(differ, _SEVERAL, np.where(made == _NONE, chosen, made))
    return made
