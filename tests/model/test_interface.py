"""Inputs and outputs as files have them: maps, several tensors, integers, chosen outputs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_mlp, write_mlp
from onnx import TensorProto, helper, numpy_helper

from simcert import Claim, Region, Verdict, verify
from simcert.errors import ClaimError, ModelError
from simcert.model import load
from simcert.model.executor import Executor
from simcert.model.input_map import InputMap, parse
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    **constants: np.ndarray,
) -> Path:
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def tensor(name: str, shape: list[int | str], element: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


def box(inputs: int, low: float = 0.0, high: float = 1.0) -> Region:
    return Region.from_boxes([[low] * inputs], [[high] * inputs], source="test")


def agree(model_path: Path, x: np.ndarray, *maps: str, outputs: tuple[str, ...] = ()) -> Runtime:
    """The runtime, the executor and the program agree on the connected graph."""
    model = load(model_path, maps, outputs)
    runtime = Runtime(model)
    y = runtime.run(x)
    np.testing.assert_array_equal(y, runtime.run_exact(x))
    with torch.no_grad():
        for network in (Executor(model.graph), lower(model.graph).run):
            np.testing.assert_allclose(network(torch.as_tensor(x)).numpy(), y, atol=1e-5)
    return runtime


# -- maps ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    order=st.permutations("chw"),
    batch=st.tuples(st.booleans(), st.booleans()),
    axis=st.sampled_from([None, 0, 1, 2]),
    seed=st.integers(0, 99),
)
def test_a_map_moves_and_scales(
    sizes: tuple[int, ...], order: list[str], batch: tuple[bool, bool], axis: int | None, seed: int
) -> None:
    """Against numpy's einsum; what a layout means does not depend on where a batch is written."""
    generator = np.random.default_rng(seed)
    named = dict(zip("chw", sizes, strict=True))
    source, target = "".join(order), "chw"
    count = 1 if axis is None else sizes[axis]
    scale = generator.uniform(0.5, 2, count)
    offset = generator.normal(size=count)
    with_batch = batch[1]
    made = InputMap(
        tuple(scale),
        tuple(offset),
        None if axis is None else axis + with_batch,
        "n" * batch[0] + source,
        "n" * with_batch + target,
    )
    shape = ((1,) if with_batch else ()) + sizes
    x = generator.normal(size=(5, *(named[letter] for letter in source)))
    spread = [1, 1, 1]
    if axis is not None:
        spread[axis] = count
    expected = np.einsum(f"b{source}->b{target}", x) * scale.reshape(spread) + offset.reshape(
        spread
    )
    found = made.apply(x.reshape(5, -1), shape).reshape(5, *sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write key=value"),
        ("scale", "write key=value"),
        ("scale=1,scale=2", "each once"),
        ("size=1", "with the keys"),
        ("scale=x", "'x' is not a number"),
        ("scale=1/0", "'1/0' is not a number"),
        ("scale=0", "scales not 0"),
        ("offset=nan", "finite"),
        ("scale=1;2", "need axis="),
        ("axis=-1", "not a whole number"),
        ("layout=nhwc", "written nhwc-nchw"),
        ("layout=nhwc-nchx", "the same letters"),
        ("layout=hhc-chh", "a letter twice"),
        ("shape=1x-2", "not a whole number"),
    ],
)
def test_maps_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (("input=z,scale=2",), "the inputs are x"),
        (("scale=2", "scale=3"), "once for each input"),
        (("layout=hwc-chw",), "does not fit an input of shape"),
        (("shape=2x2",), "does not fit an input of shape"),
        (("scale=1;2,axis=1",), "2 values do not fit axis 1"),
        (("scale=1e99",), "scales and offsets are finite"),
        (("scale=1e-99",), "scales not 0"),
    ],
)
def test_maps_that_do_not_fit_the_file(tmp_path: Path, maps: tuple[str, ...], message: str) -> None:
    path = random_mlp(tmp_path / "f.onnx", [3, 4, 2], seed=0)
    with pytest.raises(ClaimError, match=message):
        load(path, maps)


def test_units_and_layouts_of_two_files_meet(tmp_path: Path) -> None:
    """One convolution as NCHW on [0, 1] and as NHWC on 0 to 255, proved equal up to rounding."""
    weight = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)
    nchw = save(
        tmp_path / "nchw.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["h"], "conv"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
        ],
        [tensor("x", [1, 3, 3, 3])],
        [tensor("y", [1, 2, 2, 2])],
        w=weight,
    )
    nhwc = save(
        tmp_path / "nhwc.onnx",
        [
            helper.make_node("Transpose", ["x"], ["t"], "t", perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["t", "w"], ["h"], "conv"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
        ],
        [tensor("x", ["n", 3, 3, 3])],
        [tensor("y", ["n", 2, 2, 2])],
        w=weight / 255,
    )
    x = np.random.default_rng(1).random((20, 27))
    first = agree(nchw, x, "layout=nhwc-nchw")
    second = agree(nhwc, x, "scale=255")
    np.testing.assert_allclose(first.run(x), second.run(x), atol=1e-5)
    claim = Claim(box(27), tolerance=1e-4)
    result = verify(load(nchw, ("layout=nhwc-nchw",)), load(nhwc, ("scale=255",)), claim, threads=1)
    assert result.verdict is Verdict.PROVED
    assert "nhwc → nchw" in result.original.connection
    # One file in two layouts is not one network, although all of its constants are the same.
    result = verify(load(nchw, ("layout=nhwc-nchw",)), load(nchw), claim, threads=1)
    assert result.verdict is Verdict.REFUTED
    result = verify(load(nchw, ("layout=nhwc-nchw",)), load(nchw, ("layout=nhwc-nchw",)), claim)
    assert result.verdict is Verdict.PROVED
    assert result.proof.bound == 0


# -- several inputs and outputs --------------------------------------------------------------------


def two_headed(path: Path, gain: float = 1.0) -> Path:
    """y = relu(a + gain Σ b), z = (2 a, −Σ b) of inputs a [n, 2] and b [n, 3]."""
    return save(
        path,
        [
            helper.make_node("MatMul", ["b", "sum"], ["s"], "sum"),
            helper.make_node("Mul", ["s", "gain"], ["g"], "gain"),
            helper.make_node("Add", ["a", "g"], ["h"], "add"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
            helper.make_node("Mul", ["a", "two"], ["d"], "double"),
            helper.make_node("Neg", ["s"], ["m"], "minus"),
            helper.make_node("Concat", ["d", "m"], ["z"], "join", axis=1),
        ],
        [tensor("a", ["n", 2]), tensor("b", ["n", 3])],
        [tensor("y", ["n", 2]), tensor("z", ["n", 3])],
        sum=np.ones((3, 1), np.float32),
        gain=np.array(gain, np.float32),
        two=np.array(2, np.float32),
    )


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    path = two_headed(tmp_path / "f.onnx")
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32).astype(np.float64)
    runtime = agree(path, x)
    assert (runtime.inputs, runtime.outputs, runtime.batched) == (5, 5, True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x32 = x.astype(np.float32)
    direct = session.run(None, {"a": x32[:, :2], "b": x32[:, 2:]})
    np.testing.assert_array_equal(runtime.run(x), np.hstack(direct))
    mapped = agree(path, x, "input=b,scale=1;2;4,axis=1,offset=0.5")
    direct = session.run(
        None, {"a": x32[:, :2], "b": x32[:, 2:] * np.float32([1, 2, 4]) + np.float32(0.5)}
    )
    np.testing.assert_allclose(mapped.run(x), np.hstack(direct), atol=1e-6)
    with pytest.raises(ClaimError, match="the inputs are a, b"):
        load(path, ("scale=2",))


def test_claims_about_several_tensors(tmp_path: Path) -> None:
    f, g = two_headed(tmp_path / "f.onnx"), two_headed(tmp_path / "g.onnx", 1.25)
    claim = Claim(box(5), tolerance=0.7501)
    result = verify(f, g, claim, threads=1)
    assert result.verdict is Verdict.PROVED
    # Only y differs, by up to Σ b / 4 = 3/4.
    assert [bound > 0.7 for bound in result.proof.per_output] == [True, True, False, False, False]
    assert verify(f, g, Claim(box(5), tolerance=0.74), threads=1).verdict is Verdict.REFUTED
    assert result.original.interface is not None
    names = [info["name"] for info in result.original.interface["outputs"]]
    assert names == ["y", "z"]
    result = verify(load(f, outputs=("z",)), load(g, outputs=("z",)), claim, threads=1)
    assert result.proof.bound < 1e-3


# -- integers --------------------------------------------------------------------------------------


def quantised(path: Path, element: int = TensorProto.UINT8) -> Path:
    """y = relu(0.5 (q − 3) − 1) of integers q."""
    zero = np.array(3, np.uint8 if element == TensorProto.UINT8 else np.int8)
    return save(
        path,
        [
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"], "dq"),
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], "gemm"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
        ],
        [tensor("q", ["n", 1], element)],
        [tensor("y", ["n", 1])],
        scale=np.array(0.5, np.float32),
        zero=zero,
        w=np.array([[1.0]], np.float32),
        b=np.array([-1.0], np.float32),
    )


def test_integer_inputs_are_rounded_and_limited(tmp_path: Path) -> None:
    path = quantised(tmp_path / "g.onnx")
    runtime = Runtime(load(path, ("scale=2,offset=3",)))  # q = round(2 x + 3)
    assert runtime.dtype == np.float32
    x = np.array([[0.0], [1.2], [1.25], [1.3], [200.0], [-5.0]])
    q = np.array([3, 5, 6, 6, 255, 0])  # 5.5 goes to the even 6
    np.testing.assert_array_equal(runtime.run(x)[:, 0], np.maximum(0.5 * (q - 3) - 1, 0))
    model = load(path, ("scale=2,offset=3",))
    with torch.no_grad():
        own = Executor(model.graph)(torch.as_tensor(x)).numpy()
    np.testing.assert_array_equal(own, runtime.run(x))
    signed = Runtime(load(quantised(tmp_path / "s.onnx", TensorProto.INT8)))
    np.testing.assert_array_equal(signed.run(np.array([[-300.0], [127.4]]))[:, 0], [0.0, 61.0])


def test_the_rounding_belongs_to_the_network(tmp_path: Path) -> None:
    """f(x) = relu(x − 1) on reals against g on integers q = round(2 x + 3): off by up to 1/4."""
    f = write_mlp(
        tmp_path / "f.onnx",
        [(np.array([[1.0]]), np.array([-1.0])), (np.array([[1.0]]), np.zeros(1))],
    )
    g = load(quantised(tmp_path / "g.onnx"), ("scale=2,offset=3",))
    region = box(1, 0.0, 100.0)
    x = np.linspace(0, 100, 4001)[:, None]
    gap = np.abs(Runtime(load(f)).run(x) - Runtime(g).run(x)).max()
    assert gap == 0.25
    result = verify(f, g, Claim(region, tolerance=0.26), threads=1, samples=0)
    assert result.verdict is Verdict.PROVED
    result = verify(f, g, Claim(region, tolerance=0.2), threads=1, samples=0)
    assert result.verdict is Verdict.REFUTED


@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL])
def test_other_inputs_are_refused(tmp_path: Path, element: int) -> None:
    path = save(
        tmp_path / "f.onnx",
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        [tensor("x", ["n", 2], element)],
        [tensor("y", ["n", 2])],
    )
    with pytest.raises(ModelError, match="must be a tensor of one of"):
        load(path)


# -- outputs ---------------------------------------------------------------------------------------


def classifier(path: Path, ending: str) -> Path:
    last = {
        "Softmax": [helper.make_node("Softmax", ["h"], ["y"], "end", axis=1)],
        "ArgMax": [helper.make_node("ArgMax", ["h"], ["y"], "end", axis=1, keepdims=0)],
        "quantised": [
            helper.make_node("Softmax", ["h"], ["p"], "end", axis=1),
            helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
    }[ending]
    whole = ending == "ArgMax"
    return save(
        path,
        [helper.make_node("Gemm", ["x", "w"], ["h"], "gemm"), *last],
        [tensor("x", ["n", 2])],
        [tensor("y", ["n"], TensorProto.INT64) if whole else tensor("y", ["n", 3])],
        w=np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]], np.float32),
        scale=np.array(1 / 256, np.float32),
        zero=np.array(0, np.uint8),
    )


def test_outputs_before_softmax_and_argmax(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32).astype(np.float64)
    logits = x @ np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0]])
    for ending, word in (
        ("Softmax", "before-softmax"),
        ("quantised", "before-softmax"),
        ("ArgMax", "before-argmax"),
        ("ArgMax", "h"),
    ):
        path = classifier(tmp_path / "f.onnx", ending)
        runtime = agree(path, x, outputs=(word,))
        np.testing.assert_allclose(runtime.run(x), logits, atol=1e-6)
    labels = Runtime(load(path)).run(x)
    np.testing.assert_array_equal(labels[:, 0], logits.argmax(axis=1))
    with pytest.raises(ModelError, match="does not end in Softmax"):
        load(path, outputs=("before-softmax",))
    with pytest.raises(ModelError, match="there is no tensor 'nothing'"):
        load(path, outputs=("nothing",))


def test_labels_are_compared(tmp_path: Path) -> None:
    f = classifier(tmp_path / "f.onnx", "ArgMax")
    corner = Region.from_boxes(np.array([[0.9, 0.0]]), np.array([[1.1, 0.05]]), source="one label")
    for g in (f, load(f, ("scale=1.1",))):
        result = verify(f, g, Claim(corner, tolerance=0.5), threads=1, samples=100)
        assert result.verdict is Verdict.PROVED
    moved = load(f, ("offset=3",))
    result = verify(f, moved, Claim(box(2), tolerance=0.5), threads=1, samples=100)
    assert result.verdict is Verdict.REFUTED
