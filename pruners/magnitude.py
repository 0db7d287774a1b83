"""Magnitude pruning: the weights of smallest absolute value become zero.

Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural networks",
NeurIPS 2015. The masks are those of ``torch.nn.utils.prune``: scope ``layer`` is its
``l1_unstructured``, scope ``global`` its ``global_unstructured``.
"""

from collections.abc import Iterable

import numpy as np

from pruners.masks import Scope, by_groups, by_scope
from pruners.onnx_edit import ModelSource, Network
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import remove, weight_sites
from simcert.errors import ModelError


@compressor
def magnitude(
    model: ModelSource,
    *,
    sparsity: float | None = None,
    scope: Scope | None = None,
    nm: tuple[int, int] | None = None,
    exclude: Iterable[str] = (),
) -> Compressed:
    """Set the smallest weights to zero.

    Exactly one of ``sparsity`` and ``nm`` is given. Weights that are zero already count as pruned.

    Args:
        model: bytes or path of an ONNX file.
        sparsity: share to prune, at least 0 and below 1.
        scope: what the share is taken of: each ``row`` (the weights of one output), each ``layer``
            (the default), or all layers together (``global``, the default where there are kernels
            of convolutions: small ones cannot spare the same share as large ones).
        nm: (N, M) keeps the N largest of every M consecutive weights of a row.
        exclude: names of nodes that are left as they are.

    Raises:
        ModelError: nothing to prune, or the sparsity cannot be reached.
    """
    exclude = tuple(exclude)
    network = Network(model)
    sites = weight_sites(network, exclude)
    scores = [np.abs(site.rows) for site in sites]
    if sparsity is not None and nm is None:
        scope = scope or ("global" if any(site.is_kernel for site in sites) else "layer")
        masks = by_scope(scores, sparsity, scope)
    elif nm is not None and sparsity is None and scope is None:
        masks = by_groups(scores, *nm, names=[site.nodes[0] for site in sites])
    else:
        raise ModelError("magnitude pruning takes a sparsity (with a scope) or N:M, one of them")
    for site, mask in zip(sites, masks, strict=True):
        remove(network, site, mask)
    parameters = {"sparsity": sparsity, "scope": scope, "nm": nm, "exclude": exclude}
    return network.finish("magnitude", parameters)
