"""Disagreement of decisions that are made by ranking the outputs, on bounds of pairs.

Output i precedes output j if it is better, or equal with i < j: numpy's argmax and argmin and
ONNX's ArgMax, ArgMin and TopK all let the first index win a tie. With s = 1 where the largest
output is the best and s = −1 where the smallest is,

    i precedes j  ⇔  s(v_i − v_j) > 0, or = 0 and i < j.

If i precedes j in f but j precedes i in g, then s(f_i − f_j) ≥ 0 ≥ s(g_i − g_j), and one of the
two inequalities is strict because one of the ties goes the other way. Hence

    s(δ_i − δ_j) > 0  with δ = f − g,

which the bounds of the difference often rule out where those of f and g separately do not: with
g = f nothing else is needed.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows, pair_differences
from simcert.errors import ClaimError

Bool = NDArray[np.bool_]

DECISIONS = ("argmax", "argmin")


@dataclass(frozen=True)
class Pairs:
    """Bounds of s(v_i − v_j) for all ordered pairs, v being f, g or δ; zero for i = j.

    Attributes:
        lower: (B, m, m).
        upper: (B, m, m).
    """

    lower: Float
    upper: Float

    @classmethod
    def from_rows(cls, lower: Float, upper: Float, sign: int) -> "Pairs":
        """From bounds (B, m (m − 1)/2) of v_i − v_j for i < j."""
        if sign < 0:
            lower, upper = -upper, -lower
        outputs = (1 + math.isqrt(1 + 8 * lower.shape[1])) // 2
        first, second = np.triu_indices(outputs, 1)
        square = np.zeros((2, len(lower), outputs, outputs))
        square[:, :, first, second] = lower, upper
        square[:, :, second, first] = -upper, -lower
        return cls(square[0], square[1])

    def may_precede(self) -> Bool:
        """(B, m, m): whether i can precede j at some point; false for i = j."""
        before = np.triu(np.ones(self.upper.shape[1:], dtype=bool), 1)
        possible: Bool = (self.upper > 0) | ((self.upper == 0) & before)
        return possible

    def must_precede(self) -> Bool:
        """(B, m, m): whether i precedes j at every point; false for i = j."""
        before = np.triu(np.ones(self.lower.shape[1:], dtype=bool), 1)
        certain: Bool = (self.lower > 0) | ((self.lower == 0) & before)
        return certain


@dataclass(frozen=True)
class Best:
    """What is known of the set of the k best outputs over each box.

    Attributes:
        may: (B, m) whether i can be in the set.
        must: (B, m) whether i is always in it.
    """

    may: Bool
    must: Bool

    @classmethod
    def from_pairs(cls, pairs: Pairs, k: int) -> "Best":
        """An output is among the best if and only if fewer than k others precede it."""
        return cls(
            may=pairs.must_precede().sum(axis=1) < k, must=pairs.may_precede().sum(axis=1) < k
        )


def split_rows(lower: Float, upper: Float, sign: int) -> tuple[Pairs, Pairs, Pairs]:
    """Pairs of f, of g and of δ from the bounds of `RankingDivergence.rows`."""
    parts = zip(np.split(lower, 3, axis=1), np.split(upper, 3, axis=1), strict=True)
    f, g, difference = (Pairs.from_rows(low, high, sign) for low, high in parts)
    return f, g, difference


@dataclass(frozen=True)
class RankingDivergence(Divergence):
    """Base of the disagreements: 1 where the decisions differ, else 0.

    Attributes:
        decision: "argmax" or "argmin": whether large or small outputs are better.
    """

    decision: str = "argmax"
    unit = "disagreement"
    supremum = 1.0
    fewest_outputs = 2
    _lead = 0.0
    _leads_all = True

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise ClaimError(f"unknown decision {self.decision!r}; known: {', '.join(DECISIONS)}")

    @property
    def sign(self) -> int:
        """1 where the largest output is the best, −1 where the smallest is."""
        return 1 if self.decision == "argmax" else -1

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """The indicator of the disagreement."""
        return f"1[{self.event(0.0, f, g)}]"

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:  # noqa: ARG002
        """One term for each i of f and j ≠ i of g: the two are not chosen together elsewhere.

        i leads in f by at least `_lead`, j is not behind in g, and so δ_i is ahead of δ_j. With
        `_leads_all`, i leads all others in f and none is ahead of j in g.
        """
        count = magnitudes.shape[1] // 3
        outputs = (1 + math.isqrt(1 + 8 * count)) // 2
        pairs = [(i, j) for i in range(outputs) for j in range(outputs) if i != j]
        terms = np.zeros((len(pairs), 6 * count), dtype=bool)
        for term, (i, j) in zip(terms, pairs, strict=True):
            ahead_f = [k for k in range(outputs) if k != i] if self._leads_all else [j]
            ahead_g = [k for k in range(outputs) if k != j] if self._leads_all else [i]
            term[[self._ahead(0, i, k, outputs) for k in ahead_f]] = True
            term[[self._ahead(1, j, k, outputs) for k in ahead_g]] = True
            term[self._ahead(2, i, j, outputs)] = True
        # v ≥ t is v > t' for any t' below t.
        least = np.nextafter(np.array([self._lead, 0.0, self._lead]), -np.inf)
        thresholds = np.tile(np.repeat(least, count), 2)
        return Cover(terms, np.broadcast_to(thresholds, (len(magnitudes), 6 * count)))

    def _ahead(self, part: int, i: int, j: int, outputs: int) -> int:
        """Index among (v, −v) of s(v_i − v_j), v being f, g or δ for ``part`` 0, 1 or 2."""
        count = outputs * (outputs - 1) // 2
        first, second = min(i, j), max(i, j)
        row = part * count + first * (2 * outputs - first - 1) // 2 + second - first - 1
        return row if (i < j) == (self.sign > 0) else row + 3 * count

    def rows(self, outputs: int) -> Rows:
        """f_i − f_j, then g_i − g_j, then δ_i − δ_j, each for i < j."""
        self.check(outputs)
        pairs = pair_differences(outputs)
        nothing = np.zeros_like(pairs)
        return Rows(
            f=np.vstack([pairs, nothing, nothing]),
            g=np.vstack([nothing, pairs, nothing]),
            difference=np.vstack([nothing, nothing, pairs]),
        )
