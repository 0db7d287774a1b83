"""Every operator in each arithmetic, attacked with one pair after the other."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundness.attack import ARITHMETICS, Count, Target, attack
from soundness.networks import CURVED, OPERATORS

CHAINS = "Gemm and Relu"
"""Deep chains of dense layers: what the compiled loops take."""


@dataclass(frozen=True)
class Subject:
    """An operator in one arithmetic.

    ``curved`` tells the two meanings of some apart: a product with a constant or of two tensors.
    """

    operator: str
    curved: bool
    arithmetic: str

    def __str__(self) -> str:
        both = self.curved and self.operator in OPERATORS
        return f"{self.operator}{' of tensors' if both else ''}, {self.arithmetic}"

    def attack(self, seed: int, triples: int, boxes: int, points: int, folder: Path) -> Count:
        """Attack pair after pair until so many triples are tried.

        Raises:
            AssertionError: a value lies outside a bound; a note says which pair it was.
        """
        operator = None if self.operator == CHAINS else self.operator
        target = Target(operator, self.curved, self.arithmetic, boxes, points, folder)
        seeds = np.random.SeedSequence([seed, zlib.crc32(str(self).encode())])
        count = Count()
        while count.triples < triples:
            (own,) = seeds.spawn(1)
            try:
                count.add(attack(np.random.default_rng(own), target))
            except AssertionError as error:
                error.add_note(f"{self}, seed {seed}, pair {own.spawn_key[0]}")
                raise
        return count


SUBJECTS = [
    Subject(operator, curved, arithmetic)
    for arithmetic in ARITHMETICS
    for operator, curved in (
        (CHAINS, False),
        *((name, False) for name in sorted(OPERATORS)),
        *((name, True) for name in sorted(CURVED)),
    )
]
