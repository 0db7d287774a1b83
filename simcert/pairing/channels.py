"""Writing a network with removed channels in the shape of the original.

A structurally pruned network has smaller tensors. Each of its elements is given a place in the
original's tensor, and the weights are spread out accordingly, with zeros elsewhere. The spread-out
program computes the same function whatever the places are: an element in a place of its own depends
only on such elements, because all other columns are zero. So the choice of places, from the map of
kept channels in the file's metadata or else by likeness of the weights, decides how tight bounds
are and never whether they are true.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from simcert.functions import Quantizer
from simcert.model.linear import Convolution, Dense, LinearMap, Selection
from simcert.model.program import Affine, Input, Product, Program, Relu, Step, Univariate
from simcert.pairing.biases import added_behind_quantizer
from simcert.pairing.order import by_branch, operands_of
from simcert.pairing.widening import (
    NoPlaceError,
    places_of_moved,
    widened_move,
    widened_weight,
)

METADATA_KEY = "simcert.kept_channels"
"""JSON object: label of a Gemm, MatMul or Conv node → indices of the original's kept channels."""


def spread(f: Program, g: Program, metadata: Mapping[str, str]) -> Program:
    """Return ``g`` in the shapes of ``f`` where the two correspond step by step, else ``g`` itself.

    Quantisers, and biases behind them, may stand in ``g`` alone.

    Args:
        f: the original.
        g: the compressed network, some of its tensors smaller.
        metadata: of the compressed file; a map of kept channels that does not fit is ignored.
    """
    if [step.size for step in f.steps] == [step.size for step in g.steps]:
        return g
    try:
        return _Spreading(by_branch(f), by_branch(g), _kept_channels(metadata)).program()
    except NoPlaceError:
        return g


class _Spreading:
    """The steps of ``g`` that are written in the shapes of ``f`` so far.

    Attributes:
        steps: None for a move whose places the other factor of a product has yet to tell.
        places: of each element of a step, in the shape of the original; None likewise.
        partners: which step of the original each one stands for.
    """

    def __init__(self, f: Program, g: Program, kept: Mapping[str, list[int]]) -> None:
        self.f, self.g, self.kept = f, g, kept
        self.steps: list[Step | None] = []
        self.places: list[Tensor | None] = []
        self.partners: list[int] = []

    def program(self) -> Program:
        """Spread out all steps.

        Raises:
            NoPlaceError: the two programs do not correspond.
        """
        done = 0
        for step in self.g.steps:
            original = self.f.steps[done] if done < len(self.f.steps) else None
            if original is not None and self._corresponds(original, step):
                spread_step, place = self._pair(original, step)
                self.partners.append(done)
                done += 1
            else:
                spread_step, place = self._alone(step)
                self.partners.append(self.partners[operands_of(step)[0]])
            self.steps.append(spread_step)
            self.places.append(place)
        steps = tuple(step for step in self.steps if step is not None)
        place, outputs = self.places[-1], torch.arange(self.f.outputs)
        if done < len(self.f.steps) or len(steps) < len(self.g.steps):
            raise NoPlaceError
        if place is None or not torch.equal(place, outputs):
            raise NoPlaceError
        return Program(steps)

    def _corresponds(self, original: Step, step: Step) -> bool:
        """Whether two steps do the same, to tensors that stand for the same."""
        if isinstance(original, Input) or isinstance(step, Input):
            return type(original) is type(step) and original.size == step.size
        if tuple(self.partners[operand] for operand in step.operands) != original.operands:
            return False
        if isinstance(original, Affine) and isinstance(step, Affine):
            adds = added_behind_quantizer(step, self.g) is not None
            return len(original.maps) == len(step.maps) and not (adds and not _only_adds(original))
        if isinstance(step, Univariate) and isinstance(step.function, Quantizer):
            if isinstance(original, Univariate):
                return isinstance(original.function, Quantizer)
            # Its limit takes the place of the rectifier.
            return isinstance(original, Relu) and not bool(step.function.least.any())
        if isinstance(original, Univariate) and isinstance(step, Univariate):
            return original.function == step.function
        return type(original) is type(step)

    def _pair(self, original: Step, step: Step) -> tuple[Step | None, Tensor | None]:
        """Return a step in the original's shape and the place of each of its elements."""
        if isinstance(step, Affine) and isinstance(original, Affine):
            return self._affine(original, step)
        if isinstance(step, Product):
            return self._product(step, original.size)
        if isinstance(step, Relu | Univariate):
            return self._elementwise(step, original.size)
        return step, torch.arange(step.size)  # the input

    def _alone(self, step: Step) -> tuple[Step, Tensor]:
        """Likewise for a quantiser, or a bias behind one, that the original does not have."""
        if isinstance(step, Univariate) and isinstance(step.function, Quantizer):
            return self._elementwise(step, self._wide(step.operand).size)
        if not isinstance(step, Affine) or added_behind_quantizer(step, self.g) is None:
            raise NoPlaceError
        place, size = self._place(step.operands[0]), self._wide(step.operands[0]).size
        same = Selection(torch.arange(size), size)
        return replace(step, maps=(same,), bias=_at(place, step.bias, size)), place

    def _affine(self, original: Affine, step: Affine) -> tuple[Step | None, Tensor | None]:
        sources = [self._place(operand) for operand in step.operands]
        maps: tuple[LinearMap, ...]
        if len(step.maps) == 1 and isinstance(step.maps[0], Dense | Convolution):
            linear, place = widened_weight(original, step, sources[0], self.kept.get(step.label))
            maps = (linear,)
        else:
            moved = places_of_moved(original, step, sources)
            if moved is None:
                return None, None
            place, maps = moved, _moves(original, step, sources, moved)
        return replace(step, maps=maps, bias=_at(place, step.bias, original.size)), place

    def _product(self, step: Product, size: int) -> tuple[Step, Tensor]:
        """Both factors have their elements in the same places; one may tell those of the other."""
        known = [p for p in (self.places[operand] for operand in step.operands) if p is not None]
        if not known or not torch.equal(known[0], known[-1]):
            raise NoPlaceError
        for operand in step.operands:
            if self.places[operand] is None:
                self._settle(operand, known[0])
        return replace(step, size=size), known[0]

    def _settle(self, number: int, place: Tensor) -> None:
        """Give the elements of a move the places that were told."""
        original, step = self.f.steps[self.partners[number]], self.g.steps[number]
        if not isinstance(original, Affine) or not isinstance(step, Affine):
            raise NoPlaceError
        sources = [self._place(operand) for operand in step.operands]
        maps = _moves(original, step, sources, place)
        bias = _at(place, step.bias, original.size)
        self.steps[number], self.places[number] = replace(step, maps=maps, bias=bias), place

    def _elementwise(self, step: Relu | Univariate, size: int) -> tuple[Step, Tensor]:
        place = self._place(step.operand)
        if isinstance(step, Relu):
            return replace(step, size=size), place
        function = step.function
        if isinstance(function, Quantizer):
            function = Quantizer(
                _at(place, function.scale, size, 1.0),
                _at(place, function.least, size),
                _at(place, function.greatest, size),
            )
        elif not bool(function.value(torch.zeros(1, dtype=torch.float64)).isfinite()):
            raise NoPlaceError  # there is zero where nothing was left
        return replace(step, function=function, size=size), place

    def _place(self, number: int) -> Tensor:
        place = self.places[number]
        if place is None:
            raise NoPlaceError
        return place

    def _wide(self, number: int) -> Step:
        step = self.steps[number]
        if step is None:
            raise NoPlaceError
        return step


def _moves(
    original: Affine, step: Affine, sources: list[Tensor], place: Tensor
) -> tuple[LinearMap, ...]:
    parts = zip(original.maps, step.maps, sources, strict=True)
    return tuple(widened_move(old, new, source, place) for old, new, source in parts)


def _only_adds(step: Affine) -> bool:
    """Whether a step adds a bias and does nothing else."""
    (*_, linear) = step.maps
    return len(step.maps) == 1 and isinstance(linear, Selection) and linear.is_identity


def _at(place: Tensor, values: Tensor, size: int, rest: float = 0.0) -> Tensor:
    """Return a tensor that holds ``values`` at their places."""
    wide = torch.full((size,), rest, dtype=values.dtype)
    wide[place] = values
    return wide


def _kept_channels(metadata: Mapping[str, str]) -> dict[str, list[int]]:
    """Read the map of kept channels; anything else than one is no map."""
    try:
        kept = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError:
        return {}
    if not isinstance(kept, dict):
        return {}
    return {
        label: channels
        for label, channels in kept.items()
        if isinstance(channels, list) and all(type(channel) is int for channel in channels)
    }
