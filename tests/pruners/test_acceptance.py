"""Every method on every example and on real networks: files that run, exact counts, a verdict."""

import json

import numpy as np
import onnx
import pytest

import pruners
from pruners.agf import KEPT
from pruners.onnx_edit import Network
from pruners.sites import weight_sites
from simcert import Claim, Region, Verdict, divergences, verify
from simcert.model import load
from simcert.model.runtime import Runtime

REAL = {
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx": None,
    "vision/onnx/mnist-net_256x2.onnx": "mnist_test_0000_4999",
    "vision/onnx/cifar_base_kw.onnx": "cifar10_test_even",
    "vision/onnx/resnet_2b.onnx": "cifar10_test_even",
}
METHODS = [*sorted(pruners.METHODS), "qdq"]


def check_counts(method, before, after):
    """What is in the file is what was asked for."""
    old, new = (weight_sites(Network(model)) for model in (before, after))
    zeros = [int(np.sum(site.rows == 0)) for site in new]
    sizes = [site.rows.size for site in old]
    match method:
        case "magnitude":
            assert zeros == [round(0.5 * size) for size in sizes]
        case "wanda":
            for site in new:
                assert np.all(np.sum(site.rows == 0, axis=1) == site.rows.shape[1] // 2)
        case "lamp" | "slamp":
            assert sum(sizes) - sum(zeros) == round(0.5 * sum(sizes))
        case "quantize":
            for site in new:
                assert all(len(np.unique(np.abs(row))) <= 8 for row in site.rows)
        case "float16":
            for site in new:
                halves = site.weights.astype(np.float16).astype(site.weights.dtype)
                np.testing.assert_array_equal(site.weights, halves)
        case "agf":
            properties = onnx.ModelProto.FromString(after).metadata_props
            kept = json.loads({item.key: item.value for item in properties}[KEPT])
            rows = [
                {node: site.rows for site in sites for node in site.nodes} for sites in (old, new)
            ]
            for node, channels in kept.items():
                assert len(rows[1][node]) == len(channels) == len(rows[0][node]) // 2
            assert sum(site.rows.size for site in new) < sum(sizes)


def judge(original, method, x, region, options, folder):
    """Compress, run, count, verify."""
    if method == "qdq":
        compressed = pruners.quantize(original, format="qdq", calibration=x)
    else:
        given = options(method, x, None)
        given = {name: value for name, value in given.items() if value is not None}
        compressed = pruners.METHODS[method](original, **given)
    compressed.save(folder / "compressed.onnx")
    onnx.checker.check_model(compressed.data)
    assert np.isfinite(Runtime(load(folder / "compressed.onnx")).run(x[:3])).all()
    if method != "qdq":
        check_counts(method, original.read_bytes(), compressed.data)
    claim = Claim(region, tolerance=0.1, max_violation=0.2)
    limits = {"time_limit": 1.0, "max_boxes": 2, "samples": 300, "threads": 1}
    result = verify(original, folder / "compressed.onnx", claim, **limits)
    # Either the symbolic analysis decided something, or draws from both files did.
    assert result.proof.boxes or result.statistics or result.witness


def around(rows, radius):
    return Region(rows - radius, rows + radius, np.full(len(rows), 1 / len(rows)), "balls")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_examples(network, digits, options, tmp_path, method):
    x = digits["images"][:50].reshape(50, -1).astype(float)
    judge(network, method, x, around(x[:1], 0.02), options, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REAL)
def test_real_networks(data, options, tmp_path, name, method):
    if REAL[name] is None:
        x = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 5))
    else:
        with np.load(data / "vision/images" / f"{REAL[name]}.npz") as archive:
            images = archive["images"][:20] / 255.0
        x = images if images.ndim == 3 else np.moveaxis(images - 0.47, -1, 1) / 0.25
    x = x.reshape(len(x), -1)
    judge(data / name, method, x, around(x[:1], 0.002), options, tmp_path)


def test_the_spiking_network_is_certified_statistically(example, digits, tmp_path):
    """Four steps in time, SLAMP, ONNX Runtime, and a certified probability."""
    pruned = pruners.slamp(example("spiking"), sparsity=0.2, calibration=digits["images"], leak=0.9)
    pruned.save(tmp_path / "slamp.onnx")
    region = around(digits["test_images"][:20].astype(float), 0.01)
    top1 = divergences.parse("top1", None, "argmax")
    claim = Claim(region, divergence=top1, tolerance=0.0, max_violation=0.25)
    limits = {"time_limit": 20.0, "samples": 20_000, "threads": 1}
    result = verify(example("spiking"), tmp_path / "slamp.onnx", claim, **limits)
    assert result.verdict is Verdict.CERTIFIED
    assert result.statistics is not None
    assert result.statistics.violation_upper <= 0.25
