"""The mean value theorem: what bounds of a function's slopes say of its differences."""

import torch
from torch import Tensor

_ULPS = 16 * 2.0**-53
_TINY = 2.0**-1000


def line_of(low: Tensor, high: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
    """Return slope and intercept of a line above m δ for all slopes low ≤ m ≤ high.

    That is max(low · δ, high · δ), which is convex and lies below its chord.

    Args:
        low: least slope, (B, size), maybe infinite.
        high: greatest slope.
        below: lower bound of δ.
        above: upper bound of δ.
    """
    mixed = (below < 0) & (above > 0)
    chord = (high * above - low * below) / (above - below)
    slope = torch.where(below >= 0, high, torch.where(above <= 0, low, chord))
    slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
    first, last = low * below - slope * below, high * above - slope * above
    size = (low.abs() + slope.abs()) * below.abs() + (high.abs() + slope.abs()) * above.abs()
    raised = torch.maximum(first, last) + size * _ULPS + _TINY
    exact = ~mixed & torch.isfinite(low) & torch.isfinite(high)
    intercept = torch.where(exact, torch.zeros_like(raised), raised)
    return slope, torch.nan_to_num(intercept, nan=torch.inf, posinf=torch.inf, neginf=torch.inf)
