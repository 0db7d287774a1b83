"""Biases: one network adds them within a layer, the other behind a quantiser of its own.

MatMul and Add are one affine step wherever nothing stands between them. Tools that quantise a graph
put a quantiser there; then the other network's step is taken apart again, so that both have the
same steps.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from simcert.functions import DynamicQuantizer, Quantizer
from simcert.model.linear import Selection
from simcert.model.program import Affine, Program, Step, Univariate
from simcert.pairing.order import renumbered

_NEAR = 0.1
"""Of a bias' size: how far its quantised copy may be from it."""


def unmerged(own: Program, other: Program) -> Program:
    """Return a program with those biases apart that the other network adds behind a quantiser."""
    found = [added_behind_quantizer(step, other) for step in other.steps]
    biases = [bias for bias in found if bias is not None]
    if not biases:
        return own
    steps: list[Step] = []
    numbers: dict[int, int] = {}
    for number, step in enumerate(own.steps):
        step = renumbered(step, numbers)
        if isinstance(step, Affine) and _is_merged(step) and _take(step.bias, biases):
            steps.append(replace(step, bias=torch.zeros_like(step.bias)))
            identity = Selection(torch.arange(step.size), step.size)
            step = Affine((len(steps) - 1,), (identity,), step.bias, step.label, step.computed)
        numbers[number] = len(steps)
        steps.append(step)
    return Program(tuple(steps))


def added_behind_quantizer(step: Step, program: Program) -> Tensor | None:
    """Return the bias of a step that only adds one, to what a quantiser makes."""
    if not isinstance(step, Affine) or len(step.maps) != 1 or not step.bias.any():
        return None
    linear, before = step.maps[0], program.steps[step.operands[0]]
    if not (isinstance(linear, Selection) and linear.is_identity):
        return None
    quantizers = Quantizer | DynamicQuantizer
    found = isinstance(before, Univariate) and isinstance(before.function, quantizers)
    return step.bias if found else None


def _is_merged(step: Affine) -> bool:
    """Whether a step is a product and a bias."""
    return len(step.maps) == 1 and bool(step.bias.any()) and not isinstance(step.maps[0], Selection)


def _take(bias: Tensor, biases: list[Tensor]) -> bool:
    """Remove from ``biases`` the one that is near ``bias``, and return whether there is one.

    Where the other is zero, a channel was removed.
    """
    for index, other in enumerate(biases):
        if other.shape != bias.shape:
            continue
        left = other != 0
        if float((other - bias)[left].norm()) <= _NEAR * float(bias[left].norm()):
            del biases[index]
            return True
    return False
