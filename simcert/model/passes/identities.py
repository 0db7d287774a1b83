"""Removal of nodes that hand their input on."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from simcert.model.graph import Array, Graph, Node
from simcert.model.lowering.wholes import Wholes
from simcert.model.operators import apply
from simcert.model.sample import sample


def drop_identities(graph: Graph) -> Graph:
    """Drop Identity, Dropout at inference, and Cast to the type that the tensor has already.

    Codes have a float's type here, so that gradients pass; their Cast says that they are numbers.
    The output of the graph takes the name of the tensor that it is handed on from.
    """
    values, wholes = sample(graph), Wholes(graph)
    source: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(source.get(name, name) for name in node.inputs))
        cast = node.operator == "Cast" and wholes.read_by(node)
        wholes.follow(node)
        if not cast and _hands_on(node, values, graph.constants):
            source[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    output = replace(graph.output, name=source.get(graph.output.name, graph.output.name))
    return replace(graph, nodes=tuple(nodes), output=output)


def _hands_on(node: Node, values: Mapping[str, Tensor], constants: Mapping[str, Array]) -> bool:
    if any(node.outputs[1:]):
        return False
    if node.operator == "Dropout":
        training = node.inputs[2] if len(node.inputs) > 2 else ""
        return not training or (training in constants and not constants[training].any())
    if node.operator == "Cast":
        x = values.get(node.inputs[0])
        return x is not None and apply(node, [x])[0].dtype == x.dtype
    return node.operator == "Identity"
