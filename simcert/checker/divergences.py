"""How outputs are compared: values of d at points, and bounds of d from linear functions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simcert.checker.interval import UNIT, Bool, Float

_SHARE_LOSS = 2.0**-32
"""Of a limit that is divided among outputs: more than rounding can add up to."""

_LN_2 = math.nextafter(math.log(2), math.inf)


class Cover(NamedTuple):
    """Half-spaces that cover d > limit: for some possible term all functions reach thresholds.

    The 2 S functions are those of ``rows`` and then their negatives.

    Attributes:
        thresholds: (boxes, 2 S).
        terms: (terms, k) numbers of functions.
        possible: (boxes, terms).
    """

    thresholds: Float
    terms: NDArray[np.intp]
    possible: Bool


class Divergence(ABC):
    """d(f, g) ≥ 0 of the m compared outputs.

    Attributes:
        unit: of the tolerance.
        decision: "argmax" or "argmin" for decisions, else None.
        supremum: what d never exceeds.
    """

    unit = "output units"
    decision: str | None = None
    supremum: float = math.inf
    is_norm = False
    """Whether no single output differs by more than d."""
    names_outputs = False
    """Whether it says itself which outputs it compares."""

    @property
    def fewest(self) -> int:
        """Outputs for which d says something."""
        return 1

    @abstractmethod
    def value(self, f: Float, g: Float) -> Float:
        """Return d at points: (n, m), (n, m) → (n,)."""

    @abstractmethod
    def rows(self, m: int) -> tuple[Float, Float, Float]:
        """Return coefficients c_f, c_g, c_δ, each (S, m), of the functions that bound d."""

    @abstractmethod
    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        """Whether bounds (boxes, S) of the functions show d ≤ limit, (boxes,)."""

    @abstractmethod
    def above(self, lower: Float, upper: Float, limit: float) -> Bool:
        """Whether they show d > limit everywhere, (boxes,)."""

    @abstractmethod
    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:
        """Cover d > limit on boxes by half-spaces, given bounds (boxes, S) of the functions."""

    def columns(self, m: int) -> list[int]:
        """Return the outputs, of m, on which d depends."""
        return list(range(m))

    def formula(self, f: str, g: str) -> str:
        """Return d in mathematical notation; of decisions, which are told in words, their unit."""
        return f"{self.unit} of {f} and {g}"

    def event(self, limit: float, f: str, g: str) -> str:
        """Return d > limit in words."""
        return f"{self.formula(f, g)} > {limit}"

    def claim(self, limit: float, f: str, g: str) -> str:
        """Return d ≤ limit for every x of R in words."""
        return f"max over x in R of {self.formula(f, g)} ≤ {limit} ({self.unit})"


@dataclass(frozen=True)
class _Norm(Divergence):
    """The norms L1, L2 and L∞ of f − g."""

    order: float
    is_norm = True

    def value(self, f: Float, g: Float) -> Float:
        return np.asarray(self._norm(np.abs(f - g)))

    def rows(self, m: int) -> tuple[Float, Float, Float]:
        nothing = np.zeros((m, m))
        return nothing, nothing, np.eye(m)

    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        size = self._norm(np.maximum(np.abs(lower), np.abs(upper)))
        return np.asarray(size * self._slack(lower) <= limit)

    def above(self, lower: Float, upper: Float, limit: float) -> Bool:
        size = self._norm(np.maximum(np.maximum(lower, -upper), 0.0))
        return np.asarray(size > limit * self._slack(lower))

    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:
        """Some |δ_i| > t_i, for any t with ‖t‖ ≤ limit: in proportion to the bounds."""
        thresholds = np.full(lower.shape, limit)
        if not math.isinf(self.order):
            size = np.maximum(np.abs(lower), np.abs(upper)) + 2.0**-200
            size = np.where(np.isfinite(size).all(axis=1, keepdims=True), size, 1.0)
            share = size / self._norm(size)[:, None]
            thresholds = share * (limit * (1 - _SHARE_LOSS))
        return cover_of_sizes(thresholds)

    def formula(self, f: str, g: str) -> str:
        return f"‖{f} − {g}‖" + {1.0: "₁", 2.0: "₂", math.inf: "∞"}[self.order]

    def _norm(self, size: Float) -> Float:
        if math.isinf(self.order):
            return np.asarray(size.max(axis=1))
        if self.order == 1:
            return np.asarray(size.sum(axis=1))
        largest = size.max(axis=1)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        return np.asarray(scale * np.sqrt(np.square(size / scale[:, None]).sum(axis=1)))

    def _slack(self, lower: Float) -> float:
        return 1.0 if math.isinf(self.order) else 1.0 + 4 * (lower.shape[1] + 16) * UNIT


@dataclass(frozen=True)
class _Ranking(Divergence):
    """1 where f and g do not choose the same k best outputs and f's lead is at least ``lead``.

    With s = ±1 the sign of "better": if f prefers i to j and g prefers j to i, then
    s(f_i − f_j) ≥ 0, s(g_j − g_i) ≥ 0 and s(δ_i − δ_j) > 0; with a lead of f also both
    s(f_i − f_j) ≥ lead and s(δ_i − δ_j) ≥ lead.
    """

    decision: str = "argmax"
    k: int = 1
    lead: float | None = None
    unit = "disagreement"
    supremum = 1.0

    @property
    def fewest(self) -> int:
        """Outputs for which d says something."""
        return self.k + 1

    @property
    def _sign(self) -> float:
        return 1.0 if self.decision == "argmax" else -1.0

    def value(self, f: Float, g: Float) -> Float:
        f, g = self._sign * f, self._sign * g
        differ = (self._chosen(f) != self._chosen(g)).any(axis=1)
        if self.lead is not None:
            best = np.partition(f, -2, axis=1)[:, -2:]
            differ &= best[:, 1] - best[:, 0] >= self.lead
        return np.asarray(differ.astype(np.float64))

    def _chosen(self, values: Float) -> Bool:
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        chosen = np.zeros(values.shape, dtype=bool)
        np.put_along_axis(chosen, order, values=True, axis=1)
        return chosen

    def rows(self, m: int) -> tuple[Float, Float, Float]:
        pairs = _pairs(m)
        nothing = np.zeros_like(pairs)
        return (
            np.vstack([pairs, nothing, nothing]),
            np.vstack([nothing, pairs, nothing]),
            np.vstack([nothing, nothing, pairs]),
        )

    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        if limit >= 1:
            return np.ones(len(lower), dtype=bool)
        return np.logical_not(self._swaps(lower, upper).any(axis=(1, 2)))

    def _swaps(self, lower: Float, upper: Float) -> Bool:
        """Whether f alone can choose i and g alone j instead, (boxes, m, m)."""
        # The greatest s(v_i − v_j), (boxes, m, m).
        f, g, d = (self._greatest(*ends) for ends in _thirds(lower, upper))
        lead = self.lead or 0.0
        swap = (f >= lead) & (g.transpose(0, 2, 1) >= 0) & (d > 0) & (d >= lead)
        if self.lead is None:
            only_f = self._may(f) & ~self._must(g)
            only_g = self._may(g) & ~self._must(f)
        else:
            m = f.shape[1]
            only_f = (f >= lead).sum(axis=2) >= m - 1 + (lead == 0.0)
            only_g = self._may(g)
        swap &= only_f[:, :, None] & only_g[:, None, :]
        m = swap.shape[1]
        swap[:, np.arange(m), np.arange(m)] = False
        return np.asarray(swap)

    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:
        """Some i leads j in f, j is not behind in g, and δ_i leads δ_j."""
        swaps = self._swaps(lower, upper) & (limit < 1)
        m, functions = swaps.shape[1], lower.shape[1]
        pairs = functions // 3
        number = np.zeros((m, m), dtype=np.intp)
        number[np.triu_indices(m, 1)] = np.arange(pairs)
        number += number.T
        # s(v_i − v_j) is the function of a pair, or its negative.
        negative = functions * ((np.arange(m)[:, None] < np.arange(m)) != (self._sign > 0))
        i, j = np.nonzero(~np.eye(m, dtype=bool))
        forward, backward = (number + negative)[i, j], (number + negative)[j, i]
        terms = np.stack([forward, backward + pairs, forward + 2 * pairs], axis=1)
        lead = self.lead or 0.0
        thresholds = np.repeat([lead, 0.0, lead, lead, 0.0, lead], pairs)
        return Cover(np.tile(thresholds, (len(lower), 1)), terms, swaps[:, i, j])

    def above(self, lower: Float, upper: Float, limit: float) -> Bool:
        if limit >= 1:
            return np.zeros(len(lower), dtype=bool)
        f, g, _ = (self._greatest(*ends) for ends in _thirds(lower, upper))
        # Some output is certainly among f's best and certainly not among g's.
        certain = self._must(f)
        if self.lead is not None:
            least = -f.transpose(0, 2, 1)
            m = least.shape[1]
            least[:, np.arange(m), np.arange(m)] = np.inf
            certain &= (least >= self.lead).all(axis=2)
        return np.asarray((certain & ~self._may(g)).any(axis=1))

    def _greatest(self, lower: Float, upper: Float) -> Float:
        """Return the greatest s(v_i − v_j), (boxes, m, m); 0 for i = j."""
        if self._sign < 0:
            lower, upper = -upper, -lower
        m = (1 + math.isqrt(1 + 8 * lower.shape[1])) // 2
        first, second = np.triu_indices(m, 1)
        greatest = np.zeros((len(lower), m, m))
        greatest[:, first, second], greatest[:, second, first] = upper, -lower
        return greatest

    def _may(self, greatest: Float) -> Bool:
        """Whether i can be among the k best: fewer than k outputs are certainly better."""
        return np.asarray((greatest < 0).sum(axis=2) < self.k)

    def _must(self, greatest: Float) -> Bool:
        """Whether i is always among the k best: fewer than k others can be as good."""
        return np.asarray((greatest >= 0).sum(axis=1) - 1 < self.k)

    def event(self, limit: float, f: str, g: str) -> str:  # noqa: ARG002
        if self.lead is not None:
            return (
                f"the best output of {f} leads by at least {self.lead} "
                f"and {self.decision} {f} ≠ {self.decision} {g}"
            )
        if self.k == 1:
            return f"{self.decision} {f} ≠ {self.decision} {g}"
        return f"the {self.k} {self._best} outputs of {f} and of {g} differ as sets"

    def claim(self, limit: float, f: str, g: str) -> str:  # noqa: ARG002
        if self.lead is not None:
            return (
                f"{self.decision} {f} = {self.decision} {g} for every x in R "
                f"at which the best output of {f} leads by at least {self.lead} (output units)"
            )
        if self.k == 1:
            return f"{self.decision} {f} = {self.decision} {g} for every x in R"
        return f"the {self.k} {self._best} outputs of {f} and of {g} are the same for every x in R"

    @property
    def _best(self) -> str:
        return "largest" if self.decision == "argmax" else "smallest"


@dataclass(frozen=True)
class _Softmax(Divergence):
    """KL ≤ min(osc, osc²/8) and JS ≤ min(log 2, osc/2, osc²/16), osc = max_ij |δ_i − δ_j|."""

    name: str
    supremum: float = math.inf
    unit = "nats"

    @property
    def fewest(self) -> int:
        """Outputs for which d says something."""
        return 2

    def value(self, f: Float, g: Float) -> Float:
        p, q = _log_softmax(f), _log_softmax(g)
        if self.name == "kl":
            return _entropy(p, q)
        middle = np.logaddexp(p, q) - math.log(2)
        return np.minimum(_entropy(p, middle) / 2 + _entropy(q, middle) / 2, _LN_2)

    def rows(self, m: int) -> tuple[Float, Float, Float]:
        pairs = _pairs(m)
        return np.zeros_like(pairs), np.zeros_like(pairs), pairs

    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        osc = np.maximum(np.abs(lower), np.abs(upper)).max(axis=1)
        linear, square = (1.0, 8.0) if self.name == "kl" else (0.5, 16.0)
        bound = np.minimum(linear * osc, osc * osc / square * (1 + 8 * UNIT) + 2.0**-900)
        return np.asarray(np.minimum(bound, self.supremum) <= limit)

    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:  # noqa: ARG002
        """Some |δ_i − δ_j| exceeds what the limit allows osc."""
        linear, square = (1.0, 8.0) if self.name == "kl" else (0.5, 16.0)
        osc = max(limit / linear, math.sqrt(limit * square)) * (1 - _SHARE_LOSS)
        return cover_of_sizes(np.full(lower.shape, osc))

    def above(self, lower: Float, upper: Float, limit: float) -> Bool:  # noqa: ARG002
        return np.zeros(len(lower), dtype=bool)

    def formula(self, f: str, g: str) -> str:
        middle = " ‖ " if self.name == "kl" else ", "
        return f"{self.name.upper()}(softmax {f}{middle}softmax {g})"


NORMS: dict[str, Divergence] = {"linf": _Norm(math.inf), "l1": _Norm(1.0), "l2": _Norm(2.0)}

SOFTMAX: dict[str, Divergence] = {"kl": _Softmax("kl"), "js": _Softmax("js", _LN_2)}


def ranking(decision: str, k: int, lead: float | None = None) -> Divergence:
    """Return 1 where the k best outputs differ and f's best one leads by at least ``lead``."""
    return _Ranking(decision, k, lead)


def cover_of_sizes(thresholds: Float) -> Cover:
    """Cover |v_i| > threshold_i for some i, (boxes, S)."""
    both = np.concatenate([thresholds, thresholds], axis=1)
    terms = np.arange(both.shape[1])[:, None]
    return Cover(both, terms, np.ones(both.shape, dtype=bool))


def measured(divergence: Divergence, f: Float, g: Float) -> Float:
    """Return d (n,); where an output is not finite, the most that d can be."""
    known = np.logical_and(np.isfinite(f), np.isfinite(g))
    finite = np.asarray(known[:, divergence.columns(f.shape[1])].all(axis=1))
    value = divergence.value(np.where(known, f, 0.0), np.where(known, g, 0.0))
    return np.where(finite, value, divergence.supremum)


def _pairs(m: int) -> Float:
    first, second = np.triu_indices(m, 1)
    pairs = np.zeros((len(first), m))
    pairs[np.arange(len(first)), first] = 1.0
    pairs[np.arange(len(first)), second] = -1.0
    return pairs


def _thirds(lower: Float, upper: Float) -> list[tuple[Float, Float]]:
    return list(zip(np.split(lower, 3, axis=1), np.split(upper, 3, axis=1), strict=True))


def _log_softmax(v: Float) -> Float:
    shifted = v - v.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _entropy(p: Float, q: Float) -> Float:
    return np.asarray(np.maximum((np.exp(p) * (p - q)).sum(axis=1), 0.0))
