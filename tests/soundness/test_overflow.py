"""A number that overflows in float32 becomes NaN, and NaN goes through functions that are bounded.

The networks overflow on a piece of the box so narrow that no sample meets it; what follows forgets
it over the reals: it is squashed, or multiplied by 0.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from simcert import Verdict, verify
from simcert.bounds import Propagator
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.claim import Claim, Region
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import align

CENTRE, WIDTH = 1.2345, 1e-4
TAILS = {
    "tanh": [("Tanh", ["z"], "y")],
    "sigmoid": [("Sigmoid", ["z"], "y")],
    "sign": [("Sign", ["z"], "y")],
    "clip": [("Clip", ["z", "zero", "one"], "y")],
    "zero weight": [("Gemm", ["z", "none", "bias"], "y")],
    "rectified zero weight": [("Gemm", ["z", "none", "bias"], "p"), ("Relu", ["p"], "y")],
}


def saved(path: Path, tail: str, bias: float) -> Path:
    """A network with ∞ − ∞ = NaN within WIDTH / 2 of CENTRE; elsewhere z is the bias."""
    constants = {
        "steps": np.full((3, 1), 1 / WIDTH),
        "places": np.array([1.0, 0.0, -1.0]) - CENTRE / WIDTH,
        "tent": np.array([[1.0, -2.0, 1.0]]),
        "half": np.array([-0.5]),
        "large": np.array([[1e38]]),
        "two": np.full((2, 1), 1e10),
        "none": np.zeros((1, 1)),
        "apart": np.array([[1.0, -1.0]]),
        "bias": np.array([bias]),
        "zero": np.array(0.0),
        "one": np.array(1.0),
    }
    nodes = [
        ("Gemm", ["x", "steps", "places"], "ramps"),
        ("Relu", ["ramps"], "rectified"),
        ("Gemm", ["rectified", "tent", "half"], "bump"),
        ("Relu", ["bump"], "height"),
        ("Gemm", ["height", "large"], "higher"),
        ("Relu", ["higher"], "highest"),
        ("Gemm", ["highest", "two"], "beyond"),
        ("Relu", ["beyond"], "infinities"),
        ("Gemm", ["infinities", "apart", "bias"], "z"),
        *TAILS[tail],
    ]
    protos = [
        helper.make_node(o, i, [r], **({"transB": 1} if o == "Gemm" else {})) for o, i, r in nodes
    ]
    read = {name for _, inputs, _ in nodes for name in inputs}
    graph = helper.make_graph(
        protos,
        "overflow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1))],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in constants.items()
            if name in read
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.mark.parametrize("tail", TAILS)
def test_what_may_be_nan_is_never_bounded(tmp_path: Path, tail: str) -> None:
    paths = saved(tmp_path / "f.onnx", tail, 0.0), saved(tmp_path / "g.onnx", tail, 0.25)
    at = np.array([[CENTRE]], np.float32)
    for path in paths:
        assert np.isnan(onnxruntime.InferenceSession(path).run(None, {"x": at})[0]).all()
    region = Region.from_boxes(np.zeros((1, 1)), np.full((1, 1), 4.0), source="box")
    for tolerance in (None, 3.0):
        claim = Claim(region, tolerance=tolerance, arithmetic="float32")
        result = verify(*paths, claim, samples=0, max_boxes=60, threads=1)
        assert result.verdict not in (Verdict.PROVED, Verdict.BOUNDED)
        assert result.proof.bound == np.inf
    real = verify(*paths, Claim(region, tolerance=3.0, arithmetic="real"), samples=0, threads=1)
    assert real.verdict is Verdict.PROVED  # the networks themselves differ by 0.25 at most


@pytest.mark.parametrize("tail", TAILS)
def test_no_function_of_it_is_bounded(tmp_path: Path, tail: str) -> None:
    """Neither f, g and f − g nor the lines that are integrated, by either propagator."""
    paths = saved(tmp_path / "f.onnx", tail, 0.0), saved(tmp_path / "g.onnx", tail, 0.25)
    f, g = (lower(load(path).graph) for path in paths)
    dual = align(f, g)
    rows = np.eye(3)[:, :, None]
    functions = [torch.from_numpy(row) for row in rows]
    propagators = [Propagator(dual, *functions, float32=True)]
    layers = layers_of(dual, float32=True)
    if layers is not None:
        propagators.append(DensePropagator(layers, *functions))
    box = torch.from_numpy(np.array([[0.0], [2.0]])), torch.from_numpy(np.array([[1.9], [4.0]]))
    for propagator in propagators:
        bounds = propagator.bound(*box)
        for own in (bounds.lower, bounds.upper, bounds.lower_offset, bounds.upper_offset):
            assert torch.isinf(own[0]).all()
            assert torch.isfinite(own[1]).all()
