"""Re-establishing what is said of each leaf, splitting further where that is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simcert.checker.bounds import Pair
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import Bool, Float, Interval
from simcert.checker.linear import Index
from simcert.checker.rules.layer import known
from simcert.checker.tree import Leaves

SPLITS = 10
"""How many more boxes than leaves may be bounded before the checker gives up, per leaf."""

LEAST_SPLITS = 2000

Settled = Callable[[Float, Float], Bool]
"""Whether bounds (boxes, S) of the functions settle the boxes, (boxes,)."""


class _Boxes(NamedTuple):
    """Parts of leaves: boxes, or those of their inputs that have certain codes (``Pair.bound``)."""

    lower: Float
    upper: Float
    only: Float

    def take(self, rows: slice | Bool) -> _Boxes:
        """Return some."""
        return _Boxes(*(ends[rows] for ends in self))

    def with_more(self, other: _Boxes) -> _Boxes:
        """Return these and others."""
        return _Boxes(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Functions:
    """The linear functions of the outputs whose bounds decide: coefficients (S, outputs)."""

    f: Float
    g: Float
    difference: Float


def settle(
    pair: Pair,
    functions: Functions,
    leaves: Leaves,
    settled: Settled,
    what: str,
    batch: int = 1,
) -> int:
    """Bound the functions on every leaf until all of it is settled.

    A leaf that is not settled at once is halved, as often as needed: what holds on both closed
    halves holds on the leaf. Where an input has two codes, the leaf falls into the inputs that have
    the one and those that have the other.

    Returns:
        How many boxes were bounded.

    Raises:
        CannotCheckError: the budget of boxes is spent, or a part cannot be halved.
    """
    boxes = _Boxes(leaves.lower, leaves.upper, np.full((len(leaves), len(pair.coded)), np.nan))
    own = functions.f, functions.g, functions.difference
    budget = len(leaves) + max(LEAST_SPLITS, SPLITS * len(leaves))
    bounded = 0
    while len(boxes.lower):
        now, later = boxes.take(slice(0, batch)), boxes.take(slice(batch, None))
        bounded += len(now.lower)
        if bounded > budget:
            raise CannotCheckError(
                f"not all of the leaves could be shown to be {what} with {budget} boxes"
            )
        bounds = pair.bound(now.lower, now.upper, *own, only=now.only)
        left = ~(settled(bounds.lower, bounds.upper) | known(bounds.empty))
        codes = known(bounds.codes)
        codes = Interval(codes.lower[left], codes.upper[left])
        boxes = _split(now.take(left), bounds.pull[left], codes, pair.coded, what)
        boxes = boxes.with_more(later)
    return bounded


def _split(boxes: _Boxes, pull: Float, codes: Interval, coded: Index, what: str) -> _Boxes:
    """Split boxes by the two codes of the input that moves the bounds most, or halve them."""
    axis = _axes(boxes.lower, boxes.upper, pull)
    both = (codes.upper - codes.lower == 1) & (coded == axis[:, None])
    two = both.any(axis=1)
    halved, apart = boxes.take(~two), boxes.take(two)
    ends = halves(halved.lower, halved.upper, pull[~two], what)
    made = _Boxes(*ends, np.concatenate([halved.only, halved.only]))
    if not two.any():
        return made
    row, column = np.arange(len(apart.only)), both[two].argmax(axis=1)
    for code in codes:
        only = apart.only.copy()
        only[row, column] = code[two][row, column]
        made = made.with_more(apart._replace(only=only))
    return made


def halves(lower: Float, upper: Float, pull: Float, what: str) -> tuple[Float, Float]:
    """Halve boxes along the input that moves the bounds most."""
    middle = lower / 2 + upper / 2
    if not _divisible(lower, upper).any(axis=1).all():
        raise CannotCheckError(f"a part of a leaf is too narrow to be shown to be {what}")
    row, axis = np.arange(len(lower)), _axes(lower, upper, pull)
    left, right = upper.copy(), lower.copy()
    left[row, axis] = right[row, axis] = middle[row, axis]
    return np.concatenate([lower, right]), np.concatenate([left, upper])


def _divisible(lower: Float, upper: Float) -> Bool:
    middle = lower / 2 + upper / 2
    return np.logical_and(lower < middle, middle < upper)


def _axes(lower: Float, upper: Float, pull: Float) -> Index:
    """Return the input of each box that moves the bounds most, of those that can be halved."""
    possible = _divisible(lower, upper)
    pull = np.where(np.isfinite(pull), pull, 0.0)
    pull = np.where((pull * possible).max(axis=1, keepdims=True) > 0, pull, upper - lower)
    return np.asarray(np.where(possible, pull, -1.0).argmax(axis=1))
