"""Every function in high precision, by its definition, and intervals that are hard for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np

from simcert.functions import (
    Clip,
    Cosine,
    Erf,
    Exponential,
    ExponentialLinear,
    Function,
    Gelu,
    GeluTanh,
    HardSwish,
    Identity,
    Line,
    Logarithm,
    Mish,
    Power,
    Rectifier,
    Sigmoid,
    Sine,
    Softplus,
    Softsign,
    Staircase,
    Step,
    Swish,
    Tangent,
    Tanh,
    ZeroIndicator,
)

mp = mpmath.MPContext()
mp.prec = 400
Number = mpmath.mpf


@dataclass(frozen=True)
class Case:
    """A function, its definition, the numbers of interest, and the least argument."""

    function: Function
    exact: Callable[[Number], Number]
    points: tuple[float, ...] = (0.0,)
    least: float = -np.inf

    @property
    def id(self) -> str:
        return repr(self.function)


def _gelu_tanh(x: Number) -> Number:
    u = mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3)
    return x / (1 + mp.exp(-2 * u))


def _mish(x: Number) -> Number:
    return x * mp.tanh(mp.log1p(mp.exp(x)))


def _exponential_linear(weight: float, rate: float, slope: float) -> Callable[[Number], Number]:
    return lambda x: slope * x if x >= 0 else mp.mpf(weight) * mp.expm1(mp.mpf(rate) * x)


def _power(p: float) -> Callable[[Number], Number]:
    return lambda x: x ** int(p) if p == int(p) else mp.power(x, mp.mpf(p))


def _round(x: Number) -> Number:
    low = mp.floor(x)
    rest = x - low
    up = rest > 0.5 or (rest == 0.5 and int(low) % 2 == 1)
    return low + 1 if up else low


ALPHA = float(np.float32(1 / 6))
ROOT = 2.0**0.5
TURN = float(np.pi)

SMOOTH = [
    Case(Sigmoid(), lambda x: 1 / (1 + mp.exp(-x))),
    Case(Tanh(), mp.tanh),
    Case(Erf(), mp.erf),
    Case(Exponential(), mp.exp),
    Case(Logarithm(), mp.log, (0.0, 1.0), 5e-324),
    Case(Softplus(), lambda x: mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))),
    Case(Softsign(), lambda x: x / (1 + abs(x))),
    Case(Gelu(), lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2, (0.0, ROOT, -ROOT, -0.75)),
    Case(Gelu(0.3), lambda x: x * mp.erfc(-mp.mpf(0.3) * x) / 2, (0.0, 1 / 0.3, -1 / 0.3)),
    Case(GeluTanh(), _gelu_tanh, (0.0, 1.4185040087908283, -1.4185040087908283)),
    Case(Swish(), lambda x: x / (1 + mp.exp(-x)), (0.0, 2.3993572805154675, -2.3993572805154675)),
    Case(Mish(), _mish, (0.0, -2.256376396360793, 1.4905711794854284)),
    Case(Sine(), mp.sin, (0.0, TURN, -TURN / 2, 1000 * TURN, 2.0**20)),
    Case(Cosine(), mp.cos, (0.0, TURN / 2, -TURN, 999.5 * TURN, -(2.0**20))),
    Case(Tangent(), mp.tan, (0.0, TURN / 2, TURN, -1.5 * TURN)),
    Case(Line(-1.5, 0.25), lambda x: mp.mpf(-1.5) * x + mp.mpf(0.25)),
    *(Case(Power(p), _power(p)) for p in (1.0, 2.0, 3.0, 4.0, 7.0, -1.0, -2.0, -3.0)),
    *(Case(Power(p), _power(p), (0.0, 1.0), 0.0) for p in (0.5, 1.5, 0.3, 2.7)),
    *(Case(Power(p), _power(p), (0.0, 1.0), 5e-324) for p in (-0.5, -1.25)),
]

PIECEWISE = [
    *(
        Case(ExponentialLinear(*p), _exponential_linear(*p))
        for p in ((1.0, 1.0, 1.0), (0.7, 1.0, 1.0), (-1.2, 1.0, 1.0), (1.758, 1.0, 1.0507))
    ),
    *(Case(ExponentialLinear(*p), _exponential_linear(*p)) for p in ((2.5, 0.4, 1), (-2, -0.5, 1))),
    Case(
        HardSwish(ALPHA),
        lambda x: x * min(max(mp.mpf(ALPHA) * x + mp.mpf(0.5), mp.mpf(0)), mp.mpf(1)),
        (0.0, 3.0, -3.0, 0.5 / ALPHA, -0.5 / ALPHA),
    ),
]

JUMPS = [
    Case(Staircase(-1.0), mp.ceil, (0.0, 1.0, -7.0)),
    Case(Staircase(-0.5), _round, (0.5, 1.5, -6.5)),
    Case(Staircase(0.0), mp.floor, (0.0, 1.0, -7.0)),
    Case(Step(0.0), lambda x: mp.mpf(int(x > 0))),
    Case(Step(1.0), lambda x: mp.mpf(int(x >= 0))),
    Case(ZeroIndicator(), lambda x: mp.mpf(int(x == 0))),
]

LINES = [
    Case(Identity(), lambda x: x),
    Case(Clip(-0.7, 1.3), lambda x: max(mp.mpf(-0.7), min(x, mp.mpf(1.3))), (-0.7, 1.3)),
    Case(Rectifier(), lambda x: max(x, mp.mpf(0))),
]

CASES = [*SMOOTH, *PIECEWISE, *JUMPS, *LINES]


def intervals(random: np.random.Generator, case: Case, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends: wide, tiny, huge, points, near the function's points of interest."""
    centres = random.choice(case.points, count) * (random.random(count) < 0.6)
    kind = random.integers(0, 8, count)
    scale = 10.0 ** random.uniform(-18, 1, count)
    centre = centres + random.standard_normal(count) * random.choice([0.0, 1e-12, 1.0, 6.0], count)
    low = centre - scale * random.random(count)
    high = centre + scale * random.random(count)
    high = np.where(kind == 1, low, high)
    high = np.where(kind == 2, np.nextafter(low, np.inf), high)
    low = np.where(kind == 3, centres, low)
    high = np.where(kind == 4, np.maximum(centres, low), high)
    low = np.where(kind == 5, -(10.0 ** random.uniform(0, 6, count)), low)
    high = np.where(kind == 5, 10.0 ** random.uniform(0, 2, count), high)
    low = np.where(kind == 6, random.uniform(-40, 40, count), low)
    high = np.where(kind == 6, low + random.random(count) * 3, high)
    low, high = np.maximum(low, case.least), np.maximum(high, case.least)
    return np.minimum(low, high), np.maximum(low, high)


def inside(random: np.random.Generator, case: Case, low: float, high: float) -> list[float]:
    """Some points of an interval: ends, random ones, and points of interest."""
    candidates = [low, high, np.nextafter(low, high), np.nextafter(high, low), low / 2 + high / 2]
    candidates += list(low + (high - low) * random.random(3))
    candidates += [float(p) for p in case.points]
    return [float(x) for x in candidates if low <= x <= high]
