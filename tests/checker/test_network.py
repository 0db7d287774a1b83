"""The checker's reading of a file is what ONNX Runtime runs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import random_mlp
from onnx import TensorProto, helper, numpy_helper

import pruners
from simcert import load
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.network import read
from simcert.checker.program import Affine
from simcert.model.runtime import Runtime

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"


def assert_same(path: Path, rtol: float = 1e-4) -> None:
    network, runtime = read(path.read_bytes()), Runtime(load(path))
    assert (network.inputs, network.outputs) == (runtime.inputs, runtime.outputs)
    x = np.random.default_rng(0).uniform(-1, 1, (5, network.inputs)).astype(np.float32)
    expected = runtime.run_exact(x)
    found = network.evaluate(x.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def save(path: Path, nodes: list, constants: dict, inputs: list, opset: int = 13) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, path)
    return path


def test_the_example_and_its_copies(tmp_path: Path) -> None:
    assert_same(EXAMPLE)
    for name, data in (
        ("float16", pruners.float16(EXAMPLE).data),
        ("int8", pruners.quantize(EXAMPLE, format="qdq-weight").data),
        ("pruned", pruners.magnitude(EXAMPLE, sparsity=0.5).data),
    ):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        assert_same(path)


@pytest.mark.parametrize(
    "name",
    [
        "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx",
        "vision/onnx/mnist-net_256x2.onnx",
        "vision/onnx/cifar_base_kw.onnx",
    ],
)
def test_published_networks(data: Path, name: str) -> None:
    assert_same(data / name)


@pytest.mark.parametrize("group", [1, 2])
def test_convolutions(tmp_path: Path, group: int) -> None:
    generator = np.random.default_rng(0)
    constants = {
        "w": generator.normal(size=(4, 2 // group, 3, 2)).astype(np.float32),
        "b": generator.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "w", "b"],
            ["c"],
            strides=[2, 1],
            dilations=[1, 2],
            pads=[1, 0, 2, 1],
            group=group,
        ),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["y"]),
    ]
    assert_same(save(tmp_path / "conv.onnx", nodes, constants, [1, 2, 7, 6]))


def test_a_bias_that_someone_else_reads_without_it(tmp_path: Path) -> None:
    """z = W x, y = relu(z + b) + z would be misread if z were taken for z + b."""
    constants = {"w": np.eye(2, dtype=np.float32), "b": np.ones(2, dtype=np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Add", ["r", "z"], ["y"]),
    ]
    assert_same(save(tmp_path / "branch.onnx", nodes, constants, [1, 2]))


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Sinh", ["x"], ["y"]),
        helper.make_node("Relu", ["x"], ["y"], domain="other"),
        helper.make_node("Pow", ["x", "w"], ["y"]),
        helper.make_node("MatMul", ["x", "x"], ["y"]),
        helper.make_node("QuantizeLinear", ["x", "w"], ["y"]),
        helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"]),
        helper.make_node("MatMul", ["w", "x"], ["y"]),
        helper.make_node("Gemm", ["x", "w"], ["y"], transA=1),
        helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5, gamma=1.0),
        helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["z"], ["y"]),
        helper.make_node("LeakyRelu", ["x"], ["y"], alpha=1),
        helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1]),
        helper.make_node("Reshape", ["x", "w"], ["y"]),
        helper.make_node("Add", ["w", "w"], ["y"]),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, node: onnx.NodeProto) -> None:
    constants = {"w": np.eye(2, dtype=np.float32)}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(CannotCheckError):
        read(model.SerializeToString())


def test_not_a_number(tmp_path: Path) -> None:
    path = random_mlp(tmp_path / "f.onnx", [2, 3, 1], seed=0)
    model = onnx.load(path)
    weight = np.array(numpy_helper.to_array(model.graph.initializer[0]))
    weight[0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w0"))
    with pytest.raises(CheckError, match="NaN"):
        read(model.SerializeToString())


def test_numbers_in_other_fields(tmp_path: Path) -> None:
    """float_data, packed integers and float16 stored as int32_data."""
    path = random_mlp(tmp_path / "f.onnx", [2, 3, 1], seed=0)
    expected = read(path.read_bytes()).evaluate(np.ones((1, 2)))
    model = onnx.load(path)
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item).reshape(-1).tolist()
        item.CopyFrom(helper.make_tensor(item.name, TensorProto.FLOAT, item.dims, values))
        assert item.float_data
    found = read(model.SerializeToString()).evaluate(np.ones((1, 2)))
    assert (found == expected).all()
    for item in model.graph.initializer:
        values = np.array(item.float_data).astype(np.float16)
        item.CopyFrom(helper.make_tensor(item.name, TensorProto.FLOAT16, item.dims, values))
        assert item.int32_data
    step = read(model.SerializeToString()).steps[1]
    assert isinstance(step, Affine)
    first = np.array(numpy_helper.to_array(model.graph.initializer[0]), dtype=np.float64)
    assert (step.maps[0].weight == first).all()


def test_arbitrary_bytes_never_crash() -> None:
    data = EXAMPLE.read_bytes()
    generator = np.random.default_rng(0)
    for index in range(300):
        changed = bytearray(data)
        if index % 3:
            for place in generator.integers(0, 3000, size=1 + index % 5):
                changed[place] = generator.integers(256)
        else:
            changed = changed[: generator.integers(len(changed))]
        try:
            read(bytes(changed))
        except CheckError:
            continue
