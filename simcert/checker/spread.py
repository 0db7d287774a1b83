"""How the divergences of the draws are spread: histogram, curve t ↦ P(d > t), single outputs.

What follows from ranks is computed here. The values behind the ranks are taken as stated, as the
counts are, as far as they go together; with ``--resample`` they are found again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from simcert.checker import document
from simcert.checker.binomial import tail_at_most
from simcert.checker.claim import Claim
from simcert.checker.draws import Drawn
from simcert.checker.errors import CheckError
from simcert.checker.interval import Float
from simcert.checker.statistics import UPPER, Certain, Tickets, checkpoints

_CLOSE = Fraction(1, 2**20)
"""Of a probability: as for the bound that the claim rests on."""

_NEAR = 2.0**-40
"""Of a number: what rounding may move at the edge of a bin."""

_tail_at_most = cache(tail_at_most)


def least_bound(stated: dict[str, Any]) -> float:
    """Return the least number that d is said to exceed rarely; infinity if there is none."""
    uppers = (item["upper_hex"] for _, item in _quantiles(stated))
    return min((document.number(u) for u in uppers if u is not None), default=math.inf)


def _quantiles(stated: dict[str, Any]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Yield the quantiles of d, then of single outputs with their numbers."""
    for item in stated["curve"]:
        yield None, item
    for output in stated["per_output"]:
        for item in output["quantiles"]:
            yield output["output"], item


@dataclass(frozen=True)
class _Values:
    """Values of draws as far as they are known.

    Attributes:
        above: at least how many of the first n exceed a number.
        largest: between these two.
    """

    above: Callable[[float, int], int]
    largest: tuple[float, float]

    @classmethod
    def drawn(cls, values: Float, rounding: float) -> _Values:
        """Know all values (n,)."""
        largest = float(values.max(initial=0.0))
        return cls(
            lambda t, n: int((values[:n] > t + rounding).sum()),
            (largest - rounding, largest + rounding),
        )


def check(
    sampling: dict[str, Any],
    tickets: Tickets,
    certain: Certain,
    claim: Claim,
    drawn: Drawn | None,
) -> None:
    """Require what is stated of the divergences of the draws to go together and to follow.

    Args:
        sampling: of the certificate.
        tickets: of the leaves that are drawn from.
        certain: what holds without draws.
        claim: ε and the compared outputs.
        drawn: the divergences of all draws, made again.

    Raises:
        CheckError: a number cannot be.
    """
    stated = sampling["divergences"]
    histogram = _Histogram.of(stated, sampling["drawn"])
    histogram.check(sampling, claim.tolerance)
    known = histogram.values()
    if drawn is not None:
        histogram.compare(drawn.divergences, drawn.rounding)
        known = _Values.drawn(drawn.divergences, drawn.rounding)
    _check_maximum(stated, known)
    _check_statements(sampling, claim)
    of_outputs = {item["output"]: _of_output(item, known, drawn) for item in stated["per_output"]}
    for output, item in _quantiles(stated):
        values = known if output is None else of_outputs[output]
        _check_quantile(sampling, tickets, certain, output, item, values)


def _of_output(item: dict[str, Any], whole: _Values, drawn: Drawn | None) -> _Values:
    """Return what is known of |f_i − g_i|, which is at most d."""
    largest = _number(item["maximum_hex"])
    if largest > whole.largest[1] * (1 + _NEAR):
        raise CheckError(f"output {item['output']} differs by more than d")
    if drawn is None:
        return _Values(lambda t, _: int(largest > t), (largest, largest))
    values = _Values.drawn(drawn.differences[:, item["output"]], drawn.rounding)
    _check_maximum(item, values)
    return values


def _check_maximum(stated: dict[str, Any], values: _Values) -> None:
    if not values.largest[0] <= _number(stated["maximum_hex"]) <= values.largest[1]:
        raise CheckError("the largest divergence of the draws is another one")


def _check_statements(sampling: dict[str, Any], claim: Claim) -> None:
    """Require each quantile that is paid for, and no other one."""
    stated, plan = sampling["divergences"], sampling["plan"]
    outputs = [item["output"] for item in stated["per_output"]]
    if len(set(outputs)) != len(outputs) or (outputs and not claim.divergence.is_norm):
        raise CheckError("an output is named twice, or d does not bound single outputs")
    names = [_statement(output, item["level"]) for output, item in _quantiles(stated)]
    paid = [item["statement"] for item in plan["alpha_ledger"]]
    known = {UPPER, "violation lower", "mean upper"}
    if len(set(names)) != len(names):
        raise CheckError("a quantile is stated twice")
    if plan["method"] != "exhaustive" and {*paid} - known != {*names}:
        raise CheckError("the quantiles are not those that the ledger pays for")


def _statement(output: int | None, level: float) -> str:
    return f"quantile {level!r}" + ("" if output is None else f" of output {output}")


def _check_quantile(
    sampling: dict[str, Any],
    tickets: Tickets,
    certain: Certain,
    output: int | None,
    item: dict[str, Any],
    values: _Values,
) -> None:
    """Require P(d > upper) ≤ 1 − level: F + A + W P(a draw exceeds it).

    That d ≤ upper on the proved leaves was shown with them (``least_bound``).
    """
    level, n, rank, plan = item["level"], item["samples"], item["rank"], sampling["plan"]
    what = _statement(output, level)
    if not 0 < level < 1:
        raise CheckError(f"{what} has no such level")
    reached, share = next((c for c in checkpoints(plan) if c[0] <= sampling["drawn"]), (0, 0.0))
    if plan["method"] == "exhaustive":
        reached = sampling["drawn"]
    if n not in (0, reached):
        raise CheckError(f"{what} is not taken at the last checkpoint that was reached")
    if item["upper_hex"] is None:
        return
    upper = document.number(item["upper_hex"])
    if upper < certain.from_:
        raise CheckError(f"{what} is less than what other leaves may reach")
    left = (1 - Fraction(level)) * (1 + _CLOSE) - certain.violating
    if left >= certain.undecided:
        clear = 1 - Fraction(level) - certain.violating > certain.undecided
        if (n, rank) != (0, None) and plan["method"] != "exhaustive" and clear:
            raise CheckError(f"{what} needs no draws")
        return
    tail = left / tickets.weight
    if plan["method"] == "exhaustive":
        _check_points(sampling, tickets, tail, values.above(upper, n), what)
        return
    if rank is None or not 1 <= rank <= n or tail <= 0:
        raise CheckError(f"{what} has no rank among the draws")
    alpha = next(x["alpha_hex"] for x in plan["alpha_ledger"] if x["statement"] == what)
    spent = Fraction(document.number(alpha)) * Fraction(share)
    if not _tail_at_most(n - rank, n, Fraction(math.nextafter(float(tail), 0.0)), spent):
        raise CheckError(f"the rank of {what} does not show it")
    if values.above(upper, n) > n - rank:
        raise CheckError(f"more draws exceed {what} than its rank says")


def _check_points(
    sampling: dict[str, Any], tickets: Tickets, tail: Fraction, above: int, what: str
) -> None:
    """Of an enumeration: the lightest points exceed it, and what was not reached."""
    counts = tickets.counts[tickets.counts > 0].tolist()
    seen = sorted(counts[: sampling["drawn"]])
    if sum(seen[:above]) + sum(counts[sampling["drawn"] :]) > tail * sum(counts):
        raise CheckError(f"more points exceed {what} than it says")


@dataclass(frozen=True, eq=False)
class _Histogram:
    """Counts of divergences in bins of equal width from 0 to ``upper``; the rest is infinite."""

    upper: float
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]
    infinite: int
    edges: Float

    @classmethod
    def of(cls, stated: dict[str, Any], drawn: int) -> _Histogram:
        """Read it, and require that it counts every draw."""
        histogram = stated["histogram"]
        upper = document.number(histogram["upper_hex"])
        stated_counts = [*histogram["counts"], histogram["infinite"]]
        if (
            not 2 <= len(stated_counts) <= 1001
            or min(stated_counts) < 0
            or sum(stated_counts) != drawn
        ):
            raise CheckError("the histogram does not count every draw once")
        counts = np.array(histogram["counts"], dtype=np.int64)
        if not upper >= 0 or (upper == 0) != (len(counts) == 1):
            raise CheckError("the bins of the histogram are not of equal width from 0 on")
        if upper > 0 and counts[-1] == 0:
            raise CheckError("the largest draw is not in the histogram")
        return cls(upper, counts, histogram["infinite"], np.linspace(0, upper, len(counts) + 1))

    def values(self) -> _Values:
        """Return what it says of the draws, about the first n of all."""
        largest = math.inf if self.infinite else self.upper
        total = int(self.counts.sum()) + self.infinite
        return _Values(
            lambda t, n: max(0, self._certainly_above(t) - (total - n)), (largest, largest)
        )

    def _certainly_above(self, t: float) -> int:
        whole = self.edges[:-1] * (1 - _NEAR) > t
        # Of the last bin one is at the very end.
        last = int(not whole[-1] and self.upper > t and bool(self.counts[-1]))
        return int(self.counts[whole].sum()) + last + self.infinite

    def _possibly_above(self, t: float) -> int:
        return int(self.counts[self.edges[1:] * (1 + _NEAR) > t].sum()) + self.infinite

    def check(self, sampling: dict[str, Any], tolerance: float) -> None:
        """Require violations and moments to be possible."""
        violations, others = sampling["violations"], sampling["drawn"] - sampling["samples"]
        least = self._certainly_above(tolerance) - others
        if not least <= violations <= self._possibly_above(tolerance):
            raise CheckError("the histogram shows another number of violations")
        if sampling["sum_hex"] is None or others:
            return
        for name, power in (("sum_hex", 1), ("sum_of_squares_hex", 2)):
            low, high = (
                float((self.counts * ends**power).sum())
                for ends in (self.edges[:-1], self.edges[1:])
            )
            value = document.number(sampling[name])
            if not low * (1 - _NEAR) <= value <= high * (1 + _NEAR):
                raise CheckError("the histogram shows other moments")

    def compare(self, d: Float, rounding: float) -> None:
        """Require the draws that were made again to be those that are counted."""
        below = np.cumsum(self.counts)[:-1]
        slack = rounding + self.edges[1:-1] * _NEAR
        fewest = (d[:, None] < self.edges[1:-1] - slack).sum(axis=0)
        most = (d[:, None] < self.edges[1:-1] + slack).sum(axis=0)
        infinite = int(np.isinf(d).sum())
        if not ((fewest <= below) & (below <= most)).all() or infinite != self.infinite:
            raise CheckError("the draws are spread otherwise than the histogram says")


def _number(text: str | None) -> float:
    """Return a stated number; what is left out is infinite."""
    return math.inf if text is None else document.number(text)
