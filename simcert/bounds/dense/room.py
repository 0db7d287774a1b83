"""Room for what is known of one box, allocated once for all boxes of a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simcert.bounds.dense.lanes import WIDTH

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

RECORD = 24
"""Numbers that are kept of a neuron; see `Known.neurons`."""


class Known(NamedTuple):
    """What is known of a box's layers; of neurons that are 0 in both networks nothing is kept.

    Attributes:
        counts: (L + 1,) how many neurons, or inputs, stay.
        active: (L + 1, N + 8) which.
        neurons: (L, N, 24) of those that stay: the lines of a and of b (slope, intercept, lower
            slope, error), the upper and the lower plane of Δ (a, b, δ, constant) and Δ's rounding
            error, see :mod:`simcert.bounds.relu`; the biases of a, b and δ; their rounding errors.
        errors: (L, 3, N) rounding errors of all neurons.
        lines: (2, L, N, 2, inputs + 1) linear upper bounds of a and −a, b and −b of the neurons
            that were bounded symbolically, the constants last; see :mod:`..substitution`.
        shares: (L, N, inputs) how a neuron's range is shared out among the inputs, of those that
            stay; 0 where its sign is known, see :mod:`..gaps`.
        f: (L, N · N) weights of the original network in tiles, see :mod:`..products`.
        g: (L, 2 · N · N) weights of the compressed network, and the differences, likewise.
    """

    counts: Integer
    active: Integer
    neurons: Float
    errors: Float
    lines: Float
    shares: Float
    f: Float
    g: Float


class Work(NamedTuple):
    """Room that is used again and again.

    Attributes:
        coefficients: of a panel of rows, twice: what is read and what is written.
        maxima: of rows; of the wanted functions twice, dually and on the product network.
        kept: coefficients of one network on the inputs.
        slopes: (inputs, rows) of the wanted functions.
        gaps: (inputs, rows) what relaxations add to them, by input.
        gap: (inputs, 8) the same of a panel.
        wanted: the neuron that a row bounds.
        signs: 1 for its upper bound, -1 for its lower one, 0 for a row that fills a panel.
        operands: (N, 9) centre, radius and size of a, b and δ of the neurons that stay.
        largest: size of a, b and δ among them.
        records: (24, 8) of eight neurons, see `Known.neurons`.
        passed: (6, N) bounds that a box inherits, or passes on.
        points: (inputs, 8) of a panel's rows, where they are greatest on the box.
        box: (3, inputs) centre, radius, and rounding error per unit of coefficient.
        before: (6, N) lower and upper bounds of a, b and δ that a layer reads.
        after: (6, N) those that it gives.
    """

    coefficients: Float
    maxima: Float
    kept: Float
    slopes: Float
    gaps: Float
    gap: Float
    wanted: Integer
    signs: Float
    operands: Float
    largest: Float
    records: Float
    passed: Float
    points: Float
    box: Float
    before: Float
    after: Float


def make_room(layers: int, inputs: int, width: int, functions: int) -> tuple[Known, Work]:
    """Make room for pairs with so many layers of so many neurons, and so many wanted functions."""
    rows = 2 * max(width, functions) + WIDTH
    known = Known(
        counts=np.zeros(layers + 1, dtype=np.int64),
        active=np.zeros((layers + 1, width + WIDTH), dtype=np.int64),
        neurons=np.zeros((layers, width, RECORD)),
        errors=np.zeros((layers, 3, width)),
        lines=np.zeros((2, layers, width, 2, inputs + 1)),
        shares=np.zeros((layers, width, inputs)),
        f=np.zeros((layers, width * width)),
        g=np.zeros((layers, 2 * width * width)),
    )
    work = Work(
        coefficients=np.zeros(2 * WIDTH * (3 * width + WIDTH)),
        maxima=np.zeros(2 * rows),
        kept=np.zeros(WIDTH * inputs),
        slopes=np.zeros(inputs * rows),
        gaps=np.zeros(inputs * rows),
        gap=np.zeros((inputs, WIDTH)),
        wanted=np.zeros(rows, dtype=np.int64),
        signs=np.zeros(rows),
        operands=np.zeros((width, 9)),
        largest=np.zeros(3),
        records=np.zeros((RECORD, WIDTH)),
        passed=np.zeros((6, width)),
        points=np.zeros((inputs, WIDTH)),
        box=np.zeros((3, inputs)),
        before=np.zeros((6, width)),
        after=np.zeros((6, width)),
    )
    return known, work
