"""The smooth functions, each with its second derivative.

Bounds of second and third derivatives are rounded up (``tests/checker`` compares them with values
at many points of many intervals). Elementary functions are numpy's and Python's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from simcert.checker.curves import STEEPEST, Curve, always, positive, without_zero
from simcert.checker.interval import Bool, Float, Interval

_Bend = Callable[[Float, Float], tuple[Float, Float]]

_UP = 1 + 2.0**-40
_ROOT_PI, _ROOT_2 = math.sqrt(math.pi), math.sqrt(2.0)
_RATE, _CUBE = math.sqrt(2.0 / math.pi), 0.044715

_each_erf = np.frompyfunc(math.erf, 1, 1)
_each_erfc = np.frompyfunc(math.erfc, 1, 1)


def _erf(x: Float) -> Float:
    return np.asarray(_each_erf(x), dtype=np.float64)


def _sigmoid(x: Float) -> Float:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _gate_slope(x: Float) -> Float:
    """Return σ'."""
    return _sigmoid(x) * _sigmoid(-x)


def _softplus(x: Float) -> Float:
    return np.asarray(np.logaddexp(0.0, x))


# -- ways to bound a second derivative ----------------------------------------------------------


def _monotone(second: Callable[[Float], Float]) -> _Bend:
    """Of a second derivative that is monotone: its ends tell."""

    def bend(lower: Float, upper: Float) -> tuple[Float, Float]:
        ends = second(lower), second(upper)
        low, high = np.minimum(*ends), np.maximum(*ends)
        return low - np.abs(low) * 2.0**-40, high + np.abs(high) * 2.0**-40

    return bend


def _about(second: Callable[[Float], Float], third: float, least: float, greatest: float) -> _Bend:
    """By its value in the middle and the greatest |φ'''|, within bounds for all x."""

    def bend(lower: Float, upper: Float) -> tuple[Float, Float]:
        middle = second(lower / 2 + upper / 2)
        reach = third * (upper - lower) / 2 * _UP + 2.0**-40
        return np.fmax(middle - reach, least), np.fmin(middle + reach, greatest)

    return bend


def _odd(size: Callable[[Float], Float], peak: float, most: float) -> _Bend:
    """Of an odd function that bends down right of 0: −size(x), greatest at ``peak``."""

    def right(near: Float, far: Float) -> Float:
        """Return the greatest size on [near, far], 0 ≤ near."""
        found = np.where(near > peak, size(near), np.where(far < peak, size(far), most))
        return np.where(far > 0, found * _UP, 0.0)

    def bend(lower: Float, upper: Float) -> tuple[Float, Float]:
        down = right(np.maximum(lower, 0.0), np.maximum(upper, 0.0))
        return -down, right(np.maximum(-upper, 0.0), np.maximum(-lower, 0.0))

    return bend


# -- powers -------------------------------------------------------------------------------------


@cache
def power(exponent: float) -> Curve:
    """Return x^p, p neither 0 nor 1: for all x if p is whole, else for positive ones.

    Whole negative p: on either side of 0.
    """
    whole, p = exponent == round(exponent), exponent
    even = whole and p % 2 == 0

    def value(x: Float) -> Float:
        return np.asarray(np.power(x, p))

    def second(x: Float) -> Float:
        return np.asarray(p * (p - 1) * np.power(x, p - 2))

    def bend(lower: Float, upper: Float) -> tuple[Float, Float]:
        low, high = _monotone(second)(lower, upper)
        return np.where((lower <= 0) & (upper >= 0), np.minimum(low, 0.0), low), high

    if p < 0:
        defined: Callable[[Interval], Bool] = without_zero if whole else positive
    else:
        defined = always if whole else _not_negative
    return Curve(
        f"Pow {p}",
        value,
        lambda x: np.asarray(p * np.power(x, p - 1)),
        bend,
        monotone=not (even and p > 0),
        least=(0.0, 0.0, 0.0) if even and p > 0 else None,
        span=(0.0, math.inf) if even or not whole else (-math.inf, math.inf),
        defined=defined,
        steepest=STEEPEST,
    )


def _not_negative(x: Interval) -> Bool:
    return x.lower >= 0


def _one_branch(x: Interval) -> Bool:
    """Whether a tangent has no pole inside or near."""
    ends = ((end + math.pi / 2) / math.pi for end in x)
    low, high = next(ends) - 2.0**-20, next(ends) + 2.0**-20
    return np.asarray((np.floor(low) == np.floor(high)) & (x.size < 2.0**20))


# -- the functions of ONNX ----------------------------------------------------------------------


def _normal(x: Float) -> Float:
    """Return the density of the normal law."""
    return np.asarray(np.exp(-np.square(x) / 2) / (_ROOT_2 * _ROOT_PI))


def _gelu(x: Float) -> Float:
    return x * np.asarray(_each_erfc(-x / _ROOT_2), dtype=np.float64) / 2


def _gelu_gate(x: Float) -> tuple[Float, Float, Float]:
    """Return g, g' and g'' of (1 + tanh(c (x + 0.044715 x³)))/2 = σ(2 c (x + …))."""
    inner = 2 * _RATE * x * (1 + _CUBE * np.square(x))
    first, second = 2 * _RATE * (1 + 3 * _CUBE * np.square(x)), 12 * _RATE * _CUBE * x
    gate, slope = _sigmoid(inner), _gate_slope(inner)
    bend = slope * (_sigmoid(-inner) - gate) * np.square(first) + slope * second
    return gate, slope * first, bend


def _mish_gate(x: Float) -> tuple[Float, Float, Float]:
    """Return g, g' and g'' of tanh(softplus(x))."""
    gate, slope = np.tanh(_softplus(x)), _sigmoid(x)
    rest = 1 / np.square(np.cosh(np.minimum(_softplus(x), 300.0)))
    bend = rest * (_gate_slope(x) - 2 * gate * np.square(slope))
    return gate, rest * slope, bend


def _swish_gate(x: Float) -> tuple[Float, Float, Float]:
    slope = _gate_slope(x)
    return _sigmoid(x), slope, slope * (_sigmoid(-x) - _sigmoid(x))


def _gated(
    name: str,
    gate: Callable[[Float], tuple[Float, Float, Float]],
    bends: tuple[float, float, float],
    least: tuple[float, float, float],
) -> Curve:
    """Return x g(x), for ``gate`` that returns g, g' and g''; see ``_about`` and ``Curve``."""

    def slope(x: Float) -> Float:
        g, first, _ = gate(x)
        return g + x * first

    def second(x: Float) -> Float:
        _, first, bend = gate(x)
        return 2 * first + x * bend

    def value(x: Float) -> Float:
        return x * gate(x)[0]

    return Curve(
        name, value, slope, _about(second, *bends), monotone=False, least=least, cancels="x"
    )


CURVES = {
    curve.name: curve
    for curve in (
        Curve(
            "Sigmoid",
            _sigmoid,
            _gate_slope,
            _odd(lambda x: _gate_slope(x) * np.tanh(x / 2), math.log(2 + math.sqrt(3.0)), 0.0963),
            span=(0.0, 1.0),
            steepest=0.26,
            cancels="one",
        ),
        Curve(
            "Tanh",
            np.tanh,
            lambda x: 1 / np.square(np.cosh(np.clip(x, -300, 300))),
            _odd(
                lambda x: 2 * np.tanh(x) / np.square(np.cosh(np.clip(x, -300, 300))),
                math.atanh(1 / math.sqrt(3.0)),
                0.77,
            ),
            span=(-1.0, 1.0),
            steepest=1.01,
        ),
        Curve(
            "Erf",
            _erf,
            lambda x: 2 / _ROOT_PI * np.exp(-np.square(x)),
            _odd(lambda x: 4 / _ROOT_PI * x * np.exp(-np.square(x)), 1 / _ROOT_2, 0.969),
            span=(-1.0, 1.0),
            steepest=1.13,
        ),
        Curve(
            "Softsign",
            lambda x: x / (1 + np.abs(x)),
            lambda x: 1 / np.square(1 + np.abs(x)),
            _odd(lambda x: 2 / (1 + np.abs(x)) ** 3, 0.0, 2.0),
            span=(-1.0, 1.0),
            steepest=1.01,
        ),
        Curve(
            "Softplus",
            _softplus,
            _sigmoid,
            _about(_gate_slope, 0.0963, 0.0, 0.2501),
            span=(0.0, math.inf),
            steepest=1.01,
            cancels="more",
        ),
        Curve("Exp", np.exp, np.exp, _monotone(np.exp), span=(0.0, math.inf), steepest=STEEPEST),
        Curve(
            "Log",
            np.log,
            lambda x: 1 / x,
            _monotone(lambda x: -1 / np.square(x)),
            defined=positive,
            steepest=STEEPEST,
        ),
        Curve(
            "Sin",
            np.sin,
            np.cos,
            _about(lambda x: -np.sin(x), 1.0, -1.0, 1.0),
            monotone=False,
            span=(-1.0, 1.0),
            steepest=1.01,
            cancels="one",
        ),
        Curve(
            "Cos",
            np.cos,
            lambda x: -np.sin(x),
            _about(lambda x: -np.cos(x), 1.0, -1.0, 1.0),
            monotone=False,
            span=(-1.0, 1.0),
            steepest=1.01,
            cancels="one",
        ),
        Curve(
            "Tan",
            np.tan,
            lambda x: 1 + np.square(np.tan(x)),
            _monotone(lambda x: 2 * np.tan(x) * (1 + np.square(np.tan(x)))),
            defined=_one_branch,
            steepest=STEEPEST,
            cancels="one",
        ),
        Curve(
            "Gelu",
            _gelu,
            lambda x: np.asarray(_each_erfc(-x / _ROOT_2), np.float64) / 2 + x * _normal(x),
            _about(lambda x: _normal(x) * (2 - np.square(x)), 0.88, -0.108, 0.798),
            monotone=False,
            least=(-0.75180, -0.75179, -0.1699713),
            cancels="x",
        ),
        _gated("GeluTanh", _gelu_gate, (0.88, -0.108, 0.798), (-0.75247, -0.75246, -0.1700408)),
        _gated("Swish", _swish_gate, (0.32, -0.037, 0.5001), (-1.27847, -1.27846, -0.2784646)),
        _gated("Mish", _mish_gate, (0.6, -0.0591, 0.6442), (-1.19244, -1.19243, -0.3088435)),
        power(-1.0),
        power(0.5),
        power(2.0),
    )
}
