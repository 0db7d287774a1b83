"""Lies that an adversary found: proofs of what ONNX Runtime contradicts; each must stay without."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper, parser

from simcert import Verdict, verify
from simcert.bounds import Propagator
from simcert.claim import Claim, Region
from simcert.errors import UnsupportedOperatorError
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import align

SPIKE = """
    c = Constant <value = float[1,1] {0.3333333}> ()
    w = Constant <value = float[1,1] {-100000.0}> ()
    one = Constant <value = float[1,1] {1.0}> ()
    d = Sub(x, c)  a = Abs(d)  n = Mul(a, w)  m = Add(n, one)  u = Relu(m)
"""
"""1 at x = 1/3 and 0 beyond 1e-5 around it: no sample meets it."""

IMAGE = "shape = Constant <value = int64[4] {1, 1, 1, 1}> ()  v = Reshape(u, shape)"
SPREAD = "wide = Constant <value = int64[4] {1, 1, 64, 64}> ()  s = Expand(p, wide)"


def numbers(**values: str) -> str:
    """Constants that broadcast with matrices and images."""
    return "\n".join(f"{k} = Constant <value = float {{{v}}}> ()" for k, v in values.items())


def matrix(**values: str) -> str:
    return "\n".join(f"{k} = Constant <value = float[1,1] {{{v}}}> ()" for k, v in values.items())


def mean(operator: str, last: str) -> str:
    own = numbers(k="1e35", t=last)
    return f"{IMAGE} {own} p = Mul(v, k) {SPREAD} q = {operator}(s) y = Mul(q, t)"


def gemm(weight: str, alpha: str, first: str, last: str) -> str:
    own = matrix(B=weight, k=first, t=last)
    return f"{own} p = Mul(u, k) q = Gemm <alpha = {alpha}> (p, B) y = Mul(q, t)"


def folded(first: str, last: str) -> str:
    own = numbers(k="1e30", s=first, t=last)
    weight = "W = Constant <value = float[1,1,1,1] {1e-30}> ()"
    return f"{IMAGE} {own} {weight} p = Mul(v, k) q = Conv(p, W) r = Mul(q, s) y = Mul(r, t)"


ASSOCIATIONS = {
    "global mean": (mean("GlobalAveragePool", "1e-35"), mean("GlobalAveragePool", "1.01e-35")),
    "mean": tuple(mean("ReduceMean <axes = [2, 3]>", last) for last in ("1e-35", "1.01e-35")),
    "alpha overflows": tuple(gemm("1e25", "1e-30", "1e15", t) for t in ("1e-10", "1.01e-10")),
    "alpha underflows": (
        gemm("1e-30", "1e30", "1e-20", "1e20"),
        gemm("1.0", "1.0", "1e-20", "1e20"),
    ),
    "folded": (folded("1e-20", "1e20"), folded("1e20", "1e-20")),
}


def saved(path: Path, body: str, inputs: str, outputs: str) -> Path:
    """Write a network whose constants are initialisers, as exporters write them."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> n ({inputs}) => ({outputs}) {{ {body} }}'
    model = parser.parse_model(text)
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        model.graph.node.remove(node)
    onnx.save(model, path)
    return path


def run(path: Path, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(path).run(None, {"x": x})[0], np.float64)


@pytest.mark.parametrize("name", ASSOCIATIONS)
def test_what_overflows_or_vanishes_in_a_runtime_is_not_proved(tmp_path: Path, name: str) -> None:
    rank = "1,1" if "alpha" in name else "1,1,1,1"
    f, g = (
        saved(tmp_path / f"{k}.onnx", SPIKE + body, "float[1,1] x", f"float[{rank}] y")
        for k, body in enumerate(ASSOCIATIONS[name])
    )
    at = np.array([[0.3333333]], np.float32)
    ends = run(f, at).item(), run(g, at).item()
    both = np.isfinite(ends).all()
    assert not both or abs(ends[0] - ends[1]) > 0.5, "the runtime does not contradict a proof"
    region = Region.from_boxes(np.zeros((1, 1)), np.ones((1, 1)), source="unit")
    result = verify(f, g, Claim(region, tolerance=0.5), samples=0, max_boxes=60, threads=1)
    assert result.verdict is not Verdict.PROVED


@pytest.mark.parametrize("name", ASSOCIATIONS)
def test_no_bounds_without_what_a_runtime_computes(tmp_path: Path, name: str) -> None:
    """On the box that is the peak alone, either network by itself."""
    rank = "1,1" if "alpha" in name else "1,1,1,1"
    at = np.array([[0.3333333]], np.float32)
    for body in ASSOCIATIONS[name]:
        path = saved(tmp_path / "f.onnx", SPIKE + body, "float[1,1] x", f"float[{rank}] y")
        program = lower(load(path).graph)
        one, none = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
        propagator = Propagator(align(program, program), one, none, none, float32=True)
        box = torch.from_numpy(at.astype(np.float64))
        bounds = propagator.bound(box, box)
        low, high = float(bounds.lower[0, 0]), float(bounds.upper[0, 0])
        assert np.isinf([low, high]).all() or low <= run(path, at).item() <= high


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
def test_a_softmax_and_a_constant_is_no_softmax(tmp_path: Path, arithmetic: str) -> None:
    """δ is up to 0.199 by the constants, and up to 0.109 by the softmaxes."""
    tail = " s = Mul(x, k) p = Softmax(s) y = Add(p, b)"
    f, g = (
        saved(tmp_path / f"{k}.onnx", numbers(k=k, b=b) + tail, "float[1,2] x", "float[1,2] y")
        for k, b in (("1.0", "0.2"), ("0.5", "0.001"))
    )
    region = Region.from_boxes(np.zeros((1, 2)), np.ones((1, 2)), source="unit")
    claim = Claim(region, tolerance=None, arithmetic=arithmetic)
    result = verify(f, g, claim, samples=0, max_boxes=50, threads=1)
    x = np.array([[1.0, 0.0]], np.float32)
    assert result.proof.bound >= np.abs(run(f, x) - run(g, x)).max() - 1e-6


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
def test_one_file_twice_does_not_agree_where_it_is_nan(tmp_path: Path, arithmetic: str) -> None:
    body = SPIKE + "e = Constant <value = float[1,1] {1e-6}> () o = Sub(a, e) y = Log(o)"
    path = saved(tmp_path / "f.onnx", body, "float[1,1] x", "float[1,1] y")
    assert np.isnan(run(path, np.array([[0.3333333]], np.float32))).all()
    region = Region.from_boxes(np.zeros((1, 1)), np.ones((1, 1)), source="unit")
    claim = Claim(region, tolerance=0.1, arithmetic=arithmetic)
    result = verify(path, path, claim, samples=0, max_boxes=20, threads=1)
    assert result.verdict is not Verdict.PROVED


SHAPES = [(), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (1, 1, 2), (1, 2, 1), (2, 1, 1)]


@pytest.mark.parametrize("rows", [(1, 2), (2, 2), (1, 2, 2)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT32])
def test_factors_of_integer_sums_are_the_graphs_own(
    tmp_path: Path, rows: tuple[int, ...], shape: tuple[int, ...], kind: int
) -> None:
    """Any factor, laid out in any way: the steps give what the runtime gives, or there are none."""
    body = """
        s = Constant <value = float {0.1}> ()  z = Constant <value = uint8 {0}> ()
        W = Constant <value = int8[2,2] {100, 2, 3, -4}> ()
        q = QuantizeLinear(x, s, z)  m = MatMulInteger(q, W, z)
    """
    factor = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    body += f"r = Cast <to = {kind}> (m)  v = Mul(r, k)  y = Cast <to = 1> (v)"
    path = tmp_path / "f.onnx"
    dims = ",".join(map(str, rows))
    text = f'<ir_version: 8, opset_import: ["" : 17]> n (float[{dims}] x) => (float y) {{ {body} }}'
    model = parser.parse_model(text)
    typed = factor.astype(np.float32) / 7 if kind == TensorProto.FLOAT else factor * 200_000
    typed = typed.astype(np.float32 if kind == TensorProto.FLOAT else np.int32)
    model.graph.initializer.append(numpy_helper.from_array(typed, "k"))
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        model.graph.node.remove(node)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.save(model, path)
    x = np.random.default_rng(0).uniform(0, 25, rows).astype(np.float32)
    try:
        program = lower(load(path).graph)
    except UnsupportedOperatorError:
        return
    own = program.run(torch.from_numpy(x.reshape(1, -1).astype(np.float64)))[0].numpy()
    np.testing.assert_allclose(own, run(path, x).reshape(-1), rtol=1e-5)
