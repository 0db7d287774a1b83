"""Small networks as ONNX files, for tests that need the files themselves."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_mlp(path: Path, layers: Sequence[tuple[np.ndarray, np.ndarray]], **metadata: str) -> Path:
    """Write a ReLU network of (weight (out, in), bias (out,)) layers."""
    nodes, constants = [], []
    tensor = "x"
    for index, (weight, bias) in enumerate(layers):
        for name, array in ((f"w{index}", weight), (f"b{index}", bias)):
            constants.append(numpy_helper.from_array(np.asarray(array, dtype=np.float32), name))
        last = index == len(layers) - 1
        linear = "y" if last else f"z{index}"
        nodes.append(
            helper.make_node("Gemm", [tensor, f"w{index}", f"b{index}"], [linear], transB=1)
        )
        if not last:
            tensor = f"a{index}"
            nodes.append(helper.make_node("Relu", [linear], [tensor]))
    shape = layers[0][0].shape[1], layers[-1][0].shape[0]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", shape[1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def random_mlp(
    path: Path, sizes: Sequence[int], seed: int, noise: float = 0.0, **metadata: str
) -> Path:
    """Write a random ReLU network; ``noise`` perturbs the weights that the seed gives."""
    generator, other = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        weight = generator.normal(size=(fan_out, fan_in)) / np.sqrt(fan_in)
        bias = generator.normal(size=fan_out) * 0.1
        layers.append((weight + noise * other.normal(size=weight.shape), bias))
    return write_mlp(path, layers, **metadata)
