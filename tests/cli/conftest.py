"""A pair whose divergence is known: d(x) = max(0, x - 1/2) / 10 for x in [0, 1]."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

REGION = '{"lower": [0], "upper": [1], "names": ["speed"], "units": ["m/s"]}'


class Pair(NamedTuple):
    """Paths of the two files; the original carries a region."""

    original: Path
    compressed: Path


def save_network(
    path: Path, slope: float, metadata: dict[str, str] | None = None, inputs: int = 1
) -> Path:
    """Writes y = relu(x + 1) + slope relu(x - 1/2), on the first of the inputs."""
    hidden = np.zeros((inputs, 2), np.float32)
    hidden[0] = 1.0
    tensors = {
        "W": hidden,
        "b": np.array([1.0, -0.5], np.float32),
        "V": np.array([[1.0], [slope]], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "W", "b"], ["h"], "first"),
            helper.make_node("Relu", ["h"], ["r"], "relu"),
            helper.make_node("MatMul", ["r", "V"], ["y"], "last"),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(
        save_network(tmp_path / "original.onnx", 0.0, {"simcert.region": REGION}),
        save_network(tmp_path / "compressed.onnx", 0.1),
    )


@pytest.fixture
def arguments(pair: Pair) -> Sequence[str]:
    return ["verify", *map(str, pair)]
