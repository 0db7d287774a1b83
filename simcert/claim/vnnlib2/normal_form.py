"""From formulas to cases: disjunctive normal form, one dictionary of intervals a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simcert.claim.vnnlib2.interval import Interval
from simcert.claim.vnnlib2.linear import Direction, Element, Linear, direction_of
from simcert.claim.vnnlib2.query import Case
from simcert.errors import ClaimError

MAX_CASES = 10_000
MAX_TERMS = 1 << 22
"""Inequalities of all cases together, while the normal form is built."""


class TooLargeError(Exception):
    """The normal form would go beyond the limits."""


@dataclass(frozen=True)
class Comparison:
    """``linear`` ≤ 0, or < 0 where ``strict``."""

    linear: Linear
    strict: bool = False


@dataclass(frozen=True)
class Junction:
    """``and`` or ``or`` of formulas."""

    connective: str
    parts: tuple[Comparison | Junction, ...]


Formula: TypeAlias = Comparison | Junction

_Bounds: TypeAlias = dict[Direction, Interval]
"""A conjunction: intervals of linear functions, of one input or of outputs."""

_Union: TypeAlias = list[_Bounds]


def cases_of(
    asserted: Sequence[Formula], inputs: Sequence[int], names: Sequence[str]
) -> tuple[Case, ...]:
    """The cases of all assertions together.

    Args:
        asserted: the assertions.
        inputs: number of inputs of each network.
        names: of the inputs of the first network, for error messages.

    Raises:
        ClaimError: inputs of two networks that are not equal, inputs that are compared with each
            other or with outputs, an input without bounds, or no input that satisfies its bounds.
        TooLargeError: too many cases.
    """
    shared = _shared_inputs(asserted, inputs, names)
    union = _all([_union(formula, shared) for formula in asserted])
    grouped: dict[frozenset[tuple[Direction, Interval]], dict[tuple[Interval, ...], None]] = {}
    for bounds in union:
        if any(side.empty for key, side in bounds.items() if _is_input(key)):
            continue
        outputs = frozenset((key, side) for key, side in bounds.items() if not _is_input(key))
        grouped.setdefault(outputs, {})[_box(bounds, names)] = None
    if not grouped:
        raise ClaimError(
            "no input satisfies what is asserted of the inputs: a lower bound is above an upper one"
        )
    return tuple(_cases(grouped))


def _cases(
    grouped: dict[frozenset[tuple[Direction, Interval]], dict[tuple[Interval, ...], None]],
) -> Iterator[Case]:
    """Join what is asked on the same boxes into one case."""
    asked: dict[tuple[tuple[Interval, ...], ...], list[dict[Direction, Interval]]] = {}
    for outputs, own in grouped.items():
        asked.setdefault(tuple(own), []).append(dict(outputs))
    for boxes, conjunctions in asked.items():
        yield Case(boxes, tuple(conjunctions))


def _box(bounds: _Bounds, names: Sequence[str]) -> tuple[Interval, ...]:
    box = []
    for index, name in enumerate(names):
        side = bounds.get(((Element("X", 0, index), 1),), Interval())
        if side.lower is None or side.upper is None:
            missing = "lower" if side.lower is None else "upper"
            raise ClaimError(f"{name} has no {missing} bound")
        box.append(side)
    return tuple(box)


def _shared_inputs(
    asserted: Sequence[Formula], inputs: Sequence[int], names: Sequence[str]
) -> dict[Element, Element]:
    """The inputs of the second network by the equal ones of the first.

    Raises:
        ClaimError: an input of the second network that is not asserted to be the same input of the
            first one.
    """
    if len(inputs) == 1:
        return {}
    equal: dict[Element, set[Element]] = {}
    for linear in _equalities(asserted):
        if len(linear.coefficients) == 2 and not linear.constant:
            (one, c), (other, d) = sorted(linear.coefficients.items(), key=lambda item: item[0])
            if c == -d and one.kind == other.kind == "X" and one.network != other.network:
                equal.setdefault(other, set()).add(one)
    for index in range(max(inputs)):
        mine, its = Element("X", 1, index), Element("X", 0, index)
        if its not in equal.get(mine, ()):
            name = names[index] if index < len(names) else f"input {index}"
            raise ClaimError(
                f"{name} is not asserted to be equal (==) to the same input of the other network; "
                "queries on two different inputs are not supported"
            )
    return {Element("X", 1, i): Element("X", 0, i) for i in range(inputs[0])}


def _equalities(formulas: Iterable[Formula]) -> Iterator[Linear]:
    """What is equal to 0 in every case."""
    for formula in formulas:
        if isinstance(formula, Junction) and formula.connective == "and":
            below = {
                frozenset(part.linear.coefficients.items()): part.linear
                for part in formula.parts
                if isinstance(part, Comparison) and not part.strict
            }
            for linear in below.values():
                negated = frozenset((e, -c) for e, c in linear.coefficients.items())
                if negated in below and below[negated].constant == -linear.constant:
                    yield linear
            yield from _equalities(formula.parts)


def _union(formula: Formula, shared: dict[Element, Element]) -> _Union:
    """The union of conjunctions that a formula is; nesting is limited by the reader."""
    if isinstance(formula, Comparison):
        return _comparison(formula, shared)
    parts = [_union(part, shared) for part in formula.parts]
    if formula.connective == "and":
        return _all(parts)
    union = [bounds for part in parts for bounds in part]
    _check(len(union), max(map(len, union), default=0))
    return list({frozenset(bounds.items()): bounds for bounds in union}.values())


def _comparison(comparison: Comparison, shared: dict[Element, Element]) -> _Union:
    linear = comparison.linear.renamed(shared)
    if not linear.coefficients:
        constant = linear.constant
        return [{}] if constant < 0 or (constant == 0 and not comparison.strict) else []
    kinds = {element.kind for element in linear.coefficients}
    if kinds == {"X"} and len(linear.coefficients) > 1:
        raise ClaimError("inputs are compared with each other: not supported; give bounds of each")
    if len(kinds) > 1:
        raise ClaimError("outputs are compared with inputs: not supported")
    direction, factor = direction_of(linear)
    # factor · linear = direction + factor · constant, and factor < 0 turns the comparison around.
    limit = -linear.constant * factor
    side = (
        Interval(upper=limit, upper_open=comparison.strict)
        if factor > 0
        else Interval(lower=limit, lower_open=comparison.strict)
    )
    return [{direction: side}]


def _all(unions: Sequence[_Union]) -> _Union:
    """The intersection. Single conjunctions, the usual case, are intersected first."""
    common: _Bounds = {}
    for union in unions:
        if len(union) == 1:
            _narrow(common, union[0])
    result = [common]
    for union in unions:
        if len(union) != 1:
            sizes = (max(map(len, part), default=0) for part in (result, union))
            _check(len(result) * len(union), sum(sizes))
            result = [_narrow(dict(bounds), other) for bounds in result for other in union]
    return result


def _narrow(bounds: _Bounds, other: _Bounds) -> _Bounds:
    """Intersect ``bounds`` with ``other``, in place."""
    for key, side in other.items():
        bounds[key] = bounds[key] & side if key in bounds else side
    return bounds


def _check(cases: int, size: int) -> None:
    """Refuse a union of so many conjunctions of so many inequalities each."""
    if cases > MAX_CASES or cases * size > MAX_TERMS:
        raise TooLargeError(
            f"the query has more than {MAX_CASES} cases or {MAX_TERMS} inequalities"
        )


def _is_input(direction: Direction) -> bool:
    return direction[0][0].kind == "X"
