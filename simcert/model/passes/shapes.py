"""Shapes as constants: with a batch of one sample every shape is known."""

from dataclasses import replace

import numpy as np

from simcert.model.graph import Array, Graph, Node
from simcert.model.sample import sample


def fix_shapes(graph: Graph) -> Graph:
    """Turn Shape nodes into constants, and give the output its shape at a batch of 1."""
    values = sample(graph)
    constants: dict[str, Array] = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.operator == "Shape" and node.outputs[0] in values:
            constants[node.outputs[0]] = np.asarray(values[node.outputs[0]].numpy())
        else:
            nodes.append(node)
    output = graph.output
    if output.name in values:
        output = replace(output, shape=tuple(values[output.name].shape))
    return replace(graph, nodes=tuple(nodes), constants=constants, output=output)
