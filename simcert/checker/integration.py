"""P(d > ε) on undecided leaves, from the checker's own linear bounds, with certainty.

A violation lies in one of the half-spaces that cover it (``Divergence.cover``). Where the bound of
a function is greatest on a leaf it is m, and with U_j the distance of input j from that side in
widths w_j, the function reaches t only if Σ_j |c_j| w_j U_j ≤ m − t.

Inputs are rounded to the networks' type before the networks see them, which moves each by at most
one unit in the last place of the leaf's ends: m is raised by what that can change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simcert.checker import mass
from simcert.checker.bounds import Bounds, Pair
from simcert.checker.claim import Claim
from simcert.checker.errors import CannotCheckError
from simcert.checker.halfspaces import METHODS, HalfSpaces
from simcert.checker.interval import Float
from simcert.checker.laws import law
from simcert.checker.leaves import LEAST_SPLITS, SPLITS, Functions, halves
from simcert.checker.tree import Leaves

NAMES = (*METHODS, "least")
"""By each method alone, and with the least of them for each half-space."""

_WHAT = "as rarely violating as is stated"


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of leaves: (inputs) ends and how each moves the bounds, and shares (names) of P."""

    leaves: Leaves
    pull: Float
    shares: Float

    def take(self, which: np.ndarray[tuple[int], np.dtype[np.intp]]) -> _Parts:
        """Return some of them."""
        return _Parts(self.leaves.take(which), self.pull[which], self.shares[which])

    def with_more(self, other: _Parts) -> _Parts:
        """Return these and others."""
        leaves = self.leaves.with_more(other.leaves)
        pull = np.concatenate([self.pull, other.pull])
        return _Parts(leaves, pull, np.concatenate([self.shares, other.shares]))


@dataclass(frozen=True, eq=False)
class Integrator:
    """Integrates over the law of a claim.

    Attributes:
        pair: of the two networks.
        claim: what d, ε and the law are.
        functions: that bound d.
        input_type: what inputs are rounded to.
    """

    pair: Pair
    claim: Claim
    functions: Functions
    input_type: np.dtype[np.floating]

    def at_most(self, leaves: Leaves, allowed: dict[str, float]) -> tuple[dict[str, float], int]:
        """Show that P(d > ε and x in the leaves) is at most what is allowed, by each name.

        Leaves with large shares are halved until that is so.

        Returns:
            What was found for each name of ``NAMES``, and how many boxes were bounded.

        Raises:
            CannotCheckError: the budget of boxes is spent, or a part cannot be halved.
        """
        limits = np.array([allowed.get(name, math.inf) for name in NAMES])
        budget = len(leaves) + max(LEAST_SPLITS, SPLITS * len(leaves))
        parts, bounded = self._bounded(leaves), len(leaves)
        while True:
            totals = np.array([_sum(shares) for shares in parts.shares.T])
            excess = totals - limits
            worst = int(excess.argmax())
            if excess[worst] <= 0:
                return dict(zip(NAMES, totals.tolist(), strict=True)), bounded
            order = np.argsort(-parts.shares[:, worst], kind="stable")
            count = max(1, min(self.pair.batch, len(order) // 4))
            bounded += 2 * count
            if bounded > budget:
                raise CannotCheckError(
                    f"the leaves could not be shown to be {_WHAT} with {budget} boxes: P(d > ε) on "
                    f"them is at most {totals[worst]:.6g} by the checker's bounds ({NAMES[worst]})"
                )
            parts = self._halved(parts.take(order[:count])).with_more(parts.take(order[count:]))

    def _halved(self, parts: _Parts) -> _Parts:
        leaves = parts.leaves
        ends = halves(leaves.lower, leaves.upper, parts.pull, _WHAT)
        return self._bounded(Leaves(*ends, np.concatenate([leaves.root, leaves.root])))

    def _bounded(self, leaves: Leaves) -> _Parts:
        """Bound what violates on each leaf."""
        own, batch = self.functions, self.pair.batch
        pull, shares = np.zeros_like(leaves.lower), np.zeros((len(leaves), len(NAMES)))
        for start in range(0, len(leaves), batch):
            part = slice(start, start + batch)
            some = leaves.take(np.arange(len(leaves))[part])
            found = self.pair.bound(
                some.lower, some.upper, own.f, own.g, own.difference, planes=True
            )
            pull[part] = found.pull
            whole = np.array([_above(float(p)) for p in mass.masses(self.claim, some)])
            shares[part] = np.minimum(
                self._conditional(some, found) * whole[:, None] * (1 + 2.0**-50), whole[:, None]
            )
        return _Parts(leaves, pull, shares)

    def _conditional(self, leaves: Leaves, bounds: Bounds) -> Float:
        """Return at least P(d > ε | x in the leaf), (leaves, names)."""
        if bounds.planes is None:
            raise AssertionError("linear bounds were not asked for")
        ends, slopes = bounds.planes
        divergence, limit = self.claim.divergence, self.claim.tolerance
        cover = divergence.cover(bounds.lower, bounds.upper, limit)
        with np.errstate(over="ignore", invalid="ignore"):
            spread = np.abs(slopes) * (leaves.upper - leaves.lower)[:, None] * (1 - 2.0**-50)
            rounding = (np.abs(slopes) * self._rounding(leaves)[:, None]).sum(axis=2)
            excess = ends - cover.thresholds + rounding
            excess += 2.0**-50 * (np.abs(ends) + cover.thresholds + rounding) + 2.0**-900
        useful = np.isfinite(excess) & np.isfinite(spread).all(axis=2) & (spread > 0).any(axis=2)
        # Where a linear bound stays below its threshold nothing violates; a flat one says no more.
        certain = np.where(np.isfinite(excess) & (excess < 0), 0.0, 1.0)
        tails = np.repeat(certain[..., None], len(NAMES), axis=2)
        box, function = np.nonzero(useful & (excess >= 0))
        if len(box):
            from_above = slopes[box, function] > 0
            events = HalfSpaces.scaled(
                excess[box, function],
                spread[box, function],
                law(self.claim, leaves.take(box), from_above),
            )
            found = np.stack([method(events) for method in METHODS.values()], axis=1)
            tails[box, function] = np.hstack([found, found.min(axis=1, keepdims=True)])
        terms = tails[:, cover.terms].min(axis=2) * cover.possible[..., None]
        total = np.minimum(terms.sum(axis=1) * (1 + 2.0**-40), 1.0)
        holds = divergence.at_most(bounds.lower, bounds.upper, limit)
        return np.where(holds[:, None], 0.0, total)

    def _rounding(self, leaves: Leaves) -> Float:
        """Return how far rounding may move inputs, (leaves, inputs)."""
        numbers = np.finfo(self.input_type)
        size = np.maximum(np.abs(leaves.lower), np.abs(leaves.upper))
        moved = size * float(numbers.eps) + float(numbers.smallest_subnormal)
        return np.where(leaves.lower < leaves.upper, moved, 0.0)


def _above(value: float) -> float:
    return math.nextafter(value, math.inf) if value else 0.0


def _sum(shares: Float) -> float:
    return _above(math.fsum(shares.tolist()))
