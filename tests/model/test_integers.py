"""Integer kernels, as onnxruntime.quantization writes them, are read as what they compute."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from networks import random_mlp
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from simcert import Claim, verify
from simcert.bounds import Propagator
from simcert.claim import Region
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime
from simcert.pairing import align


class Reader(CalibrationDataReader):
    def __init__(self, x: np.ndarray) -> None:
        self._rows = iter([{"x": row[None]} for row in x.astype(np.float32)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def write(path: Path, kind: str) -> Path:
    """Write a network of two layers; only a convolution has a bias in a standard integer kernel."""
    generator = np.random.default_rng(0)
    convolves = kind == "convnet"
    shape = (2, 4, 4) if convolves else (32,)
    arrays = {
        "w0": generator.normal(size=(4, 2, 3, 3) if convolves else (32, 64)) / 4,
        "w1": generator.normal(size=(64, 3)) / 8,
    }
    if convolves:
        arrays["b0"] = generator.normal(size=4) / 4
    first = [helper.make_node("MatMul", ["x", "w0"], ["c"])]
    if convolves:
        first = [helper.make_node("Conv", ["x", "w0", "b0"], ["c"], pads=[1, 1, 1, 1])]
    nodes = [
        *first,
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "w1"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def quantised(original: Path, form: str, shape: tuple[int, ...]) -> Path:
    path = original.with_name(f"{original.stem}_{form}.onnx")
    if form == "dynamic":
        quantize_dynamic(original, path, weight_type=QuantType.QInt8)
        return path
    generator = np.random.default_rng(1)
    operators = form.startswith("operators")
    quantize_static(
        original,
        path,
        Reader(generator.uniform(-1, 1, (64, *shape))),
        quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=form.endswith("channels"),
    )
    return path


FORMS = ["dynamic", "operators", "operators-channels", "qdq", "qdq-channels"]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_what_runs_is_what_is_bounded(kind: str, form: str, tmp_path: Path) -> None:
    shape = (32,) if kind == "mlp" else (2, 4, 4)
    original = write(tmp_path / "original.onnx", kind)
    path = quantised(original, form, shape)
    model = load(path)
    f, g = lower(load(original).graph), lower(model.graph)
    generator = np.random.default_rng(2)
    x = generator.uniform(-0.6, 0.6, (50, 32)).astype(np.float32)
    run = Runtime(model).run(x)
    own = g.run(torch.as_tensor(x, dtype=torch.float64)).numpy()
    # A float32 quotient may round to the other side of a step: one step of the last layer or two.
    assert np.abs(run - own).max() < 0.05 * np.abs(run).max()
    assert (np.abs(run - own) < 1e-5 * np.abs(run).max()).mean() > 0.9

    dual = align(f, g)
    assert dual.describe() == "2 of 2 affine layers of the original aligned"
    eye = torch.eye(dual.outputs, dtype=torch.float64)
    bounds = []
    runs = Runtime(load(original)), Runtime(model)
    for radius in (1e-3, 0.3):
        centre = torch.as_tensor(x[:5], dtype=torch.float64)
        for rows in ((0 * eye, 0 * eye, eye), (eye, 0 * eye, 0 * eye), (0 * eye, eye, 0 * eye)):
            propagator = Propagator(dual, *rows, float32=True)
            bounds.append(propagator.bound(centre - radius, centre + radius))
        for _ in range(200):
            points = centre.numpy() + radius * generator.uniform(-1, 1, (5, 32))
            points = np.clip(points.astype(np.float32), centre - radius, centre + radius)
            difference = runs[0].run(points) - runs[1].run(points)
            assert (bounds[-3].lower.numpy() <= difference).all()
            assert (difference <= bounds[-3].upper.numpy()).all()
        # The difference is tracked through the quantisers: tighter than two networks by themselves.
        if radius > 0.1:
            widths = [float((bound.upper - bound.lower).sum()) for bound in bounds[-3:]]
            assert widths[0] < 0.5 * (widths[1] + widths[2])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["operators", "dynamic"])
def test_verify_on_integer_kernels(form: str, tmp_path: Path) -> None:
    original = write(tmp_path / "original.onnx", "convnet")
    path = quantised(original, form, (2, 4, 4))
    region = Region.from_boxes(np.full((1, 32), -0.1), np.full((1, 32), 0.1), source="box")
    result = verify(original, path, Claim(region), samples=2000, max_boxes=200)
    assert result.statistics is not None
    assert np.isfinite(result.proof.bound)
    assert result.statistics.maximum <= result.proof.bound
    assert "Integer kernels accumulate exactly." in result.assumptions
    # The largest weight of a tensor has the code 127.
    assert any("may saturate" in said for said in result.assumptions)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_bias_behind_a_quantiser_is_found(tmp_path: Path) -> None:
    original = random_mlp(tmp_path / "mlp.onnx", (32, 16, 8), 3)
    path = quantised(original, "qdq", (32,))
    dual = align(lower(load(original).graph), lower(load(path).graph))
    assert all(node.aligned for node in dual.nodes)
