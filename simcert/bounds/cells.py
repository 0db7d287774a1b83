"""Boxes that straddle a threshold of a quantiser of the inputs, bounded code by code.

No box around a threshold is so small that the quantiser does not jump on it, and a relaxation lets
it take every value in between. But it takes two of them only. Where x is rounded to the code c, the
quantiser is the one whose limits both are c: a constant. Whatever code an input of the box has, in
whichever runtime, it is among those of the box's interval; so the loosest of the bounds for each
combination of codes, each on all inputs that can have it, is a bound for the box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.univariate import UnivariateRule
from simcert.functions import Quantizer
from simcert.model.program import Univariate
from simcert.pairing import DualNode, DualProgram

Block: TypeAlias = Literal["f", "g"]
BLOCKS: tuple[Block, Block] = ("f", "g")
Coded: TypeAlias = Mapping[tuple[int, Block], Quantizer]
"""What stands in for the quantisers of the inputs, by node and network; limits (boxes, size)."""

MOST_INPUTS = 16
"""Quantised elements up to which it is tried: the combinations are as many as 2 to this power."""

_MOST_CELLS = 256
"""Combinations of codes, of all boxes of a batch, those with the fewest first."""


class Cells(NamedTuple):
    """Boxes once for each combination of codes.

    Attributes:
        box: their numbers (P,).
        inputs: the inputs of these boxes that have these codes, (P, inputs), and others.
        coded: the quantisers there.
    """

    box: Tensor
    inputs: Interval
    coded: Coded


class InputQuantisers:
    """The quantisers that read the inputs, or single inputs scaled or moved, of a pair.

    Args:
        dual: the pair.
        apart: nodes each element of which depends on one input.
        float32: whether two runtimes may round one input to two codes.
    """

    def __init__(self, dual: DualProgram, apart: set[int], *, float32: bool) -> None:
        self._groups: list[list[tuple[int, Block]]] = []
        self._rules: dict[tuple[int, Block], tuple[UnivariateRule, int]] = {}
        for index, node in enumerate(dual.nodes):
            own = [(index, block) for block in _quantised(node, apart)]
            for key in own:
                step = getattr(node, key[1])
                rule = UnivariateRule(step.function, float32=float32 and step.rounds)
                operand = getattr(node, f"{key[1]}_operands")[0]
                self._rules[key] = rule, operand
            together = len(own) == 2 and (dual.same or not float32) and _is_one(node)
            self._groups += [own] if together else [[key] for key in own]
        size = sum(dual.nodes[group[0][0]].size for group in self._groups)
        if size > MOST_INPUTS:
            self._groups = []

    def cells(self, triples: Sequence[Triple]) -> Cells | None:
        """Return the boxes that hold several codes, as far as they go, once for each combination.

        Args:
            triples: the intervals of the dual nodes.
        """
        if not self._groups:
            return None
        ends = [self._codes(group[0], triples) for group in self._groups]
        first, last = (torch.cat([end[k] for end in ends], 1) for k in (0, 1))
        counts = (last - first + 1.0).nan_to_num(nan=torch.inf)
        total, boxes = torch.sort(counts.prod(1), stable=True)
        boxes = boxes[(total > 1) & (total.where(total > 1, 0.0).cumsum(0) <= _MOST_CELLS)]
        if not len(boxes):
            return None
        total = counts.prod(1)
        counts, total = counts[boxes].long(), total[boxes].long()
        own = torch.arange(len(boxes), device=boxes.device).repeat_interleave(total)
        number = torch.arange(len(own), device=boxes.device) - (total.cumsum(0) - total)[own]
        stride = counts.cumprod(1) // counts
        codes = first[boxes[own]] + number[:, None] // stride[own] % counts[own]
        box = boxes[own]
        inputs = Interval(*(end[box] for end in known(triples[0].a)))
        coded: dict[tuple[int, Block], Quantizer] = {}
        for group, (own_first, _) in zip(self._groups, ends, strict=True):
            size = own_first.shape[1]
            part, codes = codes[:, :size], codes[:, size:]
            for key in group:
                rule, operand = self._rules[key]
                whole = rule.function
                assert isinstance(whole, Quantizer)  # noqa: S101 - for the type checker
                coded[key] = replace(whole, least=part, greatest=part)
                if operand == 0:
                    shift = rule.argument(inputs)[1]
                    lower, upper = whole.cell(part)
                    lower, upper = lower - shift, upper + shift
                    inputs = Interval(
                        torch.maximum(inputs.lower, lower), torch.minimum(inputs.upper, upper)
                    )
        return _without_empty(Cells(box, inputs, coded))

    def _codes(self, key: tuple[int, Block], triples: Sequence[Triple]) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest code (B, size) of a quantiser's interval."""
        rule, operand = self._rules[key]
        triple = triples[operand]
        x = rule.argument(known(triple.a if key[1] == "f" else triple.b))[0]
        assert isinstance(rule.function, Quantizer)  # noqa: S101 - for the type checker
        return rule.function.codes(*x)


def _without_empty(cells: Cells) -> Cells:
    """Leave out the cells that hold no input."""
    kept = (cells.inputs.lower <= cells.inputs.upper).all(1)
    inputs = Interval(*(end[kept] for end in cells.inputs))
    coded = {
        key: replace(own, least=own.least[kept], greatest=own.greatest[kept])
        for key, own in cells.coded.items()
    }
    return Cells(cells.box[kept], inputs, coded)


def _quantised(node: DualNode, apart: set[int]) -> list[Block]:
    """Return the networks in which a node is a quantiser of inputs."""
    blocks = []
    for block in BLOCKS:
        step, operands = getattr(node, block), getattr(node, f"{block}_operands")
        if isinstance(step, Univariate) and isinstance(step.function, Quantizer):
            blocks += [block] if operands[0] in apart else []
    return blocks


def _is_one(node: DualNode) -> bool:
    """Whether both networks quantise the inputs alike; other tensors may differ by a little."""
    f, g = node.f, node.g
    alike = isinstance(f, Univariate) and isinstance(g, Univariate) and f.function == g.function
    return alike and node.f_operands == node.g_operands == (0,)
