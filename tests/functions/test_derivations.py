"""The facts of every smooth function, derived again with sympy."""

import math
from collections.abc import Callable
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy
import torch

from simcert.functions import (
    Cosine,
    Erf,
    Exponential,
    Gelu,
    GeluTanh,
    Logarithm,
    Mish,
    Power,
    Sigmoid,
    Sine,
    Softplus,
    Softsign,
    Swish,
    Tangent,
    Tanh,
)
from simcert.functions.exponential_linear import ShiftedExponential
from simcert.functions.hard_swish import Parabola
from simcert.functions.line import Line
from simcert.functions.smooth import Smooth

X = sympy.Symbol("x", real=True)
_SIGMOID = 1 / (1 + sympy.exp(-X))
_SOFTPLUS = sympy.log(1 + sympy.exp(X))
_GATE = sympy.tanh(_SOFTPLUS)
_INNER = sympy.sqrt(2 / sympy.pi) * (X + sympy.Rational(44715, 1000000) * X**3)

FORMULAS: list[tuple[Smooth, sympy.Expr, tuple[float, float]]] = [
    (Sigmoid(), _SIGMOID, (-30, 30)),
    (Tanh(), sympy.tanh(X), (-15, 15)),
    (Erf(), sympy.erf(X), (-5, 5)),
    (Exponential(), sympy.exp(X), (-30, 30)),
    (Logarithm(), sympy.log(X), (1e-3, 30)),
    (Softplus(), _SOFTPLUS, (-30, 30)),
    (Gelu(), X * (1 + sympy.erf(X / sympy.sqrt(2))) / 2, (-7, 7)),
    (Gelu(0.3), X * (1 + sympy.erf(sympy.Float(0.3, 40) * X)) / 2, (-12, 12)),
    (GeluTanh(), X * (1 + sympy.tanh(_INNER)) / 2, (-4, 4)),
    (Swish(), X * _SIGMOID, (-30, 30)),
    (Mish(), X * _GATE, (-25, 25)),
    (Sine(), sympy.sin(X), (-1.5, 4.5)),
    (Cosine(), sympy.cos(X), (-1.5, 4.5)),
    (Tangent(), sympy.tan(X), (-1.5, 1.5)),
    (Line(-1.5, 2.0), -1.5 * X + 2, (-3, 3)),
    (Parabola(0.25, 0.5), X**2 / 4 + X / 2, (-5, 5)),
    *[
        (ShiftedExponential(w, r), sympy.Float(w, 40) * (sympy.exp(sympy.Float(r, 40) * X) - 1), e)
        for w, r, e in ((1.5, 0.5, (-9.0, 9.0)), (-0.7, 1.0, (-9.0, 9.0)))
    ],
    *[(Power(float(p)), X ** sympy.Integer(p), (-5, 5)) for p in (1, 2, 3, 4, 5)],
    *[(Power(float(p)), X ** sympy.Integer(p), (0.1, 5)) for p in (-1, -2, -3)],
    *[(Power(float(p)), X ** sympy.Integer(p), (-5, -0.1)) for p in (-1, -2, -3)],
    *[(Power(p), X ** sympy.Rational(p), (0.1, 5)) for p in (0.5, 1.5, -0.5, 2.25)],
    (Softsign(), X / (1 + X), (1e-9, 9)),
    (Softsign(), X / (1 - X), (-9, -1e-9)),
]


def numeric(expression: sympy.Expr) -> Callable[[mpmath.mpf], mpmath.mpf]:
    """A function of mpmath's numbers, with room for what cancels in it."""
    return sympy.lambdify(X, expression, "mpmath")  # type: ignore[no-any-return]


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))[None]


@pytest.mark.parametrize(
    ("function", "formula", "ends"), FORMULAS, ids=[f"{f} {e}" for f, _, e in FORMULAS]
)
def test_description(function: Smooth, formula: sympy.Expr, ends: tuple[float, float]) -> None:
    with mpmath.workdps(150):
        _check(function, formula, ends)


def _check(function: Smooth, formula: sympy.Expr, ends: tuple[float, float]) -> None:
    value, slope, bend = (numeric(sympy.diff(formula, X, n)) for n in range(3))
    grid = np.linspace(*ends, 241)
    points = [mpmath.mpf(float(x)) for x in grid]
    # The value and the derivative are those of the formula, to the accuracy that is assumed.
    for given, size, expected in (
        (function.value, function.magnitude, value),
        (function.derivative, function.steepness, slope),
    ):
        found, sizes = given(tensor(grid))[0].tolist(), size(tensor(grid))[0].tolist()
        for x, own, unit in zip(points, found, sizes, strict=True):
            assert abs(expected(x) - own) <= 16 * 2.0**-53 * unit + 1e-300, (x, own)
    # Between the inflections f bends as the pieces say.
    low, high = tensor(grid[:1]), tensor(grid[-1:])
    edges = set()
    for left, right, sign in function.pieces(low, high):
        begin, end, way = (float(t.reshape(-1)[0]) for t in (left, right, sign))
        edges |= {edge for edge in (begin, end) if ends[0] < edge < ends[1]}
        for x in points:
            if begin < x < end:
                assert bend(x) * way >= 0, (x, bend(x))
    # Each inflection is a root of f″, or the float64 next to one; there are no others.
    for edge in edges:
        around = [np.nextafter(edge, -math.inf), np.nextafter(edge, math.inf)]
        if isinstance(function, Sine | Cosine | Tangent):
            around = [edge - 2e-15, edge + 2e-15]
        first, second = (bend(mpmath.mpf(float(x))) for x in around)
        assert first * second < 0 or bend(mpmath.mpf(edge)) == 0
    signs = [mpmath.sign(bend(x)) for x in points]
    changes = sum(a * b < 0 for a, b in pairwise(signs))
    zeros = sum(s == 0 for s in signs[1:-1])
    assert changes + min(zeros, len(edges)) == len(edges) or not any(signs)
    # The values stay in the span, and rise or fall as stated.
    values = [value(x) for x in points]
    assert all(function.span[0] <= v <= function.span[1] for v in values)
    if function.monotone:
        steps = [b - a for a, b in pairwise(values)]
        assert all(step * function.monotone >= 0 for step in steps)


def test_no_further_inflections_far_out() -> None:
    """What lies beyond the grids: f″ is a positive factor times something with one sign there."""
    tail = sympy.Symbol("t", positive=True)
    # Swish: f″ = σ(x) σ(−x) (2 − x tanh(x/2)), and x tanh(x/2) rises with |x|.
    identity = sympy.diff(X * _SIGMOID, X, 2) - _SIGMOID * (1 - _SIGMOID) * (
        2 - X * (1 - 2 / (1 + sympy.exp(X)))
    )
    assert sympy.simplify(identity) == 0
    # Gelu: f″ = φ(x) (2 − x²).
    density = sympy.exp(-(X**2) / 2) / sympy.sqrt(2 * sympy.pi)
    own = X * (1 + sympy.erf(X / sympy.sqrt(2))) / 2
    assert sympy.simplify(sympy.diff(own, X, 2) - density * (2 - X**2)) == 0
    # GeluTanh: f″ = sech²(u) (u′ + x u″/2 − x u′² tanh u); the bracket falls with |x| from 3 on.
    slope, bend = sympy.diff(_INNER, X), sympy.diff(_INNER, X, 2)
    bracket = slope + X * bend / 2 - X * slope**2 * sympy.tanh(_INNER)
    whole = sympy.diff(X * (1 + sympy.tanh(_INNER)) / 2, X, 2)
    assert sympy.simplify(whole - (1 - sympy.tanh(_INNER) ** 2) * bracket) == 0
    bound = (slope + X * bend / 2 - X * slope**2 * sympy.tanh(_INNER.subs(X, 3))).subs(X, tail + 3)
    assert all(c < 0 for c in sympy.Poly(sympy.N(sympy.expand(bound)), tail).all_coeffs())
    # Mish, with w = e^x: f″ = 2 t′ + x t″, negative where x t″/t′ < −2. That holds at both ends of
    # the grid's middle, and beyond them t″/t′ is monotone, so that it goes on holding.
    w = sympy.Symbol("w", positive=True)
    gate = (w**2 + 2 * w) / (w**2 + 2 * w + 2)
    first = sympy.cancel(sympy.diff(gate, w) * w)
    ratio = sympy.cancel(sympy.diff(first, w) * w / first)
    for edge in (sympy.Rational(1, 2900), sympy.Integer(2900)):
        assert sympy.log(edge) * ratio.subs(w, edge) < -2
    slope_of_ratio = sympy.Poly(sympy.fraction(sympy.cancel(sympy.diff(ratio, w)))[0], w)
    assert slope_of_ratio.eval(0) != 0
    assert slope_of_ratio.count_roots(0, sympy.Rational(1, 2900)) == 0
    assert slope_of_ratio.count_roots(2900, None) == 0
