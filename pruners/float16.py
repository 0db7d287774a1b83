"""Rounding to half precision: what storing a network's parameters as float16 does to them."""

from collections.abc import Iterable

import numpy as np

from pruners.onnx_edit import ModelSource, Network, label
from pruners.registry import compressor
from pruners.result import Compressed
from simcert.errors import ModelError

QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators whose constants are scales, not weights."""


@compressor
def float16(model: ModelSource, *, exclude: Iterable[str] = ()) -> Compressed:
    """Round every weight and bias to float16 and store it as the type it had.

    Weights and biases are the stored floating-point tensors with at least one axis that some node
    reads, the scales of quantisers apart; scalars (an ε, an exponent) stay. The network computes in
    the precision it had. Rounding is to nearest, ties to even; below 6e-8 values become zero.

    Args:
        model: bytes or path of an ONNX file.
        exclude: names of nodes whose tensors are left as they are.

    Raises:
        ModelError: nothing to round, or a value beyond float16's largest number, 65504.
    """
    exclude = tuple(exclude)
    network = Network(model)
    known = {label(node) for node in network.nodes}
    if unknown := sorted(set(exclude) - known):
        raise ModelError(f"cannot exclude {', '.join(map(repr, unknown))}: no such node")
    kept = {
        name
        for node in network.nodes
        if label(node) in exclude or node.op_type in QUANTISERS
        for name in node.input
    }
    names = [
        name
        for name, tensor in network.stored.items()
        if tensor.dims and name not in kept and network.readers(name)
    ]
    if not names:
        raise ModelError("nothing to compress: no floating-point weights are stored in the file")
    for name in names:
        values = network.values(name)
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float16).astype(values.dtype)
        if not np.isfinite(rounded).all():
            raise ModelError(
                f"tensor {name!r} holds {np.abs(values).max():g}: float16 ends at 65504"
            )
        network.replace(name, rounded)
    return network.finish("float16", {"exclude": exclude})
