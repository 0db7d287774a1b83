"""The propagator with intervals that hold with a probability: layer-wise concentration.

Where x is drawn from a law with independent inputs, a linear upper bound L of a neuron is a sum of
independent terms, which comes close to its maximum on the box almost never. Each interval end of
each neuron that matters is therefore a quantile of L instead of the maximum, P(L > q_i) ≤ η_i, and
the next layers' lines and planes are built on these narrower intervals.

Why that is sound. The quantities (a, b, δ of each neuron) are bounded one after the other. Let G
be the event that L_i ≤ q_i for every bound i that was taken. L_i bounds its quantity at every x of
the box at which the intervals before it hold, by the same argument as without probabilities. So,
by induction over i, all intervals hold at each x of G: the intervals before i hold, hence the
quantity is at most L_i(x) ≤ q_i. Intervals that are derived from others (δ from a and b, a from b
and δ, what functions make of them) hold wherever those do, and so do the rounding errors. L_i
itself is a function of all x of the box: P(L_i > q_i) is computed with the law as it is,
nothing is conditioned on G, and

    P(not G) ≤ Σ_i η_i    (Boole),

whatever the dependence between the events. Which bounds are taken, and how η is divided among
them, follows from the networks and the box, never from a draw. Of several linear bounds of one
quantity the best quantile counts; a choice between valid bounds spends nothing.

Inputs are rounded to the networks' type before these see them. Each quantile is raised by what
that can move L, so that on G the intervals hold at x and at x rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from simcert.bounds.blocks import Blocks
from simcert.bounds.interval import Interval
from simcert.bounds.propagator import Propagator, _Batch
from simcert.bounds.rounding import UNIT_ROUNDOFF

Fall: TypeAlias = Callable[[Tensor, float], Tensor]
"""From slopes (R, inputs) and nats: by how much each function stays below its maximum on the box
but for a probability e^−nats, (R,), finite and not negative, rounded down."""

_OUTPUTS_SHARE = 0.5
"""Of η, for the wanted functions themselves; the rest is for the intervals on the way."""

_WORTH = 0.01
"""Share of an interval that a probable end must cut off: less is not worth its probability."""

_BELOW = 1.0 - 2.0**-40
"""Keeps sums of the parts of a probability at or below it, rounding included."""


class Spent(NamedTuple):
    """What bounds of one quantity at one node cost: ``bounds`` of them, ``eta`` in all."""

    node: int
    block: str
    bounds: int
    eta: float


@dataclass
class _Concentrating(_Batch):
    """One box, and what is still to be spent on it.

    Attributes:
        fall: of linear functions on the box.
        left: of η for what comes before the wanted functions; at last, for these.
        to_come: blocks that are to share it.
        nats: −log of the probability that each bound of now may fail with.
        ledger: what was spent.
    """

    fall: Fall = field(kw_only=True)
    left: float = field(kw_only=True)
    to_come: int = 0
    nats: float = 0.0
    ledger: list[Spent] = field(default_factory=list)

    def allot(self, bounds: int) -> float:
        """Return the share of each of so many bounds, if what is left is divided evenly."""
        each = self.left / max(self.to_come, 1) / max(bounds, 1) * _BELOW
        self.to_come -= 1
        self.nats = -math.log(each) * (1.0 + 2.0**-50)
        return each

    def spend(self, bounds: int, each: float, node: int, block: str) -> None:
        """Record that so many bounds were taken."""
        if bounds:
            spent = math.nextafter(bounds * each, math.inf)
            self.left -= spent
            self.ledger.append(Spent(node, block, bounds, spent))


class ConcentratedPropagator(Propagator):
    """Bounds functions of the outputs but for a probability over the inputs; see the module."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the arguments of :class:`~simcert.bounds.Propagator`."""
        super().__init__(*arguments, **options)
        # Nodes that intervals bound exactly gain here too. Nothing is inherited.
        self._refined = {node: slice(0) for node in sorted(self._readers) if node > 0}

    def concentrate(
        self, lower: Tensor, upper: Tensor, fall: Fall, eta: float, deadline: float = math.inf
    ) -> tuple[Tensor, Tensor, list[Spent]]:
        """Bound the S functions on one box, all of them but for a probability η.

        Args:
            lower: lower corner (inputs,), float64.
            upper: upper corner (inputs,), float64.
            fall: what is known of linear functions of the inputs on the box.
            eta: between 0 and 1; its shares must be normal numbers.
            deadline: value of ``time.monotonic()`` after which to give up.

        Returns:
            Lower and upper bounds (S,), and what was spent on what; at most η in all.

        Raises:
            OutOfTimeError: the deadline passed.
        """
        batch = _Concentrating(
            Interval(lower[None], upper[None]),
            deadline,
            torch.zeros(1, dtype=torch.float64),
            self._work,
            fall=fall,
            left=(1.0 - _OUTPUTS_SHARE) * eta * _BELOW,
        )
        for index, layer in enumerate(self._layers):
            self._forward(layer, batch)
            if index in self._refined:
                batch.to_come = 3 * sum(node >= index for node in self._refined)
                batch.triples[index] = self._refine(index, batch)
        batch.left += _OUTPUTS_SHARE * eta * _BELOW
        return *self._bound_outputs(batch), batch.ledger

    def _refine_block(
        self, index: int, interval: Interval, wanted: Tensor | None, block: str, batch: _Batch
    ) -> Interval:
        """Intersect with quantiles where that is worth their probability."""
        assert isinstance(batch, _Concentrating)  # noqa: S101 - for the type checker
        count = 0 if wanted is None else 2 * int(wanted.sum())
        each = batch.allot(count)
        refined = super()._refine_block(index, interval, wanted, block, batch)
        least = _WORTH * (refined.upper - refined.lower)
        below = refined.lower - interval.lower > least
        above = interval.upper - refined.upper > least
        batch.spend(int(below.sum() + above.sum()), each, index, block)
        return Interval(
            torch.where(below, refined.lower, interval.lower),
            torch.where(above, refined.upper, interval.upper),
        )

    def _bound_outputs(self, batch: _Concentrating) -> tuple[Tensor, Tensor]:
        """Bound the wanted functions with what is left of η."""
        count = len(self._coefficients[0])
        batch.to_come = 1
        each = batch.allot(2 * count)
        parts = list(self._chunks(count, len(self._layers) - 1))
        upper, negated = (
            torch.cat(
                [best for *_, best in self._parallel(partial(self._bound_part, s, batch), parts)]
            )
            for s in (1.0, -1.0)
        )
        plain = self._plain_rows(batch)
        below, above = -negated > plain.lower[0], upper < plain.upper[0]
        batch.spend(int(below.sum() + above.sum()), each, len(self._layers) - 1, "outputs")
        return torch.where(below, -negated, plain.lower[0]), torch.where(
            above, upper, plain.upper[0]
        )

    def _concretise(
        self, blocks: Blocks, constant: Tensor, box: Tensor, batch: _Batch
    ) -> tuple[Tensor, Tensor]:
        """Return a quantile of c·x + constant under the law in place of its maximum."""
        assert isinstance(batch, _Concentrating)  # noqa: S101 - for the type checker
        slope, maximum = super()._concretise(blocks, constant, box, batch)
        fall = batch.fall(slope, batch.nats)
        return slope, maximum - fall + (4 * UNIT_ROUNDOFF) * (maximum.abs() + fall)
