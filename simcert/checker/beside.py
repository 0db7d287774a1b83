"""The identity beside what only one network has: quantisers, with the limits that they clip to.

Where the compressed network quantises a tensor and the original does not, the original gets a
chain of steps of the same kinds that changes nothing: x + s, the identity, − s, less 0 times
something, the identity. So the steps of both correspond, and the difference is carried through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np

from simcert.checker.interval import Float
from simcert.checker.linear import Gather
from simcert.checker.program import Affine, DynamicQuantiser, Input, Pass, Quantiser, Relu, Step

Kind = Callable[[Step], object]
"""What two steps must share to correspond."""


@dataclass(frozen=True)
class _Chain:
    """The steps of one quantiser, by their numbers, as ``Builder.quantise`` appends them.

    Attributes:
        source: what is quantised.
        lower: the steps of max(x, lower): a rectifier alone where lower is 0.
        upper: of relu(x − upper).
        last: of the clipped number, and of its quantiser.
    """

    source: int
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def rectifier(self) -> int:
        """The rectifier that a lower limit of 0 is, or −1."""
        return self.lower[0] if len(self.lower) == 1 else -1

    @property
    def steps(self) -> tuple[int, ...]:
        """All of them."""
        return self.lower + self.upper + self.last


def beside(own: Sequence[Step], other: Sequence[Step], kind: Kind) -> Sequence[Step]:
    """Return the steps of a network, with the identity where only the other one quantises."""
    mine, theirs = _chains(own), _chains(other)
    if not theirs:
        return own
    met = _correspondence(own, other, mine, theirs, kind)
    quantised = {_origin(chain.source, mine) for chain in mine.values()}
    added: dict[int, list[_Chain]] = {}
    for last, chain in theirs.items():
        first = chain.rectifier if chain.rectifier in met else _origin(chain.source, theirs)
        start = met.get(first, -1)
        if start >= 0 and start not in quantised and own[start].size == other[last].size:
            added.setdefault(start, []).append(chain)
    return _Writer(own, other, met, added).steps if added else own


def _chains(steps: Sequence[Step]) -> dict[int, _Chain]:
    """Return the chains of a network's quantisers, by the number of their last step."""
    found: dict[int, _Chain] = {}
    for number, step in enumerate(steps):
        chain = None
        if isinstance(step, DynamicQuantiser):
            chain = _Chain(step.operands[0], (), (), (number,))
        elif isinstance(step, Quantiser):
            chain = _limited(steps, number)
        if chain is not None:
            found[number] = chain
    return found


def _limited(steps: Sequence[Step], number: int) -> _Chain | None:
    """Return the chain of a quantiser, or None if it is written otherwise."""
    clip = steps[number].operands[0]
    if len(steps[clip].operands) != 2:
        return None
    above, over = steps[clip].operands
    if not isinstance(steps[over], Relu):
        return None
    edge = steps[over].operands[0]
    if not _moves_nothing(steps[edge]):
        return None
    source, lower = steps[edge].operands[0], [above]
    while lower[0] > source and len(lower) < 4 and len(steps[lower[0]].operands) == 1:
        if steps[lower[0]].operands[0] == source:
            return _Chain(source, tuple(lower), (edge, over), (clip, number))
        lower.insert(0, steps[lower[0]].operands[0])
    return None


def _moves_nothing(step: Step) -> bool:
    """Whether a step is x + bias, element by element."""
    if not isinstance(step, Affine) or len(step.maps) != 1:
        return False
    linear = step.maps[0]
    return isinstance(linear, Gather) and linear.is_identity


def _origin(number: int, chains: dict[int, _Chain]) -> int:
    """Return the step whose elements a quantiser, or several, rounded."""
    while number in chains:
        number = chains[number].source
    return number


def _correspondence(
    own: Sequence[Step],
    other: Sequence[Step],
    mine: dict[int, _Chain],
    theirs: dict[int, _Chain],
    kind: Kind,
) -> dict[int, int]:
    """Return which steps of the other network are which of one's own, but for quantisers."""
    left, right = _bare(own, mine), _bare(other, theirs)
    kinds = [kind(own[i]) for i in left], [kind(other[j]) for j in right]
    matches = SequenceMatcher(None, *kinds, autojunk=False).get_matching_blocks()
    met = {right[m.b + i]: left[m.a + i] for m in matches for i in range(m.size)}
    return met | {0: 0}


def _bare(steps: Sequence[Step], chains: dict[int, _Chain]) -> list[int]:
    """Return the steps after the input that no quantiser brought.

    A lower limit of 0 may be the rectifier that stood there before.
    """
    hidden: set[int] = set()
    for chain in chains.values():
        hidden.update(chain.steps)
        if not isinstance(steps[_origin(chain.source, chains)], Relu):
            hidden.discard(chain.rectifier)
    return [number for number in range(1, len(steps)) if number not in hidden]


class _Writer:
    """Writes a network once more, with chains in which nothing happens.

    Args:
        own: its steps.
        other: those of the network that quantises.
        met: which of these are which of one's own.
        added: chains of the other network, by the own step whose elements they round there.
    """

    def __init__(
        self,
        own: Sequence[Step],
        other: Sequence[Step],
        met: dict[int, int],
        added: dict[int, list[_Chain]],
    ) -> None:
        self.steps: list[Step] = []
        self._other, self._met = other, {i: j for j, i in met.items()}
        self._numbers: list[int] = []
        # By the other network's quantiser: the own step that it would round, and its identity.
        self._made: dict[int, tuple[int, int]] = {}
        for number, step in enumerate(own):
            self._numbers.append(self._append(self._reading(number, step)))
            for chain in added.get(number, []):
                self._made[chain.steps[-1]] = number, self._copied(chain, number)

    def _append(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def _reading(self, number: int, step: Step) -> Step:
        """Return a step that reads identities where its counterpart reads rounded numbers."""
        if isinstance(step, Input):
            return step
        operands = [self._numbers[operand] for operand in step.operands]
        theirs = self._other[self._met[number]].operands if number in self._met else ()
        for place, (operand, last) in enumerate(zip(step.operands, theirs, strict=False)):
            start, identity = self._made.get(last, (-1, -1))
            if start == operand:
                operands[place] = identity
        return replace(step, operands=tuple(operands))

    def _copied(self, chain: _Chain, start: int) -> int:
        """Append what changes nothing in steps of a chain's kinds; return the last one."""
        source = self._made.get(chain.source, (-1, self._numbers[start]))[1]
        size = self.steps[source].size
        last, zero = self._other[chain.steps[-1]], np.zeros(size)
        if not isinstance(last, Quantiser):
            return self._append(Pass((source,), size, DynamicQuantiser))
        below = source
        if len(chain.lower) == 1 and chain.lower[0] not in self._met.values():
            below = self._append(Pass((source,), size, Relu))
        elif len(chain.lower) > 1:
            first = self._other[chain.lower[0]]
            shift = first.bias if isinstance(first, Affine) else zero
            moved = self._append(_sum([source], [1.0], shift))
            moved = self._append(Pass((moved,), size, Relu))
            below = self._append(_sum([moved], [1.0], -shift))
        nothing = self._append(_sum([source], [0.0], zero))
        nothing = self._append(Relu((nothing,), size))
        clipped = self._append(_sum([below, nothing], [1.0, 0.0], zero))
        return self._append(Pass((clipped,), size, Quantiser))


def _sum(operands: Sequence[int], factors: Sequence[float], bias: Float) -> Affine:
    """Return Σ factor · operand + bias, which no runtime computes."""
    index = np.arange(len(bias))
    maps = tuple(Gather.move(index, len(bias), factor) for factor in factors)
    return Affine(tuple(operands), maps, bias, np.abs(bias))
