"""Each normalising pass: what it does, and that the function stays."""

import numpy as np
import onnxruntime
import pytest
import torch

from simcert.model import load
from simcert.model.executor import Executor
from simcert.model.graph import Graph
from simcert.model.passes import normalise
from simcert.model.passes.constants import EXACT, fold_constants
from simcert.model.passes.dead import remove_dead
from simcert.model.passes.identities import drop_identities
from simcert.model.passes.shapes import fix_shapes
from simcert.model.reader import read


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


def test_constants_are_folded_in_the_types_of_the_file(build):
    graph = fold_constants(
        read(build("a = Cast<to = 1>(w) b = Add(a, v) y = Mul(x, b)",
                   w=np.array([1, 2, 3, 4], np.int8), v=np.array(0.1, np.float32)))
    )  # fmt: skip
    assert operators(graph) == ["Mul"]
    folded = graph.constants["b"]
    assert folded.dtype == np.float32
    np.testing.assert_array_equal(folded, np.arange(1, 5, dtype=np.float32) + np.float32(0.1))


def test_constants_without_axes_stay_so(build):
    graph = fold_constants(read(build("a = Constant<value_int = 2>() y = Gather<axis = 1>(x, a)")))
    assert graph.constants["a"].shape == ()


def test_inexact_operators_are_not_folded(build):
    ones = np.ones((4, 4), np.float32)
    graph = fold_constants(read(build("a = MatMul(w, w) y = MatMul(x, a)", w=ones)))
    assert operators(graph) == ["MatMul", "MatMul"]
    assert not EXACT & {"MatMul", "Gemm", "Conv", "Exp", "Softmax", "ReduceSum", "ReduceMean"}


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folded_arithmetic_has_the_bits_of_onnx_runtime(build, operator, dtype):
    random = np.random.default_rng(1)
    a, b = (random.standard_normal(1000).astype(dtype) for _ in range(2))
    name = {np.float32: "float", np.float64: "double"}[dtype]
    graph_bytes = build(
        f"c = {operator}(a, b) z = Sub(x, x) y = Add(z, c)", shape=(1, 1), dtype=name, a=a, b=b
    )
    session = onnxruntime.InferenceSession(graph_bytes)
    (expected,) = session.run(None, {"x": np.zeros((1, 1), dtype)})
    np.testing.assert_array_equal(fold_constants(read(graph_bytes)).constants["c"], expected[0])


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("c = Sqrt(w)", np.random.default_rng(1).random(100).astype(np.float32)),
        ("q = QuantizeLinear(w, s, z) p = Add(q, b) c = Cast<to = 1>(p)", np.float32([20])),
        ("q = QuantizeLinear(w, s) p = Div(q, b) c = Cast<to = 1>(p)", np.float32([20])),
    ],
    ids=["square root", "sum of codes", "quotient of codes"],
)
def test_folded_constants_have_the_bits_of_onnx_runtime(build, text, constant):
    """Torch's root is not IEEE 754's; 8-bit codes wrap, and their quotients are truncated."""
    codes = {"s": np.float32(0.1), "z": np.uint8(0), "b": np.uint8([150])}
    data = build(f"{text} z0 = Sub(x, x) y = Add(z0, c)", (1, 1), w=constant, **codes)
    (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": np.zeros((1, 1), np.float32)})
    np.testing.assert_array_equal(fold_constants(read(data)).constants["c"], expected[0])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a = Mul(h, h) c = Cast<to = 1>(a)", ["Mul", "Cast"]),  # in float32, without rounding
        ("a = Cast<to = 10>(w) b = Neg(a) c = Cast<to = 1>(b)", ["Cast", "Neg", "Cast"]),
        ("a = Neg(w) b = Sqrt(a) c = Sign(b)", ["Sqrt", "Sign"]),  # of NaN
        ("c = Reciprocal(o)", ["Reciprocal"]),
        ("c = Mul(d, w)", ["Mul"]),  # flushed to zero, or not
        ("c = Mul(t, u)", ["Mul"]),
        ("a = Neg(w) b = Cast<to = 2>(a) c = Cast<to = 1>(b)", ["Cast", "Cast"]),
        ("a = Transpose(h) c = Cast<to = 1>(a)", []),
        ("a = Cast<to = 2>(u) c = Cast<to = 1>(a)", []),
    ],
)
def test_constants_that_runtimes_may_disagree_on_are_not_folded(build, text, kept):
    constants = {
        "h": np.full((1, 1), 2.273, np.float16),
        "w": np.full((1, 1), 2.5, np.float32),
        "o": np.zeros((1, 1), np.float32),
        "d": np.full((1, 1), 1e-38, np.float32),
        "t": np.full((1, 1), 2e-38, np.float32),
        "u": np.full((1, 1), 0.5, np.float32),
    }
    graph = fold_constants(read(build(f"{text} y = Mul(x, c)", (1, 1), **constants)))
    assert operators(graph) == [*kept, "Mul"]


def test_shapes_become_constants(build):
    text = (
        "s = Shape(x) b = Gather<axis = 0>(s, i) c = Unsqueeze(b, i2) d = Concat<axis = 0>(c, m) "
        "y = Reshape(x, d)"
    )
    constants = {"i": np.array(0), "i2": np.array([0]), "m": np.array([-1])}
    graph = read(build(text, shape=("N", 2, 3), **constants))
    assert "Shape" not in operators(fix_shapes(graph))
    assert operators(normalise(graph)) == ["Reshape"]
    assert normalise(graph).output.shape == (1, 6)


def test_shape_beyond_an_unknown_operator_stays(build):
    text = "h = Hardmax(x) s = Shape(h) y = Reshape(x, s)"
    assert operators(normalise(read(build(text)))) == ["Hardmax", "Shape", "Reshape"]


def test_identities_are_dropped(build):
    text = "a = Identity(x) b, m = Dropout(a) c = Cast<to = 1>(b) d = Relu(c) y = Identity(d)"
    graph = normalise(read(build(text)))
    assert operators(graph) == ["Relu"]
    assert graph.nodes[0].inputs == ("x",)
    assert graph.output.name == "d"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a = Cast<to = 10>(x) y = Cast<to = 1>(a)", ["Cast", "Cast"]),
        ("a, m = Dropout(x) b = Cast<to = 1>(m) y = Add(a, b)", ["Dropout", "Cast", "Add"]),
        ("y = Dropout(x, r)", []),
        ("y = Dropout(x, , f)", []),
    ],
)
def test_what_is_no_identity_stays(build, text, kept):
    flags = {"r": np.array(0.5, np.float32), "f": np.array(False)}
    assert operators(drop_identities(remove_dead(read(build(text, **flags))))) == kept


def test_dead_nodes_constants_and_outputs_are_removed(build):
    text = "a = Add(x, w) b = Add(x, v) y, m = Dropout(a)"
    ones = np.ones(4, np.float32)
    graph = remove_dead(read(build(text, w=ones, v=ones)))
    assert operators(graph) == ["Add", "Dropout"]
    assert set(graph.constants) == {"w"}
    assert graph.nodes[1].outputs == ("y", "")


def test_passes_keep_the_function_of_real_networks(data):
    for file in sorted((data / "vision").glob("**/*.onnx")):
        model = load(file)
        raw = read(model.data)
        x = torch.rand(2, raw.input.size, dtype=torch.float64)
        np.testing.assert_allclose(
            Executor(model.graph)(x), Executor(raw)(x), rtol=1e-6, atol=1e-9, err_msg=file.name
        )


def test_normalising_twice_changes_nothing(data):
    for file in sorted((data / "vision").glob("**/*.onnx")):
        graph = load(file).graph
        again = normalise(graph)
        assert (again.nodes, again.output) == (graph.nodes, graph.output)
        assert again.constants.keys() == graph.constants.keys()
