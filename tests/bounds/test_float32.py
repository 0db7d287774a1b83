"""The terms for a float32 runtime cover every order of summation, and overflow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from soundness.runtime import Sessions, save

from simcert.bounds import Propagator
from simcert.bounds.affine import AffineRule
from simcert.bounds.interval import Interval
from simcert.model import load
from simcert.model.graph import Graph, Node, TensorInfo
from simcert.model.linear import Dense
from simcert.model.lowering import lower
from simcert.model.program import Affine
from simcert.pairing import align


def rule(weight: np.ndarray, bias: np.ndarray) -> AffineRule:
    step = Affine((0,), (Dense(torch.as_tensor(weight)),), torch.as_tensor(bias), "dense")
    return AffineRule(step, 1, torch.device("cpu"), float32=True)


def bounded_at(own: AffineRule, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    point = torch.as_tensor(x)[None]
    interval, _ = own.forward([Interval(point, point)])
    return interval.lower[0].numpy(), interval.upper[0].numpy()


def test_sums_in_any_order_lie_inside() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 2, 3, 17, 200):
        scale = 10.0 ** generator.integers(-3, 4, size)
        weight = (generator.normal(size=(8, size)) * scale).astype(np.float32)
        bias = generator.normal(size=8).astype(np.float32)
        x = generator.normal(size=size).astype(np.float32)
        lower, upper = bounded_at(rule(weight.astype(float), bias.astype(float)), x.astype(float))
        widest = 0.0
        for _ in range(50):
            order = generator.permutation(size + 1)
            terms = np.concatenate([weight * x, bias[:, None]], axis=1)[:, order]
            total = np.zeros(8, np.float32)
            for column in terms.T:
                total = total + column
            assert (lower <= total).all()
            assert (total <= upper).all()
            widest = max(widest, float(np.abs(total - (weight.astype(float) @ x + bias)).max()))
        if size > 1:
            assert widest > 0  # float32 does round here: the test can fail


def test_flushed_subnormals_lie_inside() -> None:
    weight, bias = np.full((1, 3), 2.0**-100), np.zeros(1)
    x = np.full(3, 2.0**-30)
    lower, _ = bounded_at(rule(weight, bias), x)
    assert lower[0] <= 0.0  # each product, 2^-130, may become 0


def test_outputs_of_a_network_beside_itself_may_be_flushed() -> None:
    """Both copies flush the same ones: the difference stays 0, the outputs do not stay above it."""
    x, y = (TensorInfo(name, (1, 1), np.dtype(np.float32)) for name in "xy")
    program = lower(Graph(x, y, (Node("Relu", "r", ("x",), ("y",)),), {}, 17))
    dual = replace(align(program, program), same=True)
    rows = torch.eye(3, dtype=torch.float64)[:, :, None]  # of f, of g and of f − g
    bounds = Propagator(dual, *rows, float32=True).bound(
        *(torch.tensor([[end]], dtype=torch.float64) for end in (1e-40, 2e-40))
    )
    assert (bounds.lower[0, :2] <= 0.0).all()
    assert bounds.lower[0, 2] == bounds.upper[0, 2] == 0.0


def test_what_may_overflow_has_no_bound() -> None:
    lower, upper = bounded_at(rule(np.full((1, 2), 3e38), np.zeros(1)), np.array([1.0, -1.0]))
    assert (lower[0], upper[0]) == (-np.inf, np.inf)


@pytest.mark.parametrize(("operator", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_kernels_of_recurrent_operators_lie_inside(
    tmp_path: Path, operator: str, gates: int
) -> None:
    """ONNX Runtime computes tanh in an RNN in another way than alone: near 0 it is far off."""
    ends = (
        TensorInfo(n, shape, np.dtype(np.float32))
        for n, shape in [("x", (1, 1, 1)), ("y", (1, 1, 1, 1))]
    )
    constants = {
        "w": np.ones((1, gates, 1), np.float32),
        "r": np.zeros((1, gates, 1), np.float32),
        "b": np.zeros((1, 2 * gates), np.float32),
    }
    node = Node(operator, "n", ("x", *constants), ("y",), {"hidden_size": 1}, 21)
    graph = Graph(*ends, (node,), constants, 21)
    path = save(graph, tmp_path / "f.onnx")
    program = lower(load(path).graph)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    propagator = Propagator(align(program, program), one, zero, zero, float32=True)
    generator = np.random.default_rng(0)
    x = (10.0 ** generator.uniform(-8, 1, (2000, 1))).astype(np.float32).astype(np.float64)
    bounds = propagator.bound(torch.from_numpy(x), torch.from_numpy(x))
    for computed in Sessions(path, graph).run(x):
        assert (bounds.lower.numpy() <= computed).all()
        assert (computed <= bounds.upper.numpy()).all()
