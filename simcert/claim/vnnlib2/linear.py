"""Linear expressions over the elements of a query's tensors, exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

MAX_BITS = 4096
"""Of a numerator or a denominator: sums and products of constants must not grow without end."""


class Element(NamedTuple):
    """An element of the inputs (kind "X") or outputs (kind "Y") of network 0 or 1, flattened."""

    kind: str
    network: int
    position: int


@dataclass(frozen=True)
class Linear:
    """Σ coefficients[e] e + constant; no coefficient is 0."""

    coefficients: Mapping[Element, Fraction] = field(default_factory=dict)
    constant: Fraction = Fraction(0)

    def __add__(self, other: Linear) -> Linear:
        return Linear.sum((self, other))

    @classmethod
    def sum(cls, terms: Iterable[Linear]) -> Linear:
        """The sum of all terms."""
        total: dict[Element, Fraction] = {}
        constant = Fraction(0)
        for term in terms:
            constant += term.constant
            for element, coefficient in term.coefficients.items():
                total[element] = total.get(element, Fraction(0)) + coefficient
        return cls({e: _limited(c) for e, c in total.items() if c}, _limited(constant))

    def times(self, factor: Fraction) -> Linear:
        """The multiple by a constant."""
        if not factor:
            return Linear()
        scaled = {e: _limited(c * factor) for e, c in self.coefficients.items()}
        return Linear(scaled, _limited(self.constant * factor))

    def renamed(self, names: Mapping[Element, Element]) -> Linear:
        """The same with elements replaced, where ``names`` says so."""
        return Linear.sum(
            [Linear({names.get(e, e): c}) for e, c in self.coefficients.items()]
            + [Linear(constant=self.constant)]
        )


Direction = tuple[tuple[Element, int], ...]
"""A linear function with coprime integer coefficients, the first of them positive."""


def direction_of(linear: Linear) -> tuple[Direction, Fraction]:
    """The direction of the non-constant part, and the factor that it was multiplied with."""
    elements = sorted(linear.coefficients)
    denominators = math.lcm(*(linear.coefficients[e].denominator for e in elements))
    numbers = [int(linear.coefficients[e] * denominators) for e in elements]
    divisor = math.gcd(*numbers) * (1 if numbers[0] > 0 else -1)
    direction = tuple((e, n // divisor) for e, n in zip(elements, numbers, strict=True))
    return direction, Fraction(denominators, divisor)


def _limited(value: Fraction) -> Fraction:
    """``value`` itself.

    Raises:
        OverflowError: it has too many digits.
    """
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise OverflowError
    return value
