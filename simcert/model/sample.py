"""The tensors of a graph on one sample: how the passes learn shapes and element types."""

import numpy as np
import torch
from torch import Tensor

from simcert.errors import ModelError
from simcert.model.graph import Graph
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor


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
