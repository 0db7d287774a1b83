"""A disjunction of conjunctions of linear inequalities of outputs, as a divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows
from simcert.claim.rounding import next_above, next_below
from simcert.claim.vnnlib2.interval import Interval
from simcert.claim.vnnlib2.linear import Direction
from simcert.errors import ClaimError

MAX_COEFFICIENT = 2**53
"""Integers up to here are numbers of float64, so the rows are exactly what is asked for."""

_SATISFIED = float(np.finfo(np.float64).tiny)
"""The least value of d where the condition is satisfied, also if only just."""


@dataclass(frozen=True, eq=False)
class Condition(Divergence):
    """How far the outputs are inside the condition; 0 where they do not satisfy it.

    With h_s the linear functions of the outputs, a conjunction asks l_s ≤ h_s ≤ u_s for all s, and
    its slack is min_s min(h_s − l_s, u_s − h_s), each function scaled to coefficients of about 1.
    d is the greatest slack of a conjunction that is satisfied (at least the smallest normal
    number), else 0: d ≤ 0 on a region if and only if no input of it satisfies the condition.

    The limits l and u are the extreme float64 numbers that satisfy an inequality
    (`Interval.least`), so that comparing a float64 bound with them is exact, also for strict
    inequalities.

    Attributes:
        functions: the linear functions.
        least: (K, S) l of each conjunction; minus infinity where it asks nothing.
        greatest: (K, S) u, likewise.
        contradictory: (K,) whether a conjunction asks for l_s > u_s, which nothing satisfies.
    """

    functions: Rows
    least: Float
    greatest: Float
    contradictory: NDArray[np.bool_]
    name = "condition"
    notation = "slack({f}, {g})"
    unit = "slack"

    @classmethod
    def of(cls, conjunctions: Sequence[Mapping[Direction, Interval]], outputs: int) -> Condition:
        """The condition on networks with so many outputs.

        Raises:
            ClaimError: coefficients with more digits than float64 holds.
        """
        directions = list(dict.fromkeys(d for conjunction in conjunctions for d in conjunction))
        row = {direction: s for s, direction in enumerate(directions)}
        f, g, delta = (np.zeros((max(1, len(directions)), outputs)) for _ in range(3))
        scale = np.ones(len(f))
        for direction, s in row.items():
            largest = max(abs(coefficient) for _, coefficient in direction)
            if largest > MAX_COEFFICIENT:
                raise ClaimError(
                    f"a comparison of outputs has the coefficient {largest} once all are whole "
                    f"numbers; at most {MAX_COEFFICIENT}: use fewer digits"
                )
            scale[s] = 2.0 ** -(largest.bit_length() - 1)
            for element, coefficient in direction:
                (f, g)[element.network][s, element.position] = coefficient * scale[s]
        # What f and g weigh oppositely is a function of the difference: there bounds are tight.
        shared = np.where(f * g < 0, np.sign(f) * np.minimum(np.abs(f), np.abs(g)), 0.0)
        rows = Rows(f - shared, g + shared, delta + shared)
        least = np.full((len(conjunctions), len(f)), -np.inf)
        greatest = np.full((len(conjunctions), len(f)), np.inf)
        for k, conjunction in enumerate(conjunctions):
            for direction, side in conjunction.items():
                s = row[direction]
                scaled = side.times(Fraction(scale[s]))
                least[k, s], greatest[k, s] = scaled.least, scaled.greatest
        empty = [any(side.empty for side in c.values()) for c in conjunctions]
        return cls(rows, least, greatest, np.array(empty))

    def rows(self, outputs: int) -> Rows:
        """The linear functions h."""
        if outputs != self.functions.f.shape[1]:
            raise ClaimError(
                f"the query speaks of {self.functions.f.shape[1]} outputs, the networks have "
                f"{outputs}"
            )
        return self.functions

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:  # noqa: ARG002 - 0 is the least
        """One term for each conjunction; a limit that conjunctions share is the loosest of them."""
        asked = np.concatenate([self.least, -self.greatest], axis=1)
        terms = asked > -np.inf
        terms[~terms.any(axis=1)] = True
        thresholds = np.where(terms, asked, np.inf).min(axis=0)
        # v ≥ t is v > t' for any t' below t.
        return Cover(terms, np.tile(next_below(thresholds), (len(magnitudes), 1)))

    def _evaluate(self, f: Float, g: Float) -> Float:
        rows = self.functions
        value = f @ rows.f.T + g @ rows.g.T + (f - g) @ rows.difference.T
        return self._lower(value, value)

    def _upper(self, lower: Float, upper: Float) -> Float:
        with np.errstate(invalid="ignore"):  # without a bound on both sides there is no slack
            slack = np.minimum(upper[:, None] - self.least, self.greatest - lower[:, None])
        return self._best(next_above(slack), self._possible(lower, upper))

    def _lower(self, lower: Float, upper: Float) -> Float:
        with np.errstate(invalid="ignore"):
            slack = np.minimum(lower[:, None] - self.least, self.greatest - upper[:, None])
        return self._best(next_below(slack), self._certain(lower, upper))

    def _possible(self, lower: Float, upper: Float) -> NDArray[np.bool_]:
        """Which inequalities (B, K, S) some number between the bounds satisfies."""
        return np.asarray((upper[:, None] >= self.least) & (lower[:, None] <= self.greatest))

    def _certain(self, lower: Float, upper: Float) -> NDArray[np.bool_]:
        """Which inequalities (B, K, S) every number between the bounds satisfies."""
        return np.asarray((lower[:, None] >= self.least) & (upper[:, None] <= self.greatest))

    def _best(self, slack: Float, satisfied: NDArray[np.bool_]) -> Float:
        """The greatest slack (B,) of the conjunctions that are satisfied, else 0."""
        least = np.where(np.isnan(slack), np.inf, slack).min(axis=2)
        whole = satisfied.all(axis=2) & ~self.contradictory
        return np.asarray(np.where(whole, np.maximum(least, _SATISFIED), 0.0).max(axis=1))
