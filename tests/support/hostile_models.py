"""Model files that must be refused: one function each, its name is the reason.

Each function changes an honest model, or returns bytes, or writes a file of its own.
"""

import os
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

Make = Callable[[Path], Path]

MODELS: dict[str, tuple[Make, str]] = {}
"""How each file is made in a folder, and a regular expression that its refusal matches."""


def honest() -> onnx.ModelProto:
    """y = relu(x w), two by two: what every file below is made from, and itself admitted."""
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "honest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return path


def changed(message: str) -> Callable[[Callable[[onnx.ModelProto], object]], None]:
    """Register a change of the honest model."""

    def register(change: Callable[[onnx.ModelProto], object]) -> None:
        def make(folder: Path) -> Path:
            model = honest()
            change(model)
            return _written(folder, model.SerializeToString())

        MODELS[change.__name__] = make, message

    return register


def spelled(message: str) -> Callable[[Callable[[], bytes]], None]:
    """Register the bytes of a file."""

    def register(spell: Callable[[], bytes]) -> None:
        MODELS[spell.__name__] = lambda folder: _written(folder, spell()), message

    return register


def put(message: str) -> Callable[[Make], None]:
    """Register what puts a file, or something else, into a folder."""

    def register(make: Make) -> None:
        MODELS[make.__name__] = make, message

    return register


def _constant(model: onnx.ModelProto, array: np.ndarray, name: str = "v") -> None:
    model.graph.initializer.append(numpy_helper.from_array(array, name))


def _before(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put nodes between the input and the rest; the last one produces ``z``."""
    old = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *old])


def _field(number: int, wire: int, content: bytes) -> bytes:
    return _varint(number << 3 | wire) + content


def _length(number: int, content: bytes) -> bytes:
    return _field(number, 2, _varint(len(content)) + content)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


# --- no file, or none of ONNX


@put("is empty")
def empty_file(folder: Path) -> Path:
    return _written(folder, b"")


@put("no such file")
def dangling_symlink(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.symlink_to(folder / "nothing")
    return path


@put("not a regular file")
def pipe_that_nobody_fills(folder: Path) -> Path:
    path = folder / "model.onnx"
    os.mkfifo(path)
    return path


@put("not a regular file")
def device_without_an_end(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.symlink_to("/dev/zero")
    return path


@put(r"at most \d+ are admitted")
def sparse_file_of_a_terabyte(folder: Path) -> Path:
    path = folder / "model.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    return path


@spelled("is not an ONNX file")
def text_instead_of_a_model() -> bytes:
    return b"This is not a model."


@spelled("is not an ONNX file")
def flatbuffer_of_onnx_runtime() -> bytes:
    return b"\x14\x00\x00\x00ORTM" + bytes(100)


@spelled("ends in the middle of a field")
def truncated_file() -> bytes:
    return honest().SerializeToString()[:-10]


@spelled("ends in the middle of a field")
def length_of_a_petabyte() -> bytes:
    return _field(7, 2, _varint(1 << 50))


@spelled("a number of more than ten bytes")
def number_that_never_ends() -> bytes:
    return b"\x08" + b"\xff" * 1000


@spelled("field 7 of one model is of another type")
def graph_that_is_a_number() -> bytes:
    return honest().SerializeToString() + _field(7, 0, b"\x01")


@spelled("field 99 of one model is not known")
def field_of_a_future_format() -> bytes:
    return honest().SerializeToString() + _length(99, b"?")


@spelled("field 'graph' of a model occurs twice")
def two_graphs_that_parsers_merge() -> bytes:
    data = honest().SerializeToString()
    return data + _length(7, honest().graph.SerializeToString())


@spelled("more than 1048576 fields")
def a_million_fields() -> bytes:
    return _length(7, b"\x0a\x02\x0a\x00" * ((1 << 19) + 1))


@changed("a name of 1048576 bytes; at most 4096")
def name_of_a_megabyte(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "n" * (1 << 20)


@changed("control characters: '\\\\x1b\\[2J")
def name_that_commands_the_terminal(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "\x1b[2J\x1b[31mPROVED"


@changed(r"control characters: '\\u202e")
def name_that_reorders_the_line(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "\u202eluMtaM"


@spelled("not valid UTF-8")
def name_that_is_no_text() -> bytes:
    return _length(7, _length(1, _length(3, b"\xff\xfe")))


# --- versions


@changed("IR version 1000000 is not supported")
def version_of_the_far_future(model: onnx.ModelProto) -> None:
    model.ir_version = 1_000_000


@changed("operator set 9223372036854775807 is not supported")
def operator_set_of_the_far_future(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = (1 << 63) - 1


@changed("operator set 1 is not supported")
def operator_set_of_the_past(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 1


@changed("imports the operator set '' twice")
def operator_set_imported_under_two_names(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 9))


@changed("imported 0 times")
def operator_set_not_imported(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


# --- code in the file


@changed("defines functions")
def nested_model_local_functions(model: onnx.ModelProto) -> None:
    """Forty functions, each calls the one before twice: 2^40 nodes once they are inlined."""
    model.opset_import.append(helper.make_opsetid("f", 1))
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    for level in range(40):
        domain, call = ("f", f"F{level - 1}") if level else ("", "Relu")
        nodes = [
            helper.make_node(call, ["a"], ["b"], domain=domain),
            helper.make_node(call, ["b"], ["c"], domain=domain),
        ]
        model.functions.append(helper.make_function("f", f"F{level}", ["a"], ["c"], nodes, sets))
    model.graph.node[1].CopyFrom(helper.make_node("F39", ["h"], ["y"], domain="f"))


@changed("defines functions")
def function_that_hides_an_operator(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Neg", ["a"], ["b"])]
    sets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], nodes, sets))


@changed("'else_branch' of node 'y' \\(If\\) is a subgraph")
def branch_with_subgraphs(model: onnx.ModelProto) -> None:
    _constant(model, np.array(True))
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("h", 1, [1, 2])])
    model.graph.node[1].CopyFrom(
        helper.make_node("If", ["v"], ["y"], then_branch=body, else_branch=body)
    )


@spelled("is a subgraph")
def subgraphs_nested_ten_thousand_deep() -> bytes:
    graph = b""
    for _ in range(10_000):
        graph = _length(1, _length(5, _length(6, graph)))
    return _length(7, graph)


@changed("custom domain 'evil.domain'")
def custom_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil.domain", 1))
    model.graph.node[1].domain = "evil.domain"


@changed("has no such operator")
def operator_that_does_not_exist(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Relu9"


@changed("is of the custom domain 'ai.onnx.preview.training'")
def operator_of_training(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "ai.onnx.preview.training"
    model.graph.node[1].op_type = "Gradient"


@changed("holds training information")
def training_information(model: onnx.ModelProto) -> None:
    model.training_info.add()


@changed("refers to a function's attribute")
def attribute_of_a_function_outside_one(model: onnx.ModelProto) -> None:
    model.graph.node[1].attribute.append(
        AttributeProto(name="alpha", ref_attr_name="alpha", type=AttributeProto.FLOAT)
    )


# --- data elsewhere


def _external(location: str) -> TensorProto:
    entry = onnx.StringStringEntryProto(key="location", value=location)
    return TensorProto(
        name="w",
        data_type=TensorProto.FLOAT,
        dims=[2, 2],
        data_location=TensorProto.EXTERNAL,
        external_data=[entry],
    )


def _with_external(folder: Path, location: str) -> Path:
    model = honest()
    model.graph.initializer[0].CopyFrom(_external(location))
    return _written(folder, model.SerializeToString())


@put("'w' keeps its data in another file")
def external_data_beside_the_model(folder: Path) -> Path:
    (folder / "weights").write_bytes(bytes(16))
    return _with_external(folder, "weights")


@put("'w' keeps its data in another file")
def external_data_through_symlink(folder: Path) -> Path:
    (folder / "weights").symlink_to("/etc/passwd")
    return _with_external(folder, "weights")


@put("'w' keeps its data in another file")
def external_data_through_hard_link(folder: Path) -> Path:
    (folder / "secret").write_bytes(bytes(16))
    os.link(folder / "secret", folder / "weights")
    return _with_external(folder, "weights")


@put("'w' keeps its data in another file")
def external_data_outside_the_folder(folder: Path) -> Path:
    return _with_external(folder, "../../../../etc/passwd")


@put("'w' keeps its data in another file")
def external_data_by_absolute_path(folder: Path) -> Path:
    return _with_external(folder, "/etc/passwd")


@changed("keeps its data in another file")
def external_data_without_a_place(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


@changed("'value' of node 'v' \\(Constant\\) keeps its data in another file")
def external_data_of_a_constant_node(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Constant", [], ["v"], value=_external("weights")))


# --- tensors


@changed("sparse initialisers")
def sparse_initialiser(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


@changed("'sparse_value' of node 'v' \\(Constant\\) is a sparse tensor")
def sparse_constant_of_a_huge_shape(model: onnx.ModelProto) -> None:
    values, places = helper.make_tensor("", 1, [1], [1.0]), helper.make_tensor("", 7, [1], [0])
    sparse = helper.make_sparse_tensor(values, places, [1 << 40])
    _before(model, helper.make_node("Constant", [], ["v"], sparse_value=sparse))


@changed("'v' has element type string")
def tensor_of_strings(model: onnx.ModelProto) -> None:
    _constant(model, np.array(["a"]))


@changed("'v' has element type number 77")
def tensor_of_an_unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="v", data_type=77, dims=[1], raw_data=b"1"))


@changed("does not hold what its shape says: 3 of float takes 12 bytes, the file has 4")
def tensor_shorter_than_its_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="v", data_type=1, dims=[3], raw_data=bytes(4)))


@changed("does not hold what its shape says: 1 of float takes 4 bytes, the file has 400")
def tensor_longer_than_its_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(
        TensorProto(name="v", data_type=1, dims=[1], raw_data=bytes(400))
    )


@changed("takes 73786976294838206464 bytes, the file has 0")
def tensor_whose_size_overflows(model: onnx.ModelProto) -> None:
    """2^32 times 2^32 elements are 0 in 64 bits."""
    model.graph.initializer.append(TensorProto(name="v", data_type=1, dims=[1 << 32, 1 << 32]))


@changed("takes 4398046511104 bytes, the file has 0")
def tensor_of_a_terabyte_without_data(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="v", data_type=1, dims=[1 << 40]))


@changed("has a negative size")
def tensor_of_negative_size(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="v", data_type=1, dims=[-1, -1], raw_data=b""))


@changed("has its data in raw_data and float_data")
def tensor_with_two_contents(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([1.0, 2.0, 3.0, 4.0])


@changed("has more than 32 axes")
def tensor_of_a_thousand_axes(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(
        TensorProto(name="v", data_type=1, dims=[1] * 1000, raw_data=bytes(4))
    )


@changed("'v' holds a boolean that is neither 0 nor 1")
def boolean_that_is_neither(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="v", data_type=9, dims=[1], raw_data=b"\x02"))


@changed("'w' holds NaN or infinity")
def weight_that_is_nan(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = struct.pack("<4f", 1.0, float("nan"), 0.0, 1.0)


@changed("'v' holds NaN or infinity")
def weight_that_is_infinite(model: onnx.ModelProto) -> None:
    _constant(model, np.array([np.inf], dtype=np.float16))


@changed("'value' of node 'v' \\(Constant\\) holds NaN or infinity")
def constant_node_that_is_nan(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(np.array([np.nan]))
    _before(model, helper.make_node("Constant", [], ["v"], value=value))


@changed("'alpha' of node 'z' \\(Elu\\) holds NaN or infinity")
def attribute_that_is_infinite(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Elu", ["x"], ["z"], alpha=np.inf))


def _quantised(model: onnx.ModelProto, scale: float) -> None:
    _constant(model, np.array(scale, dtype=np.float32))
    _before(model, helper.make_node("QuantizeLinear", ["x", "v"], ["z"]))


@changed("has the scale 0.0; scales must be positive")
def scale_of_zero(model: onnx.ModelProto) -> None:
    _quantised(model, 0.0)


@changed("has the scale -1.0; scales must be positive")
def scale_below_zero(model: onnx.ModelProto) -> None:
    _quantised(model, -1.0)


@changed("'v' holds NaN or infinity")
def scale_that_is_nan(model: onnx.ModelProto) -> None:
    _quantised(model, np.nan)


# --- the graph


@changed("has the initialiser 'w' twice")
def initialiser_of_a_name_that_is_taken(model: onnx.ModelProto) -> None:
    _constant(model, np.zeros((2, 2), dtype=np.float32), "w")


@changed("an initialiser without a name")
def initialiser_without_a_name(model: onnx.ModelProto) -> None:
    _constant(model, np.zeros(1), "")


@changed("tensor 'y' is produced twice")
def tensor_produced_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", ["h"], ["y"]))


@changed("tensor 'w' is produced twice")
def node_that_overwrites_a_weight(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Neg", ["x"], ["w"]))


@changed("has the attribute 'alpha' twice")
def attribute_given_twice(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Elu", ["x"], ["z"], alpha=1.0))
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 2.0))


@changed("'alpha' of node 'z' \\(Elu\\) has several values: f, i")
def attribute_of_two_values(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Elu", ["x"], ["z"], alpha=1.0))
    model.graph.node[0].attribute[0].i = 7


@changed("has the metadata key 'simcert.region' twice")
def region_given_twice(model: onnx.ModelProto) -> None:
    for value in ("[0, 1]", "[0, 2]"):
        model.metadata_props.add(key="simcert.region", value=value)


@changed("form a cycle")
def cycle(model: onnx.ModelProto) -> None:
    _before(
        model, helper.make_node("Neg", ["b"], ["a"]), helper.make_node("Neg", ["a"], ["b"], "back")
    )


@changed("not in topological order")
def nodes_out_of_order(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


@changed("reads tensor 'nowhere', which nothing produces")
def tensor_from_nowhere(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


@changed("nothing produces the output 'nowhere'")
def output_from_nowhere(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "nowhere"


@changed("ONNX rejects node 'y' \\(Relu\\)")
def node_with_too_many_inputs(model: onnx.ModelProto) -> None:
    model.graph.node[1].input.append("x")


@changed("ONNX rejects node 'h' \\(MatMul\\)")
def shapes_that_do_not_fit(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.ones((5, 2), dtype=np.float32), "w")
    )


@changed("has more than 4096 inputs")
def node_with_ten_thousand_inputs(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Sum", ["x"] * 10_000, ["z"]))


@changed("has 1000 attributes; at most 64")
def node_with_a_thousand_attributes(model: onnx.ModelProto) -> None:
    for number in range(1000):
        model.graph.node[1].attribute.append(helper.make_attribute(f"a{number}", number))


@changed("has more than 65536 numbers")
def attribute_of_a_million_numbers(model: onnx.ModelProto) -> None:
    model.graph.node[1].attribute.append(helper.make_attribute("a", [1] * 1_000_000))


# --- operators that draw


@changed("'RandomNormal' \\(node 'z'\\) draws random numbers")
def operator_that_draws_a_tensor(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("RandomNormal", [], ["z"], shape=[1, 2], seed=1.0))


@changed("'Bernoulli' \\(node 'z'\\) draws random numbers")
def operator_that_tosses_coins(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("Bernoulli", ["x"], ["z"]))


@changed("'Dropout' \\(node 'z'\\) draws random numbers")
def dropout_in_training(model: onnx.ModelProto) -> None:
    _constant(model, np.array(0.5, dtype=np.float32), "ratio")
    _constant(model, np.array(True), "training")
    _before(model, helper.make_node("Dropout", ["x", "ratio", "training"], ["z"]))


# --- inputs and outputs


@changed("'a' declares no shape|exactly one input")
def several_inputs_of_unknown_shape(model: onnx.ModelProto) -> None:
    del model.graph.input[:]
    for name in "abc":
        model.graph.input.append(helper.make_tensor_value_info(name, 1, None))


@changed("only the leading size, the batch, may be symbolic")
def input_of_symbolic_width(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"


@changed("input 'x' of shape .* is too large")
def input_of_a_billion_billion_elements(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 10**18


@changed("'x' is a sequence, not a tensor")
def input_that_is_a_sequence(model: onnx.ModelProto) -> None:
    of = helper.make_tensor_type_proto(1, [2])
    model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(of))


@changed("'y' is optional, not a tensor")
def output_that_is_optional(model: onnx.ModelProto) -> None:
    of = helper.make_tensor_type_proto(1, [2])
    model.graph.output[0].type.CopyFrom(helper.make_optional_type_proto(of))


@changed("'x' is a map, not a tensor")
def input_that_is_a_map(model: onnx.ModelProto) -> None:
    of = helper.make_tensor_type_proto(1, [2])
    model.graph.input[0].type.CopyFrom(helper.make_map_type_proto(7, of))


@changed("has the input 'x' twice")
def input_listed_twice(model: onnx.ModelProto) -> None:
    model.graph.input.append(model.graph.input[0])


# --- what would grow


@changed("'v' \\(ConstantOfShape\\): its output of shape .* is too large")
def constant_of_a_trillion_elements(model: onnx.ModelProto) -> None:
    _constant(model, np.array([1 << 20, 1 << 20]), "shape")
    _before(model, helper.make_node("ConstantOfShape", ["shape"], ["v"]))


@changed("\\(Concat\\): its output of shape .* is too large")
def tensor_that_doubles_sixty_times(model: onnx.ModelProto) -> None:
    names = ["x", *(f"d{level}" for level in range(60))]
    doubled = [helper.make_node("Concat", [a, a], [b], axis=1) for a, b in pairwise(names)]
    _before(model, *doubled)


@changed("'z' \\(Add\\): its output of shape .* is too large")
def product_by_broadcasting(model: onnx.ModelProto) -> None:
    _constant(model, np.zeros((1 << 14, 1), dtype=np.float32), "column")
    _constant(model, np.zeros((1, 1 << 14), dtype=np.float32), "row")
    _before(model, helper.make_node("Add", ["column", "row"], ["z"]))


@changed("'z' \\(Expand\\): its output of shape .* is too large")
def size_that_is_computed(model: onnx.ModelProto) -> None:
    _constant(model, np.array([1 << 15, 1]), "size")
    _before(
        model,
        helper.make_node("Mul", ["size", "size"], ["square"]),
        helper.make_node("Concat", ["square", "size"], ["both"], axis=0),
        helper.make_node("Expand", ["x", "both"], ["z"]),
    )
    model.graph.node[2].input[0] = "one"
    _constant(model, np.ones(1, dtype=np.float32), "one")


@changed("'z' \\(Pad\\): its output of shape .* is too large")
def padding_of_a_billion(model: onnx.ModelProto) -> None:
    _constant(model, np.array([0, 0, 0, 10**9]), "pads")
    _before(model, helper.make_node("Pad", ["x", "pads"], ["z"]))


@changed("'z' \\(Conv\\): the multiplications up to here are too many for one sample")
def convolution_that_takes_days(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8000, 8000])
    )
    _constant(model, np.zeros((1, 1, 600, 600), np.float32), "kernel")
    _before(model, helper.make_node("Conv", ["x", "kernel"], ["z"]))


@changed("'z' \\(MaxPool\\): the multiplications up to here are too many for one sample")
def window_as_large_as_the_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8000, 8000])
    )
    window = {"kernel_shape": [4000, 4000], "strides": [1, 1]}
    _before(model, helper.make_node("MaxPool", ["x"], ["z"], **window))


@changed("too large together")
def many_tensors_that_are_large_together(model: onnx.ModelProto) -> None:
    _constant(model, np.array([1 << 26]), "shape")
    _before(model, *(helper.make_node("ConstantOfShape", ["shape"], [f"v{i}"]) for i in range(100)))


@changed("'z' \\(NonZero\\): the size of its output cannot be told")
def size_that_depends_on_the_input(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("NonZero", ["x"], ["z"]))


@changed("'z' \\(SequenceConstruct\\): the size of its output cannot be told")
def sequence_between_nodes(model: onnx.ModelProto) -> None:
    _before(model, helper.make_node("SequenceConstruct", ["x", "x"], ["z"]))
