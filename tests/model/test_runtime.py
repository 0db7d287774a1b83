"""The file itself in ONNX Runtime."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simcert.errors import ModelError
from simcert.model import load
from simcert.model.executor import Executor
from simcert.model.runtime import Runtime, with_symbolic_batch

random = np.random.default_rng(5)


def test_a_fixed_batch_runs_in_batches(data):
    model = load(next(data.glob("acasxu/onnx/*1_1_*.onnx")))
    runtime = Runtime(model)
    assert runtime.batched
    assert (runtime.inputs, runtime.outputs, runtime.dtype) == (5, 5, np.float32)
    x = random.random((25_000, 5)) - 0.5
    y = runtime.run(x)
    assert y.shape == (25_000, 5)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, y.astype(np.float32))
    some = random.choice(len(x), 100)
    np.testing.assert_allclose(y[some], runtime.run_exact(x[some]), atol=1e-6 * np.abs(y).max())


def test_every_real_network_loads_and_all_but_one_run_in_batches(data):
    single = [
        file.name
        for file in sorted(data.glob("**/*.onnx"))
        if not ("ACASXU" in file.name and "_1_" not in file.name)
        and not Runtime(load(file)).batched
    ]
    assert single == ["self-attention-mnist-pgd-medium-sim.onnx"]  # tokens share the batch axis


def test_rows_run_alone_where_batches_disagree(data):
    runtime = Runtime(load(data / "vision/onnx/self-attention-mnist-pgd-medium-sim.onnx"))
    x = random.random((3, 784))
    np.testing.assert_array_equal(runtime.run(x), runtime.run_exact(x))


@pytest.mark.parametrize("shape", [(1, 4), ("N", 4)])
def test_an_operator_across_the_batch_is_noticed(model, shape):
    runtime = Runtime(model("y = Softmax<axis = 0>(x)", shape=shape))
    assert not runtime.batched
    np.testing.assert_array_equal(runtime.run(random.random((5, 4))), np.ones((5, 4)))


@pytest.mark.parametrize("shape", [(4,), (2, 3)])
def test_an_input_without_batch_axis_runs_row_by_row(model, shape):
    runtime = Runtime(model("y = Relu(x)", shape=shape))
    assert not runtime.batched
    x = random.standard_normal((5, int(np.prod(shape)))).astype(np.float32)
    np.testing.assert_array_equal(runtime.run(x), np.maximum(x, 0))


@pytest.mark.parametrize("target", [(1, 6), (1, -1), (-1, 6), (1, 2, 3)])
@pytest.mark.parametrize("node", [True, False])
def test_a_baked_reshape_is_made_symbolic(model, target, node):
    values = ", ".join(map(str, target))
    text = f"s = Constant<value = int64[{len(target)}] {{{values}}}>() " if node else ""
    keywords = {} if node else {"s": np.array(target)}
    runtime = Runtime(model(text + "y = Reshape(x, s)", shape=(1, 2, 3), **keywords))
    assert runtime.batched
    x = random.random((7, 6)).astype(np.float32)
    np.testing.assert_array_equal(runtime.run(x), x)


def test_a_shape_that_something_else_reads_is_left_alone(model):
    network = model(
        "a = Reshape(x, s) b = Cast<to = 1>(s) y = Add(a, b)", shape=(1, 2), s=np.array([1, 2])
    )
    runtime = Runtime(network)
    x = random.random((3, 2)).astype(np.float32)
    np.testing.assert_array_equal(runtime.run(x), x + np.array([1, 2], np.float32))


def test_the_copy_is_a_copy(data):
    model = load(next(data.glob("acasxu/onnx/*1_1_*.onnx")))
    before = bytes(model.data)
    assert with_symbolic_batch(model.data) != before
    assert model.data == before


def test_inputs_are_rounded_to_the_type_of_the_model(model):
    network = model("y = Identity(x)")
    x = np.full((2, 4), 0.1)
    np.testing.assert_array_equal(Runtime(network).run(x), np.full((2, 4), np.float32(0.1)))


def test_other_float_types(model):
    for dtype in ("float16", "double"):
        runtime = Runtime(model("y = Relu(x)", dtype=dtype))
        x = np.array([[0.5, -1.0, 2.0, 0.25]])
        np.testing.assert_array_equal(runtime.run(x), [[0.5, 0.0, 2.0, 0.25]])


def test_nan_and_infinity_are_returned(model):
    runtime = Runtime(model("y = Log(x)", shape=(1, 3)))
    assert runtime.batched
    y = runtime.run(np.array([[1.0, 0.0, -1.0]]))
    np.testing.assert_array_equal(y, [[0.0, -np.inf, np.nan]])


def test_no_rows(model):
    assert Runtime(model("y = Relu(x)")).run(np.zeros((0, 4))).shape == (0, 4)


def test_inputs_of_another_size_are_refused(model):
    with pytest.raises(ValueError, match=r"\(2, 3\), expected \(n, 4\)"):
        Runtime(model("y = Relu(x)")).run(np.zeros((2, 3)))


def test_what_onnx_runtime_cannot_run_is_a_model_error(model, build, capfd):
    other = replace(model("y = Relu(x)"), data=build("y = MatMul(x, w)", w=np.ones((5, 2))))
    with pytest.raises(
        ModelError, match=r"model.onnx: ONNX Runtime cannot load the file: .*MatMul"
    ):
        Runtime(other)
    with pytest.raises(ModelError, match=r"model.onnx: ONNX Runtime cannot run the file: .*Gather"):
        Runtime(
            model(
                "i = Cast<to = 7>(x) j = Add(i, w) y = Gather(v, j)",
                w=np.array(9),
                v=np.ones(4, np.float32),
            )
        )
    assert capfd.readouterr() == ("", "")


def vector(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


QUANTISERS = {"s": np.float32(0.01), "t": np.float32(0.001), "z": np.uint8(0)}
CHANGED: dict[str, tuple[str, np.ndarray, int, dict[str, np.ndarray]]] = {
    "PadFusion": (
        "p = Pad(x, pads) y = MaxPool<kernel_shape = [2]>(p)",
        vector(-5).reshape(1, 1, 1),
        17,
        {"pads": np.array([0, 0, 0, 0, 0, 1])},
    ),
    "LayerNormFusion": (
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) p = Pow(d, four)"
        "v = ReduceMean<axes = [-1]>(p) e = Add(v, one) s = Sqrt(e) q = Div(d, s)"
        "a = Mul(q, ones) y = Add(a, zeros)",
        vector(10, -10, 20, -20)[None],
        17,
        {
            "four": np.float32(4),
            "one": np.float32(1),
            "ones": np.ones(4, np.float32),
            "zeros": np.zeros(4, np.float32),
        },
    ),
    "GeluFusion": (
        "d = Div(x, root) e = Erf(d) s = Add(e, one) p = Mul(x, s) y = Mul(p, half)",
        vector(-1)[None],
        20,
        {"root": np.float32(1.4142), "one": np.float32(1), "half": np.float32(0.5)},
    ),
    "WeightBiasQuantization": (
        "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) p = Gemm<transB = 1>(d, w, b)"
        "r = QuantizeLinear(p, t, z) y = DequantizeLinear(r, t, z)",
        vector(0.5)[None],
        15,
        {**QUANTISERS, "w": vector(0.3, 100)[:, None], "b": vector(0, 0)},
    ),
}


@pytest.mark.parametrize(("nodes", "x", "opset", "constants"), CHANGED.values(), ids=CHANGED)
def test_no_optimiser_changes_what_the_graph_says(model, nodes, x, opset, constants) -> None:
    """The named optimisers of ONNX Runtime do, and the others may."""
    read = model(nodes, x.shape, opset, 9, **constants)
    own = Executor(read.graph)(torch.as_tensor(x, dtype=torch.float64).reshape(1, -1)).numpy()
    np.testing.assert_allclose(Runtime(read).run_exact(x.reshape(1, -1)), own, atol=5e-7)
