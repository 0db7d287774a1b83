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
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from simcert.model.linear import Convolution, Dense, Diagonal, LinearMap, Mean, Selection
from simcert.model.program import Affine, Input, Program, Relu, Step

METADATA_KEY = "simcert.kept_channels"
"""JSON object: label of a Gemm, MatMul or Conv node → indices of the original's kept channels."""


class _NoPlaceError(Exception):
    """The two programs do not correspond element by element."""


def spread(f: Program, g: Program, metadata: Mapping[str, str]) -> Program:
    """Return ``g`` in the shapes of ``f`` where the two correspond step by step, else ``g`` itself.

    Args:
        f: the original.
        g: the compressed network, some of its tensors smaller.
        metadata: of the compressed file; a map of kept channels that does not fit is ignored.
    """
    same_sizes = [step.size for step in f.steps] == [step.size for step in g.steps]
    if same_sizes or len(f.steps) != len(g.steps):
        return g
    kept = _kept_channels(metadata)
    places: list[Tensor] = []
    steps: list[Step] = []
    try:
        for original, step in zip(f.steps, g.steps, strict=True):
            spread_step, place = _spread_step(original, step, places, kept)
            steps.append(spread_step)
            places.append(place)
    except _NoPlaceError:
        return g
    outputs = torch.arange(f.outputs)
    return Program(tuple(steps)) if torch.equal(places[-1], outputs) else g


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


def _spread_step(
    original: Step, step: Step, places: list[Tensor], kept: Mapping[str, list[int]]
) -> tuple[Step, Tensor]:
    """Return a step in the original's shape and the place of each of its elements."""
    if isinstance(original, Input) and isinstance(step, Input) and original.size == step.size:
        return step, torch.arange(step.size)
    if isinstance(original, Relu) and isinstance(step, Relu) and original.operand == step.operand:
        return replace(step, size=original.size), places[step.operand]
    if not (isinstance(original, Affine) and isinstance(step, Affine)):
        raise _NoPlaceError
    if original.operands != step.operands:
        raise _NoPlaceError
    sources = [places[operand] for operand in step.operands]
    if len(step.maps) == 1 and isinstance(step.maps[0], Dense | Convolution):
        linear, place = _spread_weight(original, step, sources[0], kept)
        maps: tuple[LinearMap, ...] = (linear,)
    else:
        place = _place_moved(original, step, sources)
        maps = tuple(
            _spread_moving(o, m, source, place)
            for o, m, source in zip(original.maps, step.maps, sources, strict=True)
        )
    bias = torch.zeros(original.size, dtype=torch.float64)
    bias[place] = step.bias
    return replace(step, maps=maps, bias=bias), place


def _spread_weight(
    original: Affine, step: Affine, source: Tensor, kept: Mapping[str, list[int]]
) -> tuple[LinearMap, Tensor]:
    """Spread out the channels of a Dense or a Convolution."""
    old, new = original.maps[0], step.maps[0]
    if isinstance(old, Dense) and isinstance(new, Dense) and old.outer == new.outer:
        columns = _channels(source, new.outer, old.weight.shape[1])
        wide = torch.zeros(new.weight.shape[0], old.weight.shape[1], dtype=torch.float64)
        wide[:, columns] = new.weight
        step_bias = step.bias.reshape(new.outer, -1)[0]
        old_bias = original.bias.reshape(old.outer, -1)[0]
        rows = _match(old.weight, old_bias, wide, step_bias, kept.get(step.label))
        weight = torch.zeros_like(old.weight)
        weight[rows] = wide
        blocks = torch.arange(old.outer)[:, None] * old.weight.shape[0]
        return Dense(weight, old.outer), (blocks + rows).reshape(-1)
    if not (isinstance(old, Convolution) and isinstance(new, Convolution)):
        raise _NoPlaceError
    if (old.stride, old.padding, old.dilation) != (new.stride, new.padding, new.dilation):
        raise _NoPlaceError
    if old.weight.shape[2:] != new.weight.shape[2:] or old.out_shape[1:] != new.out_shape[1:]:
        raise _NoPlaceError
    if old.in_shape[1:] != new.in_shape[1:]:
        raise _NoPlaceError
    inside = math.prod(old.in_shape[1:])
    incoming = _planes(source, inside)
    if 1 < old.groups == old.in_shape[0] and new.groups == new.in_shape[0]:
        per_group = old.weight.shape[0] // old.groups
        if new.weight.shape[0] // new.groups != per_group:
            raise _NoPlaceError
        wide = new.weight
        rows = (incoming[:, None] * per_group + torch.arange(per_group)).reshape(-1)
    elif old.groups == new.groups:
        wide = torch.zeros(len(new.weight), *old.weight.shape[1:], dtype=torch.float64)
        wide[:, _channels(incoming, old.groups, old.weight.shape[1])] = new.weight
        outside = math.prod(old.out_shape[1:])
        rows = _match_groups(
            *(old.weight.flatten(1), original.bias[::outside]),
            *(wide.flatten(1), step.bias[::outside]),
            kept.get(step.label),
            old.groups,
        )
    else:
        raise _NoPlaceError
    weight = torch.zeros_like(old.weight)
    weight[rows] = wide
    outside = math.prod(old.out_shape[1:])
    place = (rows[:, None] * outside + torch.arange(outside)).reshape(-1)
    return replace(old, weight=weight), place


def _match_groups(
    old: Tensor,
    old_bias: Tensor,
    new: Tensor,
    new_bias: Tensor,
    kept: list[int] | None,
    groups: int,
) -> Tensor:
    """Return ``_match`` group by group: no row stands for one of another group."""
    before, after = len(old) // groups, len(new) // groups
    rows = []
    for group in range(groups):
        wide = slice(group * before, (group + 1) * before)
        narrow = slice(group * after, (group + 1) * after)
        own = None if kept is None else [channel - group * before for channel in kept[narrow]]
        found = _match(old[wide], old_bias[wide], new[narrow], new_bias[narrow], own)
        rows.append(found + group * before)
    return torch.cat(rows)


def _match(
    old: Tensor, old_bias: Tensor, new: Tensor, new_bias: Tensor, kept: list[int] | None
) -> Tensor:
    """Return which row of ``old`` (m, k) each row of ``new`` (n ≤ m, k) stands for."""
    if len(new) > len(old):
        raise _NoPlaceError
    if len(new) == len(old):
        return torch.arange(len(old))
    channels = range(len(old))
    if kept and len(kept) == len(new) == len(set(kept)) and all(c in channels for c in kept):
        return torch.tensor(kept)
    distance = torch.cdist(
        torch.cat([new, new_bias[:, None]], 1), torch.cat([old, old_bias[:, None]], 1)
    )
    return torch.as_tensor(linear_sum_assignment(torch.nan_to_num(distance).numpy())[1])


def _place_moved(original: Affine, step: Affine, sources: list[Tensor]) -> Tensor:
    """Return the places of what maps without weights between channels make."""
    if original.size == step.size and all(
        torch.equal(source, torch.arange(linear.inputs))
        for source, linear in zip(sources, original.maps, strict=True)
    ):
        return torch.arange(step.size)  # nothing was removed here
    place = torch.full((step.size,), -1)
    for old, new, source in zip(original.maps, step.maps, sources, strict=True):
        if isinstance(old, Mean) and isinstance(new, Mean):
            if (old.reduced, old.inner) != (new.reduced, new.inner) or old.inner != 1:
                raise _NoPlaceError
            proposed = _planes(source, old.reduced)
        else:
            came_from = _sources_of(new)
            inverse = torch.full((old.inputs,), -1)
            origin = _sources_of(old)
            used = origin >= 0
            if _repeats(origin[used]):
                raise _NoPlaceError
            inverse[origin[used]] = used.nonzero().squeeze(1)
            proposed = torch.where(came_from >= 0, inverse[source[came_from.clamp(min=0)]], -1)
            if bool(((proposed < 0) & (came_from >= 0)).any()):
                raise _NoPlaceError
        known = (place >= 0) & (proposed >= 0)
        if not torch.equal(place[known], proposed[known]):
            raise _NoPlaceError
        place = torch.where(proposed >= 0, proposed, place)
    if bool((place < 0).any()) or _repeats(place):
        raise _NoPlaceError
    return place


def _spread_moving(old: LinearMap, new: LinearMap, source: Tensor, place: Tensor) -> LinearMap:
    """Return a map without weights between channels in the original's shape."""
    if isinstance(old, Diagonal) and isinstance(new, Diagonal) and torch.equal(source, place):
        scale = torch.zeros_like(old.scale)
        scale[place] = new.scale
        return Diagonal(scale)
    if isinstance(old, Selection) and isinstance(new, Selection):
        index = torch.full_like(old.index, -1)
        index[place] = torch.where(new.index >= 0, source[new.index.clamp(min=0)], -1)
        # Elsewhere the original's: what it reads there is zero, or is read by no other element.
        free = torch.ones(len(index), dtype=torch.bool)
        free[place] = False
        taken = torch.isin(old.index, source)
        index = torch.where(free & ~taken, old.index, index)
        return replace(old, index=index, weight=new.weight)
    if isinstance(old, Mean) and isinstance(new, Mean):
        same = (old.reduced, old.inner) == (new.reduced, new.inner) and old.inner == 1
        if same and torch.equal(_planes(source, old.reduced), place):
            return old
    raise _NoPlaceError


def _sources_of(linear: LinearMap) -> Tensor:
    """Return which element of the operand each element of the result comes from."""
    if isinstance(linear, Selection):
        return linear.index
    if isinstance(linear, Diagonal):
        return torch.arange(linear.inputs)
    raise _NoPlaceError


def _repeats(index: Tensor) -> bool:
    """Whether a value occurs twice."""
    ordered = index.sort().values
    return bool((ordered[1:] == ordered[:-1]).any())


def _channels(source: Tensor, outer: int, size: int) -> Tensor:
    """Return the last-axis places of elements that repeat over ``outer`` rows of ``size``."""
    rows = source.reshape(outer, -1) - torch.arange(outer)[:, None] * size
    if not torch.equal(rows, rows[:1].expand_as(rows)) or bool(
        (rows < 0).any() | (rows >= size).any()
    ):
        raise _NoPlaceError
    return rows[0]


def _planes(source: Tensor, size: int) -> Tensor:
    """Return the places of channels whose ``size`` elements stay together and in order."""
    planes = source.reshape(-1, size)
    channels = planes[:, 0] // size
    if not torch.equal(planes, channels[:, None] * size + torch.arange(size)):
        raise _NoPlaceError
    return channels
