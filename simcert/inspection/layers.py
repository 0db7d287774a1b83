"""How a pair aligns, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from simcert.errors import ModelError
from simcert.inspection.contents import stored_bits, weight_of
from simcert.model import Model
from simcert.model.graph import Array, Graph, Node
from simcert.model.lowering import lower
from simcert.pairing import align, spread


@dataclass(frozen=True)
class Weights:
    """The weights of a layer in one file: shape, stored bits, share of zeros, distinct values."""

    shape: tuple[int, ...]
    bits: int | None
    zeros: float
    values: int


@dataclass(frozen=True)
class Layer:
    """A layer with weights, of either network or of both.

    Attributes:
        original: name of the node; empty where only the compressed network has it.
        compressed: likewise.
        operator: of the original's node, else of the other.
        aligned: whether the difference is followed through it by a rule of its own; None where the
            pair cannot be bounded.
        weights: of the original.
        compressed_weights: of the compressed network.
        changed: share of the weights that differ; None where the shapes do.
        largest_change: the largest difference of a weight; None likewise.
    """

    original: str
    compressed: str
    operator: str
    aligned: bool | None
    weights: Weights | None
    compressed_weights: Weights | None
    changed: float | None
    largest_change: float | None


@dataclass(frozen=True)
class PairContents:
    """How two networks correspond.

    Attributes:
        layers: those with weights, in order.
        description: how much is aligned, in words; empty where the pair cannot be bounded.
        reason: why it cannot; empty otherwise.
    """

    layers: tuple[Layer, ...]
    description: str
    reason: str


def pair_contents(original: Model, compressed: Model) -> PairContents:
    """Align two models as the verifier does, and compare their weights."""
    description = reason = ""
    aligned: dict[str, str] = {}
    known = False
    try:
        f, g = lower(original.graph), lower(compressed.graph)
        dual = align(f, spread(f, g, compressed.graph.metadata))
        description = dual.describe()
        known = True
        aligned = {
            node.f.label: node.g.label
            for node in dual.nodes
            if node.aligned and node.f is not None and node.g is not None
        }
    except ModelError as error:
        reason = str(error)
    bits = stored_bits(original), stored_bits(compressed)
    layers = []
    for mine, its in _matched(_weighted(original.graph), _weighted(compressed.graph), aligned):
        weights = [
            None if node is None else weight_of(node, model.graph.constants)
            for node, model in ((mine, original), (its, compressed))
        ]
        node = mine or its
        assert node is not None  # noqa: S101 - one of the two is there
        changed, largest = _change(*weights)
        layers.append(
            Layer(
                "" if mine is None else mine.name,
                "" if its is None else its.name,
                node.operator,
                _is_aligned(mine, its, aligned) if known else None,
                _weights(mine, weights[0], bits[0]),
                _weights(its, weights[1], bits[1]),
                changed,
                largest,
            )
        )
    return PairContents(tuple(layers), description, reason)


def _is_aligned(mine: Node | None, its: Node | None, aligned: dict[str, str]) -> bool:
    return mine is not None and its is not None and aligned.get(mine.name) == its.name


def _weighted(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if weight_of(node, graph.constants) is not None]


def _matched(
    original: list[Node], compressed: list[Node], aligned: dict[str, str]
) -> Iterator[tuple[Node | None, Node | None]]:
    """Pair layers as they were aligned, the rest by the order of their operators."""
    mine = [aligned.get(node.name, node.operator) for node in original]
    partners = set(aligned.values())
    its = [node.name if node.name in partners else node.operator for node in compressed]
    for _, i, i_end, j, j_end in SequenceMatcher(None, mine, its, autojunk=False).get_opcodes():
        for k in range(max(i_end - i, j_end - j)):
            yield (
                original[i + k] if i + k < i_end else None,
                compressed[j + k] if j + k < j_end else None,
            )


def _weights(node: Node | None, weight: Array | None, bits: dict[str, int]) -> Weights | None:
    if node is None or weight is None:
        return None
    zeros = float((weight == 0).mean()) if weight.size else 0.0
    return Weights(weight.shape, bits.get(node.outputs[0]), zeros, np.unique(weight).size)


def _change(mine: Array | None, its: Array | None) -> tuple[float | None, float | None]:
    """The share of weights that differ, and by how much at most."""
    if mine is None or its is None or mine.shape != its.shape or not mine.size:
        return None, None
    difference = np.abs(mine.astype(np.float64) - its.astype(np.float64))
    return float((difference > 0).mean()), float(difference.max())
