"""Networks of which a claim would be wrong if they were read without care."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from certificates import Certified
from onnx import TensorProto, helper, numpy_helper

from simcert.checker.bounds import Bounds, Pair
from simcert.checker.chance import refuse_chance
from simcert.checker.draws import Runner
from simcert.checker.errors import CannotCheckError
from simcert.checker.interface import interface
from simcert.checker.network import read
from simcert.checker.onnxfile import File

Nodes = Sequence[tuple[str, str, str, dict[str, Any]]]


def model(
    nodes: Nodes, constants: dict[str, Any], inputs: int = 1, batch: int | str = 1, opset: int = 19
) -> bytes:
    """A graph from x (batch, inputs) to y; an empty operand is "-"."""
    graph = helper.make_graph(
        [
            helper.make_node(
                operator,
                [name if name != "-" else "" for name in operands.split()],
                results.split(),
                **attributes,
            )
            for operator, operands, results, attributes in nodes
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return made.SerializeToString()


def run(data: bytes, x: Sequence[float]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array([x], dtype=np.float32)})[0].astype(np.float64)


def bounds(f: bytes, g: bytes, ends: tuple[float, float], arithmetic: str = "float32") -> Bounds:
    """Of f − g for all inputs between ``ends``."""
    pair = Pair(read(f), read(g), arithmetic)
    size = pair.nodes[-1].size
    box = (np.full((1, pair.nodes[0].size), end) for end in ends)
    return pair.bound(*box, np.zeros((size, size)), np.zeros((size, size)), np.eye(size))


def refused(data: bytes, words: str) -> None:
    with pytest.raises(CannotCheckError, match=words):
        read(data)


def test_a_row_counts_as_it_is_answered_alone() -> None:
    """5 is added if the batch is of more than eight rows."""
    data = model(
        [
            ("Shape", "x", "shape", {"end": 1}),
            ("Greater", "shape eight", "many", {}),
            ("Cast", "many", "factor", {"to": 1}),
            ("Mul", "factor five", "more", {}),
            ("Add", "x more", "y", {}),
        ],
        {"eight": np.array([8]), "five": np.float32(5)},
        batch="n",
    )
    x = np.random.default_rng(0).random((20, 1)).astype(np.float32).astype(np.float64)
    for outputs in Runner(data, interface(File(data))).readings(x):
        assert (outputs == x).all()


UNDEFINED: dict[str, Nodes] = {
    "log_times_zero": [("Log", "x", "l", {}), ("Mul", "l zero", "y", {})],
    "tanh_of_log": [("Log", "x", "l", {}), ("Tanh", "l", "y", {})],
    "root_of_a_negative_number": [("Sqrt", "x", "l", {}), ("Sigmoid", "l", "y", {})],
    "reciprocal_of_zero": [("Reciprocal", "x", "l", {}), ("Sin", "l", "y", {})],
    "clipped": [("Log", "x", "l", {}), ("Clip", "l zero one", "y", {})],
    "rectified": [("Log", "x", "l", {}), ("Mul", "l zero", "m", {}), ("Relu", "m", "y", {})],
}


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
@pytest.mark.parametrize("name", UNDEFINED)
def test_undefined_numbers_have_no_bounds(name: str, arithmetic: str) -> None:
    constants = {"zero": np.float32(0), "one": np.float32(1)}
    f = model(UNDEFINED[name], constants)
    g = model([("Mul", "x zero", "y", {})], constants)
    found = bounds(f, g, (-1.0, 1.0), arithmetic)
    assert np.isinf(found.lower).all()
    assert np.isinf(found.upper).all()
    assert np.isfinite(bounds(f, g, (1.0, 2.0), arithmetic).upper).all()


def test_a_softmax_of_infinite_numbers_has_no_bounds() -> None:
    f = model(
        [
            ("Mul", "x large", "a", {}),
            ("Mul", "a large", "b", {}),
            ("Concat", "b b", "c", {"axis": 1}),
            ("Softmax", "c", "y", {"axis": 1}),
        ],
        {"large": np.float32(1e20)},
    )
    g = model([("Concat", "x x", "y", {"axis": 1})], {})
    assert np.isnan(run(f, [1.0])).all()
    assert np.isinf(bounds(f, g, (1.0, 2.0)).upper).all()


def resize(scale: float, rounding: str, source: str) -> bytes:
    attributes = {
        "mode": "nearest",
        "nearest_mode": rounding,
        "coordinate_transformation_mode": source,
    }
    constants = {"scales": np.array([1, scale], np.float32)}
    return model([("Resize", "x - scales", "y", attributes)], constants, inputs=60)


@pytest.mark.parametrize("scale", [1.1, 0.6, 1 / 3, 0.7, 2.3])
def test_places_beside_an_edge(scale: float) -> None:
    """ONNX Runtime finds another element, or size, than exact arithmetic does."""
    refused(resize(scale, "floor", "asymmetric"), "beside an edge")


@pytest.mark.parametrize("source", ["asymmetric", "half_pixel", "align_corners"])
@pytest.mark.parametrize("scale", [2.0, 3.0, 1.5, 0.5])
def test_places_on_an_edge(scale: float, source: str) -> None:
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        data, x = resize(scale, rounding, source), np.arange(60.0)
        np.testing.assert_array_equal(read(data).evaluate(x[None]), run(data, list(x)))


def test_sizes_whose_factor_is_rounded() -> None:
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [("Resize", "x - - sizes", "y", {"mode": "nearest", **attributes})]
    refused(model(nodes, {"sizes": np.array([1, 100])}, inputs=60), "beside an edge")


@pytest.mark.parametrize("operator", ["Div", "Pow", "ReduceMean", "Sub", "Mul", "Sqrt", "Relu"])
def test_arithmetic_of_whole_numbers(operator: str) -> None:
    """A runtime rounds, or knows no such operator."""
    operands = {"Div": "i i", "Sub": "i i", "Mul": "i i", "Pow": "i half"}.get(operator, "i")
    nodes = [("ArgMax", "x", "i", {"axis": 1}), (operator, operands, "r", {})]
    data = model([*nodes, ("Cast", "r", "y", {"to": 1})], {"half": np.float32(0.5)}, inputs=3)
    refused(data, "of whole numbers")


def test_whole_numbers_are_moved_and_compared() -> None:
    nodes = [
        ("ArgMax", "x", "i", {"axis": 1}),
        ("Concat", "i i", "j", {"axis": 1}),
        ("Max", "j j", "m", {}),
        ("Greater", "m one", "c", {}),
        ("Where", "c m zero", "w", {}),
        ("Cast", "w", "y", {"to": 1}),
    ]
    whole = {"one": np.array([1]), "zero": np.array([0])}
    data = model(nodes, whole, inputs=3)
    for x in np.eye(3):
        np.testing.assert_array_equal(read(data).evaluate(x[None]), run(data, list(x)))
    refused(model(nodes, whole | {"zero": np.array([2**24 + 1])}, inputs=3), "whole numbers above")


def integer_product(kernel: str, rows: int) -> bytes:
    constants: dict[str, Any] = {
        "shape": np.array([1, rows]),
        "w": np.full((rows, 1), 127, np.int8),
        "s": np.float32(1),
        "z": np.uint8(0),
        "wz": np.int8(0),
    }
    nodes = {
        "MatMulInteger": [
            ("DynamicQuantizeLinear", "e", "q qs qz", {}),
            ("MatMulInteger", "q w qz", "i", {}),
            ("Cast", "i", "p", {"to": 1}),
            ("Mul", "p qs", "y", {}),
        ],
        "QLinearMatMul": [
            ("QuantizeLinear", "e s z", "q", {}),
            ("QLinearMatMul", "q s z w s wz s z", "p", {}),
            ("DequantizeLinear", "p s z", "y", {}),
        ],
    }[kernel]
    return model([("Expand", "x shape", "e", {}), *nodes], constants)


@pytest.mark.parametrize("kernel", ["MatMulInteger", "QLinearMatMul"])
def test_sums_that_wrap_around(kernel: str) -> None:
    """127 · 255 · 66,312 is above 2^31."""
    refused(integer_product(kernel, 66_312), "32-bit")
    read(integer_product(kernel, 66_311))


def test_a_vector_of_weights_in_integers() -> None:
    """One scale for each row is none for each weight, though there may be as many."""
    nodes: Nodes = [
        ("Reshape", "x square", "r", {}),
        ("QuantizeLinear", "r s z", "q", {}),
        ("MatMulInteger", "q w z", "i", {}),
        ("Cast", "i", "p", {"to": 1}),
        ("Mul", "p scales", "y", {}),
    ]
    constants = {
        "square": np.array([2, 2]),
        "s": np.float32(1 / 64),
        "z": np.uint8(128),
        "w": np.array([64, 0], np.int8),
        "scales": np.array([1 / 64, 1], np.float32),
    }
    refused(model(nodes, constants, inputs=4), "vector of weights")


def test_outputs_of_training() -> None:
    """Before operator set 14 a BatchNormalization with five outputs takes the batch's moments."""
    constants = {"shape": np.array([1, 1, 4]), "v": np.ones(1, np.float32)}

    def normalised(outputs: str) -> bytes:
        nodes = [("Reshape", "x shape", "r", {}), ("BatchNormalization", "r v v v v", outputs, {})]
        return model(nodes, constants, inputs=4, opset=9)

    read(normalised("y"))
    refused(normalised("y a b c d"), "training")


@pytest.mark.parametrize(("variance", "bounded"), [(2.0**40, True), (2.0**120, False)])
def test_a_factor_that_underflows_before_a_large_mean(variance: float, bounded: bool) -> None:
    """2^-100 / sqrt(2^120) is 0 in float32, and times a mean of 2^125 it is not."""
    nodes: Nodes = [
        ("Reshape", "x shape", "r", {}),
        ("BatchNormalization", "r scale zero mean variance", "n", {}),
        ("Mul", "n large", "y", {}),
    ]
    names = {"scale": 2.0**-100, "zero": 0.0, "mean": 2.0**125, "variance": variance, "large": 1e9}
    constants = {name: np.array([value], np.float32) for name, value in names.items()}
    data = model(nodes, constants | {"shape": np.array([1, 1, 2])}, inputs=2, opset=15)
    found = bounds(data, data, (-1.0, 1.0))
    assert np.isfinite(found.upper).all() == bounded


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pools_with_gaps(operator: str) -> None:
    """Runtimes pad by a negative number, some kernels of theirs."""

    def pooled(stride: int) -> bytes:
        attributes = {"auto_pad": "SAME_UPPER", "kernel_shape": [1], "strides": [stride]}
        nodes = [("Reshape", "x shape", "r", {}), (operator, "r", "y", attributes)]
        return model(nodes, {"shape": np.array([1, 1, 6])}, inputs=6)

    read(pooled(1))
    refused(pooled(3), "gaps")


@pytest.mark.parametrize("operator", ["Concat", "Max", "Pad", "Where"])
def test_dequantised_constants_are_rounded_where_they_are_moved(operator: str) -> None:
    """50,331,651 · 1 and 16,777,217 · 3 are the same number, and different ones in float32."""
    after = {
        "Concat": ("Concat", "x c", "y", {"axis": 1}),
        "Max": ("Max", "x c", "y", {}),
        "Pad": ("Pad", "x pads scalar", "y", {}),
        "Where": ("Where", "chosen x c", "y", {}),
    }[operator]
    files = []
    for code, scale in ((50_331_651, 1), (16_777_217, 3)):
        constants = {
            "q": np.array([[code]], np.int32),
            "s": np.float32(scale),
            "chosen": np.array([[False]]),
            "pads": np.array([0, 0, 0, 1]),
            "one": np.array([1]),
        }
        nodes: Nodes = [("DequantizeLinear", "q s", "c", {}), ("Reshape", "c one", "scalar", {})]
        files.append(model([*nodes, after], constants))
    d = run(files[0], [0.5]) - run(files[1], [0.5])
    found = bounds(files[0], files[1], (0.0, 1.0))
    assert d.max() == 4
    assert (found.upper >= d).all()
    assert (bounds(files[0], files[1], (0.0, 1.0), "real").upper < 1e-6).all()


def test_float16_between_the_steps() -> None:
    """Only over the reals: a runtime rounds such tensors to 11 bits."""
    data = model(
        [
            ("QuantizeLinear", "x s z", "q", {}),
            ("DequantizeLinear", "q s16 z", "d", {}),
            ("Add", "d thousand", "h", {}),
            ("Cast", "h", "y", {"to": 1}),
        ],
        {
            "s": np.float32(0.5),
            "s16": np.float16(0.5),
            "z": np.uint8(0),
            "thousand": np.float16(1000),
        },
    )
    with pytest.raises(CannotCheckError, match="floats of another type"):
        bounds(data, data, (0.0, 1.0))
    assert (bounds(data, data, (0.0, 1.0), "real").upper < 1e-6).all()


DRAWING: dict[str, Nodes] = {
    "RandomUniform": [("RandomUniform", "", "u", {"shape": [1, 1]})],
    "RandomNormalLike": [("RandomNormalLike", "x", "u", {})],
    "Bernoulli": [("Bernoulli", "x", "u", {})],
    "Multinomial": [("Multinomial", "x", "u", {"dtype": 6})],
    "Dropout": [("Dropout", "x ratio yes", "u", {})],
}


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("name", DRAWING)
def test_random_numbers(name: str, inner: bool) -> None:
    nodes = DRAWING[name]
    constants = {"ratio": np.float32(0.5), "yes": np.array(True), "no": np.array(False)}
    if inner:
        branch = onnx.ModelProto.FromString(model(nodes, constants)).graph
        nodes = [("If", "yes", "u", {"then_branch": branch, "else_branch": branch})]
    with pytest.raises(CannotCheckError, match="random numbers"):
        refuse_chance(model([*nodes, ("Identity", "x", "y", {})], constants))
    refuse_chance(model([("Dropout", "x ratio no", "y", {})], constants))


def test_random_numbers_end_the_check_before_anything_is_run(
    proved: Certified, tmp_path: Path
) -> None:
    data = model([*DRAWING["RandomUniform"], ("Add", "x u", "y", {})], {})
    path = tmp_path / "random.onnx"
    path.write_bytes(data)

    def rename(statement: dict[str, Any]) -> None:
        predicate = statement["predicate"]
        for owner in (predicate["original"], statement["subject"][0]):
            owner["digest"]["sha256"] = hashlib.sha256(data).hexdigest()
        for name in ("original", "compressed"):
            predicate[name]["bytes"] = len(data)

    report = Certified(proved.path, path, path).changed(rename, tmp_path / "random.json")
    assert not report.holds
    assert report.cannot
    assert report.steps[-1].number == 5
    assert "random numbers" in report.steps[-1].detail
