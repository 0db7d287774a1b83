"""What one file contains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from simcert.errors import ModelError
from simcert.inspection.support import Support, support_of
from simcert.model import Model
from simcert.model.graph import Array, Node, TensorInfo
from simcert.model.lowering import lower

BITS = {
    onnx.TensorProto.FLOAT16: 16,
    onnx.TensorProto.BFLOAT16: 16,
    onnx.TensorProto.FLOAT: 32,
    onnx.TensorProto.DOUBLE: 64,
    onnx.TensorProto.INT4: 4,
    onnx.TensorProto.UINT4: 4,
    onnx.TensorProto.INT8: 8,
    onnx.TensorProto.UINT8: 8,
    onnx.TensorProto.INT16: 16,
    onnx.TensorProto.UINT16: 16,
    onnx.TensorProto.INT32: 32,
    onnx.TensorProto.INT64: 64,
}
"""Of one element of a stored tensor."""

_PASSING = frozenset({"Cast", "DequantizeLinear", "Identity", "Reshape", "Transpose", "Unsqueeze"})
"""Operators behind which a weight may be stored."""


@dataclass(frozen=True)
class OperatorUse:
    """How often an operator occurs, and how far it can be followed."""

    operator: str
    count: int
    support: Support


@dataclass(frozen=True)
class Contents:
    """One file.

    Attributes:
        path: where it is.
        sha256: of its bytes.
        bytes: its size.
        opset: version of the default operator set.
        inputs: as declared; None stands for a symbolic size.
        outputs: likewise.
        overridable: initialisers that the file lists among its inputs too; constants here.
        operators: after normalisation, the most frequent first.
        parameters: numbers in tensors of weights and biases.
        stored: how many of the file's numbers are stored in how many bits each.
        zeros: share of the weights (of tensors with two axes or more) that are 0.
        program: how many steps the form that is bounded has; 0 where there is none.
        reason: why there is none; empty otherwise.
    """

    path: str
    sha256: str
    bytes: int
    opset: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    overridable: tuple[str, ...]
    operators: tuple[OperatorUse, ...]
    parameters: int
    stored: Mapping[int, int]
    zeros: float
    program: int
    reason: str

    @property
    def provable(self) -> bool:
        """Whether a worst case can be bounded."""
        return self.program > 0


def contents_of(model: Model) -> Contents:
    """Describe a loaded model."""
    graph = model.graph
    counts = Counter(node.operator for node in graph.nodes)
    weights = [w for node in graph.nodes if (w := weight_of(node, graph.constants)) is not None]
    size = sum(weight.size for weight in weights)
    reason, steps = "", 0
    try:
        steps = len(lower(graph).steps)
    except ModelError as error:
        reason = str(error)
    return Contents(
        path=str(model.path),
        sha256=model.sha256,
        bytes=len(model.data),
        opset=graph.opset,
        inputs=model.interface.inputs,
        outputs=model.interface.outputs,
        overridable=graph.overridable,
        operators=tuple(
            OperatorUse(operator, count, support_of(operator))
            for operator, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ),
        parameters=sum(c.size for c in graph.constants.values() if c.dtype.kind == "f"),
        stored=_stored(model),
        zeros=sum(int((weight == 0).sum()) for weight in weights) / size if size else 0.0,
        program=steps,
        reason=reason,
    )


def weight_of(node: Node, constants: Mapping[str, Array]) -> Array | None:
    """The largest constant that a node with weights reads, with two axes or more."""
    if node.operator not in WEIGHTED:
        return None
    found = [constants[name] for name in node.inputs if name in constants]
    matrices = [array for array in found if array.ndim >= 2]
    return max(matrices, key=lambda array: array.size, default=None)


WEIGHTED = frozenset(
    {
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "GRU",
        "Gemm",
        "LSTM",
        "MatMul",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "RNN",
    }
)
"""Operators that multiply with weights."""


def _stored(model: Model) -> dict[int, int]:
    """How many floats and quantised integers the file stores in how many bits each.

    Of integers only those that a quantised operator reads count: others are shapes and indices.
    """
    graph = onnx.load_from_string(model.data).graph
    quantised = {
        name
        for node in graph.node
        if "Linear" in node.op_type or "Integer" in node.op_type
        for name in node.input
    }
    stored: Counter[int] = Counter()
    for tensor in graph.initializer:
        floats = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).kind == "f"
        if tensor.data_type in BITS and (floats or tensor.name in quantised):
            stored[BITS[tensor.data_type]] += int(np.prod(tensor.dims, dtype=np.int64))
    return dict(sorted(stored.items()))


def stored_bits(model: Model) -> dict[str, int]:
    """In how many bits each weight of a node is stored, by the names of the node's outputs.

    A weight that passes a DequantizeLinear or a Cast has the bits of what is stored before it.
    """
    graph = onnx.load_from_string(model.data).graph
    producers = {name: node for node in graph.node for name in node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    bits: dict[str, int] = {}
    for node in graph.node:
        if node.op_type not in WEIGHTED:
            continue
        found = []
        for name in node.input:
            source, steps = name, 0
            while source in producers and producers[source].op_type in _PASSING and steps < 8:
                source, steps = producers[source].input[0], steps + 1
            tensor = tensors.get(source)
            if tensor is not None and len(tensor.dims) >= 2 and tensor.data_type in BITS:
                size = int(np.prod(tensor.dims, dtype=np.int64))
                found.append((size, BITS[tensor.data_type]))
        if found:
            bits[node.output[0]] = max(found)[1]
    return bits
