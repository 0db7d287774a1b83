"""Numbers of four bits: two in a byte, read as what ONNX Runtime makes of them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from simcert import Claim, ModelError, verify
from simcert.claim import Region
from simcert.model import load
from simcert.model.executor import Executor
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime

INPUTS, OUTPUTS = 33, 5
BLOCK = 8


def write(path: Path, kind: int, width: int, *, blocked: bool, raw: bool) -> Path:
    """Write y = x · dequantised(w), w (33, width) of four bits; scales are of columns or blocks."""
    generator = np.random.default_rng(0)
    least = -8 if kind == TensorProto.INT4 else 0
    codes = generator.integers(least, least + 16, (INPUTS, width))
    rows = -(-INPUTS // BLOCK)
    scale = generator.uniform(0.1, 0.2, (rows, width) if blocked else width).astype(np.float32)
    zero = generator.integers(least, least + 16, scale.shape)
    constants = [onnx.numpy_helper.from_array(scale, "s")]
    for name, values in (("w", codes), ("z", zero)):
        flat = np.append(values.reshape(-1), [0] * (values.size % 2)).astype(np.uint8) & 15
        packed = flat[0::2] | flat[1::2] << 4
        content = {"raw_data": packed.tobytes()} if raw else {"int32_data": packed.tolist()}
        constants.append(TensorProto(name=name, data_type=kind, dims=values.shape, **content))
    options = {"axis": 0, "block_size": BLOCK} if blocked else {"axis": 1}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], **options),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    return save(path, nodes, constants, width)


def save(path: Path, nodes: list, constants: list, width: int) -> Path:
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", INPUTS), ("y", width))
    ]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], constants)
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize(
    ("width", "blocked", "raw"),
    [(5, False, True), (5, False, False), (5, True, True), (300, False, True)],
)
def test_weights_of_four_bits_are_the_runtimes(
    tmp_path: Path, kind: int, width: int, blocked: bool, raw: bool
) -> None:
    model = load(write(tmp_path / "f.onnx", kind, width, blocked=blocked, raw=raw))
    x = np.random.default_rng(1).normal(size=(20, INPUTS))
    expected = Runtime(model).run(x)
    largest = np.abs(expected).max()
    for network in (Executor(model.graph), lower(model.graph).run):
        answered = network(torch.as_tensor(x)).numpy()
        np.testing.assert_allclose(answered, expected, rtol=0, atol=1e-5 * largest)


def test_a_network_of_four_bits_is_proved(tmp_path: Path) -> None:
    path = write(tmp_path / "g.onnx", TensorProto.INT4, OUTPUTS, blocked=False, raw=True)
    region = Region.from_boxes([[-1.0] * INPUTS], [[1.0] * INPUTS], source="a cube")
    assert verify(path, path, Claim(region, tolerance=0.0), samples=0).verdict == "proved"


def test_limits_of_four_bits_are_no_limits_of_eight(tmp_path: Path) -> None:
    constants = [
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
        TensorProto(name="z", data_type=TensorProto.INT4, raw_data=b"\x01"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    with pytest.raises(ModelError, match="only DequantizeLinear may"):
        load(save(tmp_path / "f.onnx", nodes, constants, INPUTS))


def test_a_byte_too_few_or_too_many_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.onnx", TensorProto.INT4, OUTPUTS, blocked=False, raw=True)
    model = onnx.load(path)
    model.graph.initializer[1].raw_data += b"\x00"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="33x5 of int4 takes 83 bytes, the file has 84"):
        load(path)
