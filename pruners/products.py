"""How many multiplications one sample takes."""

import math
from collections.abc import Mapping

from simcert.model.graph import Graph
from simcert.model.sample import sample

_WEIGHTS = {"Gemm": (1,), "MatMul": (1, 0), "Conv": (1,)}


def multiplications(graph: Graph) -> Mapping[str, int]:
    """Multiply-accumulates of each Gemm, MatMul and Conv for one sample, by the node's label.

    Zeros count like other weights. Nodes that SimCert cannot run are left out.
    """
    values = sample(graph)
    count: dict[str, int] = {}
    for node in graph.nodes:
        names = (*node.inputs[:2], node.outputs[0])
        if node.operator not in _WEIGHTS or not all(name in values for name in names):
            continue
        left, right, result = (values[name] for name in names)
        if node.operator == "Conv":
            terms = math.prod(right.shape[1:])
        else:
            terms = left.shape[0] if node.integer("transA", 0) else left.shape[-1]
        count[node.name] = result.numel() * terms
    return count


def weight_readers(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """Labels of the nodes that multiply by a tensor, by the tensor's name."""
    readers: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        for position in _WEIGHTS.get(node.operator, ()):
            name = node.inputs[position]
            readers[name] = (*readers.get(name, ()), node.name)
    return readers
