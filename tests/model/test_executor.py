"""The torch reading of real networks against the files themselves in ONNX Runtime."""

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from simcert.errors import UnsupportedOperatorError
from simcert.model import Graph, Model, load
from simcert.model.executor import Executor
from simcert.model.operators import apply
from simcert.model.runtime import Runtime
from simcert.model.sample import rows_at_once

ROWS = 12


def networks(data: Path, folder: str) -> list[Path]:
    files = sorted((data / folder).glob("**/*.onnx"))
    return files[::6] if folder == "acasxu" else files


def inputs(file: Path, data: Path, size: int) -> np.ndarray:
    """Inputs from the domain that the network was made for, (ROWS, size)."""
    random = np.random.default_rng(3)
    unit = random.random((ROWS, size))
    if "ACASXU" in file.name:
        return unit - 0.5
    if "ad01" in file.name:
        (windows,) = (data / "pairs" / "inputs").glob("ad01_*.bin")
        values = np.fromfile(windows, dtype=np.float32)
        return values[: len(values) // size * size].reshape(-1, size)[:ROWS]
    if "kws" in file.name:
        return np.round(unit * 255 - 128 - 83) * 0.5847
    if "sine" in file.name:
        return unit * 2 * math.pi
    if "tansig" in file.name or "ic_resnet" in file.name:
        return np.round(unit * 255)
    return unit


@pytest.mark.parametrize("folder", ["acasxu", "control", "differential", "vision"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_networks_equal_onnx_runtime(data, folder, dtype):
    files = networks(data, folder)
    assert files
    for file in files:
        check(file, data, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_members_of_pairs_equal_onnx_runtime(data, dtype):
    for file in networks(data, "pairs"):
        if "int8" not in file.name:
            check(file, data, dtype)


def check(file: Path, data: Path, dtype: torch.dtype) -> None:
    model = load(file)
    x = inputs(file, data, model.graph.input.size).astype(np.float32)
    expected = Runtime(model).run(x)
    found = Executor(model.graph, dtype)(torch.tensor(x)).numpy()
    gap = np.abs(found - expected).max() / np.abs(expected).max()
    assert gap < 1e-5, file.name


def quantised(data: Path) -> list[Path]:
    return [file for file in networks(data, "pairs") if "int8" in file.name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantised_networks_are_a_few_steps_from_onnx_runtime(data, dtype):
    """Where a sum lies between two quantised numbers it may be rounded either way."""
    for file in quantised(data):
        model = load(file)
        x = inputs(file, data, model.graph.input.size).astype(np.float32)
        expected = Runtime(model).run(x)
        found = Executor(model.graph, dtype)(torch.tensor(x)).numpy()
        last = model.graph.nodes[-1]
        assert last.operator == "DequantizeLinear"
        steps = np.abs(found - expected) / float(model.graph.constants[last.inputs[1]])
        assert (steps > 1e-3).mean() < 0.2, file.name
        assert steps.max() < 4.01, file.name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_node_of_quantised_networks_equals_onnx_runtime(data, dtype):
    """On the runtime's own inputs every node agrees, a quantiser within one step."""
    for file in quantised(data):
        model = load(file)
        x = inputs(file, data, model.graph.input.size).astype(np.float32)[0]
        tensors = every_tensor(model, x.reshape(model.graph.input.sample))
        for name, array in model.graph.constants.items():
            tensors[name] = torch.tensor(array)
        for node in model.graph.nodes:
            values = [typed(tensors[name], dtype) for name in node.inputs]
            (found,) = apply(node, values)
            gap = (found - tensors[node.outputs[0]]).abs().max()
            if node.operator == "QuantizeLinear":
                assert gap <= 1, (file.name, node.name)
            else:
                assert gap <= 1e-5 * found.abs().max(), (file.name, node.name)


def typed(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return x.to(dtype) if x.is_floating_point() else x


def every_tensor(model: Model, x: np.ndarray) -> dict[str, torch.Tensor]:
    """Every tensor of the unmodified graph on one sample, from ONNX Runtime."""
    proto = onnx.load_from_string(model.data)
    names = [name for node in proto.graph.node for name in node.output]
    given = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    values = session.run(names, {model.graph.input.name: x})
    tensors = {name: torch.tensor(value) for name, value in zip(names, values, strict=True)}
    return tensors | {model.graph.input.name: torch.tensor(x)}


def test_activations_are_those_of_one_sample(data):
    model = load(next(data.glob("acasxu/onnx/*1_1_*.onnx")))
    x = torch.linspace(-0.5, 0.5, 5, dtype=torch.float64)
    executor = Executor(model.graph)
    tensors = executor.activations(x)
    assert tensors["input"].shape == (1, 1, 1, 5)
    assert {name for node in model.graph.nodes for name in node.outputs} <= tensors.keys()
    y = tensors[model.graph.output.name]
    assert y.shape == (1, 5)
    torch.testing.assert_close(y.flatten(), executor(x[None])[0])


def test_rows_are_run_in_chunks(model, monkeypatch):
    network = model("y = Relu(x)")
    executor = Executor(network.graph)
    monkeypatch.setattr(executor, "_rows", 3)
    x = torch.randn(8, 4, dtype=torch.float64)
    assert torch.equal(executor(x), torch.relu(x))


def test_rows_at_once_shrink_with_the_largest_tensor(model):
    assert rows_at_once(model("y = Relu(x)").graph) == 10_000
    wide = np.zeros((4, 2**20), np.float32)
    assert rows_at_once(model("a = MatMul(x, w) y = Relu(a)", w=wide).graph) == 16


def test_no_rows(model):
    executor = Executor(model("y = Relu(x)").graph)
    assert executor(torch.zeros(0, 4)).shape == (0, 4)


def test_gradients_reach_the_input(model):
    network = model("a = Relu(x) y = Gemm(a, w)", w=np.ones((4, 1), np.float32))
    x = torch.tensor([[1.0, -1.0, 2.0, -2.0]], requires_grad=True)
    Executor(network.graph)(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([[1.0, 0.0, 1.0, 0.0]]))


def test_reshape_with_a_baked_batch_does_no_harm(model):
    network = model("y = Reshape(x, w)", w=np.array([1, 4]), shape=(1, 2, 2))
    x = torch.randn(5, 4, dtype=torch.float64)
    assert torch.equal(Executor(network.graph)(x), x)


def test_the_output_may_be_the_input_or_a_constant(model):
    x = torch.randn(2, 4, dtype=torch.float64)
    network = model("y = Identity(x)")
    assert network.graph.nodes == ()
    assert torch.equal(Executor(network.graph)(x), x)
    constant = model("a = Relu(x) y = Identity(w)", w=np.ones((1, 2), np.float32))
    assert torch.equal(Executor(constant.graph)(x), torch.ones(2, 2, dtype=torch.float64))


def test_unknown_operator_is_named_with_its_node(model):
    network = model("[here] y = Hardmax(x)")
    with pytest.raises(UnsupportedOperatorError, match=r"operator 'Hardmax' \(node 'here'\)") as e:
        Executor(network.graph)
    assert (e.value.operator, e.value.node) == ("Hardmax", "here")


def test_executor_leaves_the_graph_alone(model):
    network = model("y = Add(x, w)", w=np.ones(4, np.float32))
    assert isinstance(network.graph, Graph)
    before = network.graph.constants["w"].copy()
    Executor(network.graph)(torch.ones(2, 4))
    np.testing.assert_array_equal(network.graph.constants["w"], before)
