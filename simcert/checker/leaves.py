"""Re-establishing what is said of each leaf, splitting further where that is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simcert.checker.bounds import Bounds
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import Bool, Float
from simcert.checker.tree import Leaves

SPLITS = 10
"""How many more boxes than leaves may be bounded before the checker gives up, per leaf."""

LEAST_SPLITS = 2000

Bound = Callable[[Float, Float, Float, Float, Float], Bounds]
"""Bounds functions on boxes: ``Pair.bound`` or ``ExactPair.bound``."""

Settled = Callable[[Float, Float], Bool]
"""Whether bounds (boxes, S) of the functions settle the boxes, (boxes,)."""


@dataclass(frozen=True, eq=False)
class Functions:
    """The linear functions of the outputs whose bounds decide: coefficients (S, outputs)."""

    f: Float
    g: Float
    difference: Float


def settle(
    bound: Bound,
    functions: Functions,
    leaves: Leaves,
    settled: Settled,
    what: str,
    batch: int = 1,
) -> int:
    """Bound the functions on every leaf until all of it is settled.

    A leaf that is not settled at once is halved, as often as needed: what holds on both closed
    halves holds on the leaf.

    Returns:
        How many boxes were bounded.

    Raises:
        CannotCheckError: the budget of boxes is spent, or a part cannot be halved.
    """
    lower, upper = leaves.lower, leaves.upper
    budget = len(leaves) + max(LEAST_SPLITS, SPLITS * len(leaves))
    bounded = 0
    while len(lower):
        now, later = slice(0, batch), slice(batch, None)
        bounded += len(lower[now])
        if bounded > budget:
            raise CannotCheckError(
                f"not all of the leaves could be shown to be {what} with {budget} boxes"
            )
        bounds = bound(lower[now], upper[now], functions.f, functions.g, functions.difference)
        left = ~settled(bounds.lower, bounds.upper)
        below, above = halves(lower[now][left], upper[now][left], bounds.pull[left], what)
        lower = np.concatenate([below, lower[later]])
        upper = np.concatenate([above, upper[later]])
    return bounded


def halves(lower: Float, upper: Float, pull: Float, what: str) -> tuple[Float, Float]:
    """Halve boxes along the input that moves the bounds most."""
    middle = lower / 2 + upper / 2
    possible = np.logical_and(lower < middle, middle < upper)
    width = upper - lower
    pull = np.where(np.isfinite(pull), pull, 0.0)
    pull = np.where((pull * possible).max(axis=1, keepdims=True) > 0, pull, width)
    if not possible.any(axis=1).all():
        raise CannotCheckError(f"a part of a leaf is too narrow to be shown to be {what}")
    axis = np.where(possible, pull, -1.0).argmax(axis=1)
    row = np.arange(len(lower))
    left, right = upper.copy(), lower.copy()
    left[row, axis] = right[row, axis] = middle[row, axis]
    return np.concatenate([lower, right]), np.concatenate([left, upper])
