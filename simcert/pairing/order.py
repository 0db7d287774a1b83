"""The order of a program's steps: branch by branch, whatever order the file has."""

from __future__ import annotations

from dataclasses import replace

from simcert.model.program import Affine, Input, Product, Program, Step


def by_branch(program: Program) -> Program:
    """Return the program with its steps in depth-first order from the output, operands in turn.

    Tools that edit a graph interleave parallel branches in another way; so written, two programs
    of one structure have their steps in one order.
    """
    order = [0]
    placed = {0}
    waiting = [len(program.steps) - 1]
    while waiting:
        number = waiting[-1]
        before = [o for o in operands_of(program.steps[number]) if o not in placed]
        if before:
            waiting.append(before[0])
            continue
        waiting.pop()
        if number not in placed:
            placed.add(number)
            order.append(number)
    numbers = {old: new for new, old in enumerate(order)}
    return Program(tuple(renumbered(program.steps[old], numbers) for old in order))


def operands_of(step: Step) -> tuple[int, ...]:
    """Return the numbers of the steps that a step reads."""
    return () if isinstance(step, Input) else step.operands


def renumbered(step: Step, numbers: dict[int, int]) -> Step:
    """Return a step that reads the same tensors under other numbers."""
    if isinstance(step, Input):
        return step
    if isinstance(step, Affine):
        return replace(step, operands=tuple(numbers[o] for o in step.operands))
    if isinstance(step, Product):
        first, second = step.operands
        return replace(step, operands=(numbers[first], numbers[second]))
    return replace(step, operand=numbers[step.operand])
