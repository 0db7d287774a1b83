"""Matrix products of a panel: eight rows of coefficients, one in each lane.

BLAS spends more time on calling and copying than on products of twenty neurons. Here the weights
between the neurons that stay lie in tiles, eight operands (the results, as rows are carried
backward) for each neuron in turn, and a tile's eight results stay in registers.
"""

from __future__ import annotations

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.lanes import WIDTH, gather, load, number, spread, store
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.room import Float, Known

TILE = 8


@inner
def pack(layers: Layers, k: int, known: Known) -> None:
    """Write layer ``k`` in tiles, without the neurons that are 0 before it and after it.

    A tile of ``g`` is that of the compressed network's weights, then that of the differences.
    """
    operands, neurons, active = known.counts[k], known.counts[k + 1], known.active
    weights, f, g = layers.weights, known.f, known.g
    count, width = weights.shape[1], weights.shape[2]
    apart, own = count * width * width, k * width * width
    for tile in range(0, operands, TILE):
        place = k * active.shape[1] + tile
        into_f, into_g = own + tile * neurons, 2 * own + 2 * tile * neurons
        for neuron in range(neurons):
            at = own + active[k + 1, neuron] * width
            store(f, into_f, gather(weights, at, active, place))
            store(g, into_g, gather(weights, at + apart, active, place))
            store(g, into_g + neurons * TILE, gather(weights, at + 2 * apart, active, place))
            into_f, into_g = into_f + TILE, into_g + TILE


@inner
def multiply(
    tiles: Float, first: int, apart: int, terms: int, results: int, c: Float, at: int, into: int
) -> None:
    """Multiply a panel by packed weights.

    Args:
        tiles: the weights.
        first: place of the first tile.
        apart: numbers from one tile to the next.
        terms: of each sum.
        results: how many; up to the next multiple of eight, something is written behind them.
        c: the coefficients, eight of a term one after the other.
        at: place of the first term.
        into: place of the first result.
    """
    for result in range(0, results, TILE):
        _tile(tiles, first, terms, c, at, into + result * WIDTH)
        first += apart


@inner
def _tile(tiles: Float, weight: int, terms: int, c: Float, at: int, into: int) -> None:
    """Write the eight results of a tile."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = spread(0.0)
    for _ in range(terms):
        x = load(c, at)
        s0 = s0 + number(tiles, weight) * x
        s1 = s1 + number(tiles, weight + 1) * x
        s2 = s2 + number(tiles, weight + 2) * x
        s3 = s3 + number(tiles, weight + 3) * x
        s4 = s4 + number(tiles, weight + 4) * x
        s5 = s5 + number(tiles, weight + 5) * x
        s6 = s6 + number(tiles, weight + 6) * x
        s7 = s7 + number(tiles, weight + 7) * x
        at, weight = at + WIDTH, weight + TILE
    store(c, into, s0)
    store(c, into + WIDTH, s1)
    store(c, into + 2 * WIDTH, s2)
    store(c, into + 3 * WIDTH, s3)
    store(c, into + 4 * WIDTH, s4)
    store(c, into + 5 * WIDTH, s5)
    store(c, into + 6 * WIDTH, s6)
    store(c, into + 7 * WIDTH, s7)
