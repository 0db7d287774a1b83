"""The difference of two softmaxes, from the difference of what they read.

The steps that softmax is written with say little about a difference: a sum of exponentials may be
anything up to e^range. By the mean value theorem, along the segment from b to a,

    Δ_i = s_i Σ_j s_j (δ_i − δ_j),   |Δ_i| ≤ s_i (1 − s_i) max_j |δ_i − δ_j|,

where s_i (1 − s_i) = T/(1 + T)² with T = Σ_{j≠i} exp(x_j − x_i), which is greatest where T is
nearest to 1. And no probability of any event changes by more than tanh(osc(δ)/4).
"""

from __future__ import annotations

import torch
from torch import Tensor

from simcert.bounds.interval import Interval, Triple, known

_SLACK = 1 + 1e-9
"""More than the rounding of exponentials of up to ±700 and of sums of up to a million."""

_LARGEST = 700.0


def softmax_difference(operand: Triple, groups: Tensor) -> Interval:
    """Bound softmax(a) − softmax(b), (B, groups · n), group by group.

    Args:
        operand: the intervals of what the softmax reads.
        groups: (groups, n) numbers of the elements that are compared with each other.
    """
    a, b, delta = (known(interval) for interval in operand)
    low = torch.minimum(a.lower, b.lower)[:, groups]
    high = torch.maximum(a.upper, b.upper)[:, groups]
    below, above = delta.lower[:, groups], delta.upper[:, groups]
    count = groups.shape[1]
    other = ~torch.eye(count, dtype=torch.bool)

    def odds(numerator: Tensor, denominator: Tensor) -> Tensor:
        """Return Σ_{j≠i} exp(numerator_j − denominator_i)."""
        power = (numerator[..., None, :] - denominator[..., :, None]).clamp(-_LARGEST, _LARGEST)
        return (torch.exp(power) * other).sum(-1)

    nearest = torch.clamp(torch.ones_like(low), odds(low, high) / _SLACK, odds(high, low) * _SLACK)
    steepness = nearest / (1.0 + nearest) / (1.0 + nearest) * _SLACK
    # Beyond ±700 an exponential was cut: nothing is known but s (1 − s) ≤ 1/4.
    cut = (high.amax(-1, keepdim=True) - low.amin(-1, keepdim=True)) > _LARGEST
    steepness = torch.where(cut, torch.full_like(steepness, 0.25), steepness)
    rise = (above - below.amin(-1, keepdim=True)).clamp(min=0.0)
    fall = (above.amax(-1, keepdim=True) - below).clamp(min=0.0)
    spread = above.amax(-1, keepdim=True) - below.amin(-1, keepdim=True)
    cap = torch.tanh(spread / 4) * _SLACK
    upper = torch.minimum(steepness * rise * _SLACK, cap)
    lower = -torch.minimum(steepness * fall * _SLACK, cap)
    return Interval(lower.flatten(1), upper.flatten(1)).without_nan()
