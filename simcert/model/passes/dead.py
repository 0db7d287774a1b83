"""Removal of what the output does not depend on."""

from dataclasses import replace

from simcert.model.graph import Graph, Node


def remove_dead(graph: Graph) -> Graph:
    """Drop nodes and constants that the output does not need; blank outputs that nothing reads."""
    live = {graph.output.name}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not live.isdisjoint(node.outputs):
            outputs = tuple(name if name in live else "" for name in node.outputs)
            kept.append(replace(node, outputs=outputs))
            live.update(filter(None, node.inputs))
    constants = {name: array for name, array in graph.constants.items() if name in live}
    return replace(graph, nodes=tuple(reversed(kept)), constants=constants)
