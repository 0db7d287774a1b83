"""Slopes and planes by gradient: what splitting does for few inputs, this does for many.

Any slope between 0 and 1 makes a valid lower line of relu, and any convex combination of valid
planes is valid. So each row of coefficients, a linear function of the outputs that is to be
bounded, gets relaxations of its own, whose parameters descend along the gradient of its bound
(α-CROWN, Xu et al., ICLR 2021, here with the planes of Δ too). Every iterate is a bound; the best
is kept, so that tuning never loosens one.

The pair is tuned dually and as the product network, where it is α-CROWN on f − g.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.lines import Lines, Plane
from simcert.bounds.relu import difference_planes, facets, gamma_of, lines, relax_together

Relaxations = Mapping[tuple[int, str], Tensor]
"""Relaxations (R, k, size) of each row, by node and by what they relax: "f", "g" or "dual"."""

_RATE = 0.1
_DECAY = 0.96


class Free(Protocol):
    """What descends."""

    @property
    def parameters(self) -> list[Tensor]:
        """Tensors whose first axis are the rows (R, …)."""

    def project(self) -> None:
        """Put the parameters back where they make valid bounds."""


def tune(
    bound: Callable[[], tuple[Tensor, Tensor]], free: Free, steps: int
) -> tuple[Tensor, Tensor]:
    """Return the best slopes (R, inputs) and bounds (R,) that the descent came by.

    Args:
        bound: carries the rows to the input with the parameters as they are.
        free: the parameters.
        steps: how often to bound.
    """
    if not free.parameters:
        return bound()
    optimiser = torch.optim.Adam(free.parameters, lr=_RATE)
    best: tuple[Tensor, Tensor] | None = None
    with torch.enable_grad():
        for _ in range(steps):
            slope, value = bound()
            own = slope.detach(), value.detach()
            if best is None:
                best = own
            else:
                better = own[1] < best[1]
                best = torch.where(better[:, None], own[0], best[0]), torch.fmin(own[1], best[1])
            finite = value[torch.isfinite(value)]
            if not finite.requires_grad:
                break
            optimiser.zero_grad()
            finite.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            free.project()
            for group in optimiser.param_groups:
                group["lr"] *= _DECAY
    assert best is not None  # noqa: S101 - there is at least one step
    return best


class FreeRelaxations:
    """The rectifiers' relaxations with a set of parameters for each row.

    Only neurons that are unstable on some box have parameters.

    Args:
        rectifiers: for each its node, the triple that it reads, and what is relaxed: "f", "g", or
            "dual" where the difference has planes.
        box: the box of each row (R,).
    """

    def __init__(self, rectifiers: Sequence[tuple[int, Triple, str]], box: Tensor) -> None:
        self._box = box
        self._nodes: list[tuple[int, Tensor, dict[str, Tensor], _FreeLines | _FreePair]] = []
        for index, triple, kind in rectifiers:
            networks = [x for x, of in ((triple.a, "f"), (triple.b, "g")) if kind in (of, "dual")]
            unstable = [(known(x).lower < 0) & (known(x).upper > 0) for x in networks]
            columns = torch.stack(unstable).any(0).any(0).nonzero()[:, 0]
            if len(columns) == 0:
                continue
            own = Triple(*(x and Interval(*(end[:, columns] for end in x)) for x in triple))
            factor = gamma_of(known(networks[0]))
            if kind == "dual":
                a, b, delta = (known(x) for x in triple)
                f, g = lines(a), lines(b)
                planes = relax_together(a, b, delta, f, g)
                fixed = {"f": f.packed(), "g": g.packed(), "dual": planes.packed()}
                self._nodes.append((index, columns, fixed, _FreePair(own, box, factor)))
            else:
                x = known(own.a if kind == "f" else own.b)
                fixed = {kind: lines(known(networks[0])).packed()}
                self._nodes.append((index, columns, fixed, _FreeLines(x, box, kind, factor)))

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, (R, …, unstable neurons) each."""
        return [parameter for *_, node in self._nodes for parameter in node.parameters]

    def relaxations(self) -> dict[tuple[int, str], Tensor]:
        """Return the relaxations for the parameters as they are."""
        return {
            (index, kind): fixed[kind][self._box].index_copy(2, columns, value)
            for index, columns, fixed, node in self._nodes
            for kind, value in node.relaxations().items()
        }

    @torch.no_grad()
    def project(self) -> None:
        """Put the parameters back where they make valid relaxations."""
        for parameter in self.parameters:
            parameter.clamp_(0.0, 1.0)


class _FreeLines:
    """One network's rectifier: the slope of the lower line is free where it is unstable."""

    def __init__(self, x: Interval, box: Tensor, kind: str, factor: float) -> None:
        self._kind = kind
        own = lines(x)
        own = own._replace(error=factor * (x.magnitude + own.upper_intercept))
        self._lines = Lines(*(term[box] for term in own))
        self._unstable = ((x.lower < 0) & (x.upper > 0))[box]
        self.slope = self._lines.lower_slope.clone().requires_grad_()
        self.parameters = [self.slope]

    def lines(self) -> Lines:
        """Return the lines of each row, (R, size)."""
        slope = torch.where(self._unstable, self.slope, self._lines.lower_slope)
        return self._lines._replace(lower_slope=slope)

    def relaxations(self) -> dict[str, Tensor]:
        """Return the lines, (R, 5, size)."""
        return {self._kind: self.lines().packed()}


class _FreePair:
    """Both networks' rectifiers: two slopes, and the shares of the planes above and below Δ."""

    def __init__(self, triple: Triple, box: Tensor, factor: float) -> None:
        a, b, delta = (known(interval) for interval in triple)
        self._f, self._g = (_FreeLines(x, box, of, factor) for x, of in ((a, "f"), (b, "g")))
        opposite = Interval(-delta.upper, -delta.lower)
        upper = [*difference_planes(a, b, delta), *facets(a, delta)]
        mirrored = [*difference_planes(b, a, opposite), *facets(b, opposite)]
        lower = [Plane(-p.b, -p.a, p.delta, -p.constant) for p in mirrored]
        # Planes that do not exist somewhere have an infinite constant: no share of them.
        self._upper, self._lower = _stacked(upper), _stacked(lower)
        self._missing = [~torch.isfinite(planes[:, 3]) for planes in (self._upper, self._lower)]
        size = torch.zeros_like(a.lower)
        for planes, missing in zip((self._upper, self._lower), self._missing, strict=True):
            magnitudes = torch.stack([a.magnitude, b.magnitude, delta.magnitude], 1)[:, :, None]
            own = (planes[:, :3].abs() * magnitudes).sum(1) + planes[:, 3].abs()
            size = torch.maximum(size, own.masked_fill(missing, 0.0).amax(1))
        self._error = (factor * size)[box]
        self._box = box
        self.shares = [
            _first_choice(planes, missing, (a, b, delta), sign)[box].requires_grad_()
            for planes, missing, sign in (
                (self._upper, self._missing[0], 1.0),
                (self._lower, self._missing[1], -1.0),
            )
        ]
        self.parameters = [self._f.slope, self._g.slope, *self.shares]

    def relaxations(self) -> dict[str, Tensor]:
        """Return the lines of both, (R, 5, size), and all of the pair, (R, 19, size)."""
        f, g = self._f.lines(), self._g.lines()
        upper, lower = (
            self._mixed(planes, missing, shares)
            for planes, missing, shares in zip(
                (self._upper, self._lower), self._missing, self.shares, strict=True
            )
        )
        pair = torch.cat([torch.stack([*f, *g], 1), upper, lower, self._error[:, None]], 1)
        return {"f": f.packed(), "g": g.packed(), "dual": pair}

    def _mixed(self, planes: Tensor, missing: Tensor, shares: Tensor) -> Tensor:
        """Return the convex combination of the planes of each row's box, (R, 4, size)."""
        own = shares.masked_fill(missing[self._box], 0.0)
        total = own.sum(1, keepdim=True)
        first = torch.zeros_like(own)
        first[:, 0] = 1.0
        share = torch.where(total > 1e-6, own / total.clamp(min=1e-6), first)
        finite = planes.masked_fill(missing[:, None].expand_as(planes), 0.0)
        mixed = torch.einsum("rkn,rckn->rcn", share, finite[self._box])
        # Without any plane there is no bound; NaN ends as such.
        none = missing.all(1)[self._box]
        return torch.where(none[:, None], torch.nan, mixed)


def _stacked(planes: list[Plane]) -> Tensor:
    """Return planes as one tensor (B, 4, planes, size)."""
    return torch.stack([torch.stack(plane, 1) for plane in planes], 2)


def _first_choice(
    planes: Tensor, missing: Tensor, intervals: tuple[Interval, Interval, Interval], sign: float
) -> Tensor:
    """Return the whole share (B, planes, size) for the plane that is best at the centres."""
    centres = torch.stack([(x.lower + x.upper) / 2 for x in intervals], 1)[:, :, None]
    value = (planes[:, :3] * centres).sum(1) + planes[:, 3]
    value = (sign * value).masked_fill(missing, torch.inf)
    choice = value.argmin(1, keepdim=True)
    return torch.zeros_like(value).scatter_(1, choice, 1.0)
