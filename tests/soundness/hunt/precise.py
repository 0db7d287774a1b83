"""Dense networks with smooth functions or quantisers at 80 digits, where exact numbers end.

What is stated over the reals is compared with these values; they are off by less than 2^-200 of
anything that occurs.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np

from hunt.layers import Dense, Layer, Leaky, Network, Quantiser, Relu, Smooth

DIGITS = 80
_Values = list[mpmath.mpf]


def is_needed(network: Network) -> bool:
    """Whether the network holds what `soundness.exact` does not evaluate."""
    return any(isinstance(layer, Smooth | Quantiser) for layer in network.layers)


def evaluate(network: Network, x: np.ndarray) -> list[Fraction]:
    """The outputs at one point (inputs,)."""
    with mpmath.workdps(DIGITS):
        values = [mpmath.mpf(float(v)) for v in x]
        for layer in network.layers:
            values = _apply(layer, values)
        return [_fraction(value) for value in values]


def _apply(layer: Layer, x: _Values) -> _Values:
    match layer:
        case Dense():
            return [
                mpmath.fsum([mpmath.mpf(float(bias)), *map(_product, row.tolist(), x)])
                for row, bias in zip(layer.weight, layer.bias, strict=True)
            ]
        case Relu():
            return [max(v, mpmath.mpf(0)) for v in x]
        case Leaky():
            return [v if v >= 0 else v * layer.slope for v in x]
        case Smooth():
            return [_SMOOTH[layer.operator](v) for v in x]
        case Quantiser():
            scale = mpmath.mpf(layer.scale)
            levels = [min(max(mpmath.nint(v / scale) + layer.zero, 0), 255) for v in x]
            return [(level - layer.zero) * scale for level in levels]
    raise TypeError(f"no precise evaluation of {layer}")


def _product(weight: float, value: mpmath.mpf) -> mpmath.mpf:
    return mpmath.mpf(weight) * value


_SMOOTH: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "Sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
    "Tanh": mpmath.tanh,
    "Softplus": lambda v: mpmath.log1p(mpmath.exp(-abs(v))) + max(v, mpmath.mpf(0)),
    "Elu": lambda v: v if v >= 0 else mpmath.expm1(v),
    "Softsign": lambda v: v / (1 + abs(v)),
}


def _fraction(value: mpmath.mpf) -> Fraction:
    sign, mantissa, exponent, _ = value._mpf_
    number = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -number if sign else number
