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
from simcert.pairing.biases import added_behind_quantizer, are_equal, only_adds
from simcert.pairing.order import by_branch, operands_of, renumbered
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
        copies: steps of the original that are earlier ones with another bias.
    """

    def __init__(self, f: Program, g: Program, kept: Mapping[str, list[int]]) -> None:
        self.f, self.g, self.kept = f, g, kept
        self.steps: list[Step | None] = []
        self.places: list[Tensor | None] = []
        self.partners: list[int] = []
        self.copies: dict[int, int] = {}

    def program(self) -> Program:
        """Spread out all steps.

        Raises:
            NoPlaceError: the two programs do not correspond.
        """
        done = 0
        while len(self.steps) < len(self.g.steps):
            step = self.g.steps[len(self.steps)]
            while not (paired := self._corresponds(done, step)) and not self._may_stand_alone(step):
                if self._insert_move(done):
                    step = self.g.steps[len(self.steps)]
                else:
                    self._skip_copy(done)
                    done += 1
            if paired:
                spread_step, place = self._pair(self.f.steps[done], step)
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

    def _corresponds(self, number: int, step: Step) -> bool:
        """Whether a step of the original does the same, to tensors that stand for the same."""
        if number >= len(self.f.steps):
            return False
        original = self.f.steps[number]
        if isinstance(original, Input) or isinstance(step, Input):
            return type(original) is type(step) and original.size == step.size
        partners = [self.partners[operand] for operand in step.operands]
        if partners != [self.copies.get(operand, operand) for operand in original.operands]:
            return False
        if isinstance(original, Affine) and isinstance(step, Affine):
            if added_behind_quantizer(step, self.g) is not None and not only_adds(original):
                return False
            repeats = zip(original.maps, step.maps, strict=False)
            more = any(isinstance(b, Selection) and b.terms > a.terms for a, b in repeats)
            return len(original.maps) == len(step.maps) and not more
        if isinstance(step, Univariate) and isinstance(step.function, Quantizer):
            if isinstance(original, Univariate):
                return isinstance(original.function, Quantizer)
            # Its limit takes the place of the rectifier.
            return isinstance(original, Relu) and not bool(step.function.least.any())
        if isinstance(original, Univariate) and isinstance(step, Univariate):
            return original.function == step.function
        return type(original) is type(step)

    def _may_stand_alone(self, step: Step) -> bool:
        """Whether the original need not have a step: a quantiser, or a bias behind one."""
        if isinstance(step, Univariate):
            return isinstance(step.function, Quantizer)
        return added_behind_quantizer(step, self.g) is not None

    def _insert_move(self, number: int) -> bool:
        """Insert a move into ``g`` that became the identity when one channel was left.

        Returns:
            Whether step ``number`` of the original is a move of a tensor that nothing else reads,
            of which ``g`` lacks a counterpart; the counterpart is the next step then.
        """
        move = self.f.steps[number] if number < len(self.f.steps) else None
        if not isinstance(move, Affine) or len(move.maps) != 1 or move.bias.any():
            return False
        if not isinstance(move.maps[0], Selection):
            return False
        source, place = move.operands[0], len(self.steps)
        readers = [step for step in self.f.steps if source in operands_of(step)]
        if len(readers) != 1 or source not in self.partners:
            return False
        stands = place - 1 - self.partners[::-1].index(source)
        numbers = {n: n + (n >= place) for n in range(len(self.g.steps))} | {stands: place}
        later = (renumbered(step, numbers) for step in self.g.steps[place:])
        size = self.g.steps[stands].size
        same = Selection(torch.arange(size), size)
        zero = torch.zeros(size, dtype=torch.float64)
        inserted = Affine((stands,), (same,), zero, move.label, rounds=False)
        self.g = Program((*self.g.steps[:place], inserted, *later))
        return True

    def _skip_copy(self, number: int) -> None:
        """Let a step of the original be what an earlier one is but for its bias.

        Raises:
            NoPlaceError: there is none.
        """
        step = self.f.steps[number] if number < len(self.f.steps) else None
        for earlier, other in enumerate(self.f.steps[:number]):
            if not isinstance(step, Affine) or not isinstance(other, Affine):
                continue
            if are_equal(replace(other, bias=step.bias), step):
                self.copies[number] = earlier
                return
        raise NoPlaceError

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
        """Likewise for a step that the original does not have."""
        operand = operands_of(step)[0]
        place, size = self._place(operand), self._wide(operand).size
        if isinstance(step, Relu | Univariate):
            return self._elementwise(step, size)
        if not isinstance(step, Affine):
            raise NoPlaceError
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
        elif len(place) < size:
            at_zero = function.value(torch.zeros(1, dtype=torch.float64))
            if not bool(at_zero.isfinite()):
                raise NoPlaceError  # it would be without bound where nothing was left
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
