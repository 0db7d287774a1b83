"""One box after the other: from its intervals to the bounds of the wanted functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simcert.bounds.dense.compiling import SOURCES, inner, outer
from simcert.bounds.dense.gaps import attribute, share_out
from simcert.bounds.dense.inheritance import Float32, inherit, pass_on
from simcert.bounds.dense.intervals import (
    WIDEN,
    activate,
    forget,
    forward,
    meet_difference,
    meet_sums,
    overflows,
)
from simcert.bounds.dense.lanes import WIDTH, Lanes, gather, load, spread, store
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.products import pack
from simcert.bounds.dense.relaxing import relax
from simcert.bounds.dense.room import Float, Known, Work
from simcert.bounds.dense.substitution import alone, concretise, through_layer, together
from simcert.bounds.rounding import SMALLEST, UNIT_ROUNDOFF

_ALIKE = 1.05
"""How much wider than a the interval of b may be, to be left as it is."""


def _compiled_from(sources: str) -> Callable[..., None]:
    """Return the outermost loop, which numba's cache keeps for these ``sources`` only."""

    @outer
    def bound_boxes(
        layers: Layers,
        functions: Float,
        panels: Float,
        equal: bool,
        tuned: bool,
        boxes: Float,
        inherited: Float32,
        known: Known,
        work: Work,
        bounds: Float,
        slopes: Float,
    ) -> None:
        """Bound boxes one after the other.

        Args:
            layers: the pair.
            functions: (3, S, N) coefficients on f, g and f − g at the outputs.
            panels: see :func:`panels_of`.
            equal: whether the networks are the same and only differences are asked for.
            tuned: whether rows of one network are carried again with lines of their choice.
            boxes: (B, 2, inputs).
            inherited: (B, 6, neurons), read and overwritten.
            known: for what is learned of the layers.
            work: for rows of coefficients.
            bounds: (B, 4, S), the maxima of the functions and of their negatives; then those of
                the linear bounds alone.
            slopes: (B, 4, S, inputs), the linear bounds behind them, and what relaxations add to
                each, by input.
        """
        _ = sources
        before, after = work.before, work.after
        for b in range(len(boxes)):
            before[:], after[:] = 0.0, 0.0
            _enter(boxes[b], known, work)
            used, underflow = 0, 0.0
            for k in range(layers.relus.shape[0]):
                size = layers.sizes[k + 1]
                underflow += forward(layers, k, known, work)
                if layers.float32 and (np.isinf(underflow) or overflows(after, size)):
                    underflow = np.inf  # no linear bound either
                    forget(after, size)
                if layers.refined[k]:
                    own = inherited[b, :, used : used + size]
                    inherit(own, work.passed, after)
                if layers.relus[k] and not equal:
                    _refine_layer(layers, k, known, work, underflow, tuned)
                if layers.refined[k]:
                    own = inherited[b, :, used : used + size]
                    pass_on(after, work.passed, own)
                    used += size
                relax(layers, k, known, work)
                share_out(layers, k, known, work)
                pack(layers, k, known)
                activate(after, before, size, layers.relus[k])
            _bound_functions(
                layers, functions, panels, known, work, underflow, bounds[b], slopes[b]
            )

    return bound_boxes


bound_boxes = _compiled_from(SOURCES.hexdigest())


@inner
def _enter(box: Float, known: Known, work: Work) -> None:
    """Write the box (2, inputs): as the first layer's operands, and for what ends there."""
    inputs, before = box.shape[1], work.before
    factor = (8 * inputs + 64) * UNIT_ROUNDOFF * 1.01
    for j in range(inputs):
        lower, upper = box[0, j], box[1, j]
        before[0, j] = before[1, j] = lower
        before[3, j] = before[4, j] = upper
        known.active[0, j] = j
        middle = (lower + upper) / 2
        work.box[0, j] = middle
        work.box[1, j] = max(upper - middle, middle - lower) * (1 + WIDEN)
        work.box[2, j] = factor * max(abs(lower), abs(upper))
    known.counts[0] = inputs


@inner
def _refine_layer(
    layers: Layers, k: int, known: Known, work: Work, underflow: float, tuned: bool
) -> None:
    """Bound symbolically what intervals leave unstable, as :meth:`Propagator._refine`.

    With ``tuned``, a and b are bounded a second time. Where the difference is known to be small,
    what bounds a bounds b, and b's own bounds would say no more.
    """
    size, bounds = layers.sizes[k + 1], work.after
    for stage in range(5):
        part, again = stage // 2, stage % 2 == 1
        if again and not tuned:
            continue
        if not layers.refined[k] and (again or part == 2 or not tuned):
            continue  # intervals are exact, only the lines are of use
        if part == 2:
            meet_difference(bounds, size)
        elif part == 1 and tuned and not again:
            meet_sums(bounds, size)
            known.lines[1, k] = known.lines[0, k]
        count = 0
        for i in range(size):
            if _is_unsettled(bounds, part, i) and not (tuned and part == 1 and _follows(bounds, i)):
                work.wanted[count] = i
                count += 1
        if count > 0:
            _refine(layers, k, part, count, known, work, underflow, again)
    if layers.refined[k]:
        meet_sums(bounds, size)


@inner
def _follows(bounds: Float, i: int) -> bool:
    """Whether both networks' neuron ``i`` is unstable, with b hardly wider than a."""
    a, b = bounds[3, i] - bounds[0, i], bounds[4, i] - bounds[1, i]
    return bool(bounds[0, i] < 0 and bounds[3, i] > 0 and b <= _ALIKE * a)


@inner
def _is_unsettled(bounds: Float, part: int, i: int) -> bool:
    """Whether a plane of neuron ``i`` reads its bounds of a, b or δ."""
    if part < 2:
        return bool(bounds[part, i] < 0 and bounds[3 + part, i] > 0)
    active = bounds[0, i] >= 0 and bounds[1, i] >= 0
    inactive = bounds[3, i] <= 0 and bounds[4, i] <= 0
    return not (active or inactive or bounds[2, i] >= bounds[5, i])


@inner
def _refine(
    layers: Layers,
    k: int,
    part: int,
    count: int,
    known: Known,
    work: Work,
    underflow: float,
    again: bool,
) -> None:
    """Intersect a, b or δ (``part``) of the wanted neurons of layer ``k`` with symbolic bounds.

    ``again``: with lower lines for each row by where it was greatest the first time.
    """
    wanted, signs, maxima = work.wanted, work.signs, work.maxima
    for row in range(count):
        wanted[count + row] = wanted[row]
        signs[row], signs[count + row] = 1.0, -1.0
    for row in range(2 * count, 2 * count + WIDTH):
        wanted[row], signs[row] = wanted[0], 0.0
    width, biases, errors = layers.weights.shape[2], layers.biases, known.errors
    c, inputs = work.coefficients, layers.sizes[0]
    for row in range(0, 2 * count, WIDTH):
        sign = load(signs, row)
        bias = gather(biases, (part * biases.shape[1] + k) * width, wanted, row)
        constant = sign * bias + gather(errors, (k * 3 + part) * width, wanted, row) + underflow
        _pick(layers, k, part, row, known, work)
        if part < 2:
            if again:
                _aim(part, k, row, known, work)
            constant, at = alone(layers, part, k - 1, known, work, constant, again)
            for j in range(inputs):
                store(c, at + (inputs + j) * WIDTH, spread(0.0))
        else:
            constant, at = together(layers, k - 1, known, work, constant)
        store(maxima, len(maxima) // 2 + row, constant)
        maximum = concretise(c, at, c, at + inputs * WIDTH, work.box, inputs, constant)
        store(maxima, row, maximum)
        if part < 2:
            _keep_lines(part, k, row, at, again, known, work)
    for row in range(count):
        lower, upper = -_finite(maxima[count + row]), _finite(maxima[row])
        _narrow(work.after, part, wanted[row], lower, upper)


@inner
def _keep_lines(
    part: int, k: int, row: int, at: int, again: bool, known: Known, work: Work
) -> None:
    """Remember the linear bounds that a panel has become; ``again``: where they are better."""
    c, lines, maxima, bounds = work.coefficients, known.lines, work.maxima, work.after
    inputs, constants = work.points.shape[0], len(maxima) // 2 + row
    for lane in range(WIDTH):
        i, sign = work.wanted[row + lane], work.signs[row + lane]
        if sign == 0.0:
            break
        side = 0 if sign > 0 else 1
        best = bounds[3 + part, i] if sign > 0 else -bounds[part, i]
        if again and not maxima[row + lane] < best:
            continue
        for j in range(inputs):
            lines[part, k, i, side, j] = c[at + j * WIDTH + lane]
        lines[part, k, i, side, inputs] = maxima[constants + lane]


@inner
def _aim(part: int, k: int, row: int, known: Known, work: Work) -> None:
    """Write for each row of a panel where on the box its linear bound is greatest."""
    points, box, inputs = work.points, work.box, work.points.shape[0]
    for lane in range(WIDTH):
        i, side = work.wanted[row + lane], 0 if work.signs[row + lane] > 0 else 1
        for j in range(inputs):
            towards = box[1, j] if known.lines[part, k, i, side, j] > 0 else -box[1, j]
            points[j, lane] = box[0, j] + towards


@inner
def _narrow(bounds: Float, part: int, i: int, lower: float, upper: float) -> None:
    """Intersect the interval of a, b or δ (``part``) of one neuron, unless that is empty."""
    low, high = max(lower, bounds[part, i]), min(upper, bounds[3 + part, i])
    if low <= high:
        bounds[part, i], bounds[3 + part, i] = low, high


@inner
def _finite(maximum: float) -> float:
    """Return the number; a sum that overflowed, to −∞ too, is no bound."""
    return maximum if np.isfinite(maximum) else np.inf


@inner
def _pick(layers: Layers, k: int, part: int, row: int, known: Known, work: Work) -> None:
    """Write a panel of wanted neurons of layer ``k``, as functions of what the layer reads."""
    c, columns, m = work.coefficients, layers.columns, known.counts[k]
    width, sign = columns.shape[3], load(work.signs, row)
    for n in range(m):
        start, at = (k * width + known.active[k, n]) * 3 * width, n * WIDTH
        if part < 2:
            store(c, at, sign * gather(columns, start + part * width, work.wanted, row))
        else:
            store(c, at, spread(0.0))
            at += m * WIDTH
            store(c, at, sign * gather(columns, start + 2 * width, work.wanted, row))
            at += m * WIDTH
            store(c, at, sign * gather(columns, start, work.wanted, row))


@inner
def _bound_functions(
    layers: Layers,
    functions: Float,
    panels: Float,
    known: Known,
    work: Work,
    underflow: float,
    bounds: Float,
    slopes: Float,
) -> None:
    """Bound the wanted functions dually, on the product network, and by the outputs' intervals."""
    last, inputs, count = layers.relus.shape[0] - 1, layers.sizes[0], functions.shape[1]
    size, step = layers.sizes[last + 1], panels.shape[2] * WIDTH
    c, maxima, kept = work.coefficients, work.maxima, work.kept
    for panel in range(len(panels)):
        first, row = panel * 5 * step, panel * WIDTH
        for part in range(3):
            _copy(panels, first + part * step, size, c, part * size * WIDTH)
        constant, f = _dually(layers, known, work, spread(underflow))
        g = f + inputs * WIDTH
        store(maxima, row, concretise(c, f, c, g, work.box, inputs, constant))
        for j in range(inputs):
            place = j * len(panels) * WIDTH + row
            store(work.slopes, place, load(c, f + j * WIDTH) + load(c, g + j * WIDTH))
            store(work.gaps, place, load(work.gap, j * WIDTH))
        # The product network: c_δ (f − g) is c_δ f − c_δ g.
        _copy(panels, first + 3 * step, size, c, 0)
        constant, f = alone(layers, 0, last, known, work, spread(underflow), False)
        _copy(c, f, inputs, kept, 0)
        _copy(panels, first + 4 * step, size, c, 0)
        constant, g = alone(layers, 1, last, known, work, constant, False)
        own = concretise(kept, 0, c, g, work.box, inputs, constant)
        store(maxima, len(panels) * WIDTH + row, own)
    for side in range(2):
        for row in range(count):
            at = side * count + row
            linear, own = _finite(maxima[at]), _finite(maxima[len(panels) * WIDTH + at])
            bounds[side, row], bounds[2 + side, row] = min(linear, own), linear
            for j in range(inputs):
                place = j * len(panels) * WIDTH + at
                slopes[side, row, j] = work.slopes[place]
                slopes[2 + side, row, j] = work.gaps[place]
    _bound_plainly(functions, work.before, bounds)


@inner
def _dually(layers: Layers, known: Known, work: Work, constant: Lanes) -> tuple[Lanes, int]:
    """Carry a panel of the wanted functions to the input, as `together`, and write ``work.gap``."""
    work.gap[:] = 0.0
    at, into = 0, len(work.coefficients) // 2
    for k in range(layers.relus.shape[0] - 1, -1, -1):
        if layers.relus[k]:
            attribute(k, at, known, work)
        constant = constant + through_layer(layers, k, known, work, at, into)
        at, into = into, at
    return constant, at


@inner
def _copy(source: Float, at: int, count: int, target: Float, into: int) -> None:
    """Copy so many times eight numbers."""
    for n in range(count):
        store(target, into + n * WIDTH, load(source, at + n * WIDTH))


@inner
def _any(values: Float) -> bool:
    """Whether a value is not zero."""
    for value in values:  # noqa: SIM110 - numba compiles no generators
        if value != 0.0:
            return True
    return False


@inner
def _bound_plainly(functions: Float, outputs: Float, bounds: Float) -> None:
    """Bound functions of the outputs by their intervals (6, N), as ``_plain_rows`` does."""
    width = functions.shape[2]
    same = not (_any(outputs[2]) or _any(outputs[5]))
    for row in range(functions.shape[1]):
        if same and not (_any(functions[0, row]) or _any(functions[1, row])):
            bounds[0, row] = min(bounds[0, row], 0.0)
            bounds[1, row] = min(bounds[1, row], 0.0)
            continue
        centre = radius = magnitude = 0.0
        for part in range(3):
            for i in range(width):
                c = functions[part, row, i]
                if c != 0.0:
                    lower, upper = outputs[part, i], outputs[3 + part, i]
                    middle = (lower + upper) / 2
                    half = max(upper - middle, middle - lower) * (1 + WIDEN)
                    centre += c * middle
                    radius += abs(c) * half
                    magnitude += abs(c) * (abs(middle) + half)
        error = (12 * width + 64) * (UNIT_ROUNDOFF * 1.01 * magnitude + SMALLEST)
        radius += 2 * error
        if np.isfinite(centre) and np.isfinite(radius):
            bounds[0, row] = min(bounds[0, row], centre + radius)
            bounds[1, row] = min(bounds[1, row], radius - centre)
