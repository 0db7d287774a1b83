"""From linear bounds on boxes to an upper bound of P(d > ε) on them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simcert.integration import bernstein, chernoff, hoeffding, volume
from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import Law, law_of
from simcert.integration.rounding import SLACK, Float, probability
from simcert.numerals import exact

if TYPE_CHECKING:
    from simcert.bounds import RowBounds
    from simcert.claim import Claim
    from simcert.claim.divergences.base import Cover
    from simcert.search.boxes import Boxes

Tail: TypeAlias = Callable[[HalfSpaces], Float]

METHODS: Mapping[str, Tail] = {
    "volume": volume.tail,
    "chernoff": chernoff.tail,
    "bernstein": bernstein.tail,
    "hoeffding": hoeffding.tail,
}
"""What bounds the probability of a half-space in a box. The least counts, all are reported."""

_WIDEST = 2.0**400
"""Bounds of d beyond this have no curve: its points would leave the range of float64."""

LARGEST = 1 << 15
"""Most numbers that are kept of the linear bounds of a box."""

CURVE = 8
"""Tolerances between ε and the proved worst case at which P(d > t) is bounded."""

_CHUNK = 1 << 19
"""Coefficients that are handled at once."""

_UNDERFLOWN = 2.0**-900
"""Products below this may have lost digits to underflow."""


@dataclass(frozen=True)
class Integral:
    """An upper bound, with certainty, of the probability that x lies in some boxes and d > ε.

    Attributes:
        boxes: how many boxes were integrated over.
        mass: at least their probability.
        upper: at least P(d > ε and x in the boxes): of each half-space the least bound.
        methods: the same by each method alone; none where there was no time for it.
        eta: probability over the inputs that a linear bound does not hold; 0 where all bounds hold
            everywhere on their boxes. Not contained in the other numbers.
        curve: pairs (t, bound of P(d > t and x in the boxes)) with growing t.
        shares: (boxes,) of each box: at least P(d > ε and x in the box).
    """

    boxes: int
    mass: float
    upper: float
    methods: tuple[tuple[str, float], ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    eta: float = 0.0
    shares: Float = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "boxes": self.boxes,
            **exact("mass", self.mass),
            **exact("upper", self.upper),
            "methods": [{"method": name, **exact("upper", upper)} for name, upper in self.methods],
            **exact("eta", self.eta),
            "curve": [
                {**exact("tolerance", tolerance), **exact("upper", upper)}
                for tolerance, upper in self.curve
            ],
        }


class Integrator:
    """Integrates what the propagator knows of boxes over the distribution of a claim.

    Inputs are rounded to the networks' type before the networks see them; a linear bound changes
    by what that can move them, so that the probabilities hold with and without that rounding.

    Args:
        claim: region, distribution, divergence and tolerance.
        dtype: the networks' input type.
        functions: number S of the divergence's linear functions.
    """

    def __init__(self, claim: Claim, dtype: DTypeLike, functions: int) -> None:
        self._claim = claim
        self._dtype = np.dtype(dtype)
        inputs = claim.region.inputs
        coefficients = 2 * functions * (inputs + 1)
        self.width = 2 * functions if coefficients <= LARGEST else 0
        self._quick = "volume" if inputs <= volume.MAX_SPREADS else "bernstein"

    def linear(self, bounds: RowBounds) -> tuple[Float, Float]:
        """Return slopes (B, T, inputs) and offsets (B, T) of the functions' and −their bounds."""
        if not self.width:
            count, _, inputs = bounds.upper_slope.shape
            return np.zeros((count, 0, inputs)), np.zeros((count, 0))
        slopes = bounds.upper_slope.cpu().numpy(), -bounds.lower_slope.cpu().numpy()
        offsets = bounds.upper_offset.cpu().numpy(), -bounds.lower_offset.cpu().numpy()
        return np.concatenate(slopes, axis=1), np.concatenate(offsets, axis=1)

    def possible(self, boxes: Boxes) -> Float:
        """Return at least P(d > ε and x in the box), (B,), by the quickest method; else the mass.

        Boxes of which no linear bound is kept count with their mass.
        """
        tolerance = self._claim.tolerance
        shares = None if tolerance is None else self._shares(boxes, tolerance, (self._quick,))
        return boxes.mass if shares is None else shares[-1]

    def integral(self, boxes: Boxes, least: float, deadline: float = math.inf) -> Integral:
        """Integrate over boxes by all methods.

        Args:
            boxes: on which the claim is undecided.
            least: where the curve begins: ε, or without a tolerance what d is proved not to exceed
                on all other boxes.
            deadline: value of ``time.monotonic()`` after which only what the search knew counts.
        """
        mass, known = _total(boxes.mass), _total(boxes.possible)
        by_method = self._shares(boxes, least, tuple(METHODS), deadline)
        if by_method is None:
            return Integral(len(boxes), mass, known, shares=boxes.possible)
        shares = by_method[-1]
        if self._claim.tolerance is not None:
            shares = np.minimum(shares, boxes.possible)
        return Integral(
            boxes=len(boxes),
            mass=mass,
            upper=_total(shares),
            methods=tuple(zip(METHODS, map(_total, by_method), strict=False)),
            curve=self._curve(boxes, least, _total(shares), deadline),
            shares=shares,
        )

    def _curve(
        self, boxes: Boxes, least: float, upper: float, deadline: float
    ) -> tuple[tuple[float, float], ...]:
        """Bounds of P(d > t and x in the boxes) from t = ``least``, where it is ``upper``, on."""
        curve, most = [(least, upper)], float(boxes.bound.max())
        if least < most < _WIDEST:
            for tolerance in np.linspace(least, most, CURVE + 2)[1:-1].tolist():
                above = self._shares(boxes, tolerance, (self._quick,), deadline)
                if above is None:
                    break
                curve.append((tolerance, min(curve[-1][1], _total(above[-1]))))
        return tuple(curve)

    def _shares(
        self, boxes: Boxes, tolerance: float, methods: tuple[str, ...], deadline: float = math.inf
    ) -> Float | None:
        """(methods + 1, B): P(d > ε and x in the box) by each method, and by the best of them.

        None where no linear bound was kept, and after the deadline.
        """
        shares = np.empty((len(methods) + 1, len(boxes)))
        for part in self._parts(len(boxes)):
            if not self.width or time.monotonic() > deadline:
                return None
            some = boxes.take(part)
            cover = self._claim.divergence.cover(tolerance, some.rows)
            excess, needed = self._excess(some, cover)
            spread = _spread(some)
            tails = np.where(needed, 1.0, 0.0) * np.ones((len(methods) + 1, 1, 1))
            proper = needed & np.isfinite(excess) & np.isfinite(spread).all(2) & spread.any(2)
            box, function = np.nonzero(proper)
            if len(box):
                law = self._law(some, box, function)
                which = box, function
                half_spaces = HalfSpaces.scaled(excess[which], spread[which], law)
                for index, method in enumerate(methods):
                    tails[index, box, function] = METHODS[method](half_spaces)
                tails[-1] = tails[:-1].min(axis=0)
            whole = _union(tails, cover.terms)
            shares[:, part] = np.minimum(whole * some.mass * (1.0 + SLACK), some.mass)
        return shares

    def _parts(self, count: int) -> Iterator[slice]:
        size = max(1, _CHUNK // max(1, self.width * self._claim.region.inputs))
        return (slice(i, min(i + size, count)) for i in range(0, count, size))

    def _excess(self, boxes: Boxes, cover: Cover) -> tuple[Float, NDArray[np.bool_]]:
        """(B, 2 S) by how much linear bounds exceed thresholds at most; which ones matter.

        A term of the cover none of whose points is possible does not matter, nor do its functions.
        """
        lower, upper = boxes.lower[:, None], boxes.upper[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            products = boxes.slope * np.where(boxes.slope > 0, upper, lower)
            largest = np.maximum(np.abs(boxes.lower), np.abs(boxes.upper))
            step = np.spacing(largest.astype(self._dtype)).astype(np.float64)
            moved = (np.abs(boxes.slope) * step[:, None]).sum(axis=2)
            size = np.abs(boxes.offset) + np.abs(products).sum(axis=2) + np.abs(cover.thresholds)
            excess = boxes.offset + products.sum(axis=2) - cover.thresholds
            excess += moved * (1.0 + SLACK) + 2.0**-50 * (1.0 + boxes.slope.shape[2] / 8) * size
            excess += np.where(boxes.slope.any(axis=2), _UNDERFLOWN, 0.0)
        excess = np.where(np.isfinite(excess), excess, np.inf)
        magnitudes = np.concatenate([boxes.rows, boxes.rows], axis=1)
        possible = (excess > 0.0) & (magnitudes > cover.thresholds)
        impossible = (~possible).astype(np.float32) @ cover.terms.T.astype(np.float32) > 0
        alive = (~impossible).astype(np.float32) @ cover.terms.astype(np.float32) > 0
        return excess, possible & alive

    def _law(self, boxes: Boxes, box: NDArray[np.intp], function: NDArray[np.intp]) -> Law:
        """The law within some boxes, seen from where some of their linear bounds are greatest."""
        region, root = self._claim.region, boxes.root[box]
        return law_of(
            self._claim.distribution,
            (boxes.lower[box], boxes.upper[box]),
            (region.lower[root], region.upper[root]),
            boxes.slope[box, function] > 0,
        )


def _spread(boxes: Boxes) -> Float:
    """(B, 2 S, inputs) by how much each input can lower a linear bound, rounded down."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.abs(boxes.slope) * (boxes.upper - boxes.lower)[:, None] * (1.0 - 2.0**-50)
    return np.where(spread < _UNDERFLOWN, 0.0, spread)


def _union(tails: Float, terms: NDArray[np.bool_]) -> Float:
    """The sum over the terms of the least probability of their half-spaces, (methods + 1, B)."""
    whole = np.zeros(tails.shape[:2])
    for term in terms:
        whole += tails[:, :, term].min(axis=2)
    return np.where(whole == 0.0, 0.0, probability(whole))


def _total(shares: Float) -> float:
    """The sum of probabilities, rounded up, at most 1."""
    return min(1.0, math.fsum(shares.tolist()) * (1.0 + 2.0**-40))
