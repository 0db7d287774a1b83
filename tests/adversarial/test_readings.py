"""Files that the checker read otherwise than ONNX Runtime runs them."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from simcert.checker.bounds import Pair
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.network import read

Node = tuple[str, Sequence[str], dict[str, Any]]


def file(
    shape: Sequence[int],
    nodes: Sequence[Node],
    constants: dict[str, np.ndarray] | None = None,
    *,
    sets: Sequence[tuple[str, int]] = (("", 13),),
    constant_inputs: bool = False,
    name: str = "",
) -> bytes:
    """Write a chain of nodes from x to the last result, y."""
    stored = {key: numpy_helper.from_array(value, key) for key, value in (constants or {}).items()}
    results = [*(f"t{i}" for i in range(len(nodes) - 1)), "y"]
    sources = ["x", *results]
    protos = [
        helper.make_node(operator, [sources[i], *operands], [results[i]], name=name, **attributes)
        for i, (operator, operands, attributes) in enumerate(nodes)
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    if constant_inputs:
        inputs += [
            helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored.values()
        ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(protos, "g", inputs, [output], list(stored.values()))
    opsets = [helper.make_opsetid(*each) for each in sets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def run(data: bytes, x: np.ndarray, level: str = "ORT_ENABLE_ALL") -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0].ravel().astype(np.float64)


# -- the wire format ---------------------------------------------------------------------------


def varint(value: int, *, longer: int = 0) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(
        [*parts, value | (0x80 if longer else 0), *[0x80] * (longer - 1), *[0] * (longer > 0)]
    )


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def leaky(extra: bytes, kind: bytes = varint(20 << 3) + varint(1)) -> bytes:
    """LeakyRelu with α = 0.5, and more in the attribute's message."""
    attribute = field(1, b"alpha") + varint(2 << 3 | 5) + struct.pack("<f", 0.5) + extra + kind
    node = field(1, b"x") + field(2, b"y") + field(4, b"LeakyRelu") + field(5, attribute)
    values = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]).SerializeToString()
        for name in "xy"
    )
    graph = b"".join(map(field, (1, 2, 11, 12), (node, b"g", *values)))
    opset = field(8, varint(2 << 3) + varint(16))
    return varint(1 << 3) + varint(8) + field(7, graph) + opset


FLOAT_2 = 2 << 3 | 5


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (varint(FLOAT_2 + 2**32) + struct.pack("<f", 30.0), "more than 32 bits"),
        (varint(FLOAT_2) + struct.pack("<f", 30.0), "occurs twice"),
        (varint(FLOAT_2, longer=1) + struct.pack("<f", 30.0), "shortest form"),
        (varint(3 << 3) + varint(1), "several values"),
        (varint(2 << 3) + varint(30), "of another type"),
        (varint(20 << 3) + varint(1, longer=3), "shortest form"),
        (varint(1 << 3 | 3) + varint(1 << 3 | 4), "another type|wire type"),
        (field(1000, b""), "does not know field 1000 of one attribute"),
        (varint(9 << 3 | 2) + b"\xff" * 9 + b"\x7f", "shortest form"),
    ],
)
def test_one_reading_of_the_bytes(extra: bytes, words: str) -> None:
    np.testing.assert_array_equal(read(leaky(b"")).evaluate(np.array([[-1.0, 1.0]])), [[-0.5, 1.0]])
    with pytest.raises(CheckError, match=words):
        read(leaky(extra))


def test_a_runtime_cuts_tags() -> None:
    """What the first of these bytes are refused for."""
    evil = leaky(varint(FLOAT_2 + 2**32) + struct.pack("<f", 30.0))
    assert run(evil, np.array([[-1.0, 1.0]]))[0] == -30.0


def test_operator_sets_imported_twice() -> None:
    """Under one of them Softmax is of a row, under the other of all that follows axis 1."""
    nodes: list[Node] = [("Softmax", (), {"axis": 1})]
    both = file([1, 2, 2], nodes, sets=[("", 13), ("ai.onnx", 12)])
    x = np.arange(4.0).reshape(1, 2, 2)
    assert (run(both, x) != run(file([1, 2, 2], nodes), x)).any()
    with pytest.raises(CheckError, match="imported twice"):
        read(both)


@pytest.mark.parametrize("which", ["input", "output"])
def test_values_declared_twice(which: str) -> None:
    model = onnx.load_from_string(file([1, 2], [("Relu", (), {})]))
    values = getattr(model.graph, which)
    values.append(values[0])
    with pytest.raises(CheckError, match="declared twice"):
        read(model.SerializeToString())


# -- which networks are rounded alike -----------------------------------------------------------


def test_only_one_and_the_same_file_is_rounded_alike() -> None:
    """ONNX Runtime folds no constants that a caller may replace: 2^24 is added, or it is not."""
    nodes: list[Node] = [
        ("Conv", ("w", "b"), {}),
        ("BatchNormalization", ("s", "sh", "m", "v"), {"epsilon": 1e-10}),
    ]
    constants = {
        "w": np.ones((1, 1, 1, 1), np.float32),
        "b": np.array([2.0**24], np.float32),
        "s": np.ones(1, np.float32),
        "sh": np.zeros(1, np.float32),
        "m": np.array([2.0**24], np.float32),
        "v": np.ones(1, np.float32),
    }
    f, g = (file([1, 1, 1, 2], nodes, constants, constant_inputs=given) for given in (False, True))
    x = np.array([0.5, 1.4]).reshape(1, 1, 1, 2)
    seen = np.abs(run(f, x) - run(g, x)).max()
    assert seen > 0.3
    nothing, one = np.zeros((2, 2)), np.eye(2)
    box = np.zeros((1, 2)), np.full((1, 2), 2.0)
    assert Pair(read(f), read(g), "float32").bound(*box, nothing, nothing, one).upper.max() >= seen
    assert Pair(read(f), read(f), "float32").bound(*box, nothing, nothing, one).upper.max() == 0
    named = file([1, 1, 1, 2], nodes, constants, name="n")
    found = Pair(read(f), read(named), "float32").bound(*box, nothing, nothing, one)
    assert found.upper.max() > 0


# -- operators ------------------------------------------------------------------------------------


def test_resize_of_old_rounds_up_where_it_shrinks() -> None:
    data = file(
        [1, 1, 1, 4],
        [("Resize", ("s",), {"mode": "nearest"})],
        {"s": np.array([1, 1, 1, 0.7], np.float32)},
        sets=[("", 10)],
    )
    x = np.array([[1.0, 2.0, 4.0, 8.0]])
    np.testing.assert_array_equal(read(data).evaluate(x)[0], run(data, x.reshape(1, 1, 1, 4)))
    np.testing.assert_array_equal(read(data).evaluate(x), [[1.0, 4.0]])


@pytest.mark.parametrize(("operator", "opset"), [("Upsample", 9), ("Resize", 10), ("Resize", 13)])
def test_a_factor_that_changes_no_size(operator: str, opset: int) -> None:
    """Each of 4 · 1.2 → 4 would be another one; ONNX Runtime copies."""
    operands = ("s",) if opset < 11 else ("", "s")
    attributes: dict[str, Any] = {"mode": "nearest"}
    if opset > 10:
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    data = file(
        [1, 1, 1, 4],
        [(operator, operands, attributes)],
        {"s": np.array([1, 1, 1, 1.2], np.float32)},
        sets=[("", opset)],
    )
    x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(run(data, x), x.ravel())
    with pytest.raises(CannotCheckError, match="to the same size"):
        read(data)


@pytest.mark.parametrize("start", [-9, -5, -4, -1, 0, 3, 4, 9])
@pytest.mark.parametrize("end", [-99, -5, -4, -2, 0, 4, 9])
@pytest.mark.parametrize("step", [-2, -1, 1])
def test_slices(start: int, end: int, step: int) -> None:
    """Behind them is x itself, so that nothing is read of an empty slice alone."""
    numbers = {"st": start, "en": end, "ax": 1, "sp": step}
    data = file(
        [1, 4],
        [("Slice", ("st", "en", "ax", "sp"), {}), ("Concat", ("c",), {"axis": 1})],
        {name: np.array([n]) for name, n in numbers.items()}
        | {"c": np.full((1, 1), 9, np.float32)},
    )
    x = np.array([[1.0, 2.0, 4.0, 8.0]])
    seen = run(data, x)
    if len(seen) == 1:
        with pytest.raises(CannotCheckError, match="empty"):
            read(data)
        return
    np.testing.assert_array_equal(read(data).evaluate(x)[0], seen)


@pytest.mark.parametrize("x", [0.0009, 0.001, 0.3])
def test_tanh_of_recurrent_layers(x: float) -> None:
    """ONNX Runtime computes it as 2 σ(2x) − 1 there: 1e-7 off, however small it is."""
    shape = [1, 1, 1]
    weight, nothing = np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32)
    rnn = file(
        shape,
        [("RNN", ("w", "r"), {"hidden_size": 1, "activations": ["Tanh"]})],
        {"w": weight, "r": nothing},
        sets=[("", 14)],
    )
    plain = file(shape, [("Tanh", (), {})], sets=[("", 14)])
    point, zero = np.array([[np.float64(np.float32(x))]]), np.zeros((1, 1))
    found = Pair(read(rnn), read(plain), "float32").bound(point, point, zero, zero, np.eye(1))
    d = run(rnn, point.reshape(shape)) - run(plain, point.reshape(shape))
    assert found.lower[0, 0] <= d[0] <= found.upper[0, 0]
    assert found.upper[0, 0] >= 2.0**-21
