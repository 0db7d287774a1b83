"""Static W8A8 in QDQ format."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import pruners
from pruners.execution import Execution
from simcert.errors import ModelError, SimcertError


def test_weights_and_activations_are_quantised(network, digits, run):
    quantised = pruners.quantize(network, format="qdq", calibration=digits["images"][:50])
    model = onnx.ModelProto.FromString(quantised.data)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    operators = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    original = onnx.load(network)
    assert model.graph.input == original.graph.input
    assert model.graph.output == original.graph.output
    assert np.isfinite(run(quantised.data)).all()
    assert quantised.report.after.bytes < 0.5 * quantised.report.before.bytes
    x = torch.from_numpy(digits["test_images"]).double()
    one, other = (Execution(m).outputs(x).argmax(1) for m in (network.read_bytes(), quantised.data))
    assert (one == other).double().mean() > 0.95


@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_the_ranges_are_those_of_the_calibration_data(example, digits, per):
    """σ = (max(x, 0) − min(x, 0)) / 255 of the hidden layer, and symmetric weights."""
    x = digits["images"][:50]
    quantised = pruners.quantize(example("mlp"), format="qdq", calibration=x, per=per).data
    stored = {
        t.name: numpy_helper.to_array(t)
        for t in onnx.ModelProto.FromString(quantised).graph.initializer
    }
    hidden = "layer_1.relu"
    values = Execution(example("mlp").read_bytes()).tensors(torch.from_numpy(x).double(), [hidden])
    assert stored[f"{hidden}_scale"] == pytest.approx(values[hidden].max().item() / 255, rel=1e-5)
    assert stored[f"{hidden}_zero_point"] == 0
    weights = numpy_helper.to_array(onnx.load(example("mlp")).graph.initializer[0])
    axis = 1 if per == "channel" else None
    np.testing.assert_allclose(
        stored["layer_1.weight_scale"], np.abs(weights).max(axis=axis) / 127, rtol=1e-6
    )


@pytest.mark.parametrize(
    "name",
    [
        "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx",
        "vision/onnx/mnist-net_256x2.onnx",
        "vision/onnx/cifar_base_kw.onnx",
        "vision/onnx/resnet_2b.onnx",
    ],
)
def test_real_networks(data, run, name):
    """Initialisers among the inputs, nodes without names, opset 8."""
    original = (data / name).read_bytes()
    x = np.random.default_rng(0).random((4, pruners.Network(original).graph.input.size))
    quantised = pruners.quantize(original, format="qdq", calibration=x)
    onnx.checker.check_model(quantised.data)
    assert run(quantised.data).shape == run(original).shape
    assert quantised.report.after.bytes < quantised.report.before.bytes / 3


def test_an_excluded_node_stays_in_floating_point(example, digits):
    x = digits["images"][:10]
    options = {"format": "qdq", "calibration": x, "exclude": ["layer_2"]}
    model = onnx.ModelProto.FromString(pruners.quantize(example("mlp"), **options).data)
    names = {tensor.name for tensor in model.graph.initializer}
    assert "layer_2.weight" in names
    assert "layer_1.weight_quantized" in names


def test_what_is_refused(example, digits):
    x = digits["images"][:10]
    with pytest.raises(ModelError, match="needs calibration data"):
        pruners.quantize(example("mlp"), format="qdq")
    with pytest.raises(ModelError, match="no other format takes"):
        pruners.quantize(example("mlp"), calibration=x)
    with pytest.raises(ModelError, match="8 bits, not 4"):
        pruners.quantize(example("mlp"), format="qdq", bits=4, calibration=x)
    bad = x.copy()
    bad[0, 0] = np.nan
    with pytest.raises(SimcertError, match="NaN"):
        pruners.quantize(example("mlp"), format="qdq", calibration=bad)
