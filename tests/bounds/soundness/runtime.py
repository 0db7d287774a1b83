"""Random networks as files, and what ONNX Runtime computes for them in float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from simcert.model.graph import Graph, Node

_OPSET = 21
_LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
_CHANGING = ["WeightBiasQuantization", "DoubleQDQPairsRemover"]
"""Optimisers that compute something else than the graph says (docs/arithmetic.md)."""

_LARGEST = float(np.finfo(np.float32).max)


def as_float32(graph: Graph) -> Graph:
    """The graph with numbers that float32 holds."""
    single = np.dtype(np.float32)
    return replace(
        graph,
        input=replace(graph.input, dtype=single),
        output=replace(graph.output, dtype=single),
        constants={name: _float32(np.asarray(a)) for name, a in graph.constants.items()},
    )


def _float32(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    return np.clip(array, -_LARGEST, _LARGEST).astype(np.float32)


def save(graph: Graph, path: Path) -> Path:
    """Write a graph of float32 numbers as an ONNX file."""
    constants = dict(graph.constants)
    nodes = [_node(node, constants) for node in graph.nodes]
    ends = [
        helper.make_tensor_value_info(info.name, TensorProto.FLOAT, info.shape)
        for info in (graph.input, graph.output)
    ]
    tensors = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    body = helper.make_graph(nodes, "random", ends[:1], ends[1:], tensors)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def _node(node: Node, constants: dict[str, np.ndarray]) -> NodeProto:
    inputs, attributes = list(node.inputs), dict(node.attributes)
    if node.operator == "Upsample":  # the operator set has this one in its place
        names = [inputs[0], "", inputs[1]]
        mode = {"coordinate_transformation_mode": "asymmetric"}
        return helper.make_node("Resize", names, list(node.outputs), node.name, **mode)
    if node.operator == "Clip":  # the limits were attributes once
        for position, limit in enumerate(("min", "max"), start=1):
            if limit in attributes:
                name = f"{node.name}_{limit}"
                constants[name] = np.array(attributes.pop(limit), np.float32)
                inputs += [""] * (position + 1 - len(inputs))
                inputs[position] = name
    return helper.make_node(node.operator, inputs, list(node.outputs), node.name, **attributes)


class Sessions:
    """One file at every level of optimisation: each is a float32 runtime."""

    def __init__(self, path: Path, graph: Graph) -> None:
        # At the highest level integer kernels replace quantisers and their neighbours: that is
        # another function than the graph says.
        quantised = any(node.operator == "QuantizeLinear" for node in graph.nodes)
        self._sessions = [_session(path, level) for level in _LEVELS[: 3 - quantised]]
        self._shape = graph.input.sample

    def run(self, x: np.ndarray) -> list[np.ndarray]:
        """Outputs (n, outputs) of each, copies of float32 numbers, at points x (n, inputs)."""
        feeds = [{"x": point.reshape(self._shape)} for point in x.astype(np.float32)]
        return [
            np.array([session.run(None, feed)[0].ravel() for feed in feeds], dtype=np.float64)
            for session in self._sessions
        ]


def _session(path: Path, level: object) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_CHANGING
    )
