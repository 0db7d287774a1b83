"""The committed example networks: what they are, how good they are, and who makes them."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
NAMES = ["mlp", "convnet", "residual", "vit", "spiking"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train", FOLDER / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_network_reads_digits(name):
    model = onnx.load(FOLDER / f"digits_{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    with np.load(FOLDER / "digits.npz") as data:
        images, labels = data["test_images"], data["test_labels"]
    entry = session.get_inputs()[0]
    (scores,) = session.run(None, {entry.name: images.reshape(-1, *entry.shape[1:])})
    assert scores.shape == (360, 10)
    assert np.mean(scores.argmax(axis=1) == labels) > 0.95


def test_the_kinds_of_networks():
    operators = {
        name: {node.op_type for node in onnx.load(FOLDER / f"digits_{name}.onnx").graph.node}
        for name in NAMES
    }
    assert {"Conv", "BatchNormalization", "Reshape"} <= operators["convnet"]
    assert {"Add", "Concat", "GlobalAveragePool"} <= operators["residual"]
    assert {"LayerNormalization", "Softmax", "MatMul"} <= operators["vit"]
    assert {"Greater", "Cast"} <= operators["spiking"]
    spiking = onnx.load(FOLDER / "digits_spiking.onnx").graph
    assert sum("hidden.weight" in node.input for node in spiking.node) == 4
    assert sum("input.weight" in node.input for node in spiking.node) == 1


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 500_000


def test_training_is_reproducible(script):
    assert script.trained("mlp", epochs=2) == script.trained("mlp", epochs=2)
    with np.load(FOLDER / "digits.npz") as data:
        images, labels = script.digits()
        np.testing.assert_array_equal(data["images"], images[: script.CALIBRATION])
        np.testing.assert_array_equal(data["test_labels"], labels[script.TRAINING :])
