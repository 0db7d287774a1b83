"""Carrying a panel, eight rows of coefficients, backward from a layer to the input.

The coefficients on a, b and δ, (n, 8) each, lie one after the other; those of one network alone
lie likewise. They are read at one place of ``work.coefficients`` and written at another, in turns.
The constants of the eight rows stay in a register all the way: those of a layer are added up, and
then added to the others, so that a term takes part in no more than N + L additions, N + 2 L where
one network's are carried after the other's.
"""

from __future__ import annotations

from simcert.bounds.dense.compiling import inner
from simcert.bounds.dense.lanes import (
    WIDTH,
    Lanes,
    larger,
    load,
    magnitude,
    number,
    smaller,
    spread,
    store,
    where_less,
)
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.products import TILE, multiply
from simcert.bounds.dense.room import RECORD, Float, Known, Work


@inner
def alone(
    layers: Layers, part: int, start: int, known: Known, work: Work, constant: Lanes, again: bool
) -> tuple[Lanes, int]:
    """Carry a panel on what follows layer ``start`` of one network to the input.

    Args:
        layers: the pair.
        part: 0 for the original, 1 for the compressed network.
        start: the layer.
        known: of the layers up to it.
        work: where the panel is.
        constant: of the rows.
        again: whether lower lines are chosen for each row, by ``work.points``.

    Returns:
        The constants and where the coefficients are.
    """
    c, counts, relus = work.coefficients, known.counts, layers.relus
    width = layers.weights.shape[2]
    at, into = 0, len(c) // 2
    for k in range(start, -1, -1):
        n, m = counts[k + 1], counts[k]
        record = k * width * RECORD
        line, bias = record + 4 * part, record + 17 + part
        if relus[k] and again:
            constant = constant + _along_chosen_lines(part, k, c, at, known, work.points)
        elif relus[k]:
            constant = constant + _along_lines(c, at, n, known.neurons, line, bias)
        else:
            constant = constant + _biases(c, at, n, known.neurons, bias)
        if part == 0:
            multiply(known.f, k * width * width, n * TILE, n, m, c, at, into)
        else:
            multiply(known.g, 2 * k * width * width, 2 * n * TILE, n, m, c, at, into)
        at, into = into, at
    return constant, at


@inner
def together(
    layers: Layers, start: int, known: Known, work: Work, constant: Lanes
) -> tuple[Lanes, int]:
    """Carry a panel on a, b and δ of what follows layer ``start`` to the input.

    Returns:
        The constants and where the coefficients are.
    """
    at, into = 0, len(work.coefficients) // 2
    for k in range(start, -1, -1):
        constant = constant + through_layer(layers, k, known, work, at, into)
        at, into = into, at
    return constant, at


@inner
def through_layer(layers: Layers, k: int, known: Known, work: Work, at: int, into: int) -> Lanes:
    """Carry a panel on a, b and δ from what layer ``k`` gives to what it reads.

    Returns:
        What is added to the constants.
    """
    c, neurons, n, m = work.coefficients, known.neurons, known.counts[k + 1], known.counts[k]
    width = layers.weights.shape[2]
    b, delta = at + n * WIDTH, at + 2 * n * WIDTH
    record = k * width * RECORD
    if layers.relus[k]:
        constant = _along_planes(c, at, n, neurons, record)
    else:
        constant = _biases(c, at, n, neurons, record + 17)
        constant = constant + _biases(c, b, n, neurons, record + 18)
        constant = constant + _biases(c, delta, n, neurons, record + 19)
    # δ of the layer is W_f δ + (W_f − W_g) b.
    first, terms = k * width * width, 2 * n if layers.changed[k] else n
    multiply(known.f, first, n * TILE, n, m, c, at, into)
    multiply(known.g, 2 * first, 2 * n * TILE, terms, m, c, b, into + m * WIDTH)
    multiply(known.f, first, n * TILE, n, m, c, delta, into + 2 * m * WIDTH)
    return constant


@inner
def _along_lines(c: Float, at: int, n: int, neurons: Float, line: int, bias: int) -> Lanes:
    """Replace coefficients on relu(x) by those on x, and return what is added with the biases.

    Args:
        c: the coefficients.
        at: place of the first.
        n: neurons.
        neurons: see `Known.neurons`.
        line: place of the first neuron's line.
        bias: place of its bias.
    """
    zero = constant = spread(0.0)
    for _ in range(n):
        value = load(c, at)
        up, down = larger(value, zero), smaller(value, zero)
        x = up * number(neurons, line) + down * number(neurons, line + 2)
        # 0 · value: infinity or NaN must not get lost in a comparison.
        total = magnitude(value) * number(neurons, line + 3) + value * 0.0
        total = total + up * number(neurons, line + 1)
        total = total + x * number(neurons, bias) + magnitude(x) * number(neurons, bias + 3)
        constant = constant + total
        store(c, at, x)
        at, line, bias = at + WIDTH, line + RECORD, bias + RECORD
    return constant


@inner
def _along_chosen_lines(part: int, k: int, c: Float, at: int, known: Known, points: Float) -> Lanes:
    """Replace coefficients on relu(x) of layer ``k`` as `_along_lines`, with lower lines of choice.

    Any slope in [0, 1] makes one. That of a row is 1 where the linear lower bound of x is positive
    at the point where the row was greatest before, and else 0: the sign of the gradient of the
    row's bound, with the linear bound in place of x as it is relaxed (α-CROWN: Xu et al., Fast and
    Complete, ICLR 2021).
    """
    neurons, lines, active = known.neurons, known.lines, known.active
    inputs, width, zero, one = points.shape[0], lines.shape[2], spread(0.0), spread(1.0)
    constant = zero
    for m in range(known.counts[k + 1]):
        record = (k * width + m) * RECORD
        line, bias = record + 4 * part, record + 17 + part
        slope = spread(number(neurons, line + 2))
        if neurons[k, m, 4 * part + 1] > 0.0:  # unstable
            i = active[k + 1, m]
            below = (((part * lines.shape[1] + k) * width + i) * 2 + 1) * (inputs + 1)
            height = spread(number(lines, below + inputs))
            for j in range(inputs):
                height = height + number(lines, below + j) * load(points, j * WIDTH)
            slope = where_less(height, zero, one, zero)
        value = load(c, at)
        up, down = larger(value, zero), smaller(value, zero)
        x = up * number(neurons, line) + down * slope
        total = magnitude(value) * number(neurons, line + 3) + value * 0.0
        total = total + up * number(neurons, line + 1)
        total = total + x * number(neurons, bias) + magnitude(x) * number(neurons, bias + 3)
        constant = constant + total
        store(c, at, x)
        at += WIDTH
    return constant


@inner
def _along_planes(c: Float, at: int, n: int, neurons: Float, record: int) -> Lanes:
    """Replace coefficients on relu(a), relu(b), Δ by those on a, b, δ; return what is added."""
    zero, apart = spread(0.0), n * WIDTH
    constant = zero
    for _ in range(n):
        cf, cg, cd = load(c, at), load(c, at + apart), load(c, at + 2 * apart)
        lost = magnitude(cf) * number(neurons, record + 3)
        lost = lost + magnitude(cg) * number(neurons, record + 7) + (cf + cg + cd) * 0.0
        cf, cg, cd = moved(cf, cg, cd)
        f_up, f_down = larger(cf, zero), smaller(cf, zero)
        g_up, g_down = larger(cg, zero), smaller(cg, zero)
        up, down = larger(cd, zero), smaller(cd, zero)
        total = f_up * number(neurons, record + 1) + g_up * number(neurons, record + 5)
        total = total + up * number(neurons, record + 11) + down * number(neurons, record + 15)
        total = total + magnitude(cd) * number(neurons, record + 16)
        a = f_up * number(neurons, record) + f_down * number(neurons, record + 2)
        a = a + up * number(neurons, record + 8) + down * number(neurons, record + 12)
        b = g_up * number(neurons, record + 4) + g_down * number(neurons, record + 6)
        b = b + up * number(neurons, record + 9) + down * number(neurons, record + 13)
        delta = up * number(neurons, record + 10) + down * number(neurons, record + 14)
        lost = lost + magnitude(a) * number(neurons, record + 20)
        lost = lost + magnitude(b) * number(neurons, record + 21)
        lost = lost + magnitude(delta) * number(neurons, record + 22)
        total = total + a * number(neurons, record + 17) + b * number(neurons, record + 18)
        constant = constant + (total + delta * number(neurons, record + 19) + lost)
        store(c, at, a)
        store(c, at + apart, b)
        store(c, at + 2 * apart, delta)
        at, record = at + WIDTH, record + RECORD
    return constant


@inner
def moved(cf: Lanes, cg: Lanes, cd: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Move, where c_f and c_g have opposite signs, the smaller of both into c_δ.

    With the sign of c_f: a − b − δ = 0.
    """
    zero = spread(0.0)
    opposite = zero - cg
    moving = larger(smaller(cf, opposite), zero) + smaller(larger(cf, opposite), zero)
    return cf - moving, cg + moving, cd + moving


@inner
def _biases(c: Float, at: int, n: int, neurons: Float, record: int) -> Lanes:
    """Return c · bias + |c| · error; ``record``: place of the first bias."""
    constant = spread(0.0)
    for _ in range(n):
        value = load(c, at)
        constant = constant + value * number(neurons, record)
        constant = constant + magnitude(value) * number(neurons, record + 3)
        at, record = at + WIDTH, record + RECORD
    return constant


@inner
def concretise(
    c: Float, f: int, other: Float, g: int, box: Float, inputs: int, constant: Lanes
) -> Lanes:
    """Add the maximum of (c_f + c_g) · x over the box, rounding included.

    Args:
        c: where c_f (inputs, 8) is.
        f: its place there.
        other: where c_g is.
        g: its place there.
        box: see `Work.box`.
        inputs: how many.
        constant: added.
    """
    total = spread(0.0)
    for j in range(inputs):
        cf, cg = load(c, f), load(other, g)
        both = cf + cg
        total = total + both * number(box, j) + magnitude(both) * number(box, inputs + j)
        lost = magnitude(cf) + magnitude(cg)
        total = total + lost * number(box, 2 * inputs + j)
        f, g = f + WIDTH, g + WIDTH
    return constant + total
