"""Disagreement of the decision where the original is confident."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences.base import Float
from simcert.claim.divergences.ranking import Best, RankingDivergence, split_rows
from simcert.errors import ClaimError


@dataclass(frozen=True)
class Top1Confident(RankingDivergence):
    """1 where f's best output leads all others by at least ``delta`` and is not g's best, else 0.

    If f chooses i with that lead and g chooses j ≠ i, then s(f_i − f_j) ≥ delta and
    s(g_i − g_j) ≤ 0, so s(δ_i − δ_j) ≥ delta (and > 0, see `ranking`). So networks whose
    differences vary by less than delta never disagree in this sense.

    Attributes:
        delta: the lead, in output units.

    Raises:
        ClaimError: a lead that is negative or not finite.
    """

    delta: float = 0.0
    name = "top1-confident"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.delta < np.inf:
            raise ClaimError(f"{self.name}: delta={self.delta} must be finite and not negative")
        object.__setattr__(self, "_lead", self.delta)

    @property
    def spec(self) -> str:
        """Name and lead."""
        return f"{self.name}:delta={self.delta}"

    def event(self, tolerance: float, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Different decisions; every tolerance below 1 means the same."""
        return (
            f"the best output of {f} leads by at least {self.delta} "
            f"and {self.decision} {f} ≠ {self.decision} {g}"
        )

    def bound(self, tolerance: float, unit: str, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Equal decisions on all of R."""
        return (
            f"{self.decision} {f} = {self.decision} {g} for every x in R "
            f"at which the best output of {f} leads by at least {self.delta} (output units)"
        )

    def _evaluate(self, f: Float, g: Float) -> Float:
        best_two = np.partition(self.sign * f, -2, axis=1)[:, -2:]
        confident = best_two[:, 1] - best_two[:, 0] >= self.delta
        differ = np.argmax(self.sign * f, axis=1) != np.argmax(self.sign * g, axis=1)
        return np.asarray((confident & differ).astype(np.float64))

    def _upper(self, lower: Float, upper: Float) -> Float:
        f, g, difference = split_rows(lower, upper, self.sign)
        others = ~np.eye(f.upper.shape[1], dtype=bool)
        # An output that can lead all others by delta >= 0; at delta = 0 the ties matter too.
        leads = ((f.upper >= self.delta) | ~others).all(axis=2) & Best.from_pairs(f, 1).may
        chosen = Best.from_pairs(g, 1).may
        swap = (difference.upper >= self.delta) & (difference.upper > 0)
        possible = leads[:, :, np.newaxis] & chosen[:, np.newaxis, :] & swap & others
        return np.asarray(possible.any(axis=(1, 2)).astype(np.float64))

    def _lower(self, lower: Float, upper: Float) -> Float:
        f, g, _ = split_rows(lower, upper, self.sign)
        others = ~np.eye(f.lower.shape[1], dtype=bool)
        leads = ((f.lower >= self.delta) | ~others).all(axis=2) & Best.from_pairs(f, 1).must
        certain = leads & ~Best.from_pairs(g, 1).may
        return np.asarray(certain.any(axis=1).astype(np.float64))
