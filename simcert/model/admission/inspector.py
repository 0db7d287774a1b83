"""The second gate, in a process of its own: what ONNX says of the structure of a model.

This file is run as a script, so it imports nothing of SimCert (and no torch). It reads requests
from its standard input and answers on its standard output until that input ends, within limits of
memory and time that `isolation` sets. It sees skeletons only: no weights, no file, no name of one.
"""

import hashlib
import math
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import NodeProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper
from onnx.checker import ValidationError
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import InferenceError, infer_node_outputs

IR_VERSIONS = range(3, 11)
OPSETS = range(7, 22)

LARGEST_INPUT = 2**26
"""Elements of one input sample."""

LARGEST_NUMBER = 64
"""Inputs, and outputs, of a model."""

LARGEST_TENSOR = 2**26
"""Elements of a tensor that the network computes from one sample."""

LARGEST_TOTAL = 2**28
"""Elements of all such tensors together, beside four times those that the file stores."""

LARGEST_WORK = 2**40
"""Multiplications of one sample in convolutions and products of matrices."""

LARGEST_MESSAGE = 4096
"""Characters of an answer."""

REQUEST = struct.Struct("<Q")
ANSWER = struct.Struct("<32sI")
"""SHA-256 of the skeleton, and the length of what is wrong with it in bytes: 0 if nothing is."""

_FLOATS = (TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE)
_INPUTS = (*_FLOATS, TensorProto.UINT8, TensorProto.INT8)
_OUTPUTS = (*_INPUTS, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
_DEFAULT_DOMAINS = ("", "ai.onnx")
_WORKED_OUT = 512
"""Elements of a constant up to which its value is known; `scan.INLINE` leaves as many in place."""

# fmt: off
_SIZE_OPERATORS = frozenset({
    "Add", "And", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal",
    "Expand", "Flatten", "Floor", "Gather", "Greater", "Identity", "Less", "Max", "Min", "Mod",
    "Mul", "Neg", "Not", "Or", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Round", "ScatterND", "Shape", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub",
    "Tile", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
"""Operators that exporters compute sizes with."""


class Refused(Exception):  # noqa: N818 - an answer, not a failure of this process
    """What is wrong with the model."""


def inspect(skeleton: bytes) -> None:
    """Check a model against ONNX, and the size of every tensor that it computes.

    Args:
        skeleton: a model that `scan.skeleton` has passed.

    Raises:
        Refused: what is wrong.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(skeleton)
    except DecodeError as error:
        raise Refused("is not an ONNX file: the bytes cannot be parsed") from error
    if not model.HasField("graph") or not model.ir_version:
        raise Refused("is not an ONNX file: it holds no graph")
    opset = _versions(model)
    graph = model.graph
    stored = {item.name: item for item in graph.initializer}
    if "" in stored:
        raise Refused("the model has an initialiser without a name")
    entries = _some("input", [value for value in graph.input if value.name not in stored])
    results = _some("output", graph.output)
    for result in results:
        _check_type(result, _OUTPUTS)
    nodes = _Nodes(model.ir_version, opset, [_one_sample(entry) for entry in entries], stored)
    nodes.check_order(graph.node, [result.name for result in results])
    for node in graph.node:
        nodes.visit(node)


def _versions(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    if model.ir_version not in IR_VERSIONS:
        raise Refused(
            f"ONNX IR version {model.ir_version} is not supported "
            f"(from {IR_VERSIONS[0]} to {IR_VERSIONS[-1]})"
        )
    versions = [item.version for item in model.opset_import if item.domain in _DEFAULT_DOMAINS]
    if len(versions) != 1:
        raise Refused(f"the default operator set is imported {len(versions)} times, not once")
    if versions[0] not in OPSETS:
        raise Refused(
            f"ONNX operator set {versions[0]} is not supported (from {OPSETS[0]} to {OPSETS[-1]})"
        )
    return int(versions[0])


def _some(kind: str, values: Sequence[ValueInfoProto]) -> Sequence[ValueInfoProto]:
    if not 1 <= len(values) <= LARGEST_NUMBER:
        raise Refused(
            f"the model must have at least one {kind} and at most {LARGEST_NUMBER}, "
            f"it has {len(values)}"
        )
    return values


def _check_type(value: ValueInfoProto, known: Sequence[int]) -> None:
    element = value.type.tensor_type.elem_type
    if element not in known:
        names = ", ".join(map(_type_name, known))
        raise Refused(
            f"{value.name!r} must be a tensor of one of {names}, not {_type_name(element)}"
        )
    if not value.type.tensor_type.HasField("shape"):
        raise Refused(f"{value.name!r} declares no shape; run ONNX shape inference on the file")


def _type_name(element: int) -> str:
    known = element in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(element)).lower() if known else f"number {element}"


def _one_sample(entry: ValueInfoProto) -> ValueInfoProto:
    """Return the input with a batch of 1 where that size is symbolic."""
    _check_type(entry, _INPUTS)
    sample = ValueInfoProto()
    sample.CopyFrom(entry)
    axes = sample.type.tensor_type.shape.dim
    if axes and axes[0].dim_value <= 0:
        axes[0].dim_value = 1
    shape = tuple(axis.dim_value if axis.dim_value > 0 else None for axis in axes)
    if None in shape:
        raise Refused(
            f"input {entry.name!r} has shape {(None, *shape[1:])}: "
            "only the leading size, the batch, may be symbolic; fix the others"
        )
    if math.prod(axis.dim_value for axis in axes) > LARGEST_INPUT:
        raise Refused(f"input {entry.name!r} of shape {shape} is too large")
    return sample


_SAME_SHAPE = frozenset({"GroupNormalization"})
"""Operators that ONNX infers no shape for: their result has that of what they read."""

_CRASHING = frozenset({"BatchNormalization", "Split"})
"""Operators whose unnamed outputs ONNX Runtime writes to."""

_KERNELS = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
"""Which input of a convolution holds the weights."""

_PRODUCTS = frozenset({"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"})


class _Nodes:
    """One visit to each node of a model, in order: what is known of the tensors so far.

    Args:
        ir_version: of the model.
        opset: version of the default operator set.
        entries: the inputs, all sizes fixed.
        stored: the initialisers.
    """

    def __init__(
        self,
        ir_version: int,
        opset: int,
        entries: Sequence[ValueInfoProto],
        stored: Mapping[str, TensorProto],
    ) -> None:
        self._opset = opset
        self._imports = [helper.make_opsetid("", opset)]
        self._context = onnx.checker.C.CheckerContext()
        self._context.ir_version = ir_version
        self._context.opset_imports = {"": opset}
        self._types = {entry.name: entry.type for entry in entries}
        self._values: dict[str, TensorProto] = {}
        self._left, self._work_left = LARGEST_TOTAL, LARGEST_WORK
        for name, item in stored.items():
            self._types[name] = helper.make_tensor_type_proto(item.data_type, item.dims)
            elements = math.prod(item.dims)
            self._left += 4 * elements
            if elements <= _WORKED_OUT:
                self._values[name] = item

    def check_order(self, nodes: Sequence[NodeProto], results: Sequence[str]) -> None:
        """Each tensor must be produced once, and before it is read."""
        producer: dict[str, NodeProto] = {}
        for node in nodes:
            for name in filter(None, node.output):
                if name in producer or name in self._types:
                    raise Refused(f"tensor {name!r} is produced twice")
                producer[name] = node
        ready = {"", *self._types}
        for node in nodes:
            for name in node.input:
                if name in ready:
                    continue
                if name not in producer:
                    raise Refused(f"{_called(node)} reads tensor {name!r}, which nothing produces")
                raise Refused(
                    f"the nodes form a cycle, or are not in topological order: {_called(node)} "
                    f"reads tensor {name!r}, which {_called(producer[name])} produces"
                )
            ready.update(node.output)
        for result in results:
            if not result or result not in ready:
                raise Refused(f"nothing produces the output {result!r}")

    def visit(self, node: NodeProto) -> None:
        """Check one node, the sizes of what it computes, and their values if they are sizes."""
        if node.domain not in _DEFAULT_DOMAINS:
            raise Refused(
                f"{_called(node)} is of the custom domain {node.domain!r}; only ONNX's own "
                "operators are supported"
            )
        node.domain = ""
        if not onnx.defs.has(node.op_type, self._opset, ""):
            raise Refused(f"{_called(node)}: ONNX operator set {self._opset} has no such operator")
        try:
            onnx.checker.check_node(node, self._context)
            found = self._infer(node)
        except (ValidationError, InferenceError, RuntimeError, ValueError, TypeError) as error:
            raise Refused(f"ONNX rejects {_called(node)}: {error}") from error
        if node.op_type in _CRASHING and "" in node.output:
            raise Refused(f"{_called(node)}: an output without a name crashes ONNX Runtime")
        largest = max(self._elements(name) for name in ("", *node.input))
        for name in filter(None, node.output):
            sizes = _sizes(found.get(name))
            if sizes is None:
                raise Refused(
                    f"{_called(node)}: the size of its output cannot be told from the file; "
                    "simplify the model for a fixed input shape"
                )
            if math.prod(sizes) > max(largest, LARGEST_TENSOR):
                raise Refused(
                    f"{_called(node)}: its output of shape {sizes} is too large; at most "
                    f"{LARGEST_TENSOR} elements are admitted"
                )
            self._left -= math.prod(sizes)
            self._types[name] = found[name]
        if self._left < 0:
            raise Refused("the tensors that the model computes are too large together")
        self._work_left -= self._work(node)
        if self._work_left < 0:
            raise Refused(
                f"{_called(node)}: the multiplications up to here are too many for one sample; at "
                f"most {LARGEST_WORK} are admitted"
            )
        self._work_out(node)

    def _infer(self, node: NodeProto) -> Mapping[str, TypeProto]:
        inputs = {name: self._types[name] for name in node.input if name}
        values = {name: self._values[name] for name in node.input if name in self._values}
        schema = onnx.defs.get_schema(node.op_type, self._opset, "")
        found: Mapping[str, TypeProto] = infer_node_outputs(
            schema, node, inputs, values, opset_imports=self._imports
        )
        if node.op_type in _SAME_SHAPE:
            return {node.output[0]: inputs[node.input[0]]}
        return found

    def _work(self, node: NodeProto) -> int:
        """Return how often a node multiplies, about; 0 where that is no more than it writes."""
        sizes = [_sizes(self._types[name]) or () for name in node.input if name]
        if node.op_type in _KERNELS:
            kernel = sizes[_KERNELS[node.op_type]]
            written = sizes[0] if node.op_type == "ConvTranspose" else self._shape(node)
            return math.prod(written) * math.prod(kernel[1:])
        if node.op_type in _PRODUCTS:
            turned = any(item.name == "transA" and item.i for item in node.attribute)
            return math.prod(self._shape(node)) * (sizes[0] or (1,))[0 if turned else -1]
        if node.op_type in ("AveragePool", "LpPool", "MaxPool"):
            window = [
                int(n) for item in node.attribute if item.name == "kernel_shape" for n in item.ints
            ]
            return math.prod(self._shape(node)) * math.prod(window)
        return 0

    def _shape(self, node: NodeProto) -> tuple[int, ...]:
        return _sizes(self._types[node.output[0]]) or ()

    def _elements(self, name: str) -> int:
        return math.prod(_sizes(self._types[name]) or ()) if name else 0

    def _work_out(self, node: NodeProto) -> None:
        """Remember the value of a small tensor that is computed from sizes and constants."""
        if node.op_type not in _SIZE_OPERATORS:
            return
        if any(self._elements(name) > _WORKED_OUT for name in node.output):
            return
        if node.op_type in ("Shape", "Size"):
            sizes = _sizes(self._types[node.input[0]]) or ()
            given = {node.input[0]: np.broadcast_to(0, sizes)}
        elif all(name in self._values for name in node.input if name):
            given = {name: numpy_helper.to_array(self._values[name]) for name in node.input if name}
        else:
            return
        try:
            outputs = ReferenceEvaluator(self._alone(node)).run(list(node.output), given)
        except Exception:  # noqa: BLE001 - ONNX's own code may raise anything: no value is known
            return
        for name, value in zip(node.output, outputs, strict=True):
            if name:
                self._values[name] = numpy_helper.from_array(np.asarray(value), name)

    def _alone(self, node: NodeProto) -> onnx.ModelProto:
        """Return a model of one node."""
        inputs = [helper.make_empty_tensor_value_info(name) for name in node.input if name]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        graph = helper.make_graph([node], "node", inputs, outputs)
        return helper.make_model(graph, opset_imports=self._imports)


def _sizes(found: TypeProto | None) -> tuple[int, ...] | None:
    """Return the shape of a tensor, None if it is not wholly known."""
    if found is None or not found.tensor_type.HasField("shape"):
        return None
    axes = found.tensor_type.shape.dim
    if any(not axis.HasField("dim_value") or axis.dim_value < 0 for axis in axes):
        return None
    return tuple(axis.dim_value for axis in axes)


def _called(node: NodeProto) -> str:
    return f"node {node.name or next(iter(node.output), '')!r} ({node.op_type})"


def _serve(requests: BinaryIO, answers: BinaryIO, seconds: int) -> None:
    """Answer each request: its length, then the skeleton; at most ``seconds`` of computing each."""
    while header := requests.read(REQUEST.size):
        skeleton = requests.read(*REQUEST.unpack(header))
        _limit_time(seconds)
        wrong = b""
        try:
            inspect(skeleton)
        except Refused as refused:
            wrong = str(refused)[:LARGEST_MESSAGE].encode(errors="replace")
        answers.write(ANSWER.pack(hashlib.sha256(skeleton).digest(), len(wrong)) + wrong)
        answers.flush()


def _limit_memory(size: int) -> None:
    """Let every allocation beyond ``size`` bytes of address space fail, where the system can."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: int) -> None:
    """Let the system end this process if it computes for longer, even if nobody waits for it."""
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        end = math.ceil(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


def main(memory: int, seconds: int) -> None:
    """Serve until the standard input ends. What libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _limit_memory(memory)
    _serve(sys.stdin.buffer, answers, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
