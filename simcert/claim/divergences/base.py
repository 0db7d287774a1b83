"""What every divergence between the outputs of two networks offers."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcert.errors import ClaimError

Float = NDArray[np.float64]

MAX_PAIRED_OUTPUTS = 128
"""Divergences on pairs of outputs need outputs² rows; beyond this they can only be sampled."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear functions f·c_f + g·c_g + (f − g)·c_δ of the outputs, one a row.

    Attributes:
        f: (S, outputs) coefficients c_f.
        g: (S, outputs) coefficients c_g.
        difference: (S, outputs) coefficients c_δ.
    """

    f: Float
    g: Float
    difference: Float

    @classmethod
    def of_difference(cls, difference: Float) -> "Rows":
        """Functions of f − g alone."""
        nothing = np.zeros_like(difference)
        return cls(nothing, nothing, difference)


@dataclass(frozen=True, eq=False)
class Cover:
    """Half-spaces that cover the violations d > ε, for the functions v of `rows` and for −v.

    Where d > ε on box b there is a term t such that (v, −v)_k > ``thresholds[b, k]`` for every k
    with ``terms[t, k]``. Hence P(d > ε) is at most the sum over the terms of the least of their
    probabilities.

    Attributes:
        terms: (T, 2 S).
        thresholds: (B, 2 S), rounded down.
    """

    terms: NDArray[np.bool_]
    thresholds: Float

    @classmethod
    def of_magnitudes(cls, thresholds: Float) -> "Cover":
        """One term for each |v_i| > ``thresholds[b, i]``, (B, S)."""
        both = np.concatenate([thresholds, thresholds], axis=1)
        return cls(np.eye(both.shape[1], dtype=bool), both)


class Divergence(ABC):
    """A non-negative function d of the outputs f(x) and g(x), with bounds from linear functions.

    Attributes:
        name: as on the command line.
        notation: d as a formula in {f} and {g}.
        unit: "output units", "nats" or "disagreement"; a disagreement takes the values 0 and 1.
        provable: whether bounds of `rows` can prove d <= ε; if not, d can only be sampled.
        supremum: what d never exceeds, whatever the networks; infinity if there is no such value.
        fewest_outputs: for which d says something.
        decision: "argmax" or "argmin" where d compares decisions, else None.
    """

    name: str
    notation: str
    unit: str
    provable: bool = True
    supremum: float = math.inf
    fewest_outputs: int = 1
    decision: str | None = None

    @property
    def spec(self) -> str:
        """What `divergences.parse` turns into this divergence, given decision and outputs."""
        return self.name

    def evaluate(self, f: Float, g: Float) -> Float:
        """Evaluate d at points, in float64 (relative error about 1e-15 per output).

        Where f or g is NaN or infinite, d is the largest value it can take (`range`): an output
        that is not a number never counts as agreement.

        Args:
            f: (n, outputs) outputs of the original.
            g: (n, outputs) outputs of the compressed network.

        Returns:
            (n,).

        Raises:
            ClaimError: the divergence does not exist for this number of outputs.
        """
        self.check(f.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(f.sum() + g.sum()):  # as are all numbers then
                return self._evaluate(f, g)
            finite = np.asarray((np.isfinite(f) & np.isfinite(g)).all(axis=1))
            known = finite[:, np.newaxis]
            value = self._evaluate(np.where(known, f, 0.0), np.where(known, g, 0.0))
        return np.where(finite, value, self.range(f.shape[1]))

    def upper(self, lower: Float, upper: Float) -> Float:
        """Upper bounds of d over boxes, rounded outward.

        Args:
            lower: (B, S) lower bounds of the functions `rows`; NaN stands for no bound.
            upper: (B, S) upper bounds.

        Returns:
            (B,).
        """
        with np.errstate(over="ignore"):
            return self._upper(*_without_nan(lower, upper))

    def lower(self, lower: Float, upper: Float) -> Float:
        """Lower bounds of d over boxes (what d exceeds everywhere), rounded outward.

        Args:
            lower: (B, S) lower bounds of the functions `rows`; NaN stands for no bound.
            upper: (B, S) upper bounds.

        Returns:
            (B,), non-negative.
        """
        with np.errstate(over="ignore"):
            return self._lower(*_without_nan(lower, upper))

    def check(self, outputs: int) -> None:
        """Refuse a number of outputs for which the divergence says nothing.

        Raises:
            ClaimError: naming the number.
        """
        if outputs < self.fewest_outputs:
            raise ClaimError(
                f"{self.name} of {outputs} outputs is always 0; it needs at least "
                f"{self.fewest_outputs}"
            )

    def range(self, outputs: int) -> float:  # noqa: ARG002 - none here depends on it
        """The least value that d never exceeds, infinity where there is none."""
        return self.supremum

    def columns(self, outputs: int) -> tuple[int, ...]:
        """The indices of the outputs that are compared."""
        return tuple(range(outputs))

    def per_output(self, magnitude: Float) -> tuple[float, ...]:  # noqa: ARG002
        """Bounds of |f_i − g_i| for the compared outputs, where `rows` yields them, else none.

        Args:
            magnitude: (S,) bounds of the absolute values of the functions `rows`.
        """
        return ()

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """The value d in mathematical notation."""
        return self.notation.format(f=f, g=g)

    def event(self, tolerance: float, f: str = "f(x)", g: str = "g(x)") -> str:
        """The violation d > ε in words."""
        return f"{self.formula(f, g)} > {tolerance}"

    def bound(self, tolerance: float, unit: str, f: str = "f(x)", g: str = "g(x)") -> str:
        """The claim that no x of R violates the tolerance, in words."""
        return f"max over x in R of {self.formula(f, g)} ≤ {tolerance} ({unit})"

    @abstractmethod
    def rows(self, outputs: int) -> Rows:
        """The linear functions of the outputs from whose bounds d is bounded.

        Raises:
            ClaimError: the divergence does not exist for this number of outputs, or needs too
                many functions and can only be sampled.
        """

    @abstractmethod
    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """The half-spaces of the functions `rows` outside of which d ≤ ε.

        Args:
            tolerance: ε.
            magnitudes: (B, S) bounds of |v|, infinite where there is none. Covers of any
                magnitudes are valid; those of the box's own are the smallest.
        """

    @abstractmethod
    def _evaluate(self, f: Float, g: Float) -> Float:
        """`evaluate` where all outputs are finite."""

    @abstractmethod
    def _upper(self, lower: Float, upper: Float) -> Float:
        """`upper` for bounds without NaN."""

    @abstractmethod
    def _lower(self, lower: Float, upper: Float) -> Float:
        """`lower` for bounds without NaN."""


def _without_nan(lower: Float, upper: Float) -> tuple[Float, Float]:
    """No bound for NaN; nor for lower > upper, which no sound analysis yields."""
    unknown = ~(lower <= upper)
    return np.where(unknown, -np.inf, lower), np.where(unknown, np.inf, upper)


def pair_differences(outputs: int) -> Float:
    """The functions v_i − v_j for i < j, in the order of `numpy.triu_indices`.

    Returns:
        (outputs (outputs − 1)/2, outputs) coefficients.

    Raises:
        ClaimError: more than `MAX_PAIRED_OUTPUTS` outputs.
    """
    if outputs > MAX_PAIRED_OUTPUTS:
        raise ClaimError(
            f"a proof on all pairs of {outputs} outputs would need too many bounds (at most "
            f"{MAX_PAIRED_OUTPUTS} outputs); select some outputs, or sample"
        )
    first, second = np.triu_indices(outputs, 1)
    rows = np.zeros((first.size, outputs))
    rows[np.arange(first.size), first] = 1.0
    rows[np.arange(first.size), second] = -1.0
    return rows
