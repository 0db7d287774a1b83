"""Which input the distance between a function's two linear bounds goes back to.

The distance is the spread of the linear bounds, and what relaxations add to them. A relaxation is
as loose as the range of its neuron is wide, and that range is shared out among the inputs as the
spread of the neuron's own linear bounds is. What a cut of an input promises is what goes back to
it: unlike slopes alone, that sees inputs on which only relaxations depend.
"""

from __future__ import annotations

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.lanes import WIDTH, larger, load, number, smaller, spread, store
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.room import RECORD, Known, Work
from simcert.bounds.dense.substitution import moved


@inner
def share_out(layers: Layers, k: int, known: Known, work: Work) -> None:
    """Write how the ranges of the neurons of layer ``k`` that stay are shared out."""
    bounds, radius = work.after, work.box[1]
    for m in range(known.counts[k + 1]):
        i, shares, total = known.active[k + 1, m], known.shares[k, m], 0.0
        part = 0 if bounds[0, i] < 0 < bounds[3, i] else 1
        shares[:] = 0.0
        if layers.relus[k] and bounds[part, i] < 0 < bounds[3 + part, i]:
            lines = known.lines[part, k, i]
            for j in range(len(radius)):
                shares[j] = (abs(lines[0, j]) + abs(lines[1, j])) * radius[j]
                total += shares[j]
            if total > 0:
                shares /= total


@inner
def attribute(k: int, at: int, known: Known, work: Work) -> None:
    """Add to ``work.gap`` what the planes of layer ``k`` add to a panel at ``at``."""
    c, neurons, shares, gap = work.coefficients, known.neurons, known.shares, work.gap
    zero, n, inputs = spread(0.0), known.counts[k + 1], gap.shape[0]
    for m in range(n):
        record = (k * neurons.shape[1] + m) * RECORD
        cf, cg, cd = moved(load(c, at), load(c, at + n * WIDTH), load(c, at + 2 * n * WIDTH))
        loose = larger(cf, zero) * number(neurons, record + 1)
        loose = loose + larger(cg, zero) * number(neurons, record + 5)
        loose = loose + larger(cd, zero) * number(neurons, record + 11)
        loose = loose + smaller(cd, zero) * number(neurons, record + 15)
        share = (k * shares.shape[1] + m) * inputs
        for j in range(inputs):
            own = loose * number(shares, share + j)
            store(gap, j * WIDTH, load(gap, j * WIDTH) + own)
        at += WIDTH
