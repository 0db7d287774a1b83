"""The tensors of a graph on one sample: how the passes learn shapes and element types."""

import numpy as np
import torch
from torch import Tensor

from simcert.errors import ModelError
from simcert.model.graph import Graph
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor

_ROWS = 10_000
_ELEMENTS = 2**24


def sample(graph: Graph) -> dict[str, Tensor]:
    """Run a sample of zeros through the graph, each tensor in the type that the file gives it.

    Returns:
        Every tensor that can be computed, constants included, by name. What depends on an
        operator without a kernel, or on a node that does not fit its inputs, is left out: that
        becomes an error when the graph is run, not when it is read.
    """
    values = {name: tensor(array) for name, array in graph.constants.items()}
    zeros = torch.zeros(graph.input.sample)
    values[graph.input.name] = zeros.to(tensor(np.zeros(0, graph.input.dtype)).dtype)
    for node in graph.nodes:
        if any(name and name not in values for name in node.inputs):
            continue
        try:
            outputs = apply(node, [values[name] if name else None for name in node.inputs])
        except ModelError:
            continue
        values.update(zip(node.outputs, outputs, strict=False))
    return values


def rows_at_once(graph: Graph) -> int:
    """Return how many samples to run together, so that the largest tensor stays within bounds.

    One batch of a million rows is several times slower than chunks that stay near the caches.
    """
    computed = [
        value.numel() for name, value in sample(graph).items() if name not in graph.constants
    ]
    return min(_ROWS, max(1, _ELEMENTS // max(1, *computed)))
