"""Coefficients on the three quantities of a dual node."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Blocks(NamedTuple):
    """Coefficients (rows, size) on a, b and δ of one node; None is zero."""

    f: Tensor | None = None
    g: Tensor | None = None
    delta: Tensor | None = None

    def plus(self, other: Blocks) -> Blocks:
        """Return the sum of two functions of the same node."""
        return Blocks(*(add(x, y) for x, y in zip(self, other, strict=True)))

    def negated(self) -> Blocks:
        """Return the function with its sign changed."""
        return Blocks(*(None if c is None else -c for c in self))

    def without_delta(self) -> Blocks:
        """Return the same function written without δ = a − b: the product network."""
        if self.delta is None:
            return self
        return Blocks(add(self.f, self.delta), add(self.g, -self.delta))


def add(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """Return the sum of two coefficient blocks, either of which may be zero (None)."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def dot(c: Tensor, values: Tensor) -> Tensor:
    """Return Σ_i c_i · value_i for each row: (R, size), (R, size) → (R,)."""
    return torch.einsum("rn,rn->r", c, values)


def at(per_box: Tensor, box: Tensor) -> Tensor:
    """Return the values of each row's box: (B, size), (R,) → (R, size); no copy for B = 1."""
    return per_box.expand(len(box), -1) if len(per_box) == 1 else per_box[box]


def weighted(c: Tensor, per_box: Tensor, box: Tensor) -> Tensor:
    """Return Σ_i c_i · value_i with the values of each row's box: (R, size), (B, size) → (R,)."""
    return c @ per_box[0] if len(per_box) == 1 else dot(c, per_box[box])
