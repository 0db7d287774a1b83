"""What enters a weight site: the sum of squares of each of its inputs over calibration data."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pruners.execution import Execution, float_array
from pruners.sites import Site
from simcert.errors import ModelError
from simcert.model.graph import Node
from simcert.model.operators.window import pad, window

Energies: TypeAlias = tuple[NDArray[np.float64], ...]
"""One array for each node that reads a site, in topological order; it broadcasts against the
site's (outputs, inputs)."""


def energies(
    execution: Execution, sites: Sequence[Site], inputs: NDArray[np.float64]
) -> list[Energies]:
    """Σ X_ij² over all rows i that enter a site, for each of its inputs j.

    Rows are all samples and all tokens or positions; of a Conv they are the patches that the
    kernel sees, padding included (im2col).

    Args:
        execution: the network.
        sites: of its file.
        inputs: (n, inputs).

    Raises:
        ModelError: a tensor enters one node from the left and another from the right, or cannot
            be run.
    """
    readers = {site.tensor: _readers(execution, site) for site in sites}
    wanted = {_data(node, site) for site in sites for node in readers[site.tensor]}
    sums: list[dict[int, Tensor]] = [{} for _ in sites]
    for (rows,) in execution.chunks(inputs):
        with torch.no_grad():
            tensors = execution.tensors(rows, wanted)
        for site, total in zip(sites, sums, strict=True):
            for index, node in enumerate(readers[site.tensor]):
                part = _squares(node, site, tensors[_data(node, site)])
                total[index] = total[index] + part if index in total else part
    return [tuple(float_array(part) for part in total.values()) for total in sums]


def first_readers(execution: Execution, sites: Sequence[Site]) -> Mapping[str, int]:
    """Where in the graph each site is read first, by the name of its tensor."""
    place: dict[str, int] = {}
    for index, node in enumerate(execution.graph.nodes):
        for name in node.inputs:
            place.setdefault(name, index)
    return {site.tensor: place.get(site.tensor, len(execution.graph.nodes)) for site in sites}


def _readers(execution: Execution, site: Site) -> list[Node]:
    readers = [node for node in execution.graph.nodes if site.tensor in node.inputs]
    if len({node.inputs.index(site.tensor) for node in readers}) > 1:
        raise ModelError(
            f"tensor {site.tensor!r} multiplies from the left in one node and from the right in"
            " another: its inputs are not the same; exclude it"
        )
    return readers


def _data(node: Node, site: Site) -> str:
    """The name of the tensor that a node multiplies by the site."""
    return node.inputs[1 - node.inputs.index(site.tensor)]


def _squares(node: Node, site: Site, x: Tensor) -> Tensor:
    """Σ X² over the rows of a batch (n, *shape): (1, inputs), or (outputs, inputs) with groups."""
    square = x.square()
    if node.operator == "Conv":
        return _patches(node, site.weights.shape, square)
    if node.operator == "Gemm":
        square = square.mT if node.integer("transA", 0) else square
        return square.sum((0, 1))[None]
    if node.inputs.index(site.tensor) == 0:
        square = square.mT if square.ndim > 2 else square
    stack = site.weights.shape[:-2]
    length = square.shape[-1]
    square = square.sum(-2) if square.ndim > 2 else square
    square = square.sum(0).expand(torch.broadcast_shapes(square.shape[1:], (*stack, length)))  # type: ignore[no-untyped-call]
    return square.sum_to_size((*stack, length)).reshape(1, -1)


def _patches(node: Node, kernel: tuple[int, ...], x: Tensor) -> Tensor:
    """Sums over what each element of a kernel is multiplied with."""
    x = x.flatten(0, 1)  # (n, 1, channels, ...): each sample has a batch of 1
    frame = window(node, x.shape[2:], kernel[2:])
    x = pad(x, frame.before, frame.after, 0.0)
    for size, stride, dilation in zip(frame.kernel, frame.strides, frame.dilations, strict=True):
        # The axis that is unfolded goes, the windows' own axis comes last: always axis 2.
        windows = x.unfold(2, dilation * (size - 1) + 1, stride)[..., ::dilation]
        x = windows.sum(2)
    groups = node.integer("group", 1)
    by_group = x.sum(0).reshape(groups, -1)
    return by_group.repeat_interleave(kernel[0] // groups, 0) if groups > 1 else by_group
