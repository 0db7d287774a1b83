"""The rectifier: linear relaxations of y = relu(a), z = relu(b) and Δ = relu(a) − relu(b) on a box.

Upper planes of Δ, with ``chord(l, u)`` the upper line of relu on [l, u]; lower planes are upper
planes with a and b exchanged, negated:

1. independent: chord_a(a) − α b with α in {0, 1}
2. difference:  chord of max(0, δ) on [l_δ, u_δ]
3. δ + chord of relu(−a), since relu(b) ≥ b
4. where a ≥ 0: δ + β b with β in {0, 1}

Plane 2 is the differential bound of ReluDiff (Paulsen, Wang and Wang, ICSE 2020) and NeuroDiff (ASE
2020) as a line; plane 1 is CROWN's (Zhang et al., NeurIPS 2018) on the product network; 3 and 4
keep δ where one network is linear. The plane with the least value at the interval centres is
taken, so that the result is exact where both neurons are stable.

Since Δ ≤ max(0, u_δ), the chord of plane 1 with α = 0 may end at min(u_a, u_δ), and since Δ − δ =
relu(−a) − relu(−b) ≤ max(0, −l_δ), that of plane 3 at min(−l_a, −l_δ). These are facets of the
convex hull of close neurons. At the centres plane 2 is nearly always below them: mixtures gain.

Where activations are quantised, b carries roundings that a does not: δ is often as wide as b, and
planes 1 to 3 tie at the centres. There a part of what a plane spreads over the intervals counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simcert.bounds.blocks import Blocks
from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.lines import Lines, Plane, Planes, along_lines, along_planes
from simcert.bounds.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma

_SLACK = 1 + 8 * UNIT_ROUNDOFF
TIE = 1e-12
"""Planes closer than this, relative to the neurons, are alike; the first one is kept.

Where nothing is known of δ but a − b, planes 1 and 3 tie at the centres up to rounding."""

SPREAD = 0.25
"""In pairs with quantised activations: the share of a plane's spread that its choice counts."""


def chord(x: Interval) -> tuple[Tensor, Tensor]:
    """Return slope and intercept of the upper line of relu on each interval.

    The intercept is rounded up until the line lies above relu at both ends, which is enough for a
    convex function. Slope 1 for l ≥ 0, slope 0 for u ≤ 0; where the interval is unbounded the
    intercept is infinite.
    """
    lower, upper = x
    unstable = (lower < 0) & (upper > 0)
    slope = torch.where(unstable, upper / (upper - lower), (lower >= 0).to(upper.dtype))
    slope = torch.nan_to_num(slope, nan=1.0)
    ends = torch.maximum(-slope * lower, upper - slope * upper)
    # u − slope u cancels: its rounding error is relative to u, not to the result.
    raised = ends * _SLACK + (4 * UNIT_ROUNDOFF) * upper + UNDERFLOW
    intercept = torch.where(unstable, raised, torch.zeros_like(ends))
    return slope, torch.nan_to_num(intercept, nan=float("inf"), posinf=float("inf"))


def gamma_of(x: Interval) -> float:
    """Return γ for sums over the elements of a layer; see :mod:`..affine`."""
    return gamma(2 * x.lower.shape[1] + 64)


def lines(x: Interval) -> Lines:
    """Return the lines around relu; the lower slope is CROWN's (the smaller area)."""
    slope, intercept = chord(x)
    lower_slope = (x.upper > -x.lower).to(slope.dtype)
    error = gamma_of(x) * (x.magnitude + intercept)
    return Lines(slope, intercept, lower_slope, torch.zeros_like(slope), error)


def facets(a: Interval, delta: Interval) -> list[Plane]:
    """Return planes 1 with α = 0 and 3, with the ends that δ allows for their chords."""
    zero, one = torch.zeros_like(a.lower), torch.ones_like(a.lower)
    slope, intercept = chord(Interval(a.lower, torch.minimum(a.upper, delta.upper)))
    off, raised = chord(Interval(-a.upper, torch.minimum(-a.lower, -delta.lower)))
    return [Plane(slope, zero, zero, intercept), Plane(-off, zero, one, raised)]


def difference_planes(a: Interval, b: Interval, delta: Interval) -> list[Plane]:
    """Return all upper planes of relu(a) − relu(b); a constant is infinite where there is none.

    Where b is unstable both lower lines of relu(b) are offered, and where a ≥ 0 both of −relu(b).
    """
    zero, one = torch.zeros_like(a.lower), torch.ones_like(a.lower)
    infinite = torch.full_like(zero, torch.inf)
    (a_slope, a_intercept), (d_slope, d_intercept) = chord(a), chord(delta)
    # Equal pre-activations, or two inactive neurons: exactly 0, without rounding terms.
    null = (delta.upper <= 0) & (delta.lower >= 0) | (a.upper <= 0) & (b.upper <= 0)
    planes = [
        Plane(zero, zero, d_slope, d_intercept),
        *(
            Plane(a_slope, -torch.where(allowed, slope * one, zero), zero, a_intercept)
            for slope, allowed in ((0.0, b.lower < 0), (1.0, b.upper > 0))
        ),
        # relu(−a) = relu(a) − a, so its chord has the slope of relu's minus one.
        Plane(a_slope - 1, zero, one, a_intercept),
        *(
            Plane(zero, beta * one, one, torch.where(a.lower >= 0, zero, infinite))
            for beta in (0.0, 1.0)
        ),
    ]
    exact = [Plane(*(torch.where(null, zero, term) for term in planes[0]))]
    return exact + [
        p._replace(constant=torch.where(null, infinite, p.constant)) for p in planes[1:]
    ]


def difference_plane(a: Interval, b: Interval, delta: Interval, spread: float = 0.0) -> Plane:
    """Return the upper plane of relu(a) − relu(b) that is least at the centres.

    ``spread`` is the share that counts of how much greater it is elsewhere.
    """
    middles = [((x.lower + x.upper) / 2, spread * (x.upper - x.lower) / 2) for x in (a, b, delta)]
    margin = TIE * (a.magnitude + b.magnitude)

    def value_of(plane: Plane) -> Tensor:
        own = plane.constant
        for c, (centre, part) in zip(plane[:3], middles, strict=True):
            own = own + (c * centre + c.abs() * part if spread else c * centre)
        return own

    best, *others = difference_planes(a, b, delta)
    value = value_of(best)
    for plane in others:
        own = value_of(plane)
        better = own < value - margin
        best = Plane(*(torch.where(better, new, old) for new, old in zip(plane, best, strict=True)))
        value = torch.where(better, own, value)
    return best


def relax_together(
    a: Interval, b: Interval, delta: Interval, f: Lines, g: Lines, spread: float = 0.0
) -> Planes:
    """Return all lines and planes of an aligned node, given the lines around relu(a), relu(b)."""
    upper = difference_plane(a, b, delta, spread)
    mirrored = difference_plane(b, a, Interval(-delta.upper, -delta.lower), spread)
    lower = Plane(-mirrored.b, -mirrored.a, mirrored.delta, -mirrored.constant)
    # Rounding is relative to the absolute terms of the plane that is used, of the greater one here.
    weight_a, weight_b, weight_delta, constant = (
        torch.maximum(x.abs(), y.abs()) for x, y in zip(upper, lower, strict=True)
    )
    size = weight_a * a.magnitude + weight_b * b.magnitude + weight_delta * delta.magnitude
    return Planes(f, g, upper, lower, gamma_of(a) * (size + constant))


class ReluRule:
    """max(x, 0) in one network."""

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Tensor]:
        """Return the interval and the lines."""
        (x,) = operands
        return Interval(x.lower.clamp(min=0), x.upper.clamp(min=0)), lines(x).packed()

    def unsettled(self, x: Interval) -> Tensor:
        """Return where the interval crosses 0."""
        return (x.lower < 0) & (x.upper > 0)

    def backward(
        self, c: Tensor, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Tensor]:
        """Take the upper line for positive and the lower line for negative coefficients."""
        return [along_lines(c, relaxation, box, constant)]


class ReluDualRule:
    """max(x, 0) in both networks; ``spread`` is that of :func:`difference_plane`."""

    def __init__(self, spread: float = 0.0) -> None:
        self._spread = spread

    def forward(self, operands: Sequence[Triple], f: Tensor, g: Tensor) -> tuple[Interval, Tensor]:
        """Return the interval of Δ, between min(0, δ) and max(0, δ), and the planes."""
        a, b, delta = (known(interval) for interval in operands[0])
        interval = Interval(delta.lower.clamp(max=0), delta.upper.clamp(min=0))
        own = Lines.unpacked(f), Lines.unpacked(g)
        planes = relax_together(a, b, delta, *own, self._spread)
        return interval, planes.packed()

    def unsettled(self, operand: Triple) -> Tensor:
        """No plane reads δ where both neurons are active (Δ = δ) or both inactive (Δ = 0)."""
        a, b, delta = (known(interval) for interval in operand)
        settled = (a.lower >= 0) & (b.lower >= 0) | (a.upper <= 0) & (b.upper <= 0)
        return ~settled & (delta.lower < delta.upper)

    def backward(
        self, blocks: Blocks, relaxation: Tensor, box: Tensor, constant: Tensor
    ) -> list[Blocks]:
        """Move opposite coefficients into c_Δ, then replace relu by lines and planes."""
        return [along_planes(blocks, relaxation, box, constant)]
