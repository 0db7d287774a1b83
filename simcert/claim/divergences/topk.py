"""Disagreement of the sets of the k best outputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcert.claim.divergences.base import Float
from simcert.claim.divergences.ranking import Best, RankingDivergence, split_rows
from simcert.errors import ClaimError


@dataclass(frozen=True)
class TopK(RankingDivergence):
    """1 where the sets of the k best outputs differ, else 0; the first index wins a tie.

    If the sets differ, f has some i in place of some j of g: i is in f's set and not in g's, j in
    g's and not in f's (the sets have the same size), so i precedes j in f and j precedes i in g.
    `_upper` is 0 if and only if the bounds rule this out for every pair.

    If the sets are equal to T at some point, then every output that must be in one of them is in
    T, and all of T may be in both. `_lower` is 1 if and only if no T of size k is left.

    Attributes:
        k: size of the sets.

    Raises:
        ClaimError: k < 1.
    """

    k: int = 5
    name = "topk"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ClaimError(f"{self.name}: k={self.k} must be at least 1")
        object.__setattr__(self, "fewest_outputs", self.k + 1)
        object.__setattr__(self, "_leads_all", self.k == 1)

    @property
    def spec(self) -> str:
        """Name and k."""
        return f"{self.name}:k={self.k}"

    def event(self, tolerance: float, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Different decisions; every tolerance below 1 means the same."""
        return f"the {self.k} {self._best} outputs of {f} and of {g} differ as sets"

    def bound(self, tolerance: float, unit: str, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Equal decisions on all of R."""
        return f"the {self.k} {self._best} outputs of {f} and of {g} are the same for every x in R"

    @property
    def _best(self) -> str:
        return "largest" if self.decision == "argmax" else "smallest"

    def _evaluate(self, f: Float, g: Float) -> Float:
        differ = (self._chosen(f) != self._chosen(g)).any(axis=1)
        return np.asarray(differ.astype(np.float64))

    def _chosen(self, values: Float) -> NDArray[np.bool_]:
        """(n, outputs): whether an output is among the k best."""
        best = np.argsort(-self.sign * values, axis=1, kind="stable")[:, : self.k]
        chosen = np.zeros(values.shape, dtype=bool)
        np.put_along_axis(chosen, best, values=True, axis=1)
        return chosen

    def _upper(self, lower: Float, upper: Float) -> Float:
        f, g, difference = split_rows(lower, upper, self.sign)
        best_f, best_g = Best.from_pairs(f, self.k), Best.from_pairs(g, self.k)
        only_f = best_f.may & ~best_g.must
        only_g = best_g.may & ~best_f.must
        swap = f.may_precede() & g.may_precede().transpose(0, 2, 1) & (difference.upper > 0)
        possible = only_f[:, :, np.newaxis] & only_g[:, np.newaxis, :] & swap
        return np.asarray(possible.any(axis=(1, 2)).astype(np.float64))

    def _lower(self, lower: Float, upper: Float) -> Float:
        f, g, _ = split_rows(lower, upper, self.sign)
        best_f, best_g = Best.from_pairs(f, self.k), Best.from_pairs(g, self.k)
        may, must = best_f.may & best_g.may, best_f.must | best_g.must
        equal_possible = (
            ~(must & ~may).any(axis=1) & (may.sum(axis=1) >= self.k) & (must.sum(axis=1) <= self.k)
        )
        return np.asarray((~equal_possible).astype(np.float64))
