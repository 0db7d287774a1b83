"""A linear map of a network with removed channels, in the shape of the original's map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from simcert.model.linear import Convolution, Dense, Diagonal, LinearMap, Mean, Selection, Zero
from simcert.model.program import Affine


class NoPlaceError(Exception):
    """The two programs do not correspond element by element."""


def widened_weight(
    original: Affine, step: Affine, source: Tensor, kept: list[int] | None
) -> tuple[LinearMap, Tensor]:
    """Spread out the channels of a Dense or a Convolution.

    Args:
        original: the step that ``step`` stands for.
        step: the smaller one, with one map.
        source: the place of each element of its operand.
        kept: which channels of the original are left, if that is known.

    Returns:
        The map in the original's shape, and the place of each element that it makes.

    Raises:
        NoPlaceError: the two do not correspond.
    """
    old, new = original.maps[0], step.maps[0]
    if isinstance(old, Dense) and isinstance(new, Dense):
        if old.outer != new.outer:
            return _widened_rows(old, new, source)
        columns = _channels(source, new.outer, old.weight.shape[1])
        wide = torch.zeros(new.weight.shape[0], old.weight.shape[1], dtype=torch.float64)
        wide[:, columns] = new.weight
        step_bias = step.bias.reshape(new.outer, -1)[0]
        old_bias = original.bias.reshape(old.outer, -1)[0]
        rows = _match(old.weight, old_bias, wide, step_bias, kept)
        weight = torch.zeros_like(old.weight)
        weight[rows] = wide
        blocks = torch.arange(old.outer)[:, None] * old.weight.shape[0]
        return Dense(weight, old.outer), (blocks + rows).reshape(-1)
    if isinstance(old, Convolution) and isinstance(new, Convolution):
        return _widened_kernel(original, step, old, new, source, kept)
    raise NoPlaceError


def _widened_rows(old: Dense, new: Dense, source: Tensor) -> tuple[LinearMap, Tensor]:
    """A matrix for each row of a tensor, of which whole rows are gone."""
    if old.weight.shape != new.weight.shape:
        raise NoPlaceError
    outputs, inputs = new.weight.shape
    place = _planes(source, inputs)[:, None] * outputs + torch.arange(outputs)
    return Dense(new.weight, old.outer), place.reshape(-1)


def _widened_kernel(
    original: Affine,
    step: Affine,
    old: Convolution,
    new: Convolution,
    source: Tensor,
    kept: list[int] | None,
) -> tuple[LinearMap, Tensor]:
    if (old.stride, old.padding, old.dilation) != (new.stride, new.padding, new.dilation):
        raise NoPlaceError
    if old.weight.shape[2:] != new.weight.shape[2:] or old.out_shape[1:] != new.out_shape[1:]:
        raise NoPlaceError
    if old.in_shape[1:] != new.in_shape[1:]:
        raise NoPlaceError
    inside = math.prod(old.in_shape[1:])
    incoming = _planes(source, inside)
    if 1 < old.groups == old.in_shape[0] and new.groups == new.in_shape[0]:
        per_group = old.weight.shape[0] // old.groups
        if new.weight.shape[0] // new.groups != per_group:
            raise NoPlaceError
        wide = new.weight
        rows = (incoming[:, None] * per_group + torch.arange(per_group)).reshape(-1)
    elif old.groups == new.groups:
        wide = torch.zeros(len(new.weight), *old.weight.shape[1:], dtype=torch.float64)
        wide[:, _channels(incoming, old.groups, old.weight.shape[1])] = new.weight
        outside = math.prod(old.out_shape[1:])
        rows = _match_groups(
            *(old.weight.flatten(1), original.bias[::outside]),
            *(wide.flatten(1), step.bias[::outside]),
            kept,
            old.groups,
        )
    else:
        raise NoPlaceError
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
        raise NoPlaceError
    if len(new) == len(old):
        return torch.arange(len(old))
    channels = range(len(old))
    if kept and len(kept) == len(new) == len(set(kept)) and all(c in channels for c in kept):
        return torch.tensor(kept)
    distance = torch.cdist(
        torch.cat([new, new_bias[:, None]], 1), torch.cat([old, old_bias[:, None]], 1)
    )
    return torch.as_tensor(linear_sum_assignment(torch.nan_to_num(distance).numpy())[1])


def places_of_moved(original: Affine, step: Affine, sources: list[Tensor]) -> Tensor | None:
    """Return the places of what maps without weights between channels make.

    Returns:
        None where elements are repeated along removed channels, so that only the other factor of a
        product tells their places.

    Raises:
        NoPlaceError: the two steps do not correspond.
    """
    if original.size == step.size and all(
        torch.equal(source, torch.arange(linear.inputs))
        for source, linear in zip(sources, original.maps, strict=True)
    ):
        return torch.arange(step.size)  # nothing was removed here
    place = torch.full((step.size,), -1)
    for old, new, source in zip(original.maps, step.maps, sources, strict=True):
        if isinstance(new, Zero):
            continue
        proposed = _places(old, new, source)
        if proposed is None:
            return None
        known = (place >= 0) & (proposed >= 0)
        if not torch.equal(place[known], proposed[known]):
            raise NoPlaceError
        place = torch.where(proposed >= 0, proposed, place)
    if bool((place < 0).any()) or _repeats(place):
        raise NoPlaceError
    return place


def widened_move(old: LinearMap, new: LinearMap, source: Tensor, place: Tensor) -> LinearMap:
    """Return a map without weights between channels in the original's shape.

    Args:
        old: the original's map.
        new: the smaller one.
        source: the place of each element of its operand.
        place: of each element that it makes.

    Raises:
        NoPlaceError: there is no such map.
    """
    if isinstance(old, Diagonal) and isinstance(new, Diagonal) and torch.equal(source, place):
        scale = torch.zeros_like(old.scale)
        scale[place] = new.scale
        return Diagonal(scale)
    if isinstance(old, Selection) and isinstance(new, Selection):
        index = old.index.clone()  # where nothing was left, as in the original: nobody reads it
        index[place] = torch.where(new.index >= 0, source[new.index.clamp(min=0)], -1)
        return replace(old, index=index, weight=new.weight)
    if isinstance(old, Mean) and isinstance(new, Mean):
        if not torch.equal(_means(old, new, source), place):
            raise NoPlaceError
        return old
    if isinstance(old, Zero) and isinstance(new, Zero):
        return old
    raise NoPlaceError


def _places(old: LinearMap, new: LinearMap, source: Tensor) -> Tensor | None:
    """Return where one map puts elements: −1 where it puts nothing, None where that is open."""
    if isinstance(old, Mean) and isinstance(new, Mean):
        return _means(old, new, source)
    if isinstance(old, Diagonal) and isinstance(new, Diagonal):
        return source
    if not isinstance(old, Selection) or not isinstance(new, Selection):
        raise NoPlaceError
    proposed = _places_of_selected(old, new, source)
    if proposed is None or not bool((new.index < 0).any()):
        return proposed
    # What a Pad puts around each channel.
    inside = new.index >= 0
    for planes in _places_by_planes(old, new, source):
        zeros = old.index[planes[~inside]]
        if torch.equal(planes[inside], proposed[inside]) and bool((zeros < 0).all()):
            return planes
    return proposed


def _places_of_selected(old: Selection, new: Selection, source: Tensor) -> Tensor | None:
    """Match what is read: the n-th reading of an element with the n-th one of its place."""
    used = new.index >= 0
    there = source[new.index[used]]
    before, after = torch.bincount(old.index[old.index >= 0]), torch.bincount(there)
    if len(after) > len(before) or bool((after > before[: len(after)]).any()):
        raise NoPlaceError
    if bool(((after > 0) & (after < before[: len(after)])).any()):
        return None
    reads = torch.isin(old.index, there).nonzero().squeeze(1)
    matched = reads[torch.argsort(old.index[reads], stable=True)]
    proposed = torch.full((new.outputs,), -1)
    proposed[used.nonzero().squeeze(1)[torch.argsort(there, stable=True)]] = matched
    return proposed


def _places_by_planes(old: Selection, new: Selection, source: Tensor) -> Iterator[Tensor]:
    """Propose places for every number of channels that both tensors can have, first axis first."""
    for channels in range(1, math.gcd(old.inputs, old.outputs) + 1):
        if old.inputs % channels or old.outputs % channels:
            continue
        inside, outside = old.inputs // channels, old.outputs // channels
        if new.inputs % inside or new.outputs != new.inputs // inside * outside:
            continue
        try:
            left = _planes(source, inside)
        except NoPlaceError:
            continue
        yield (left[:, None] * outside + torch.arange(outside)).reshape(-1)


def _means(old: Mean, new: Mean, source: Tensor) -> Tensor:
    """Return the places of means, whose elements must be all there, in order."""
    if old.reduced != new.reduced:
        raise NoPlaceError
    block = old.reduced * old.inner
    elements = source.reshape(new.outer, new.reduced, new.inner)
    outer, inner = elements // block, elements % old.inner
    expected = outer[:, :1] * block + torch.arange(old.reduced)[:, None] * old.inner + inner[:, :1]
    if not torch.equal(elements, expected):
        raise NoPlaceError
    return (outer[:, 0] * old.inner + inner[:, 0]).reshape(-1)


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
        raise NoPlaceError
    return rows[0]


def _planes(source: Tensor, size: int) -> Tensor:
    """Return the places of channels whose ``size`` elements stay together and in order."""
    planes = source.reshape(-1, size)
    channels = planes[:, 0] // size
    if not torch.equal(planes, channels[:, None] * size + torch.arange(size)):
        raise NoPlaceError
    return channels
