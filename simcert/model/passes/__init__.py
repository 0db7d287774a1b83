"""Normalising passes: pure functions from graph to graph, one a file, that keep the function."""

from simcert.model.graph import Graph
from simcert.model.passes.constants import fold_constants
from simcert.model.passes.dead import remove_dead
from simcert.model.passes.identities import drop_identities
from simcert.model.passes.integers import expand_integers
from simcert.model.passes.shapes import fix_shapes

__all__ = ["normalise"]


def normalise(graph: Graph) -> Graph:
    """Return the graph that every analysis reads: same function, nothing superfluous."""
    for rewrite in (
        remove_dead,
        fold_constants,
        expand_integers,
        remove_dead,
        fix_shapes,
        fold_constants,
        drop_identities,
        remove_dead,
    ):
        graph = rewrite(graph)
    return graph
