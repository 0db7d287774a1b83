"""Which tensors of the two networks correspond. Any answer is sound; a bad one is only loose.

Steps of the same kind and size are paired in order. A network that lost channels is first written
in the original's sizes: its tensor b becomes b' with the elements of b in *places* of their own
and zeros elsewhere, which is true of every step for any places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np

from simcert.checker.beside import beside
from simcert.checker.interval import Float
from simcert.checker.linear import Convolution, Dense, Gather, Index, LinearMap
from simcert.checker.program import (
    Affine,
    Input,
    Network,
    Pass,
    Product,
    Quantiser,
    Relu,
    Smooth,
    Softmax,
    Stair,
    Step,
)


@dataclass(frozen=True, eq=False)
class PairNode:
    """A tensor of the original (``f``), of the compressed network (``g``), or one of each.

    Attributes:
        f: its step in the original.
        g: its step in the compressed network.
        f_operands: numbers of pair nodes.
        g_operands: numbers of pair nodes.
        alike: whether both read the same pair nodes in the same way, up to numbers.
    """

    f: Step | None
    g: Step | None
    f_operands: tuple[int, ...]
    g_operands: tuple[int, ...]
    alike: bool

    @property
    def size(self) -> int:
        """Elements."""
        return next(step.size for step in (self.f, self.g) if step is not None)


def pair_up(f: Network, g: Network) -> list[PairNode]:
    """Pair the steps of two networks; the first node is the input, the last one the outputs."""
    own, other = f.steps, widened(f, g)
    left, right = beside(own, other, _kind), beside(other, own, _kind)
    kinds = [[_kind(step) for step in steps[1:-1]] for steps in (left, right)]
    matches = SequenceMatcher(None, kinds[0], kinds[1], autojunk=False).get_matching_blocks()
    pairs = [(m.a + i + 1, m.b + i + 1) for m in matches for i in range(m.size)]
    nodes: list[PairNode] = []
    numbers: tuple[dict[int, int], dict[int, int]] = {}, {}
    done = [0, 0]
    for ends in [(0, 0), *pairs, (len(left) - 1, len(right) - 1)]:
        for side, steps in enumerate((left, right)):
            for i in range(done[side], ends[side]):
                operands = tuple(numbers[side][o] for o in steps[i].operands)
                numbers[side][i] = len(nodes)
                if side == 0:
                    nodes.append(PairNode(steps[i], None, operands, (), alike=False))
                else:
                    nodes.append(PairNode(None, steps[i], (), operands, alike=False))
            done[side] = ends[side] + 1
        one, two = left[ends[0]], right[ends[1]]
        read_f = tuple(numbers[0][operand] for operand in one.operands)
        read_g = tuple(numbers[1][operand] for operand in two.operands)
        numbers[0][ends[0]] = numbers[1][ends[1]] = len(nodes)
        alike = read_f == read_g and _alike(one, two)
        nodes.append(PairNode(one, two, read_f, read_g, alike=alike))
    return nodes


def _kind(step: Step) -> tuple[object, ...]:
    """What two steps must share to be paired."""
    maps = tuple(type(linear) for linear in step.maps) if isinstance(step, Affine) else ()
    own = step.beside if isinstance(step, Pass) else type(step)
    return own, step.size, maps, _function(step)


def _function(step: Step) -> object:
    """Return what tells steps of one type apart."""
    match step:
        case Smooth():
            return step.curve.name
        case Stair():
            return step.kind
        case Softmax():
            return step.count, step.computed
        case Product():
            return step.shapes
    return None


def _alike(one: Step, two: Step) -> bool:
    if isinstance(one, Affine) and isinstance(two, Affine):
        return all(m.alike(n) for m, n in zip(one.maps, two.maps, strict=True))
    return _kind(one) == _kind(two)


# -- removed channels ------------------------------------------------------------------------


class _NoPlaceError(Exception):
    """The two networks do not correspond element by element."""


def widened(f: Network, g: Network) -> Sequence[Step]:
    """Return the steps of ``g`` in the sizes of ``f``, or unchanged where that is not possible."""
    if len(f.steps) != len(g.steps) or [s.size for s in f.steps] == [s.size for s in g.steps]:
        return g.steps
    places: list[Index] = []
    steps: list[Step] = []
    try:
        for one, two in zip(f.steps, g.steps, strict=True):
            step, place = _placed(one, two, places, g.kept)
            steps.append(step)
            places.append(_checked(place, two.size))
    except _NoPlaceError:
        return g.steps
    return tuple(steps) if np.array_equal(places[-1], np.arange(f.outputs)) else g.steps


def _checked(place: Index, size: int) -> Index:
    """Require that each of ``size`` elements has a place of its own."""
    if len(np.unique(place)) != len(place) or len(place) != size:
        raise _NoPlaceError
    return place


def _placed(
    one: Step, two: Step, places: Sequence[Index], kept: dict[str, list[int]]
) -> tuple[Step, Index]:
    """Return step ``two`` in the size of ``one``, and the place of each of its elements."""
    if type(one) is not type(two) or one.operands != two.operands:
        raise _NoPlaceError
    if isinstance(two, Input):
        if one.size != two.size:
            raise _NoPlaceError
        return two, np.arange(two.size)
    read = [places[operand] for operand in two.operands]
    if isinstance(two, Relu | Smooth | Stair):
        return replace(two, size=one.size), read[0]
    if isinstance(two, Quantiser):
        grid = np.zeros((2, one.size))
        grid[:, read[0]] = two.scale, two.largest
        return Quantiser(two.operands, *grid), read[0]
    if isinstance(two, Product):
        if two.shapes is not None or not np.array_equal(read[0], read[1]):
            raise _NoPlaceError
        return replace(two, size=one.size), read[0]
    if not isinstance(one, Affine) or not isinstance(two, Affine):
        raise _NoPlaceError
    if len(one.maps) != len(two.maps):
        raise _NoPlaceError
    known = kept.get(two.name)
    maps: Sequence[LinearMap]
    match one.maps[0], two.maps[0]:
        case Dense() as old, Dense() as new:
            wide, place = _placed_dense(old, new, read[0], known)
            maps = [wide]
        case Convolution() as old, Convolution() as new:
            convolution, place = _placed_convolution(old, new, read[0], known)
            maps = [convolution]
        case _:
            maps, place = _placed_gathers(one, two, read)
    bias, bias_size = np.zeros((2, one.size))
    bias[place], bias_size[place] = two.bias, two.bias_size
    return replace(two, maps=tuple(maps), bias=bias, bias_size=bias_size), place


def _placed_dense(
    old: Dense, new: Dense, read: Index, known: list[int] | None
) -> tuple[Dense, Index]:
    if old.outer != new.outer:
        raise _NoPlaceError
    columns = _repeated(read, old.outer, old.weight.shape[1])
    wide = np.zeros((len(new.weight), old.weight.shape[1]))
    wide[:, columns] = new.weight
    rows = _rows(old.weight, wide, known)
    weight = np.zeros_like(old.weight)
    weight[rows] = wide
    outer = np.arange(old.outer)[:, None] * len(old.weight)
    return replace(old, weight=weight), (outer + rows).reshape(-1)


def _placed_convolution(
    old: Convolution, new: Convolution, read: Index, known: list[int] | None
) -> tuple[Convolution, Index]:
    same = replace(old, weight=new.weight, size=new.size, groups=new.groups)
    if same._geometry() != new._geometry() or old.size[1:] != new.size[1:]:
        raise _NoPlaceError
    planes = read.reshape(new.size[0], -1)
    channels = planes[:, 0] // planes.shape[1]
    if (planes != channels[:, None] * planes.shape[1] + np.arange(planes.shape[1])).any():
        raise _NoPlaceError
    if old.groups == new.groups == 1:
        wide = np.zeros((len(new.weight), *old.weight.shape[1:]))
        wide[:, channels] = new.weight
        rows = _rows(old.weight, wide, known)
    elif old.groups == len(old.weight) == old.size[0] and new.groups == len(new.weight):
        wide, rows = new.weight, channels
    else:
        raise _NoPlaceError
    weight = np.zeros_like(old.weight)
    weight[rows] = wide
    count = int(np.prod(old.result[1:]))
    return replace(old, weight=weight), (rows[:, None] * count + np.arange(count)).reshape(-1)


def _placed_gathers(
    one: Affine, two: Affine, read: Sequence[Index]
) -> tuple[list[LinearMap], Index]:
    """Place each element where the original reads the same elements."""
    old = [linear for linear in one.maps if isinstance(linear, Gather)]
    new = [linear for linear in two.maps if isinstance(linear, Gather)]
    widths = [[linear.terms for linear in maps] for maps in (old, new)]
    if len(old) != len(one.maps) or len(new) != len(two.maps) or widths[0] != widths[1]:
        raise _NoPlaceError
    sources = np.hstack([_through(linear, place) for linear, place in zip(new, read, strict=True)])
    wanted = np.hstack([linear.index for linear in old])
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row in reversed(range(len(wanted))):
        rows[np.sort(wanted[row]).tobytes()].append(row)
    try:
        place = np.array([rows[np.sort(row).tobytes()].pop() for row in sources], dtype=np.intp)
    except IndexError as error:
        raise _NoPlaceError from error
    # Elsewhere as the original, where it reads nothing but zeros.
    zeros = np.ones(len(wanted), dtype=bool)
    for linear, filled in zip(old, read, strict=True):
        zeros &= ~np.isin(linear.index, filled).any(axis=1)
    zeros[place] = False
    maps: list[LinearMap] = []
    begin = 0
    for linear, narrow in zip(old, new, strict=True):
        index, weight = np.full_like(linear.index, -1), np.zeros_like(linear.weight)
        index[place] = sources[:, begin : begin + linear.terms]
        weight[place] = narrow.weight
        index[zeros], weight[zeros] = linear.index[zeros], linear.weight[zeros]
        maps.append(Gather(weight, index, linear.inputs))
        begin += linear.terms
    return maps, place


def _through(linear: Gather, place: Index) -> Index:
    """Return the places of the elements that are read."""
    return np.append(place, -1)[linear.index]


def _repeated(read: Index, outer: int, size: int) -> Index:
    """Return the columns that are filled in each of ``outer`` rows of ``size``."""
    rows = read.reshape(outer, -1) - np.arange(outer)[:, None] * size
    if (rows != rows[0]).any() or (rows < 0).any() or (rows >= size).any():
        raise _NoPlaceError
    return np.asarray(rows[0])


def _rows(old: Float, new: Float, known: list[int] | None) -> Index:
    """Return which row of ``old`` each row of ``new`` stands for: as stated, or the most alike."""
    if len(new) > len(old):
        raise _NoPlaceError
    if len(new) == len(old):
        return np.arange(len(old))
    if known and len(known) == len(new) and all(0 <= row < len(old) for row in known):
        return np.array(known)
    left, right = old.reshape(len(old), -1), new.reshape(len(new), -1)
    distance = (left**2).sum(axis=1) - 2 * right @ left.T
    found = []
    for row in distance:
        found.append(int(row.argmin()))
        distance[:, found[-1]] = np.inf
    return np.array(found)
