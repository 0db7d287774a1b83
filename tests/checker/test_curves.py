"""Smooth functions, products and quantisers: read as ONNX Runtime runs them, bounded at points."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from simcert import load
from simcert.checker.bounds import Pair
from simcert.checker.errors import CannotCheckError
from simcert.checker.exact import ExactPair
from simcert.checker.functions import CURVES
from simcert.checker.interval import Interval
from simcert.checker.network import read
from simcert.model.runtime import Runtime

Float = NDArray[np.float64]

POSITIVE = [("Abs", ["h"], "p"), ("Add", ["p", "half"], "q")]
QUANTISED = [("QuantizeLinear", ["h", "scale", "zero"], "c")]
RESTORED = ("DequantizeLinear", ["c", "scale", "zero"], "o")

CASES: dict[str, list[tuple[str, list[str], str]]] = {
    **{name: [(name, ["h"], "o")] for name in ("Sigmoid", "Tanh", "Erf", "Softplus", "Exp")},
    **{name: [*POSITIVE, (name, ["q"], "o")] for name in ("Sqrt", "Log", "Reciprocal")},
    "square": [("Mul", ["h", "h"], "o")],
    "swish": [("Sigmoid", ["h"], "s"), ("Mul", ["h", "s"], "o")],
    "quotient": [*POSITIVE, ("Div", ["h", "q"], "o")],
    "constant over": [*POSITIVE, ("Div", ["half", "q"], "o")],
    "quantiser": [*QUANTISED, RESTORED],
    "two in a row": [*QUANTISED, RESTORED, ("Tanh", ["o"], "o2")],
}


def constants(channels: int = 1) -> dict[str, np.ndarray]:
    scale = np.array([0.05, 0.11, 0.02][:channels], np.float32)
    zero = np.array([3, -5, 0][:channels], np.int8)
    return {
        "half": np.array([0.5], np.float32),
        "scale": scale if channels > 1 else scale[0],
        "zero": zero if channels > 1 else zero[0],
    }


def write(
    path: Path, nodes: list[tuple[str, list[str], str]], noise: float, channels: int = 1
) -> Path:
    """A product, the nodes, and another product of their result beside what they read."""
    generator, other = np.random.default_rng(4), np.random.default_rng(5)
    first, last = (
        (generator.normal(size=s) + noise * other.normal(size=s)).astype(np.float32)
        for s in ((4, 3), (6, 2))
    )
    values = {**constants(channels), "first": first, "last": last}
    made = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        *(helper.make_node(operator, reads, [name]) for operator, reads, name in nodes),
        helper.make_node("Concat", ["h", nodes[-1][2]], ["j"], axis=1),
        helper.make_node("Relu", ["j"], ["r"]),
        helper.make_node("MatMul", ["r", "last"], ["y"]),
    ]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def written(tmp_path: Path, name: str, channels: int = 1) -> list[Path]:
    return [
        write(tmp_path / f"{side}.onnx", CASES[name], noise, channels)
        for side, noise in (("f", 0.0), ("g", 0.01))
    ]


def points(lower: Float, upper: Float, generator: np.random.Generator) -> Float:
    t = generator.choice([0.0, 1.0, generator.random()], size=lower.shape)
    x = (lower + t * (upper - lower)).astype(np.float32).astype(np.float64)
    return np.clip(x, lower, upper)


@pytest.mark.parametrize("name", CASES)
def test_reading_and_bounds(tmp_path: Path, name: str) -> None:
    """At points of small and large boxes, over the reals and as ONNX Runtime computes."""
    paths = written(tmp_path, name)
    f, g = (read(path.read_bytes()) for path in paths)
    runs = [Runtime(load(path)) for path in paths]
    generator = np.random.default_rng(0)
    centre = generator.uniform(-1, 1, (4, 4))
    radius = np.array([[0.0], [0.001], [0.05], [0.8]])
    lower, upper = (
        (centre + sign * radius).astype(np.float32).astype(np.float64) for sign in (-1, 1)
    )
    nothing, each = np.zeros((2, 2, 2)), np.eye(2)
    for arithmetic in ("real", "float32"):
        pair = Pair(f, g, arithmetic)
        differences = pair.bound(lower, upper, *nothing, each)
        values = pair.bound(lower, upper, each, np.zeros((2, 2)), np.zeros((2, 2)))
        assert np.isfinite(differences.upper).all()
        for _ in range(60):
            x = points(lower, upper, generator)
            outputs = [network.evaluate(x) for network in (f, g)]
            computed = [run.run_exact(x.astype(np.float32)) for run in runs]
            if "quantiser" not in name and "row" not in name:
                np.testing.assert_allclose(computed, outputs, atol=2e-5)
            if arithmetic == "float32":
                outputs = computed
            d = outputs[0] - outputs[1]
            assert (differences.lower - 1e-13 <= d).all()
            assert (d <= differences.upper + 1e-13).all()
            assert (values.lower - 1e-13 <= outputs[0]).all()
            assert (outputs[0] <= values.upper + 1e-13).all()


STEEP = {"Exp": 12.0, "Log": 1e-6, "Sqrt": 1e-12, "Reciprocal": 1e-4, "Tan": np.pi / 2 - 1e-4}


@pytest.mark.parametrize("name", STEEP)
def test_a_slope_too_steep_to_be_used_is_not_left_out(name: str) -> None:
    """Around points further from each other than the box is wide."""
    curve, x = CURVES[{"Reciprocal": "Pow -1.0", "Sqrt": "Pow 0.5"}.get(name, name)], STEEP[name]
    assert abs(curve.slope(np.array(x))) > curve.steepest
    files = []
    for shift in (2.0, 3.0):
        nodes = [helper.make_node("Add", ["x", "s"], ["a"]), helper.make_node(name, ["a"], ["y"])]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
            [numpy_helper.from_array(np.float32([shift * 1e-4 * min(x, 1e-1)]), "s")],
        )
        opsets = [helper.make_opsetid("", 13)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        files.append(read(model.SerializeToString()))
    lower = np.array([[x]])
    upper = lower * (1 + 1e-9)
    nothing, one = np.zeros((2, 1, 1)), np.eye(1)
    found = Pair(*files).bound(lower, upper, *nothing, one)
    for point in (lower, upper):
        f, g = (network.evaluate(point) for network in files)
        assert (found.lower <= f - g).all()
        assert (f - g <= found.upper).all()


@pytest.mark.parametrize("name", ["Tanh", "swish", "Reciprocal"])
def test_differences_shrink_with_the_box(tmp_path: Path, name: str) -> None:
    """A bound of δ must not be that of two networks side by side."""
    f, g = (read(path.read_bytes()) for path in written(tmp_path, name))
    x = np.full((1, 4), 0.3)
    nothing, each = np.zeros((2, 2, 2)), np.eye(2)
    pair = Pair(f, g)
    apart = pair.bound(x - 0.02, x + 0.02, each, np.zeros((2, 2)), np.zeros((2, 2)))
    together = pair.bound(x - 0.02, x + 0.02, *nothing, each)
    assert ((together.upper - together.lower) < 0.3 * (apart.upper - apart.lower)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_quantisers_per_channel_and_exactly(tmp_path: Path, channels: int) -> None:
    f, g = (read(path.read_bytes()) for path in written(tmp_path, "quantiser", channels))
    x = np.random.default_rng(1).uniform(-1, 1, (2, 4))
    lower, upper = x - np.array([[0.01], [0.4]]), x + np.array([[0.01], [0.4]])
    nothing, each = np.zeros((2, 2, 2)), np.eye(2)
    generator = np.random.default_rng(2)
    for arithmetic in ("real", "float32"):
        near, exact = (
            kind(f, g, arithmetic).bound(lower, upper, *nothing, each) for kind in (Pair, ExactPair)
        )
        # Fractions leave out one choice of lines.
        assert (near.upper <= exact.upper * 1.01 + 1e-4).all()
        for _ in range(200):
            at = points(lower, upper, generator)
            d = f.evaluate(at) - g.evaluate(at)
            for own in (near, exact):
                assert (own.lower <= d + 1e-13).all()
                assert (d - 1e-13 <= own.upper).all()


def test_a_quantiser_against_none(tmp_path: Path) -> None:
    """Within half a step of what was there before, however large the box is."""
    alone = [("Relu", ["h"], "o")]
    quantised = [("Relu", ["h"], "p"), ("QuantizeLinear", ["p", "scale", "zero"], "c"), RESTORED]
    f, g = (
        read(write(tmp_path / f"{i}.onnx", nodes, 0.0).read_bytes())
        for i, nodes in enumerate((alone, quantised))
    )
    nothing, each = np.zeros((2, 2, 2)), np.eye(2)
    bounds = Pair(f, g).bound(-0.5 * np.ones((1, 4)), 0.5 * np.ones((1, 4)), *nothing, each)
    generator = np.random.default_rng(4)
    generator.normal(size=(4, 3))
    last = generator.normal(size=(6, 2)).astype(np.float32).astype(np.float64)
    most = 0.025 * np.abs(last[3:]).sum(axis=0)
    assert (np.maximum(bounds.upper, -bounds.lower) <= most * 1.01).all()


def test_exact_arithmetic_knows_no_curves(tmp_path: Path) -> None:
    f, g = (read(path.read_bytes()) for path in written(tmp_path, "swish"))
    x = np.zeros((1, 4))
    with pytest.raises(CannotCheckError, match="function Sigmoid"):
        ExactPair(f, g).bound(x, x, *np.zeros((2, 2, 2)), np.eye(2))


@pytest.mark.parametrize("name", CURVES)
def test_strips_slopes_and_images(name: str) -> None:
    """Against values at many points of many intervals."""
    curve, generator = CURVES[name], np.random.default_rng(0)
    lower = generator.normal(size=(400, 1)) * 3
    everywhere = curve.defined(Interval(-np.ones(1), np.ones(1))).all()
    lower = lower if everywhere or name == "Tan" else np.abs(lower) + 1e-3
    upper = lower + 10.0 ** generator.uniform(-6, 1, lower.shape)
    x = lower + np.linspace(0, 1, 101) * (upper - lower)
    own = curve.known(Interval(lower, upper))[:, 0]
    lower, upper, x = lower[own], upper[own], x[own]
    assert own.mean() > 0.2
    strip, image = curve.lines(Interval(lower, upper)), curve.image(Interval(lower, upper))
    values = curve.value(x)
    slack = 1e-14 * (1 + np.abs(values))
    assert (np.abs(values - (strip.slope * x + strip.middle)) <= strip.half + slack).all()
    assert (image.lower <= values).all()
    assert (values <= image.upper).all()
    centre, radius, _ = curve.slopes(Interval(lower, upper), Interval(lower, upper))
    between = np.diff(values) / np.diff(x)
    known = np.isfinite(radius)[:, 0] & ((upper - lower) > 1e-3)[:, 0]
    assert known.any()
    assert (np.abs(between - centre)[known] <= (radius + 1e-9 * (1 + np.abs(centre)))[known]).all()


def test_codes_are_read_with_any_parameters(tmp_path: Path) -> None:
    x = np.random.default_rng(5).uniform(-1, 1, (20, 4)).astype(np.float32)
    for parameters in (["half", "zero"], ["scale"]):
        nodes = [*QUANTISED, ("DequantizeLinear", ["c", *parameters], "o")]
        path = write(tmp_path / "other.onnx", nodes, 0.0)
        runs = Runtime(load(path)).run(x)
        apart = np.abs(read(path.read_bytes()).evaluate(x.astype(float)) - runs)
        assert (apart < 1e-5 * np.abs(runs).max()).mean() > 0.9


def test_nothing_is_computed_from_codes(tmp_path: Path) -> None:
    nodes = [*QUANTISED, ("Relu", ["c"], "e"), ("DequantizeLinear", ["e", "scale", "zero"], "o")]
    path = write(tmp_path / "other.onnx", nodes, 0.0)
    with pytest.raises(CannotCheckError, match="Relu of quantised numbers"):
        read(path.read_bytes())
