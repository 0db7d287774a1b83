"""Looking for inputs on which the two networks differ most: draws, then gradient ascent.

What is found here proves nothing by itself; a witness counts once both files were run on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from simcert.claim import Claim
from simcert.claim.vnnlib2 import Condition
from simcert.search.boxes import Float, Integer

Evaluate = Callable[[Float], Float]
"""Runs both files on points (n, inputs) and returns the divergence (n,)."""

Network = Callable[[Tensor], Tensor]
"""A differentiable reading of a network: (n, inputs) → (n, outputs)."""

_DRAWS = 4096
_DRAWN_VALUES = 1 << 22
_FEW_DRAWS = 64
_CHUNK = 256
_STARTS = 32
_STEPS = 30


@dataclass(frozen=True, eq=False)
class Candidate:
    """An input (inputs,) of type float64, the region's box it lies in, and d measured there."""

    input: Float
    root: int
    divergence: float


def best_of(
    candidate: Candidate | None, points: Float, roots: Integer, divergence: Float
) -> Candidate | None:
    """Return the better of a candidate and some evaluated points; NaN is never better."""
    if len(points) == 0:
        return candidate
    index = int(np.nan_to_num(divergence, nan=-np.inf, posinf=np.inf).argmax())
    value = float(divergence[index])
    if np.isnan(value) or (candidate is not None and value <= candidate.divergence):
        return candidate
    return Candidate(points[index].copy(), int(roots[index]), value)


def attack(
    networks: tuple[Network, Network] | None,
    claim: Claim,
    evaluate: Evaluate,
    dtype: DTypeLike,
    *,
    seed: int,
    deadline: float,
    climbs: bool = True,
) -> Candidate | None:
    """Draw from the claim's distribution, then climb from the best draws.

    Args:
        networks: original and compressed, differentiable; None where they can only be run.
        claim: region, distribution and divergence.
        evaluate: runs both files.
        dtype: the networks' input type; all points are values of it.
        seed: of the draws.
        deadline: value of ``time.monotonic()`` after which no more draws are run and no
            more steps are made.
        climbs: whether more is wanted than a few draws.

    Returns:
        The best input found.
    """
    region = claim.region
    generator = np.random.default_rng([seed, 0xA77AC4])
    count = max(16, min(_DRAWS, _DRAWN_VALUES // region.inputs)) if climbs else _FEW_DRAWS
    root = generator.choice(region.boxes, size=count, p=region.weights / region.weights.sum())
    low, high = region.lower[root], region.upper[root]
    points = claim.distribution.sample(low, high, low, high, generator, count, dtype)
    divergence = _evaluated(points, evaluate, deadline)
    candidate = best_of(None, points, root, divergence)
    if networks is None or not climbs:
        return candidate
    f, g = networks
    starts = np.argsort(-np.nan_to_num(divergence, nan=-1.0), kind="stable")[:_STARTS]
    low, high, root = low[starts], high[starts], root[starts]
    x = torch.as_tensor(points[starts])
    step = torch.as_tensor((high - low) / 4)
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            break
        x = x.detach().requires_grad_()
        height = surrogate(f(x), g(x), claim).sum()
        if not height.requires_grad:
            break  # networks that are constant almost everywhere, such as spiking ones
        height.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            gradient = torch.zeros_like(x) if x.grad is None else x.grad
            x = x + step * torch.sign(gradient)
            x = torch.minimum(torch.maximum(x, torch.as_tensor(low)), torch.as_tensor(high))
            # Rounding is monotone and the corners are values of dtype: x stays inside.
            x = torch.as_tensor(x.numpy().astype(dtype).astype(np.float64))
            step = step * 0.85
        candidate = best_of(candidate, x.numpy(), root, evaluate(x.numpy()))
    return candidate


def _evaluated(points: Float, evaluate: Evaluate, deadline: float) -> Float:
    """Return the divergence (n,) of points; NaN of those that the time was not enough for."""
    divergence = np.full(len(points), np.nan)
    for start in range(0, len(points), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        divergence[chunk] = evaluate(points[chunk])
        if time.monotonic() > deadline:
            break
    return divergence


def surrogate(f: Tensor, g: Tensor, claim: Claim) -> Tensor:
    """Return a differentiable stand-in for the divergence, (n,): what the ascent climbs.

    For a query its greatest slack, also where it is negative. For a decision, how far the
    compressed network is from deciding otherwise than the original; for everything else the norm
    of the difference.
    """
    if isinstance(claim.divergence, Condition):
        return _slack(f, g, claim.divergence)
    columns = list(claim.divergence.columns(f.shape[1]))
    f, g = f[:, columns], g[:, columns]
    decision = claim.divergence.decision
    if decision is None:
        return (f - g).abs().amax(1) if claim.divergence.name != "l1" else (f - g).abs().sum(1)
    sign = 1.0 if decision == "argmax" else -1.0
    chosen = (sign * f).argmax(1, keepdim=True)
    own = (sign * g).gather(1, chosen).squeeze(1)
    others = (sign * g).scatter(1, chosen, -torch.inf).amax(1)
    return others - own


def _slack(f: Tensor, g: Tensor, condition: Condition) -> Tensor:
    """Return how far outputs are inside the best conjunction of a condition, negative outside."""
    rows = condition.functions
    value = f @ torch.as_tensor(rows.f.T) + g @ torch.as_tensor(rows.g.T)
    value = (value + (f - g) @ torch.as_tensor(rows.difference.T))[:, None]
    least, greatest = torch.as_tensor(condition.least), torch.as_tensor(condition.greatest)
    return torch.minimum(value - least, greatest - value).amin(2).amax(1)
