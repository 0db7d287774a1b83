"""The operators that no rational arithmetic can follow, in high precision.

Results are off by 2^-400; values that grow beyond 2^9000, poles and roots of negative numbers end
an evaluation, and the point is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np

from simcert.model.graph import Node
from soundness.exact import Exact, joint

mp = mpmath.MPContext()
mp.prec = 600
Number = mpmath.mpf
_DIGITS = 400
_EPSILON = float(np.float32(1e-5))


class BeyondError(ArithmeticError):
    """A value that is not defined, or too large to go on with."""


def numbers(x: Exact) -> np.ndarray:
    """The elements as mpmath's numbers."""
    values = np.empty(x.n.shape, dtype=object)
    for at in np.ndindex(x.n.shape):
        values[at] = mp.ldexp(mp.mpf(int(x.n[at])), -x.e)
    return values


def exact(values: np.ndarray) -> Exact:
    """Numbers of mpmath, rounded."""
    n = np.empty(values.shape, dtype=object)
    for at in np.ndindex(values.shape):
        if not mp.isfinite(values[at]) or abs(values[at]) > mp.ldexp(1, 9000):
            raise BeyondError(str(values[at]))
        n[at] = int(mp.floor(mp.ldexp(values[at], _DIGITS)))
    return Exact(n, _DIGITS, rounded=True)


def each(function: Callable[[Number], Number], x: Exact) -> Exact:
    """A function of each element."""
    values = numbers(x)
    flat = []
    for value in values.ravel():
        if value > 2**14 and function in _GROWING:
            raise BeyondError(str(value))
        if abs(value) > mp.ldexp(1, 200) and function in _TURNING:
            raise BeyondError(str(value))
        try:
            flat.append(mp.mpf(function(value)))
        except (ValueError, ZeroDivisionError, TypeError) as error:
            raise BeyondError(str(value)) from error
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return exact(result.reshape(values.shape))


def _sigmoid(x: Number) -> Number:
    small = mp.exp(-abs(x))
    return 1 / (1 + small) if x >= 0 else small / (1 + small)


def _tanh(x: Number) -> Number:
    small = mp.exp(-2 * abs(x))
    return mp.sign(x) * (1 - small) / (1 + small)


def _softplus(x: Number) -> Number:
    return max(x, mp.mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def _erf(x: Number) -> Number:
    return mp.sign(x) if abs(x) > 100 else mp.erf(x)


def _positive(function: Callable[[Number], Number]) -> Callable[[Number], Number]:
    def run(x: Number) -> Number:
        if x <= 0:
            raise ValueError
        return function(x)

    return run


def _root(x: Number) -> Number:
    if x < 0:
        raise ValueError
    return mp.sqrt(x)


def _half_even(x: Number) -> Number:
    low = mp.floor(x)
    rest = x - low
    return low + int(rest > 0.5 or (rest == 0.5 and int(low) % 2 == 1))


_log = _positive(mp.log)
_GROWING = {mp.exp}
_TURNING = {mp.sin, mp.cos, mp.tan}

FUNCTIONS: dict[str, Callable[[Number], Number]] = {
    "Ceil": mp.ceil,
    "Cos": mp.cos,
    "Erf": _erf,
    "Exp": mp.exp,
    "Floor": mp.floor,
    "Log": _log,
    "Mish": lambda x: x * _tanh(_softplus(x)),
    "Reciprocal": lambda x: 1 / x,
    "Round": _half_even,
    "Sigmoid": _sigmoid,
    "Sign": mp.sign,
    "Sin": mp.sin,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Sqrt": _root,
    "Tan": mp.tan,
    "Tanh": _tanh,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "Equal": lambda a, b: a == b,
    "Greater": lambda a, b: a > b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "Less": lambda a, b: a < b,
    "LessOrEqual": lambda a, b: a <= b,
}
_LOGIC = {"And": min, "Or": max, "Xor": lambda a, b: abs(a - b)}


def run(node: Node, x: Exact, rest: list[object]) -> list[Exact] | None:
    """Run one node by the text of the ONNX specification; None where it is not known here."""
    name = node.operator
    one = Exact.of(np.ones(()))
    if name in FUNCTIONS:
        return [each(FUNCTIONS[name], x)]
    if name in _COMPARISONS:
        holds = np.vectorize(lambda a, b: int(_COMPARISONS[name](a, b)), otypes=[object])
        e = max(x.e, rest[0].e)
        return [Exact(np.asarray(holds(x.at(e), rest[0].at(e)), dtype=object), 0)]
    if name in ("ArgMax", "ArgMin"):
        axis = node.integer("axis", 0)
        choose = np.argmax if name == "ArgMax" else np.argmin
        last = bool(node.integer("select_last_index", 0))
        n = np.flip(x.n, axis) if last else x.n
        place = choose(n, axis=axis, keepdims=bool(node.integer("keepdims", 1)))
        place = x.shape[axis] - 1 - place if last else place
        return [Exact(np.asarray(place).astype(object), 0)]
    if name in _LOGIC:
        combine = np.vectorize(_LOGIC[name], otypes=[object])
        e = max(x.e, rest[0].e)
        n = np.asarray(combine(x.at(e), rest[0].at(e)), dtype=object)
        return [Exact(n, e, x.rounded or rest[0].rounded)]
    match name:
        case "Not":
            return [one - x]
        case "Cast":
            return [
                x
                if node.integer("to", 1) != 9
                else Exact(np.where(x.n == 0, 0, 1).astype(object), 0)
            ]
        case "Where":
            return [x * rest[0] + (one - x) * rest[1]]
        case "Celu" | "Elu" | "Selu":
            return [each(_exponential_linear(node), x)]
        case "HardSigmoid":
            line = x * _of(node.real("alpha", float(np.float32(0.2))))
            return [_clipped(line + _of(node.real("beta", 0.5)))]
        case "HardSwish":
            return [x * _clipped(x * _of(float(np.float32(1 / 6))) + _of(0.5))]
        case "Gelu":
            return [each(_gelu_tanh if node.text("approximate", "none") == "tanh" else _gelu, x)]
        case "Pow":
            (p,) = {float(f) for f in rest[0].fractions()}
            whole = p == int(p)
            power = (lambda v: v ** int(p)) if whole else _positive(lambda v: mp.power(v, p))
            return [each(power, x)]
        case "ReduceL1" | "ReduceL2" | "ReduceSumSquare":
            axes, keep = tuple(rest[0].tolist()), bool(node.integer("keepdims", 1))
            terms = x.like(np.abs(x.n)) if name == "ReduceL1" else x * x
            total = terms.like(np.sum(terms.n, axis=axes, keepdims=keep))
            return [each(_root, total) if name == "ReduceL2" else total]
        case "Softmax" | "LogSoftmax":
            return [_softmax(numbers(x), node.integer("axis", -1), logarithm=name[0] == "L")]
        case "LayerNormalization" | "InstanceNormalization" | "GroupNormalization":
            return [_normalised(node, x, *rest)]
        case "LSTM" | "GRU" | "RNN":
            return _recurrent(node, x, *rest)
    return None


def _of(value: float) -> Exact:
    return Exact.of(np.array(value))


def _clipped(x: Exact) -> Exact:
    return joint(np.minimum, joint(np.maximum, x, _of(0.0)), _of(1.0))


def _exponential_linear(node: Node) -> Callable[[Number], Number]:
    alpha, gamma = mp.mpf(node.real("alpha", 1.0)), mp.mpf(1)
    rate = mp.mpf(1)
    if node.operator == "Selu":
        alpha = mp.mpf(node.real("alpha", float(np.float32(1.67326319217681884765625))))
        gamma = mp.mpf(node.real("gamma", float(np.float32(1.05070102214813232421875))))
    if node.operator == "Celu":
        rate = 1 / alpha
    return lambda x: gamma * x if x >= 0 else gamma * alpha * mp.expm1(rate * x)


def _gelu(x: Number) -> Number:
    if abs(x) > 100:
        return max(x, mp.mpf(0))
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def _gelu_tanh(x: Number) -> Number:
    return x * _sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))


def _softmax(x: np.ndarray, axis: int, *, logarithm: bool) -> Exact:
    powers = np.vectorize(mp.exp, otypes=[object])(x - np.max(x, axis=axis, keepdims=True))
    sums = np.sum(powers, axis=axis, keepdims=True)
    if not logarithm:
        return exact(np.asarray(powers / sums))
    logs = np.vectorize(mp.log, otypes=[object])(sums)
    return exact(np.asarray(x - np.max(x, axis=axis, keepdims=True) - logs))


def _normalised(node: Node, x: Exact, scale: Exact, bias: Exact) -> Exact:
    values, rank = numbers(x), len(x.shape)
    if node.operator == "LayerNormalization":
        grouped, shape = values, scale.shape
        axes: tuple[int, ...] = (rank - 1,)
    else:
        groups = node.integer("num_groups", x.shape[1])
        grouped = values.reshape(x.shape[0], groups, -1)
        shape, axes = (-1, *(1,) * (rank - 2)), (2,)
    count = math.prod(grouped.shape[a] for a in axes)
    centred = grouped - np.sum(grouped, axis=axes, keepdims=True) / count
    variance = np.sum(centred * centred, axis=axes, keepdims=True) / count
    epsilon = mp.mpf(node.real("epsilon", _EPSILON))
    roots = np.vectorize(mp.sqrt, otypes=[object])(variance + epsilon)
    y = exact(np.asarray(centred / roots).reshape(values.shape))
    return y * scale.like(scale.n.reshape(shape)) + bias.like(bias.n.reshape(shape))


def _recurrent(node: Node, x: Exact, *rest: Exact) -> list[Exact]:
    """Forward, with biases, as the specification has it."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[node.operator]
    values = numbers(x)[:, 0]
    w, r, b = (numbers(p)[0] for p in rest[:3])
    hidden = r.shape[1]
    sigmoid, tanh = (np.vectorize(f, otypes=[object]) for f in (_sigmoid, _tanh))
    own, other = b[: gates * hidden], b[gates * hidden :]
    state = cell = np.array([mp.mpf(0)] * hidden, dtype=object)
    outputs = []
    for row in values:
        left = np.split(w @ row + own, gates)
        right = np.split(r @ state + other, gates)
        if node.operator == "RNN":
            state = tanh(left[0] + right[0])
        elif node.operator == "LSTM":
            i, o, f = (sigmoid(a + c) for a, c in zip(left[:3], right[:3], strict=True))
            cell = f * cell + i * tanh(left[3] + right[3])
            state = o * tanh(cell)
        else:
            z, reset = (sigmoid(a + c) for a, c in zip(left[:2], right[:2], strict=True))
            if node.integer("linear_before_reset", 0):
                past = reset * right[2]
            else:
                past = r[2 * hidden :] @ (reset * state) + other[2 * hidden :]
            state = (1 - z) * tanh(left[2] + past) + z * state
        outputs.append(state)
    return [exact(np.array(outputs, dtype=object).reshape(len(values), 1, 1, hidden))]
