"""Weight sites: the stored matrices and kernels that a compressor may change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from onnx import NodeProto

from pruners.masks import FloatArray, Mask
from pruners.onnx_edit import Network
from simcert.errors import ModelError

OPERATORS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"Gemm": (1,), "MatMul": (1, 0), "Conv": (1,)}
)
"""Operators with weights, and which inputs may hold them."""


@dataclass(frozen=True)
class Site:
    """One stored weight tensor W, read as a matrix with one row for each output.

    Rows are the operator's outputs (neurons, channels); a row holds the weights of its inputs, in
    the order of the file (Conv: input channel, then kernel position). A tensor that several nodes
    read is one site, laid out as its first reader lays it out.

    Attributes:
        tensor: name of the stored tensor.
        nodes: labels of all nodes that read it.
        weights: W as stored.
        output_axis: the axis of W that runs over the outputs; None for a vector with one output.
        is_kernel: whether it is the kernel of a Conv.
    """

    tensor: str
    nodes: tuple[str, ...]
    weights: FloatArray
    output_axis: int | None
    is_kernel: bool = False

    @property
    def rows(self) -> FloatArray:
        """W of shape (outputs, inputs)."""
        if self.output_axis is None:
            return self.weights.reshape(1, -1)
        leading = np.moveaxis(self.weights, self.output_axis, 0)
        return leading.reshape(len(leading), -1)

    def restored(self, rows: FloatArray) -> FloatArray:
        """The inverse of :attr:`rows`: (outputs, inputs) to the stored shape."""
        if self.output_axis is None:
            return rows.reshape(self.weights.shape)
        leading = np.moveaxis(self.weights, self.output_axis, 0)
        return np.moveaxis(rows.reshape(leading.shape), 0, self.output_axis)


def weight_sites(network: Network, exclude: Iterable[str] = ()) -> tuple[Site, ...]:
    """Find the sites: Gemm, MatMul with a constant operand, Conv; in the order of the graph.

    Args:
        network: the file under edit.
        exclude: labels of nodes whose weights are to stay as they are.

    Raises:
        ModelError: no site is left, or an excluded node has no weights.
    """
    layouts: dict[str, int | None] = {}
    kernels: set[str] = set()
    for node in network.nodes:
        for position in OPERATORS.get(node.op_type, ()):
            name = node.input[position]
            if name in network.stored and network.stored[name].dims:
                layouts.setdefault(name, _output_axis(node, position, network))
                if node.op_type == "Conv":
                    kernels.add(name)
    readers = {name: network.readers(name) for name in layouts}
    unwanted = set(exclude)
    _check_excluded(unwanted, readers)
    sites = tuple(
        Site(name, readers[name], network.values(name), axis, name in kernels)
        for name, axis in layouts.items()
        if unwanted.isdisjoint(readers[name])
    )
    if not sites:
        raise ModelError(
            "nothing to compress: no Gemm, MatMul or Conv with floating-point weights stored in"
            " the file" + (" is left by the exclusions" if layouts else "")
        )
    return sites


def remove(network: Network, site: Site, mask: Mask) -> None:
    """Set the weights of a site to zero where ``mask`` (outputs, inputs) is true."""
    kept = np.where(mask, site.rows.dtype.type(0), site.rows)
    network.replace(site.tensor, site.restored(kept))


def _output_axis(node: NodeProto, position: int, network: Network) -> int | None:
    rank = len(network.stored[node.input[position]].dims)
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        transposed = any(field.name == "transB" and field.i for field in node.attribute)
        return 0 if transposed else 1
    if rank == 1:
        return None
    return rank - 1 if position == 1 else rank - 2


def _check_excluded(unwanted: set[str], readers: Mapping[str, Sequence[str]]) -> None:
    known = {node: None for nodes in readers.values() for node in nodes}
    unknown = sorted(unwanted - known.keys())
    if unknown:
        raise ModelError(
            f"cannot exclude {', '.join(map(repr, unknown))}: the nodes with weights are"
            f" {', '.join(map(repr, known))}"
        )
