"""Divergences in which outputs have tolerances of their own, or a share of what they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from simcert.checker.divergences import Cover, Divergence, cover_of_sizes
from simcert.checker.errors import CheckError
from simcert.checker.interval import Bool, Float

_LISTED = 8
"""Tolerances of single outputs that a sentence lists."""

_MOST_OUTPUTS = 1 << 20


@dataclass(frozen=True)
class Group:
    """Outputs, increasing, whose difference has a norm and a tolerance of its own."""

    outputs: tuple[int, ...]
    norm: Divergence
    tolerance: float


@dataclass(frozen=True)
class _Groups(Divergence):
    """max_k ‖f − g‖_k / ε_k over groups k of outputs; d ≤ limit where ‖f − g‖_k ≤ limit ε_k."""

    groups: tuple[Group, ...]
    listed: float = math.inf
    unit = "times the tolerance"
    names_outputs = True

    def columns(self, m: int) -> list[int]:
        chosen = [output for group in self.groups for output in group.outputs]
        if max(chosen) >= m:
            raise CheckError(f"the claim compares output {max(chosen)} of {m}")
        return chosen

    def value(self, f: Float, g: Float) -> Float:
        values = [
            group.norm.value(f[:, list(group.outputs)], g[:, list(group.outputs)]) / group.tolerance
            for group in self.groups
        ]
        return np.asarray(np.max(values, axis=0))

    def rows(self, m: int) -> tuple[Float, Float, Float]:
        own = np.eye(m)[self.columns(m)]
        return np.zeros_like(own), np.zeros_like(own), own

    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        parts = self._parts(lower, upper)
        holds = [
            group.norm.at_most(*ends, _below(limit, group))
            for group, ends in zip(self.groups, parts, strict=True)
        ]
        return np.asarray(np.all(holds, axis=0))

    def above(self, lower: Float, upper: Float, limit: float) -> Bool:
        parts = self._parts(lower, upper)
        exceed = [
            group.norm.above(*ends, math.nextafter(limit * group.tolerance, math.inf))
            for group, ends in zip(self.groups, parts, strict=True)
        ]
        return np.asarray(np.any(exceed, axis=0))

    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:
        """Some group exceeds its limit: the covers of all."""
        thresholds = []
        for group, ends in zip(self.groups, self._parts(lower, upper), strict=True):
            own = group.norm.cover(*ends, _below(limit, group)).thresholds
            thresholds.append(own[:, : len(group.outputs)])
        return cover_of_sizes(np.hstack(thresholds))

    def formula(self, f: str, g: str) -> str:
        if len(self.groups) > self.listed:
            return f"max_i |{f} − {g}|_i/ε_i"
        terms = []
        for group in self.groups:
            part = f"[{_written(group.outputs)}]"
            terms.append(f"{group.norm.formula(f + part, g + part)}/{group.tolerance}")
        return terms[0] if len(terms) == 1 else f"max({', '.join(terms)})"

    def _parts(self, lower: Float, upper: Float) -> list[tuple[Float, Float]]:
        """Return the bounds of each group's differences."""
        ends = np.cumsum([len(group.outputs) for group in self.groups])[:-1]
        return list(zip(*(np.split(part, ends, axis=1) for part in (lower, upper)), strict=True))


@dataclass(frozen=True)
class _Relative(Divergence):
    """max_i max(0, |δ_i| − r |f_i|).

    |f| = max(f, −f), so for either sign s of δ_i the excess s δ_i − r |f_i| is at most each of
    s δ_i, s δ_i − r f_i and s δ_i + r f_i, and the least of the last two is the excess itself.
    """

    share: float

    def value(self, f: Float, g: Float) -> Float:
        excess = np.abs(f - g) - self.share * np.abs(f)
        return np.asarray(np.maximum(excess.max(axis=1), 0.0))

    def rows(self, m: int) -> tuple[Float, Float, Float]:
        """δ_i of every output, then δ_i − r f_i, then δ_i + r f_i."""
        one, nothing = np.eye(m), np.zeros((m, m))
        f = np.vstack([nothing, -self.share * one, self.share * one])
        return f, np.zeros_like(f), np.vstack([one, one, one])

    def at_most(self, lower: Float, upper: Float, limit: float) -> Bool:
        sides = (side.reshape(len(side), 3, -1).min(axis=1) for side in (upper, -lower))
        return np.asarray(np.all([(side <= limit).all(axis=1) for side in sides], axis=0))

    def above(self, lower: Float, upper: Float, limit: float) -> Bool:
        sides = (side.reshape(len(side), 3, -1)[:, 1:].min(axis=1) for side in (lower, -upper))
        return np.asarray(np.any([(side > limit).any(axis=1) for side in sides], axis=0))

    def cover(self, lower: Float, upper: Float, limit: float) -> Cover:  # noqa: ARG002
        """For some output and sign of δ all three functions exceed the limit."""
        functions = lower.shape[1]
        m = functions // 3
        positive = np.arange(m)[:, None] + m * np.arange(3)
        # s = −1 turns δ_i − r f_i into −(δ_i + r f_i): both are among the negatives.
        terms = np.vstack([positive, positive + functions])
        thresholds = np.full((len(lower), 2 * functions), limit)
        return Cover(thresholds, terms, np.ones((len(lower), len(terms)), dtype=bool))

    def formula(self, f: str, g: str) -> str:
        return f"max_i(|{f} − {g}| − {self.share} |{f}|)⁺"


def groups(options: str, norms: dict[str, Divergence]) -> Divergence:
    """Read ``0-3=l2/0.5,4=linf/0.1``.

    Raises:
        CheckError: another form, an output in two groups, or a tolerance that is not positive.
    """
    found = []
    for part in options.split(","):
        outputs, _, rest = part.partition("=")
        norm, _, tolerance = rest.partition("/")
        if norm not in norms:
            raise CheckError(f"{part!r} names no norm")
        found.append(Group(_outputs(outputs), norms[norm], _positive(tolerance)))
    return _Groups(_apart(found))


def per_output(options: str, norm: Divergence) -> Divergence:
    """Read ``0-3=0.1,4=0.02``: groups with the greatest difference for a norm.

    Raises:
        CheckError: as ``groups``.
    """
    parts = (part.partition("=") for part in options.split(","))
    found = [Group(_outputs(outputs), norm, _positive(value)) for outputs, _, value in parts]
    return _Groups(_apart(found), _LISTED)


def relative(text: str) -> Divergence:
    """Read the share r.

    Raises:
        CheckError: it is not positive and finite.
    """
    return _Relative(_positive(text))


def _apart(found: list[Group]) -> tuple[Group, ...]:
    chosen = [output for group in found for output in group.outputs]
    if len(set(chosen)) < len(chosen):
        raise CheckError("an output has two tolerances")
    return tuple(found)


def _below(limit: float, group: Group) -> float:
    """Return at most limit · ε_k; 0 where that underflows."""
    product = limit * group.tolerance
    return max(0.0, math.nextafter(product, -math.inf)) if product else 0.0


def _outputs(text: str) -> tuple[int, ...]:
    """Read ``3``, ``0-3`` or ``0-3+7``, in the form in which they are written."""
    found: list[int] = []
    for part in text.split("+"):
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and len(end) < 10 for end in ends):
            raise CheckError(f"{text!r} names no outputs")
        low, high = map(int, ends)
        if not low <= high < _MOST_OUTPUTS:
            raise CheckError(f"{text!r} names no outputs")
        found.extend(range(low, high + 1))
    if _written(found) != text:
        raise CheckError(f"{text!r} names outputs otherwise than in order")
    return tuple(found)


def _written(outputs: list[int] | tuple[int, ...]) -> str:
    runs = groupby(enumerate(outputs), key=lambda item: item[1] - item[0])
    ends = [[output for _, output in run] for _, run in runs]
    return "+".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in ends)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise CheckError(f"{text!r} is not a number") from error
    if not 0 < value < math.inf:
        raise CheckError(f"{text} is not positive and finite")
    return value
