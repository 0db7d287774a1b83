"""Every operator: read as ONNX Runtime runs it, and bounded around every sample."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from simcert import load
from simcert.checker.bounds import Pair
from simcert.checker.exact import ExactPair
from simcert.checker.network import read
from simcert.model.runtime import Runtime

SHAPE = (1, 2, 4, 4)

Case = tuple[str, dict[str, Any], dict[str, np.ndarray]]


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


CASES: list[Case] = [
    ("Abs", {}, {}),
    ("Add", {}, {"w": weights(2, 1, 1)}),
    ("Mul", {}, {"w": weights(4, 4)}),
    ("Div", {}, {"w": 3 + abs(weights(2, 1, 1))}),
    ("Sub", {}, {"w": weights(1)}),
    ("Neg", {}, {}),
    ("LeakyRelu", {"alpha": 0.1}, {}),
    ("PRelu", {}, {"w": weights(2, 1, 1)}),
    ("Clip", {}, {"l": np.float32(-0.3), "h": np.float32(0.4)}),
    ("Max", {}, {"w": weights(2, 1, 1)}),
    ("Min", {}, {"w": weights(4)}),
    ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 0, 1]}, {}),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, {}),
    ("AveragePool", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0]}, {}),
    ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}, {}),
    ("AveragePool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, {}),
    ("GlobalAveragePool", {}, {}),
    ("GlobalMaxPool", {}, {}),
    ("ReduceMean", {"axes": [1, 3], "keepdims": 0}, {}),
    ("ReduceSum", {}, {"axes": whole(2)}),
    ("ReduceMax", {"axes": [-1]}, {}),
    ("Conv", {"group": 2, "strides": [2, 1], "dilations": [1, 2], "pads": [1, 1, 0, 2]},
     {"w": weights(4, 1, 2, 2), "b": weights(4)}),
    ("Conv", {"auto_pad": "SAME_LOWER"}, {"w": weights(3, 2, 2, 2)}),
    ("BatchNormalization", {"epsilon": 1e-3},
     {"s": weights(2), "b": weights(2), "m": weights(2), "v": 0.1 + abs(weights(2))}),
    ("Pad", {}, {"p": whole(0, 0, 1, 0, 0, 0, 0, 2), "v": np.float32(0.7)}),
    ("Pad", {"mode": "reflect"}, {"p": whole(0, 0, 1, 0, 0, 0, 0, 2)}),
    ("Slice", {}, {"s": whole(-1), "e": whole(-9), "a": whole(2), "t": whole(-2)}),
    ("Gather", {"axis": 2}, {"i": np.array([[3, -4], [1, 1]])}),
    ("Transpose", {"perm": [0, 3, 1, 2]}, {}),
    ("Reshape", {}, {"s": whole(0, -1, 8)}),
    ("Unsqueeze", {}, {"a": whole(1)}),
    ("Squeeze", {}, {"a": whole(0)}),
    ("Expand", {}, {"s": whole(3, 1, 4, 1)}),
    ("MatMul", {}, {"w": weights(4, 3)}),
    ("Dropout", {}, {}),
]  # fmt: skip


def write(path: Path, case: Case, noise: float) -> Path:
    """A convolution, the operator beside a residual path, and a product of everything."""
    operator, attributes, constants = case
    generator, other = np.random.default_rng(2), np.random.default_rng(3)
    first = generator.normal(size=(2, 2, 1, 1)) + noise * other.normal(size=(2, 2, 1, 1))
    constants = {"first": first.astype(np.float32), **constants}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["t_h"]),
        helper.make_node(operator, ["t_h", *list(constants)[1:]], ["t_o"], **attributes),
        helper.make_node("Flatten", ["t_o"], ["t_a"], axis=0),
        helper.make_node("Flatten", ["t_h"], ["t_c"], axis=0),
        helper.make_node("Concat", ["t_a", "t_c"], ["t_j"], axis=1),
        helper.make_node("Relu", ["t_j"], ["t_r"]),
        helper.make_node("Add", ["t_r", "t_j"], ["t_d"]),
        helper.make_node("ReduceMean", ["t_d"], ["mean"], axes=[1]),
        helper.make_node("Sub", ["t_d", "mean"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


@pytest.mark.parametrize("case", CASES, ids=[f"{i}_{case[0]}" for i, case in enumerate(CASES)])
def test_reading_and_bounds(tmp_path: Path, case: Case) -> None:
    paths = [write(tmp_path / f"{name}.onnx", case, n) for name, n in (("f", 0.0), ("g", 0.01))]
    f, g = (read(path.read_bytes()) for path in paths)
    runs = [Runtime(load(path)) for path in paths]
    generator = np.random.default_rng(0)
    centre = generator.uniform(-1, 1, (3, f.inputs))
    radius = np.array([[0.0], [0.01], [0.5]])
    lower, upper = (
        (centre + sign * radius).astype(np.float32).astype(np.float64) for sign in (-1, 1)
    )
    nothing, each = np.zeros((2, f.outputs, f.outputs)), np.eye(f.outputs)
    for arithmetic in ("real", "float32"):
        bounds = Pair(f, g, arithmetic).bound(lower, upper, *nothing, each)
        assert np.isfinite(bounds.upper).all()
        for _ in range(20):
            t = generator.choice([0.0, 1.0, generator.random()], size=lower.shape)
            x = (lower + t * (upper - lower)).astype(np.float32).astype(np.float64)
            x = np.clip(x, lower, upper)
            exact = f.evaluate(x) - g.evaluate(x)
            run = runs[0].run_exact(x.astype(np.float32)) - runs[1].run_exact(x.astype(np.float32))
            np.testing.assert_allclose(run, exact, atol=1e-4)
            d = exact if arithmetic == "real" else run
            assert (bounds.lower <= d + 1e-13).all()
            assert (d - 1e-13 <= bounds.upper).all()


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
@pytest.mark.parametrize("number", [6, 8, 11, 13, 21, 23])
def test_exact_arithmetic_agrees(tmp_path: Path, number: int, arithmetic: str) -> None:
    paths = [
        write(tmp_path / f"{name}.onnx", CASES[number], n) for name, n in (("f", 0.0), ("g", 0.01))
    ]
    f, g = (read(path.read_bytes()) for path in paths)
    x = np.random.default_rng(0).uniform(-1, 1, (1, f.inputs))
    nothing, each = np.zeros((2, f.outputs, f.outputs)), np.eye(f.outputs)
    near, exact = (
        kind(f, g, arithmetic).bound(x - 0.01, x + 0.01, *nothing, each)
        for kind in (Pair, ExactPair)
    )
    np.testing.assert_allclose(near.upper, exact.upper, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(near.lower, exact.lower, rtol=1e-2, atol=1e-4)


def test_one_file_is_computed_in_one_way(tmp_path: Path) -> None:
    """In float32 too a network differs by exactly 0 from itself, but not from a rewriting."""
    f = read(write(tmp_path / "f.onnx", CASES[23], 0.0).read_bytes())
    nothing, each = np.zeros((2, f.outputs, f.outputs)), np.eye(f.outputs)
    lower, upper = -np.ones((1, f.inputs)), np.ones((1, f.inputs))
    same = Pair(f, f, "float32").bound(lower, upper, *nothing, each)
    assert not same.lower.any()
    assert not same.upper.any()
    model = onnx.load(tmp_path / "f.onnx")
    model.graph.node[5].op_type = "LeakyRelu"
    model.graph.node[5].attribute.append(helper.make_attribute("alpha", 0.0))
    other = Pair(f, read(model.SerializeToString()), "float32")
    assert (other.bound(lower, upper, *nothing, each).upper > 0).all()
