"""d ≤ D but for a probability η over the inputs, by the checker's own linear bounds.

Where the inputs are independent, a linear bound of a quantity comes close to its maximum on the
box almost never: P(L > q) ≤ p holds for a q far below it. All ends of intervals are such quantiles
here, and later lines and planes are built on these. At an x at which no bound that was taken
exceeds its quantile all intervals hold, one after the other; some bound does with a probability of
at most the sum of all p (Boole), whatever depends on what. Nothing is conditioned on anything: each
L is a function of all x of the box, and its quantile one of the law as it is.

Half of η is for the functions that bound d, the rest is divided evenly among the blocks a, b and δ
of the layers, and in these among the ends.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from simcert.checker.bounds import Batch, Blocks, Bounds, Pair
from simcert.checker.claim import Claim
from simcert.checker.errors import CannotCheckError
from simcert.checker.interval import Bool, Float, Interval
from simcert.checker.laws import SLACK, Law, law
from simcert.checker.leaves import Functions
from simcert.checker.linear import Index
from simcert.checker.network import Network
from simcert.checker.plan import refined
from simcert.checker.rules.layer import Rows
from simcert.checker.tree import Leaves

_GRID, _ROUNDS = 8, 3
"""Values of λ that are tried, and how often more narrowly; every λ > 0 gives a quantile."""

_ABOUT = 1.0 + 2.0**-40

_LEAST = 1e-250
"""Smaller shares of η would not be normal numbers."""


class ConcentratedPair(Pair):
    """Two networks, bounded but for a probability over the inputs of one box.

    Args:
        f: the original.
        g: the compressed network.
        claim: its law, on the boxes of its region.
        input_type: what inputs are rounded to.
    """

    def __init__(
        self, f: Network, g: Network, claim: Claim, input_type: np.dtype[np.floating]
    ) -> None:
        super().__init__(f, g, claim.arithmetic)
        self._refined = refined(self.nodes, near=True)
        self._claim, self._numbers = claim, np.finfo(input_type)

    def concentrate(self, functions: Functions, box: int, eta: float) -> Bounds:
        """Bound functions of the outputs on a box of the region, all but for a probability η.

        Raises:
            CannotCheckError: η is too small, or the networks are too large for the checker.
        """
        region = self._claim.region
        ends = region.lower[box : box + 1], region.upper[box : box + 1]
        self._box = Leaves(*ends, np.array([box]))
        self._left = self._for_outputs = eta / 2 / _ABOUT
        self._spent = Fraction(0)
        found = self.bound(*ends, functions.f, functions.g, functions.difference)
        if self._spent > Fraction(eta):
            raise AssertionError("more than η was spent")
        return found

    def _allot(self, ends: int, blocks: int) -> None:
        """Spend an even share of what is left, divided among so many ends of so many blocks."""
        each = self._left / max(blocks, 1) / max(ends, 1) / _ABOUT
        if each < _LEAST:
            raise CannotCheckError("a share of η is too small for the checker")
        self._nats = -math.log(each) * _ABOUT
        self._left -= each * ends
        self._spent += Fraction(each) * ends

    def _refine(self, batch: Batch, index: int) -> None:
        self._to_come = 3 * sum(node >= index for node in self._refined)
        super()._refine(batch, index)

    def _meet(
        self, batch: Batch, index: int, block: str, known: Interval, wanted: Bool
    ) -> Interval:
        self._allot(2 * int(wanted.sum()), self._to_come)
        self._to_come -= 1
        return super()._meet(batch, index, block, known, wanted)

    def _rows(self, batch: Batch, f: Float, g: Float, d: Float, planes: bool) -> Bounds:
        self._left += self._for_outputs
        self._allot(2 * len(d), 1)
        return super()._rows(batch, f, g, d, planes)

    def _concrete(
        self, batch: Batch, box: Index, slopes: Blocks, constant: Rows
    ) -> tuple[Float, Float]:
        """Return a quantile in place of the maximum."""
        end, slope = super()._concrete(batch, box, slopes, constant)
        fall = self._fall(slope)
        return end - fall + 2.0**-50 * (np.abs(end) + fall), slope

    def _fall(self, slope: Float) -> Float:
        """Return how far each function (rows, inputs) stays below its maximum, but for e^−nats.

        Inputs are rounded before the networks see them: the fall is lessened by what that moves, so
        that intervals hold at x and at x rounded.
        """
        leaves = self._box.take(np.zeros(len(slope), dtype=np.intp))
        width = leaves.upper - leaves.lower
        size = np.maximum(np.abs(leaves.lower), np.abs(leaves.upper))
        step = size * float(self._numbers.eps) + float(self._numbers.smallest_subnormal)
        moved = (np.abs(slope) * np.where(width > 0, step, 0.0)).sum(axis=1) * _ABOUT
        spread = np.abs(slope) * width * (1 - 2.0**-50)
        fall = depth(spread, law(self._claim, leaves, slope > 0), self._nats) - moved
        return np.where((fall > 0) & (fall < np.inf), fall * (1 - SLACK), 0.0)


def depth(spread: Float, u: Law, nats: float) -> Float:
    """Return h (M,) with P(Σ_j b_j U_j ≤ h) ≤ e^−nats, rounded down; 0 where none is found.

    Chernoff's inequality, solved: h = (−nats − Σ_j log E[e^{−λ b_j U_j}])/λ for any λ > 0.

    Args:
        spread: b (M, n), not negative.
        u: the law of the U_j.
        nats: −log of the probability.
    """
    proper = np.isfinite(spread).all(axis=1) & (spread.max(axis=1) > 2.0**-300)
    b = np.where(proper[:, None], spread, 1.0)
    exponent = np.frexp(b.max(axis=1))[1]
    b = np.ldexp(b, -exponent[:, None])
    b = np.where(b < 2.0**-300, 0.0, b)
    usual = np.log(2 * nats / (np.square(b) * u.variance).sum(axis=1)) / 2
    low, high = usual - 1.0, usual + 1.5 + nats / b.shape[1]
    best, row = np.zeros(len(b)), np.arange(len(b))
    for _ in range(_ROUNDS):
        steps = np.linspace(low, high, _GRID)
        found = np.stack([_depth(np.exp(step), b, u, nats) for step in steps])
        best = np.fmax(best, found.max(axis=0))
        at = found.argmax(axis=0)
        low, high = steps[np.maximum(at - 1, 0), row], steps[np.minimum(at + 1, _GRID - 1), row]
    return np.where(proper, np.ldexp(best, exponent) * (1 - SLACK), 0.0)


def _depth(rate: Float, b: Float, u: Law, nats: float) -> Float:
    """Return h at λ = ``rate``; 0 where it is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        logs = np.where(b > 0, u.log_transform(rate[:, None] * b), 0.0)
        price = nats + logs.sum(axis=1) + SLACK * (nats + np.abs(logs).sum(axis=1))
        found = -price / rate
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)
