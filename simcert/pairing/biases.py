"""Biases: one network adds them within a layer, the other behind a quantiser of its own.

MatMul and Add are one affine step wherever nothing stands between them. Tools that quantise a graph
put a quantiser there; then the other network's step is taken apart again, so that both have the
same steps, each of them once.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from simcert.functions import DynamicQuantizer, Quantizer
from simcert.model.linear import Selection, Zero
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
        if isinstance(step, Affine) and not only_adds(step) and _take(step.bias, biases):
            unbiased = _append(steps, replace(step, bias=torch.zeros_like(step.bias)))
            identity = Selection(torch.arange(step.size), step.size)
            added = Affine((unbiased,), (identity,), step.bias, step.label, step.computed)
            step = replace(added, held=step.held)
        numbers[number] = _append(steps, step)
    if numbers[len(own.steps) - 1] < len(steps) - 1:  # a copy, but the output comes last
        steps.append(renumbered(own.steps[-1], numbers))
    return Program(tuple(steps))


def added_behind_quantizer(step: Step, program: Program) -> Tensor | None:
    """Return the bias of a step that only adds one, to what a quantiser makes."""
    if not isinstance(step, Affine) or not only_adds(step) or not step.bias.any():
        return None
    before = program.steps[step.operands[0]]
    quantizers = Quantizer | DynamicQuantizer
    found = isinstance(before, Univariate) and isinstance(before.function, quantizers)
    return step.bias if found else None


def only_adds(step: Affine) -> bool:
    """Whether a step adds a bias and does nothing else."""
    linear = step.maps[0] if step.maps else None
    return len(step.maps) == 1 and isinstance(linear, Selection) and linear.is_identity


def _append(steps: list[Step], step: Step) -> int:
    """Append a step, unless an equal one is there already; return its number."""
    if isinstance(step, Affine):
        for number, earlier in enumerate(steps):
            if isinstance(earlier, Affine) and are_equal(earlier, step):
                return number
    steps.append(step)
    return len(steps) - 1


def are_equal(left: Affine, right: Affine) -> bool:
    """Whether two steps compute the same, with the same errors of a float32 runtime."""
    fields = ("operands", "computed", "rounds", "noise")
    if any(getattr(left, name) != getattr(right, name) for name in fields):
        return False
    if not all(torch.equal(a, b) for a, b in zip(left.held, right.held, strict=True)):
        return False
    return torch.equal(left.bias, right.bias) and all(
        isinstance(a.minus(b), Zero) for a, b in zip(left.maps, right.maps, strict=True)
    )


def _take(bias: Tensor, biases: list[Tensor]) -> bool:
    """Remove from ``biases`` the one that is near ``bias``, and return whether there is one.

    Where the other is zero, a channel was removed.
    """
    if not bias.any():
        return False
    for index, other in enumerate(biases):
        if other.shape != bias.shape:
            continue
        left = other != 0
        if float((other - bias)[left].norm()) <= _NEAR * float(bias[left].norm()):
            del biases[index]
            return True
    return False
