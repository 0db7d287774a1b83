"""How runtimes may associate the affine steps around a step: what its sums may be held as.

(W x) s is what a runtime computes that takes the file as it stands; one that folds the scale into
the weights computes (W s) x, and one that moves the scale a of a whole tensor behind a product
computes (W x) a for W (a x). Over the reals they are equal. In float32 each of them overflows, and
loses numbers to underflow, at its own place.

A scale or shift of single elements may be folded into the step before it, through movements and
other scales and shifts; a scale of a whole tensor may move through all affine steps without a bias
behind it. Sums of two tensors that depend on the input, and scales that differ between the elements
that one sum reads, stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from simcert.model.linear import Diagonal, LinearMap, Selection
from simcert.model.program import Affine, Held, Program, Step


def associated(program: Program) -> Program:
    """Return a program whose affine steps say in what multiples a runtime may hold their sums."""
    steps = list(program.steps)
    after, before = _after(steps), _before(steps)
    for number, step in enumerate(steps):
        if isinstance(step, Affine):
            own = step.held.times(after[number]).times(before[number])
            steps[number] = replace(step, held=own)
    return Program(tuple(steps))


def _after(steps: Sequence[Step]) -> list[Held]:
    """Return, for each step, the products of the scales behind it that may be folded into it.

    Each shift behind a step adds absolute terms of its own to the folded sum, none of them greater
    than what its step is known not to exceed: the greatest multiple counts them.
    """
    held = [Held.at() for _ in steps]
    shifts = [1.0] * len(steps)
    for number in range(len(steps) - 1, 0, -1):
        step = steps[number]
        linear = _elementwise(step)
        if isinstance(step, Affine) and linear is not None:
            source = step.operands[0]
            held[source] = _hull(held[source], linear, held[number])
            shifts[source] = max(shifts[source], shifts[number] + step.rounds)
    return [own._replace(greatest=own.greatest * n) for own, n in zip(held, shifts, strict=True)]


def _hull(own: Held, linear: Diagonal | Selection, behind: Held) -> Held:
    """Extend the multiples of a step's elements by those that one reader of it allows."""
    index, scale = _sources(linear)
    least, greatest = (end.expand(linear.outputs) * scale for end in behind)
    used = (index >= 0) & (scale > 0)
    if bool(used.all()) and all(bool((end == 1).all()) for end in (least, greatest)):
        return own
    ends = [end.expand(linear.inputs).clone() for end in own]
    ends[0].scatter_reduce_(0, index[used], least[used], "amin")
    ends[1].scatter_reduce_(0, index[used], greatest[used], "amax")
    return Held(*ends)


def _sources(linear: Diagonal | Selection) -> tuple[Tensor, Tensor]:
    """Return the element that each result is made of, −1 for none, and |its factor|."""
    if isinstance(linear, Diagonal):
        return torch.arange(linear.inputs), linear.scale.abs()
    return linear.index, torch.full((linear.outputs,), abs(linear.weight), dtype=torch.float64)


def _before(steps: Sequence[Step]) -> list[Held]:
    """Return, for each step, the products of the scales of whole tensors before it, either way."""
    held = [Held.at() for _ in steps]
    for number, step in enumerate(steps):
        if not isinstance(step, Affine) or len(step.operands) != 1 or step.noise:
            continue
        before = steps[source := step.operands[0]]
        if isinstance(before, Affine) and not before.bias.any():
            scale = _factor(_elementwise(before))
            held[number] = held[source].times(Held.at(scale, 1 / scale if scale else 0.0))
    return held


def _factor(linear: LinearMap | None) -> float:
    """Return the size of the number that a map multiplies all elements with; 1 for other maps."""
    if not isinstance(linear, Diagonal):
        return 1.0
    first = float(linear.scale[0])
    return abs(first) if bool((linear.scale == first).all()) else 1.0


def _elementwise(step: Step) -> Diagonal | Selection | None:
    """Return the map of a step that scales, shifts or moves the elements of one tensor."""
    if not isinstance(step, Affine) or len(step.maps) != 1 or step.noise:
        return None
    linear = step.maps[0]
    return linear if isinstance(linear, Diagonal | Selection) else None
