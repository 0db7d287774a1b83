"""The tail of a binomial distribution, bounded from above for certain, without any library."""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

_BITS = 256

_FEW = 10_000
"""Events up to which all terms are added up: tens of milliseconds."""

_EXACT = decimal.Context(prec=60)
_LOST = Decimal("1e-30")
"""At least what 60 digits lose in sums of logarithms below 1e12."""

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


@dataclass(frozen=True)
class _Above:
    """A positive number m 2^e with m of at most 256 bits; products are rounded up."""

    mantissa: int
    exponent: int

    @classmethod
    def of(cls, value: Fraction) -> _Above:
        """Return the least such number that is at least ``value``."""
        shift = _BITS + value.denominator.bit_length() - value.numerator.bit_length()
        scaled = value * Fraction(2) ** shift
        return cls(-(-scaled.numerator // scaled.denominator), -shift)._short()

    def times(self, other: _Above) -> _Above:
        """Return a number at least the product."""
        return _Above(self.mantissa * other.mantissa, self.exponent + other.exponent)._short()

    def plus(self, other: _Above) -> _Above:
        """Return a number at least the sum."""
        high, low = sorted((self, other), key=lambda x: x.exponent, reverse=True)
        shift = high.exponent - low.exponent
        if shift > 4 * _BITS:  # the smaller one counts as one unit, far above what it is
            return _Above(high.mantissa + (-(-low.mantissa >> shift)), high.exponent)._short()
        return _Above((high.mantissa << shift) + low.mantissa, low.exponent)._short()

    def power(self, n: int) -> _Above:
        """Return a number at least the n-th power, by repeated squaring."""
        result, square = _Above(1, 0), self
        while n:
            if n & 1:
                result = result.times(square)
            square, n = square.times(square), n >> 1
        return result

    def at_most(self, value: Fraction) -> bool:
        """Whether this number is at most ``value``."""
        bits = self.mantissa.bit_length() + self.exponent
        if bits < -4000:
            return value >= Fraction(1, 2**3999)
        return self.mantissa * Fraction(2) ** self.exponent <= value

    def _short(self) -> _Above:
        excess = self.mantissa.bit_length() - _BITS
        if excess <= 0:
            return self
        return _Above(-(-self.mantissa >> excess), self.exponent + excess)


def tail_at_most(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether P(Bin(n, p) ≤ k) ≤ alpha for certain.

    Then "P(event) ≤ p" is a confidence bound for k events in n draws, at level 1 − alpha: the one
    of Clopper and Pearson (Biometrika 26, 1934) or a wider one. The terms
    t_i = C(n, i) p^i (1 − p)^(n − i) are made one from the other, t_(i+1) = t_i (n − i)/(i + 1) ·
    p/(1 − p), and every operation is rounded up.
    """
    if not 0 <= k <= n or not p > 0:
        return False
    if p >= 1:
        return k < n
    if k > _FEW:
        return _far_tail_at_most(k, n, p, alpha)
    odds = _Above.of(p / (1 - p))
    term = _Above.of(1 - p).power(n)
    total = term
    for i in range(k):
        term = term.times(odds).times(_Above.of(Fraction(n - i, i + 1)))
        total = total.plus(term)
    return total.at_most(alpha)


def _far_tail_at_most(k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether P(Bin(n, p) ≤ k) ≤ alpha for certain, for many events and any number of draws.

    From the last term down t_(i−1) = t_i · i/(n − i + 1) · (1 − p)/p. The quotients fall, so where
    one is below 1 the rest is less than a geometric series: some √n terms do. The last one is a
    matter of logarithms, ln(total/t_k) + ln t_k ≤ ln alpha.
    """
    odds = (1 - p) / p
    if alpha <= 0 or k * odds >= n - k + 1:  # k is about the most likely number, or above it
        return False
    one = term = total = 1 << _BITS
    for i in range(k, 0, -1):
        above, below = i * odds.numerator, (n - i + 1) * odds.denominator
        term = -(-term * above // below)
        total += term
        if term < one >> 80:
            total += -(-term * above // (below - above))
            break
    with decimal.localcontext(_EXACT):
        chosen = _log_factorial(n)[1] - _log_factorial(k)[0] - _log_factorial(n - k)[0]
        last = chosen + k * _log(p) + (n - k) * _log(1 - p)
        return last + _log(Fraction(total, one)) + _LOST <= _log(alpha)


def _log(x: Fraction) -> Decimal:
    return Decimal(x.numerator).ln() - Decimal(x.denominator).ln()


def _log_factorial(n: int) -> tuple[Decimal, Decimal]:
    """Return bounds of ln n!: Stirling's series, which lies between any two partial sums."""
    x = Decimal(max(n, 1))
    if n < 1000:
        exact = Decimal(math.factorial(n)).ln()
        return exact, exact
    low = x * x.ln() - x + (2 * _PI * x).ln() / 2 + 1 / (12 * x) - 1 / (360 * x**3)
    return low, low + 1 / (1260 * x**5)
