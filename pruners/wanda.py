"""Wanda: pruning by weights and activations.

The score of W_ij is |W_ij| · ‖X_:j‖₂, where the rows of X are all that enters the layer on the
calibration data: a small weight matters when its input is large.

Sun, Liu, Bair, Kolter, "A simple and effective pruning approach for large language models", ICLR
2024. There it is for linear layers; kernels of a Conv, whose inputs are patches, are an extension.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

from pruners.activations import Energies, energies, first_readers
from pruners.calibration import DataSource, read_calibration
from pruners.execution import Execution
from pruners.masks import (
    FloatArray,
    Mask,
    by_groups,
    by_scope,
    lowest_in_groups,
    lowest_in_rows,
    row_count,
)
from pruners.onnx_edit import ModelSource, Network
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import Site, remove, weight_sites
from simcert.errors import ModelError

Propagation: TypeAlias = Literal["pruned", "dense"]


@compressor
def wanda(
    model: ModelSource,
    *,
    calibration: DataSource,
    sparsity: float | None = None,
    nm: tuple[int, int] | None = None,
    propagate: Propagation = "pruned",
    exclude: Iterable[str] = (),
) -> Compressed:
    """Set to zero, in each row, the weights of lowest |W_ij| · ‖X_:j‖₂.

    Exactly one of ``sparsity`` and ``nm`` is given. Weights that are zero already go first.

    Args:
        model: bytes or path of an ONNX file.
        calibration: inputs, see :func:`pruners.calibration.read_calibration`.
        sparsity: share s to prune, 0 ≤ s < 1: ⌊s · inputs⌋ weights of each output.
        nm: (N, M) keeps the N of highest score of every M consecutive weights of a row.
        propagate: X comes from the network whose earlier layers are ``pruned`` already, or from
            the ``dense`` original.
        exclude: names of nodes that are left as they are.

    Raises:
        SimcertError: nothing to prune, the sparsity cannot be reached, unfit calibration data, or
            a network that cannot be run.
    """
    if (sparsity is None) == (nm is None):
        raise ModelError("wanda takes a sparsity or N:M, one of them")
    if propagate not in ("pruned", "dense"):
        raise ModelError(f"propagate must be pruned or dense, not {propagate!r}")
    exclude = tuple(exclude)
    network = Network(model)
    sites = weight_sites(network, exclude)
    data = read_calibration(calibration, network.graph.input.size)
    execution = Execution(network.original)

    nothing = [np.zeros_like(site.rows) for site in sites]
    if nm is not None:
        by_groups(nothing, *nm, names=[site.nodes[0] for site in sites])
    elif sparsity is not None:
        by_scope(nothing, sparsity, "row")

    def mask_of(site: Site, measured: Energies) -> Mask:
        scores = score(site, measured)
        if nm is not None:
            return lowest_in_groups(scores, *nm)
        return lowest_in_rows(scores, row_count(sparsity or 0, scores))

    masks: dict[str, Mask] = {}
    if propagate == "dense":
        for site, measured in zip(sites, energies(execution, sites, data.inputs), strict=True):
            masks[site.tensor] = mask_of(site, measured)
    else:
        place = first_readers(execution, sites)
        for site in sorted(sites, key=lambda site: place[site.tensor]):
            (measured,) = energies(execution, [site], data.inputs)
            masks[site.tensor] = mask_of(site, measured)
            pruned = np.where(masks[site.tensor], 0, site.rows)
            execution.replace(site.tensor, site.restored(pruned))
    for site in sites:
        remove(network, site, masks[site.tensor])
    parameters = {"sparsity": sparsity, "nm": nm, "propagate": propagate, "exclude": exclude}
    return network.finish("wanda", parameters, calibration=data.sha256)


def score(site: Site, measured: Energies) -> FloatArray:
    """|W_ij| · ‖X_:j‖₂ over all nodes that read the site; below 0 where W_ij is 0."""
    squares = sum(measured, np.zeros((1, 1)))
    scores: FloatArray = np.abs(site.rows.astype(np.float64)) * np.sqrt(squares)
    return np.where(site.rows == 0, -1.0, scores)
