"""LAMP: layer-adaptive magnitude pruning.

Within a layer, with its squared weights q in ascending order,

    LAMP(u) = q_u / Σ_{v ≥ u} q_v,

and the weights of lowest score go, over all layers together. The score is the share of a weight in
what survives if all smaller ones are gone; the largest weight of a layer scores 1.

Lee, Park, Mo, Ahn, Shin, "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from pruners.masks import FloatArray, Mask
from pruners.onnx_edit import ModelSource, Network
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import remove, weight_sites
from simcert.errors import ModelError


@compressor
def lamp(model: ModelSource, *, sparsity: float, exclude: Iterable[str] = ()) -> Compressed:
    """Set to zero the weights of lowest LAMP score in the whole network.

    Args:
        model: bytes or path of an ONNX file.
        sparsity: share s to prune, 0 ≤ s < 1; of N weights round(N(1 − s)) stay.
        exclude: names of nodes that are left as they are.

    Raises:
        ModelError: nothing to prune, or the sparsity cannot be reached.
    """
    exclude = tuple(exclude)
    network = Network(model)
    sites = weight_sites(network, exclude)
    masks = lamp_masks([site.rows for site in sites], sparsity)
    for site, mask in zip(sites, masks, strict=True):
        remove(network, site, mask)
    return network.finish("lamp", {"sparsity": sparsity, "exclude": exclude})


def scores(weights: FloatArray) -> FloatArray:
    """LAMP of every weight of a layer, in its shape; 0 for weights that are 0."""
    order, ascending = _ascending(weights)
    flat = np.empty(weights.size)
    flat[order] = ascending
    return flat.reshape(weights.shape)


def lamp_masks(
    layers: Sequence[FloatArray], sparsity: float, factors: Sequence[float] | None = None
) -> list[Mask]:
    """Which weights go: the lowest factor · LAMP over all layers, by exact count.

    Within a layer the order is that of magnitude, whatever the rounding. The largest weight of a
    layer stays.

    Args:
        layers: the weights, (outputs, inputs) each.
        sparsity: in [0, 1).
        factors: one positive number for each layer; all 1 by default.

    Raises:
        ModelError: the sparsity is out of range, removes nothing, or leaves fewer weights than
            there are layers.
    """
    if not 0 <= sparsity < 1:
        raise ModelError(f"sparsity must be at least 0 and below 1, not {sparsity}")
    total = sum(layer.size for layer in layers)
    count = total - round(total * (1 - sparsity))
    alive = sum(bool(layer.any()) for layer in layers)
    if sparsity > 0 and not count:
        raise ModelError(f"sparsity {sparsity} is too small to remove a weight")
    if total - count < alive:
        raise ModelError(
            f"sparsity {sparsity} cannot be reached: it leaves {total - count} weights, and each"
            f" of {alive} layers keeps its largest"
        )
    orders, ranked = [], []
    for layer, factor in zip(layers, factors or [1.0] * len(layers), strict=True):
        order, ascending = _ascending(layer)
        ascending = factor * ascending
        if layer.any():
            ascending[-1] = np.inf
        orders.append(order)
        ranked.append(ascending)
    gone = np.zeros(total, dtype=np.bool_)
    gone[np.argsort(np.concatenate(ranked), kind="stable")[:count]] = True
    masks = []
    parts = np.split(gone, np.cumsum([layer.size for layer in layers])[:-1])
    for layer, order, part in zip(layers, orders, parts, strict=True):
        mask = np.zeros(layer.size, dtype=np.bool_)
        mask[order] = part
        masks.append(mask.reshape(layer.shape))
    return masks


def _ascending(weights: FloatArray) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], FloatArray]:
    """The order of a layer by magnitude, and LAMP in that order, which never falls."""
    squares = np.square(weights.ravel().astype(np.float64))
    order = np.argsort(squares, kind="stable")
    squares = squares[order]
    survivors = np.cumsum(squares[::-1])[::-1]
    share = np.divide(squares, survivors, out=np.zeros_like(squares), where=survivors > 0)
    return order, np.maximum.accumulate(share)
