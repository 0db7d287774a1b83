"""What is admitted, and what is rejected with which words."""

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from simcert.errors import ModelError
from simcert.model import load, reader
from simcert.model.passes import normalise
from simcert.model.reader import read, read_bytes


def edited(data: bytes, change: Callable[[ModelProto], object]) -> bytes:
    model = onnx.load_from_string(data)
    change(model)
    return model.SerializeToString()


def add_weight(array: np.ndarray, name: str = "w") -> Callable[[ModelProto], object]:
    return lambda model: model.graph.initializer.append(numpy_helper.from_array(array, name))


# --- the file


def _outputs(count: int) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(f"z{i}", 1, [1]) for i in range(count)]


def test_load_gives_path_bytes_and_checksum(tmp_path, build):
    path = tmp_path / "model.onnx"
    path.write_bytes(build("y = Relu(x)"))
    model = load(str(path))
    assert model.path == path
    assert model.data == path.read_bytes()
    assert len(model.sha256) == 64
    assert model.graph.input.shape == (1, 4)
    assert model.graph.output.shape == (1, 4)


def test_no_such_file(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.onnx: no such file"):
        load(tmp_path / "missing.onnx")


def test_directory(tmp_path):
    with pytest.raises(ModelError, match="is a directory"):
        load(tmp_path)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(ModelError, match=r"empty\.onnx: is empty"):
        load(path)


def test_pipe(tmp_path):
    path = tmp_path / "pipe.onnx"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="not a regular file"):
        load(path)


def test_file_above_the_limit(tmp_path, build, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(build("y = Relu(x)"))
    monkeypatch.setattr(reader, "LARGEST_FILE", 10)
    with pytest.raises(ModelError, match=r"at most 10 (bytes )?are admitted"):
        read_bytes(path)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx: is not an ONNX file"):
        load(path)


# --- the bytes

REJECTED: list[tuple[str, Callable[[ModelProto], object], str]] = [
    ("no graph", lambda m: m.ClearField("graph"), "is not an ONNX file: it holds no graph"),
    ("no IR version", lambda m: m.ClearField("ir_version"), "is not an ONNX file"),
    (
        "old IR",
        lambda m: setattr(m, "ir_version", 2),
        "IR version 2 is not supported .from 3 to 10",
    ),
    ("new IR", lambda m: setattr(m, "ir_version", 11), "IR version 11 is not supported"),
    ("old opset", lambda m: setattr(m.opset_import[0], "version", 6), "operator set 6 is not"),
    ("new opset", lambda m: setattr(m.opset_import[0], "version", 22), "operator set 22 is not"),
    ("no opset", lambda m: m.ClearField("opset_import"), "imported 0 times"),
    (
        "two opsets",
        lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 13)),
        "imports the operator set '' twice",
    ),
    (
        "function",
        lambda m: m.functions.append(
            helper.make_function("d", "f", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
        ),
        "the model defines functions",
    ),
    (
        "sparse",
        lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto()),
        "sparse initialisers",
    ),
    ("nan", add_weight(np.array([1, np.nan], np.float32)), "'w' holds NaN or infinity"),
    ("infinity", add_weight(np.array([1, -np.inf])), "'w' holds NaN or infinity"),
    ("half infinity", add_weight(np.array([np.inf], np.float16)), "'w' holds NaN or infinity"),
    ("strings", add_weight(np.array(["a"])), "'w' has element type string: not supported"),
    (
        "bfloat16",
        lambda m: m.graph.initializer.append(
            helper.make_tensor("w", TensorProto.BFLOAT16, [1], [1.0])
        ),
        "'w' has element type bfloat16",
    ),
    (
        "unnamed weight",
        add_weight(np.ones(2, np.float32), ""),
        "an initialiser without a name",
    ),
    (
        "truncated weight",
        lambda m: m.graph.initializer.append(
            TensorProto(name="w", data_type=1, dims=[3], raw_data=b"1234")
        ),
        "'w' does not hold what its shape says",
    ),
    (
        "negative size",
        lambda m: m.graph.initializer.append(
            TensorProto(name="w", data_type=1, dims=[-1], raw_data=b"1234")
        ),
        "'w' has a negative size",
    ),
    (
        "external data",
        lambda m: m.graph.initializer.append(
            TensorProto(
                name="w",
                data_type=1,
                dims=[1],
                data_location=TensorProto.EXTERNAL,
                external_data=[onnx.StringStringEntryProto(key="location", value="../secret")],
            )
        ),
        "'w' keeps its data in another file",
    ),
    (
        "no input",
        lambda m: m.graph.ClearField("input"),
        "at least one input and at most 64, it has 0",
    ),
    (
        "an output that nothing produces",
        lambda m: m.graph.output.append(helper.make_tensor_value_info("z", 1, [1])),
        "nothing produces the output 'z'",
    ),
    (
        "too many outputs",
        lambda m: m.graph.output.extend(_outputs(64)),
        "at least one output and at most 64, it has 65",
    ),
    (
        "integer input",
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7),
        "'x' must be a tensor of one of float16, float, double, uint8, int8, not int64",
    ),
    (
        "integer output",
        lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", 99),
        "'y' must be a tensor of one of float16, .* not number 99",
    ),
    (
        "no shape",
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "'x' declares no shape",
    ),
    (
        "symbolic size",
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_param", "width"),
        r"shape \(None, None\): only the leading size",
    ),
    (
        "huge input",
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 2**40),
        "too large",
    ),
    (
        "subgraph",
        lambda m: m.graph.node[0].attribute.append(
            helper.make_attribute("body", onnx.GraphProto(name="g"))
        ),
        r"attribute 'body' of node 'y' \(Relu\) is a subgraph",
    ),
    (
        "reference",
        lambda m: m.graph.node[0].attribute.append(
            AttributeProto(name="a", ref_attr_name="b", type=AttributeProto.INT)
        ),
        "refers to a function's attribute",
    ),
    (
        "unknown attribute",
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("alpha", 1.0)),
        r"ONNX rejects node 'y' \(Relu\): .*alpha",
    ),
    ("arity", lambda m: m.graph.node[0].input.append("x"), "ONNX rejects node 'y'"),
    (
        "missing tensor",
        lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"),
        r"node 'y' \(Relu\) reads tensor 'nowhere', which nothing produces",
    ),
    (
        "missing output",
        lambda m: setattr(m.graph.output[0], "name", "nowhere"),
        "nothing produces the output 'nowhere'",
    ),
    (
        "duplicate output",
        lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], ["y"])),
        "tensor 'y' is produced twice",
    ),
    (
        "overwritten input",
        lambda m: m.graph.node.append(helper.make_node("Relu", ["y"], ["x"])),
        "tensor 'x' is produced twice",
    ),
    (
        "cycle",
        lambda m: m.graph.node.extend(
            [
                helper.make_node("Relu", ["b"], ["a"], name="first"),
                helper.make_node("Relu", ["a"], ["b"], name="second"),
            ]
        ),
        "cycle, or are not in topological order: node 'first'",
    ),
    (
        "infinite attribute",
        lambda m: m.graph.node.append(helper.make_node("Elu", ["y"], ["z"], alpha=np.inf)),
        r"attribute 'alpha' of node 'z' \(Elu\) holds NaN or infinity",
    ),
    (
        "nan constant",
        lambda m: m.graph.node.append(
            helper.make_node(
                "Constant", [], ["z"], value=numpy_helper.from_array(np.array([np.nan]))
            )
        ),
        r"attribute 'value' of node 'z' \(Constant\) holds NaN",
    ),
    (
        "name that is no text",
        lambda m: m.graph.node.append(onnx.NodeProto.FromString(b"\x0a\x01\xff\x22\x04Relu")),
        "not valid UTF-8",
    ),
    (
        "bytes as text",
        lambda m: m.graph.node.append(
            helper.make_node("MaxPool", ["y"], ["z"], kernel_shape=[1], auto_pad=b"\xff")
        ),
        "ONNX rejects node 'z'",
    ),
]


@pytest.mark.parametrize(("_", "change", "message"), REJECTED, ids=[name for name, *_ in REJECTED])
def test_rejection(build, _, change, message):
    with pytest.raises(ModelError, match=message):
        read(edited(build("y = Relu(x)"), change))


def test_duplicate_initialiser(build):
    ones = np.ones(4, np.float32)
    data = build("y = Add(x, w)", w=ones)
    with pytest.raises(ModelError, match="the model has the initialiser 'w' twice"):
        read(edited(data, add_weight(ones)))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_rejected_cleanly(data):
    with pytest.raises(ModelError):
        read(data)


@given(st.integers(0, 2**32))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_models_are_read_or_rejected_cleanly(build, seed):
    chance = random.Random(seed)  # noqa: S311
    text = "a = Gemm(x, w) b = Reshape(a, s) y = Softmax(b)"
    data = bytearray(build(text, w=np.ones((4, 3), np.float32), s=np.array([-1, 3])))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    length = chance.choice([len(data), chance.randrange(len(data))])
    with contextlib.suppress(ModelError):
        normalise(read(bytes(data[:length])))


# --- what is admitted


def test_initialisers_among_the_inputs(data):
    model = load(next(data.glob("acasxu/onnx/*.onnx")))
    proto = onnx.load_from_string(model.data)
    assert len(proto.graph.input) > 1
    assert proto.ir_version == 3
    assert model.graph.input.name == "input"


@pytest.mark.parametrize("shape", [("N", 4), (1, 4), ("N",), (4,), (2, 3)])
def test_shapes_of_one_sample(build, shape):
    graph = read(build("y = Relu(x)", shape=shape))
    assert graph.input.sample == tuple(1 if size == "N" else size for size in shape)


def test_order_of_the_file_is_kept(build):
    text = "a = Relu(x) b = Neg(x) c = Abs(a) d = Exp(b) y = Add(c, d)"
    assert [node.outputs[0] for node in read(build(text)).nodes] == ["a", "b", "c", "d", "y"]


def test_unknown_operators_stay(build):
    graph = read(build("y = Hardmax(x)"))
    assert graph.nodes[0].operator == "Hardmax"


def test_unused_domains_do_no_harm(build):
    data = edited(
        build("y = Relu(x)"),
        lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2)),
    )
    assert read(data).opset == 17


def test_the_default_domain_has_two_names(build):
    def change(model):
        model.opset_import[0].domain = "ai.onnx"
        model.graph.node[0].domain = "ai.onnx"

    (node,) = read(edited(build("y = Relu(x)"), change)).nodes
    assert node.operator == "Relu"


def test_attributes_become_plain_values(build):
    text = (
        'a = Conv<pads = [1, 1], auto_pad = "NOTSET", group = 1>(x, w) b = Elu<alpha = 0.1>(a) '
        "c = Constant<value = float[1] {2.0}>() y = Add(b, c)"
    )
    convolution, elu, constant, _ = read(
        build(text, shape=(1, 1, 4), w=np.ones((1, 1, 3), np.float32))
    ).nodes
    assert convolution.attributes == {"pads": (1, 1), "auto_pad": "NOTSET", "group": 1}
    assert convolution.integers("pads") == (1, 1)
    assert elu.real("alpha", 1.0) == np.float32(0.1)
    np.testing.assert_array_equal(constant.array("value"), [2.0])
    with pytest.raises(ModelError, match=r"'auto_pad' of node 'a' .* has the wrong type"):
        convolution.integer("auto_pad", 0)


def test_omitted_inputs_are_empty(build):
    graph = read(build("y = Clip(x, , w)", w=np.array(1, np.float32)))
    assert graph.nodes[0].inputs == ("x", "", "w")


def test_metadata_is_kept(build):
    data = edited(
        build("y = Relu(x)"),
        lambda m: m.metadata_props.append(onnx.StringStringEntryProto(key="a", value="b")),
    )
    assert read(data).metadata == {"a": "b"}


def test_weights_are_exact_and_read_only(build):
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    graph = read(build("y = MatMul(x, w)", w=weight))
    np.testing.assert_array_equal(graph.constants["w"], weight)
    assert graph.constants["w"].dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["w"][0] = 0


def test_all_real_networks_are_admitted(data: Path):
    files = sorted(data.glob("**/*.onnx"))
    assert files
    for file in files:
        load(file)
