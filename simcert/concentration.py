"""Layer-wise concentration: d ≤ D but for a probability η over the inputs, with certainty.

Nothing is drawn. For inputs with many independent coordinates, such as images with noise, this is
what splitting the region cannot give: a bound far below the worst case that all but a share η of
the region keeps. How it is made is in :mod:`simcert.bounds.concentration`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from simcert.bounds import OutOfTimeError
from simcert.bounds.concentration import ConcentratedPropagator, Fall, Spent
from simcert.claim import Claim
from simcert.claim.distributions import Distribution, Float, TruncatedNormal, Uniform
from simcert.errors import ClaimError
from simcert.integration.laws import law_of
from simcert.integration.quantile import QUANTILES, depth
from simcert.integration.rounding import SLACK
from simcert.numerals import exact, exact_list
from simcert.pairing import DualNode, DualProgram

MANY = 16
"""A region with more inputs than this is not narrowed by splitting them."""

LEAST = 1e-200
"""The smallest η: its shares are still normal numbers."""

_HALVINGS = 8

_BELOW = 1.0 - 2.0**-36
"""Weights of boxes sum to 1 up to 1e-12; what a mixture spends stays below η all the same."""


_TENSORS = {"f": "original", "g": "compressed", "delta": "difference", "outputs": "outputs"}


@dataclass(frozen=True)
class Share:
    """What the intervals of one layer cost.

    Attributes:
        layer: its label in the original, or in the compressed network where that alone has it.
        tensor: "original", "compressed", "difference", or "outputs" for the divergence's functions.
        bounds: interval ends that hold but for a probability, over all boxes.
        eta: at most that probability, for all of them together, rounded up.
    """

    layer: str
    tensor: str
    bounds: int
    eta: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "layer": self.layer,
            "tensor": self.tensor,
            "bounds": self.bounds,
            **exact("eta", self.eta),
        }


@dataclass(frozen=True)
class Concentration:
    """P(d > ``bound``) ≤ ``spent`` ≤ ``eta`` over the inputs, with certainty.

    η is a probability over the inputs. It has nothing to do with α, which is one over the draws of
    a verifier, and is never added to it.

    Attributes:
        eta: what was allowed.
        bound: D; infinite where there is none.
        per_output: of |f_i − g_i|, all of them at once; see `Proof.per_output`.
        shares: the ledger, in the order in which it was written.
        reason: why there is no bound; empty otherwise.
        tolerance: ε of the claim.
    """

    eta: float
    bound: float
    per_output: tuple[float, ...] = ()
    shares: tuple[Share, ...] = ()
    reason: str = ""
    tolerance: float | None = None

    @property
    def spent(self) -> float:
        """The sum of the ledger, rounded up."""
        if not self.shares:
            return 0.0
        return math.nextafter(math.fsum(share.eta for share in self.shares), math.inf)

    @property
    def violation_upper(self) -> float:
        """At least P(d > ε): what was spent where D ≤ ε, else 1."""
        tolerance = self.tolerance
        return self.spent if tolerance is not None and self.bound <= tolerance else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **exact("eta", self.eta),
            **exact("bound", self.bound),
            **exact_list("per_output", self.per_output),
            **exact("spent", self.spent),
            **exact("violation_upper", self.violation_upper),
            "ledger": [share.to_dict() for share in self.shares],
            "reason": self.reason or None,
        }


def applies(claim: Claim) -> bool:
    """Whether the inputs are many, independent, and not points."""
    region = claim.region
    known = isinstance(claim.distribution, Uniform | TruncatedNormal)
    return known and region.inputs > MANY and bool((region.upper > region.lower).any())


def concentrate(
    dual: DualProgram,
    claim: Claim,
    dtype: DTypeLike,
    eta: float,
    *,
    deadline: float = math.inf,
    work: float = math.inf,
    methods: Sequence[str] = tuple(QUANTILES),
) -> Concentration:
    """Bound the divergence of a claim but for a probability η.

    On each box of the region the bound fails with probability η at most, given that box; so it
    does on the mixture, whatever the weights.

    Args:
        dual: the aligned pair.
        claim: its region has bounds of type ``dtype``; its divergence has linear functions.
        dtype: the networks' input type.
        eta: between 1e-200 and 1.
        deadline: value of ``time.monotonic()`` after which there is no bound.
        work: of :class:`~simcert.bounds.Propagator`.
        methods: inequalities that may be used, of :data:`~simcert.integration.quantile.QUANTILES`.

    Raises:
        ClaimError: η out of its range, or a divergence that can only be sampled.
    """
    check_eta(eta)
    rows = claim.divergence.rows(dual.outputs)
    f, g, delta = (torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
    float32 = claim.arithmetic == "float32"
    propagator = ConcentratedPropagator(dual, f, g, delta, float32=float32, work=work)
    region, book = claim.region, _Ledger(dual)
    bound, per_output = 0.0, np.zeros(0)
    for corner, opposite, weight in zip(region.lower, region.upper, region.weights, strict=True):
        ends = torch.tensor(corner), torch.tensor(opposite)
        fall = _fall(claim.distribution, corner, opposite, dtype, methods)
        try:
            lower, upper, spent = propagator.concentrate(*ends, fall, eta * _BELOW, deadline)
        except OutOfTimeError:
            return Concentration(eta, math.inf, reason="the time was up", tolerance=claim.tolerance)
        low, high = lower.numpy()[None], upper.numpy()[None]
        bound = max(bound, float(claim.divergence.upper(low, high)[0]))
        each = claim.divergence.per_output(np.maximum(np.abs(low), np.abs(high))[0])
        per_output = np.maximum(per_output, each) if len(per_output) else np.array(each)
        book.add(spent, float(weight))
    outputs = tuple(per_output.tolist())
    return Concentration(eta, bound, outputs, book.shares(), tolerance=claim.tolerance)


def concentrate_within(
    dual: DualProgram,
    claim: Claim,
    dtype: DTypeLike,
    allowed: float,
    *,
    deadline: float = math.inf,
    work: float = math.inf,
) -> Concentration:
    """Bound d but for about the least η at which D ≤ ε; but for ``allowed``, if that is not enough.

    Each η has a bound of its own, so that trying some spends nothing. D grows about in proportion
    to √(−log η), where the least is sought by halving.

    Args:
        dual: the aligned pair.
        claim: with a tolerance ε.
        dtype: the networks' input type.
        allowed: the greatest η.
        deadline: as for :func:`concentrate`, of all that is tried.
        work: likewise, of each.

    Raises:
        ClaimError: as :func:`concentrate`.
    """

    def tried(eta: float) -> Concentration:
        return concentrate(dual, claim, dtype, eta, deadline=deadline, work=work)

    found = tried(allowed)
    if claim.tolerance is None or found.bound > claim.tolerance:
        return found
    reached, failed = math.sqrt(-math.log(allowed)), math.sqrt(-math.log(LEAST))
    for _ in range(_HALVINGS):
        middle = (reached + failed) / 2
        smaller = tried(math.exp(-(middle**2)))
        if smaller.bound <= claim.tolerance:
            found, reached = smaller, middle
        else:
            failed = middle
    return found


class _Ledger:
    """What the bounds of all boxes cost together."""

    def __init__(self, dual: DualProgram) -> None:
        self._dual = dual
        self._bounds: Counter[tuple[int, str]] = Counter()
        self._eta: dict[tuple[int, str], list[float]] = {}

    def add(self, spent: Sequence[Spent], weight: float) -> None:
        """Enter what was spent on a box of the given probability."""
        for node, block, bounds, eta in spent:
            self._bounds[node, block] += bounds
            self._eta.setdefault((node, block), []).append(eta * weight)

    def shares(self) -> tuple[Share, ...]:
        """Return the entries in the order of computation."""
        nodes = self._dual.nodes
        return tuple(
            Share(
                _label(nodes[key[0]]), _TENSORS[key[1]], self._bounds[key], _total(self._eta[key])
            )
            for key in sorted(self._bounds, key=lambda key: key[0])
        )


def check_eta(eta: float) -> None:
    """Refuse what is no probability of failure.

    Raises:
        ClaimError: η out of its range.
    """
    if not LEAST <= eta < 1.0:
        raise ClaimError(
            f"η, the probability with which the bound may fail, must lie between {LEAST} and 1, "
            f"not {eta}"
        )


def _fall(
    distribution: Distribution, lower: Float, upper: Float, dtype: DTypeLike, methods: Sequence[str]
) -> Fall:
    """What linear functions do on a box under a law.

    Inputs are rounded to the networks' type before these see them. The fall is lessened by what
    that can move a function, so that it holds at x and at x rounded.
    """
    step = np.spacing(np.maximum(np.abs(lower), np.abs(upper)).astype(dtype)).astype(np.float64)
    width = (upper - lower) * (1.0 - 2.0**-50)

    def fall(slope: torch.Tensor, nats: float) -> torch.Tensor:
        c = slope.numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            spread, moved = np.abs(c) * width, np.abs(c) @ step * (1.0 + 2.0**-30)
        box = np.broadcast_to(lower, c.shape), np.broadcast_to(upper, c.shape)
        law = law_of(distribution, box, box, c > 0)
        reached = (depth(spread, law, np.full(len(c), nats), methods) - moved) * (1.0 - SLACK)
        return torch.as_tensor(np.where((reached > 0) & (reached < np.inf), reached, 0.0))

    return fall


def _label(node: DualNode) -> str:
    """Return what a layer is called in its file."""
    step = node.f if node.f is not None else node.g
    return "" if step is None else step.label


def _total(parts: list[float]) -> float:
    return math.nextafter(math.fsum(parts) * (1.0 + 2.0**-50), math.inf)
