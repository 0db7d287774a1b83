"""Which weights go, given a score for each: the lowest do, by exact count.

Ties are broken by a stable sort: of equal scores the one with the lowest flat index goes first, in
the (outputs, inputs) layout of the sites and in the order of the graph.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simcert.errors import ModelError

FloatArray: TypeAlias = NDArray[np.floating[Any]]
Mask: TypeAlias = NDArray[np.bool_]
Scope: TypeAlias = Literal["row", "layer", "global"]


def lowest(scores: Sequence[FloatArray], count: int) -> list[Mask]:
    """The ``count`` lowest over all arrays together."""
    flat = np.concatenate([score.ravel() for score in scores])
    mask = np.zeros(flat.size, dtype=np.bool_)
    mask[np.argsort(flat, kind="stable")[:count]] = True
    parts = np.split(mask, np.cumsum([score.size for score in scores])[:-1])
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def lowest_in_rows(scores: FloatArray, count: int) -> Mask:
    """The ``count`` lowest of each row."""
    mask = np.zeros(scores.shape, dtype=np.bool_)
    order = np.argsort(scores, axis=1, kind="stable")
    np.put_along_axis(mask, order[:, :count], True, axis=1)
    return mask


def lowest_in_groups(scores: FloatArray, kept: int, group: int) -> Mask:
    """N:M sparsity: all but the ``kept`` highest of each ``group`` consecutive inputs of a row.

    The row length is a multiple of ``group``.
    """
    return lowest_in_rows(scores.reshape(-1, group), group - kept).reshape(scores.shape)


def row_count(sparsity: float, scores: FloatArray) -> int:
    """⌊sparsity · inputs⌋, ``sparsity`` read as the decimal number that it is written as."""
    inputs: int = scores.shape[1]
    return math.floor(Fraction(repr(float(sparsity))) * inputs)


def by_scope(scores: Sequence[FloatArray], sparsity: float, scope: Scope) -> list[Mask]:
    """The share ``sparsity`` that scores lowest.

    Counts: of n weights, ``round(sparsity * n)`` in a layer or in the whole network (as torch
    counts them), ``floor(sparsity * n)`` in a row (as Wanda does, ``sparsity`` read as the decimal
    number that it is written as).

    Args:
        scores: one (outputs, inputs) array for each site.
        sparsity: in [0, 1).
        scope: what the share is taken of: each row, each layer, or all layers together.

    Raises:
        ModelError: ``sparsity`` or ``scope`` is out of range, or so small that no weight goes.
    """
    if not 0 <= sparsity < 1:
        raise ModelError(f"sparsity must be at least 0 and below 1, not {sparsity}")
    match scope:
        case "row":
            masks = [lowest_in_rows(score, row_count(sparsity, score)) for score in scores]
        case "layer":
            masks = [lowest([score], round(sparsity * score.size))[0] for score in scores]
        case "global":
            masks = lowest(scores, round(sparsity * sum(score.size for score in scores)))
        case _:
            raise ModelError(f"scope must be row, layer or global, not {scope!r}")
    if sparsity > 0 and not any(mask.any() for mask in masks):
        raise ModelError(f"sparsity {sparsity} with scope {scope} is too small to remove a weight")
    return masks


def by_groups(
    scores: Sequence[FloatArray], kept: int, group: int, names: Sequence[str]
) -> list[Mask]:
    """N:M sparsity in every site, see :func:`lowest_in_groups`.

    Args:
        scores: one (outputs, inputs) array for each site.
        kept: N, at least 1.
        group: M, at least N.
        names: what to call the sites in an error.

    Raises:
        ModelError: not 1 ≤ N ≤ M, or the rows of a site do not divide into groups.
    """
    if not 1 <= kept <= group:
        raise ModelError(f"N:M sparsity needs 1 ≤ N ≤ M, not {kept}:{group}")
    for score, name in zip(scores, names, strict=True):
        if score.shape[1] % group:
            raise ModelError(
                f"{kept}:{group} cannot be reached in {name!r}: rows of {score.shape[1]} weights"
                f" do not divide into groups of {group}; exclude it"
            )
    return [lowest_in_groups(score, kept, group) for score in scores]
