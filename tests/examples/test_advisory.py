"""The committed example network: its shape, its metadata, and how well it meets its table."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_advisory", FOLDER / "train_advisory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model():
    return onnx.load(FOLDER / "advisory.onnx")


def test_the_shape_and_the_metadata(model, script):
    onnx.checker.check_model(model, full_check=True)
    properties = {item.key: json.loads(item.value) for item in model.metadata_props}
    region, outputs = properties["simcert.region"], properties["simcert.outputs"]
    assert region["names"] == list(script.INPUTS)
    assert outputs == {"names": list(script.ADVISORIES), "unit": "cost"}
    lower, upper = np.array(region["lower"]), np.array(region["upper"])
    assert np.all((lower >= -0.5) & (lower < upper) & (upper <= 0.5))
    sizes = [list(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 2]
    assert sizes == [[*pair[::-1]] for pair in zip(script.WIDTHS, script.WIDTHS[1:], strict=False)]


def test_the_network_meets_its_cost_table(model, script):
    raw = script.stretched(np.random.default_rng(7).random((20_000, 5)))
    session = ort.InferenceSession(model.SerializeToString())
    inputs = script.normalised(raw).astype(np.float32)
    (answers,) = session.run(None, {"encounter": inputs})
    wanted = script.costs(raw)
    assert np.sqrt(np.mean((answers - wanted) ** 2)) < 0.02
    assert np.mean(answers.argmin(axis=1) == wanted.argmin(axis=1)) > 0.95


def test_the_table_is_sensible(script):
    """Head on, half a minute ahead, it pays to turn; from a slow ship behind it does not."""
    head_on = [[25_000, 0, np.pi, 500, 500]]
    behind = [[50_000, np.pi, np.pi, 500, 100]]
    (threat,), (calm,) = script.costs(np.array(head_on)), script.costs(np.array(behind))
    assert threat.argmin() != 0
    assert calm.argmin() == 0
    np.testing.assert_allclose(threat[[1, 3]], threat[[2, 4]])
    mirrored = script.costs(np.array([[9_000, 0.4, 2.0, 500, 500], [9_000, -0.4, -2.0, 500, 500]]))
    np.testing.assert_allclose(mirrored[0], mirrored[1][[0, 2, 1, 4, 3]])


def test_training_is_reproducible(script):
    first, second = (script.exported(script.train(20, pool=2_000)) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
