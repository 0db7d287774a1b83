"""How the difference of two networks grows from layer to layer, over a whole region.

Symbolic bounds on the region's box; of several boxes, on the smallest box around them. They show
where a compression does its damage, and nothing rests on them: the search splits the region and
finds smaller bounds of the outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simcert.bounds.interval import Interval, Triple, known
from simcert.bounds.propagator import OutOfTimeError, Propagator, RowBounds, _Batch
from simcert.bounds.rounding import FLOAT32_SMALLEST
from simcert.model.linear import Selection
from simcert.model.program import Affine
from simcert.numerals import exact
from simcert.pairing import DualNode, DualProgram

WORK = 2e9
"""Multiplications that the symbolic bounds may take, so that wide networks stay quick."""


class _LayerPropagator(Propagator):
    """The propagator with symbolic bounds of all neurons of the layers, within the work.

    The search bounds only the neurons whose readers gain by it, and differences only where that
    pays: here they are what is asked for.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tracked = math.inf

    def _bound_rows(self, batch: _Batch) -> RowBounds:
        layers = [i for i, layer in enumerate(self._layers) if _is_layer(layer.node)]
        share, batch.work = batch.work / max(1, len(layers)), math.inf
        for index in layers:
            a, b, delta = batch.triples[index]
            if self._equal or a is None or delta is None:
                continue
            wanted = torch.ones_like(delta.lower, dtype=torch.bool)
            # Two ends of a, and of δ, whose rows have three blocks.
            if 2 * (1 + 3) * self._costs[index] * wanted.numel() <= share:
                a = self._refine_block(index, a, wanted, "f", batch)
                delta = self._refine_block(index, delta, wanted, "delta", batch)
                batch.triples[index] = Triple(a, b, delta)
        return super()._bound_rows(batch)


@dataclass(frozen=True)
class LayerBound:
    """What is proved of one layer for every input of a region; infinite where nothing is.

    Attributes:
        original: label of the layer in the original.
        compressed: label in the compressed network.
        neurons: elements of its output.
        magnitude: at least max |a_i| over neurons i, where a is the original's output of the layer.
        difference: at least max |δ_i|, δ = a − b, where b is the compressed network's.
    """

    original: str
    compressed: str
    neurons: int
    magnitude: float
    difference: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "original": self.original,
            "compressed": self.compressed,
            "neurons": self.neurons,
            **exact("magnitude", self.magnitude),
            **exact("difference", self.difference),
        }


def bound_layers(
    dual: DualProgram,
    lower: Tensor,
    upper: Tensor,
    *,
    float32: bool,
    deadline: float = math.inf,
    work: float = WORK,
) -> tuple[LayerBound, ...]:
    """Bound the affine layers that both networks have, in the order of computation.

    Args:
        dual: the aligned pair.
        lower: lower corners (boxes, inputs) of the region, float64.
        upper: upper corners (boxes, inputs).
        float32: bound what any float32 runtime computes instead of the networks over the reals.
        deadline: value of ``time.monotonic()`` after which there are no bounds.
        work: of :class:`~simcert.bounds.Propagator`.

    Returns:
        A bound for each layer; none where the time was up.
    """
    none = torch.zeros(1, dual.outputs, dtype=torch.float64)
    propagator = _LayerPropagator(dual, none, none, none, float32=float32, work=work)
    hull = lower.amin(0, keepdim=True), upper.amax(0, keepdim=True)
    try:
        triples = propagator.bound(*hull, None, deadline).triples
    except OutOfTimeError:
        return ()
    # A runtime may flush either network's tensor to zero; see `Propagator`.
    flushed = 2 * FLOAT32_SMALLEST if float32 and not dual.same else 0.0
    layers = {}
    for node, (a, _, delta) in zip(dual.nodes, triples, strict=True):
        if _is_layer(node) and node.f is not None and node.g is not None:
            difference = _largest(known(delta))
            # Of several steps that one node of the files was written with, the last one counts.
            layers[node.f.label, node.g.label] = LayerBound(
                node.f.label,
                node.g.label,
                node.size,
                _largest(known(a)),
                math.nextafter(difference + flushed, math.inf) if flushed else difference,
            )
    return tuple(layers.values())


def _is_layer(node: DualNode) -> bool:
    """Whether both networks have an affine step here that does more than to move numbers."""
    steps = node.f, node.g
    return all(isinstance(step, Affine) for step in steps) and not all(
        isinstance(linear, Selection)
        for step in steps
        if isinstance(step, Affine)
        for linear in step.maps
    )


def _largest(interval: Interval) -> float:
    """Return max |x| over all elements of an interval; infinite where one has no bound."""
    return float(interval.magnitude.nan_to_num(nan=math.inf, posinf=math.inf).max())
