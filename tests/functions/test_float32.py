"""What ONNX Runtime's float32 kernels make of each function lies within the assumed error.

On grids that are dense where the functions bend, at points, so that the error is relative to the
value at that point or to the scale that the function states.
"""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from simcert.functions import (
    Cosine,
    Erf,
    Exponential,
    ExponentialLinear,
    Function,
    Gelu,
    GeluTanh,
    HardSwish,
    Logarithm,
    Mish,
    Power,
    Sigmoid,
    Sine,
    Softplus,
    Softsign,
    Staircase,
    Swish,
    Tangent,
    Tanh,
)

Nodes = list[tuple[str, list[str], dict[str, object]]]


def _one(operator: str, **attributes: object) -> Nodes:
    return [(operator, ["x"], attributes)]


def _power(exponent: float) -> Nodes:
    return [("Pow", ["x", f"{exponent}"], {})]


_SIGNED, _POSITIVE = (-95.0, 88.0), (1e-30, 1e4)
CASES: list[tuple[Function, Nodes, tuple[float, float]]] = [
    (Sigmoid(), _one("Sigmoid"), _SIGNED),
    (Tanh(), _one("Tanh"), _SIGNED),
    (Erf(), _one("Erf"), _SIGNED),
    (Exponential(), _one("Exp"), _SIGNED),
    (Logarithm(), _one("Log"), _POSITIVE),
    (Softplus(), _one("Softplus"), _SIGNED),
    (Softsign(), _one("Softsign"), _SIGNED),
    (Gelu(), _one("Gelu"), _SIGNED),
    (GeluTanh(), _one("Gelu", approximate="tanh"), _SIGNED),
    (Mish(), _one("Mish"), _SIGNED),
    (Sine(), _one("Sin"), _SIGNED),
    (Cosine(), _one("Cos"), _SIGNED),
    (Tangent(), _one("Tan"), (-1.57, 1.57)),
    (HardSwish(float(np.float32(1 / 6))), _one("HardSwish"), _SIGNED),
    (ExponentialLinear(1.0), _one("Elu"), _SIGNED),
    (ExponentialLinear(2.0, 0.5), _one("Celu", alpha=2.0), _SIGNED),
    (Power(0.5), _one("Sqrt"), _POSITIVE),
    (Power(-1.0), _one("Reciprocal"), _POSITIVE),
    *[(Power(p), _power(p), (-90.0, 90.0)) for p in (2.0, 3.0)],
    *[(Power(p), _power(p), _POSITIVE) for p in (0.5, -0.5, 1.5, -1.0)],
    (Swish(), [("Sigmoid", ["x"], {}), ("Mul", ["x", "t0"], {})], _SIGNED),
    (Staircase(0.0), _one("Floor"), _SIGNED),
    (Staircase(-0.5), _one("Round"), _SIGNED),
    (
        Mish(),
        [("Softplus", ["x"], {}), ("Tanh", ["t0"], {}), ("Mul", ["x", "t1"], {})],
        _SIGNED,
    ),
    (
        Gelu(1.0 / float(np.float32(2**0.5))),
        [
            ("Div", ["x", f"{float(np.float32(2**0.5))!r}"], {}),
            ("Erf", ["t0"], {}),
            ("Add", ["t1", "1.0"], {}),
            ("Mul", ["x", "t2"], {}),
            ("Mul", ["t3", "0.5"], {}),
        ],
        _SIGNED,
    ),
]


def runtime(nodes: Nodes) -> Callable[[np.ndarray], np.ndarray]:
    """A session of some nodes; names that are numbers are constants."""
    made, constants = [], {}
    for index, (operator, inputs, attributes) in enumerate(nodes):
        for name in inputs:
            if name[0] not in "xt":
                constants[name] = numpy_helper.from_array(np.array(float(name), np.float32), name)
        made.append(helper.make_node(operator, inputs, [f"t{index}"], **attributes))
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
        for name in ("x", f"t{len(nodes) - 1}")
    ]
    graph = helper.make_graph(made, "g", value[:1], value[1:], list(constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return lambda x: np.asarray(session.run(None, {"x": x})[0])


def grid(low: float, high: float) -> np.ndarray:
    """Dense around 0 and ±1, and over all magnitudes."""
    random = np.random.default_rng(0)
    parts = [np.linspace(low, high, 20_001), np.linspace(-7, 7, 40_001)]
    parts += [s * 10.0 ** random.uniform(-30, 3, 5_000) for s in (1, -1)]
    x = np.concatenate(parts).astype(np.float32)
    return x[(x >= low) & (x <= high) & (np.abs(x) >= 2.0**-126)]


@pytest.mark.parametrize(
    ("function", "nodes", "ends"), CASES, ids=[f"{f} {len(n)}" for f, n, _ in CASES]
)
def test_onnx_runtime_is_as_exact_as_assumed(
    function: Function, nodes: Nodes, ends: tuple[float, float]
) -> None:
    x = grid(*ends)
    found = torch.from_numpy(runtime(nodes)(x).astype(np.float64))[None]
    points = torch.from_numpy(x.astype(np.float64))[None]
    shift, error = function.roundoff(points, points)
    low, high = function.residual(points - shift, points + shift, torch.zeros_like(points))
    inside = (found >= low - error) & (found <= high + error)
    worst = ((found - function.value(points)).abs() / error).max()
    assert bool(inside.all()), (float(worst), x[~inside[0].numpy()][:5])
