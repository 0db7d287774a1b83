"""Univariate functions: y = f(a), z = g(b) and Δ = f(a) − g(b) on a box.

Alone, y lies between two lines, each the best at the centre of a's interval: the least of
max (f(x) − kx) + k·centre over k is a convex problem, and any k is valid.

Upper planes of Δ (lower planes: exchange the networks and negate):

1. independent: the upper line of f(a) minus the lower line of g(b)
2. a common slope k: kδ + max (f(a) − ka) − min (g(b) − kb)
3. where both are the same function: a line in δ above f(a) − f(b), by the mean value theorem or,
   for a staircase, by counting steps (``Function.difference``)
4. where they are not (a quantiser in one network only): f(a) − g(b) = [f(a) − f(b)] + [f − g](b),
   a line in δ as in 3 plus the gap of the two functions on b's interval, and the same with g and a;
   beside the identity only that function's line, which is δ itself

Every plane bounds Δ's interval. For the linear bound the one with the least value at the interval
centres is taken; beside a quantiser half of what the plane spreads over the intervals counts too:
where b has one code only, a − q(b) loses nothing there, but gives up δ for all of a.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from simcert.bounds.blocks import Blocks
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.lines import Lines, Plane, Planes, along_lines, along_planes
from simcert.bounds.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma
from simcert.functions import DynamicQuantizer, Function, Identity

_SECTIONS = 11
_GOLDEN = (5**0.5 - 1) / 2
_SPREAD = 0.5
"""Beside a quantiser: the share of a plane's spread over the intervals that its choice counts."""

_STEEPEST = 4.0
"""Of the mean slope over an interval: what lines along a function that jumps are tried up to."""


class UnivariateRule:
    """f(x) in one network, over the reals or as a float32 runtime computes it."""

    def __init__(self, function: Function, *, float32: bool = False) -> None:
        self.function = function
        self.float32 = float32

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Tensor]:
        """Return the interval of f and the packed lines around it."""
        x, shift, error = self.argument(operands[0])
        low, high = self.function.residual(*x, torch.zeros_like(x.lower))
        interval = Interval(low - error, high + error).without_nan()
        return interval, _lines(self.function, x, shift, error).packed()

    def unsettled(self, x: Interval) -> Tensor:
        """Return where f is not a line."""
        return self.function.unsettled(*x)

    def backward(
        self, c: Tensor, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Tensor]:
        """Take the upper line for positive and the lower line for negative coefficients."""
        if isinstance(self.function, Identity):
            return [c]
        return [along_lines(c, relaxation, box, constant)]

    def argument(self, x: Interval) -> tuple[Interval, Tensor, Tensor]:
        """Return where f is taken, and by how much argument and result may be off."""
        zero = torch.zeros_like(x.lower)
        if not self.float32:
            return x, zero, zero
        shift, error = self.function.roundoff(*x)
        return Interval(x.lower - shift, x.upper + shift).without_nan(), shift, error


class UnivariateDualRule:
    """f(a) and g(b), of the same or of two different functions."""

    def __init__(self, f: UnivariateRule, g: UnivariateRule, *, same: bool = False) -> None:
        """Prepare a pair; ``same`` says that one runtime computes both in one way."""
        self.f, self.g, self.same = f, g, same
        self.alike = f.function == g.function

    def forward(self, operands: Sequence[Triple], f: Tensor, g: Tensor) -> tuple[Interval, Tensor]:
        """Return the interval of Δ and the packed planes, given the packed lines."""
        f_lines, g_lines = Lines.unpacked(f), Lines.unpacked(g)
        a, b, delta = (known(interval) for interval in operands[0])
        a, a_shift, a_error = self.f.argument(a)
        b, b_shift, b_error = self.g.argument(b)
        if not self.same:
            delta = Interval(delta.lower - a_shift - b_shift, delta.upper + a_shift + b_shift)
        null = (delta.lower >= 0) & (delta.upper <= 0) & self.alike
        if isinstance(self.f.function, DynamicQuantizer):
            # One scale for all elements: they are equal only where all that is read is.
            null = null.all(-1, keepdim=True).expand_as(null)
        negated = Interval(-delta.upper, -delta.lower)
        above = _planes(self.f.function, self.g.function, a, b, delta, f_lines, g_lines)
        below = _planes(self.g.function, self.f.function, b, a, negated, g_lines, f_lines)
        below = [Plane(-p.b, -p.a, p.delta, -p.constant) for p in below]

        def off(plane: Plane) -> Tensor:
            """Return the rounding of a plane, of the analysis and of the runtime."""
            sizes = [weight.abs() for weight in plane]
            size = sizes[3]
            for weight, interval in zip(sizes, (a, b, delta), strict=False):
                size = size + weight * interval.magnitude
            error = gamma(2 * a.lower.shape[1] + 64) * torch.nan_to_num(size, nan=torch.inf)
            if self.same:
                return error
            moved = (sizes[0] + sizes[2]) * a_shift + (sizes[1] + sizes[2]) * b_shift
            return error + moved + a_error + b_error

        # Each plane bounds Δ; for a linear bound one is chosen.
        top = torch.stack([_extreme(p, a, b, delta, 1.0) + off(p) for p in above])
        bottom = torch.stack([_extreme(p, a, b, delta, -1.0) - off(p) for p in below])
        top = torch.where(torch.isnan(top), torch.inf, top).amin(0)
        bottom = torch.where(torch.isnan(bottom), -torch.inf, bottom).amax(0)
        zero = torch.zeros_like(a.lower)
        nothing = zero if self.same else a_error + b_error
        interval = Interval(torch.where(null, -nothing, bottom), torch.where(null, nothing, top))
        spread = 0.0 if self.alike else _SPREAD
        upper = _least(above, (a, b, delta), spread)
        lower = _least([Plane(*(-x for x in p)) for p in below], (a, b, delta), spread)
        lower = Plane(*(-x for x in lower))
        upper = Plane(*(torch.where(null, zero, term) for term in upper))
        lower = Plane(*(torch.where(null, zero, term) for term in lower))
        error = torch.maximum(off(upper), off(lower))
        planes = Planes(f_lines, g_lines, upper, lower, error)
        return interval.without_nan(), planes.packed()

    def unsettled(self, operand: Triple) -> Tensor:
        """No plane needs δ's bounds where one function is the identity: the line in δ is exact."""
        a, b, delta = (known(interval) for interval in operand)
        if Identity() in (self.f.function, self.g.function):
            return torch.zeros_like(delta.lower, dtype=torch.bool)
        either = self.f.unsettled(a) | self.g.unsettled(b)
        return either & (delta.lower < delta.upper)

    def backward(
        self, blocks: Blocks, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Blocks]:
        """Move opposite coefficients into c_Δ, then replace the functions by lines and planes."""
        return [along_planes(blocks, relaxation, box, constant)]


def _lines(function: Function, x: Interval, shift: Tensor, error: Tensor) -> Lines:
    """Return the lines that are best at the centre."""
    centre = (x.lower + x.upper) / 2
    low, high = function.slopes(*x)
    least, greatest = function.residual(*x, torch.zeros_like(centre))
    steepest = _STEEPEST * (greatest - least) / (x.upper - x.lower)
    steepest = torch.nan_to_num(steepest, nan=0.0, posinf=0.0)
    low = torch.where(torch.isfinite(low), low, -steepest)
    high = torch.where(torch.isfinite(high), high, steepest)

    def above(slope: Tensor) -> Tensor:
        return function.residual(*x, slope)[1] + slope * centre

    def below(slope: Tensor) -> Tensor:
        return -function.residual(*x, slope)[0] - slope * centre

    ends = function.value(x.upper) - function.value(x.lower)
    chord = torch.nan_to_num(ends / (x.upper - x.lower), nan=0.0, posinf=0.0, neginf=0.0)
    finite = torch.isfinite(x.lower) & torch.isfinite(x.upper)
    upper_slope = torch.where(finite, _best(above, low, high, chord), 0.0)
    lower_slope = torch.where(finite, _best(below, low, high, chord), 0.0)
    upper = function.residual(*x, upper_slope)[1]
    lower = function.residual(*x, lower_slope)[0]
    steep = torch.maximum(upper_slope.abs(), lower_slope.abs())
    intercept = torch.maximum(upper.abs(), lower.abs())
    # 0 · ∞ is 0 here: a line with slope 0 holds everywhere.
    tilted = torch.where(steep == 0, 0.0, steep * x.magnitude)
    rounding = gamma(2 * centre.shape[1] + 64) * (tilted + intercept)
    rounding = torch.nan_to_num(rounding, nan=torch.inf) + steep * shift + error
    return Lines(upper_slope, upper, lower_slope, lower, rounding)


def _best(
    objective: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, chord: Tensor
) -> Tensor:
    """Return about where a convex function is least on [low, high], by golden sections.

    The chord is tried too: it is the best where f is convex.
    """
    reach = _GOLDEN * (high - low)
    points = high - reach, low + reach
    values = [objective(point) for point in points]
    for _ in range(_SECTIONS):
        falling = values[0] > values[1]
        low, high = torch.where(falling, points[0], low), torch.where(falling, high, points[1])
        reach = _GOLDEN * (high - low)
        # One of the two new points is an old one.
        points = high - reach, low + reach
        value = objective(torch.where(falling, points[1], points[0]))
        values = [
            torch.where(falling, values[1], value),
            torch.where(falling, value, values[0]),
        ]
    best = torch.where(values[0] > values[1], points[1], points[0])
    best = torch.where(objective(chord) <= torch.minimum(*values), chord, best)
    return torch.nan_to_num(best, nan=0.0, posinf=0.0, neginf=0.0)


def _planes(
    f: Function,
    g: Function,
    a: Interval,
    b: Interval,
    delta: Interval,
    f_lines: Lines,
    g_lines: Lines,
) -> list[Plane]:
    """Return upper planes of f(a) − g(b)."""
    zero = torch.zeros_like(a.lower)
    candidates = [
        Plane(
            f_lines.upper_slope,
            -g_lines.lower_slope,
            zero,
            f_lines.upper_intercept - g_lines.lower_intercept,
        )
    ]
    for slope in (f_lines.upper_slope, g_lines.lower_slope):
        constant = f.residual(*a, slope)[1] - g.residual(*b, slope)[0]
        candidates.append(Plane(zero, zero, slope, constant))
    hull = torch.minimum(a.lower, b.lower), torch.maximum(a.upper, b.upper)
    if f == g:
        return [*candidates, Plane(zero, zero, *f.difference(*hull, *delta))]
    for function, x in ((f, b), (g, a)):
        # Beside the identity, whose line in δ is exact, a quantiser's says nothing more.
        if function == Identity() or Identity() not in (f, g):
            slope, intercept = function.difference(*hull, *delta)
            candidates.append(Plane(zero, zero, slope, intercept + gap(f, g, x)))
    return candidates


def gap(f: Function, g: Function, x: Interval) -> Tensor:
    """Bound f − g on an interval from above, on either side of 0 by itself.

    Both functions are taken less a line along f, so that only their distance is left. A dynamic
    quantiser reads the range of the whole tensor, of which one side shows a part only.
    """
    greatest = torch.full_like(x.lower, -torch.inf)
    sides = [
        Interval(x.lower.clamp(max=0), x.upper.clamp(max=0)),
        Interval(x.lower.clamp(min=0), x.upper.clamp(min=0)),
    ]
    for side in [x] if DynamicQuantizer() in (f, g) else sides:
        ends = [f.value(side.lower), f.value(side.upper)]
        slope = torch.nan_to_num((ends[1] - ends[0]) / (side.upper - side.lower), nan=0.0)
        slope = torch.nan_to_num(slope, posinf=0.0, neginf=0.0)
        own = f.residual(*side, slope)[1] - g.residual(*side, slope)[0]
        greatest = torch.maximum(greatest, torch.nan_to_num(own, nan=torch.inf))
    return greatest + greatest.abs() * (4 * UNIT_ROUNDOFF) + UNDERFLOW


def _least(candidates: Iterable[Plane], intervals: Sequence[Interval], spread: float) -> Plane:
    """Return the plane with the least value at the centres of a, b and δ, element by element.

    ``spread`` is the share that counts of how much greater it is elsewhere.
    """
    centres = [(x.lower + x.upper) / 2 for x in intervals]
    best, value = None, None
    for plane in candidates:
        own = plane.constant + sum(c * m for c, m in zip(plane[:3], centres, strict=True))
        if spread:
            a, b, delta = intervals
            own = own + spread * (_extreme(plane, a, b, delta, 1.0) - own)
        own = torch.nan_to_num(own, nan=torch.inf)
        if best is None or value is None:
            best, value = plane, own
            continue
        better = own < value
        best = Plane(*(torch.where(better, x, y) for x, y in zip(plane, best, strict=True)))
        value = torch.where(better, own, value)
    assert best is not None  # noqa: S101 - for the type checker
    return best


def _extreme(plane: Plane, a: Interval, b: Interval, delta: Interval, sign: float) -> Tensor:
    """Return the greatest (sign 1) or the least (sign −1) value of a plane."""
    total = plane.constant
    for weight, x in zip(plane[:3], (a, b, delta), strict=True):
        ends = weight * x.lower, weight * x.upper
        # 0 · ∞ is 0 here: where the plane does not depend on x, x does not matter.
        ends_or_zero = [torch.where(weight == 0, 0.0, end) for end in ends]
        total = total + (torch.maximum if sign > 0 else torch.minimum)(*ends_or_zero)
    return total
