"""Which bounds on a box are worth branching on phases, and how far.

Of differences those that are too large, the largest first. Of a decision those that compare the
output that leads with others, in either network, while their sign is open: the nearest first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simcert.bounds.phases import Goals
from simcert.claim.divergences import Divergence, Top1
from simcert.search.boxes import Float


def goals_of(divergence: Divergence, outputs: int, limit: float) -> Goals | None:
    """Return the goals for a divergence that shall be at most ``limit``; None where there are none.

    Args:
        divergence: between the networks.
        outputs: of the networks.
        limit: the value at which a box is settled.
    """
    rows = divergence.rows(outputs)
    of_differences = not (rows.f.any() or rows.g.any())
    if not of_differences and not isinstance(divergence, Top1):
        return None

    def goals(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor] | None:
        low, high = lower.numpy()[None], upper.numpy()[None]
        if divergence.upper(low, high)[0] <= limit:
            return None
        ends = np.stack([high[0], -low[0]])
        if isinstance(divergence, Top1):
            order = _open(low[0], high[0], outputs, divergence.sign)
            return torch.as_tensor(order), torch.zeros(order.shape)
        same = np.full_like(low, limit)
        if divergence.upper(-same, same)[0] <= limit:  # the largest function decides
            return torch.zeros(ends.shape), torch.full(ends.shape, limit).double()
        return torch.as_tensor(-ends), torch.zeros(ends.shape)

    return goals


def _open(lower: Float, upper: Float, outputs: int, sign: int) -> Float:
    """Return how far bounds of v_i − v_j, i < j, of f, of g and of f − g are from deciding, (2, S).

    For the output that leads in f every other one shall be behind it in both networks. Infinite
    where that is decided, where it cannot be, and for all other functions.
    """
    first, second = np.triu_indices(outputs, 1)
    middle = sign * (lower + upper)[: len(first)]
    leads = [np.sum(middle[first == i]) - np.sum(middle[second == i]) for i in range(outputs)]
    leader = int(np.argmax(leads))
    order: Float = np.full((2, len(lower)), np.inf)
    for part in (0, 1):
        for row, (i, j) in enumerate(zip(first, second, strict=True), start=part * len(first)):
            if leader not in (i, j) or not lower[row] <= 0 <= upper[row]:
                continue
            rises = (leader == i) == (sign > 0)
            order[int(rises), row] = -lower[row] if rises else upper[row]
    return order
