"""The verifier aligns what the pruners make, and keeps its function."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pruners
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import align, spread

REAL = [
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx",
    "vision/onnx/Convnet_avgpool.onnx",
    "vision/onnx/cifar_base_kw.onnx",
    "vision/onnx/mnist-net_256x2.onnx",
    "vision/onnx/resnet20_cifar10_akamaster.onnx",
    "vision/onnx/resnet_2b.onnx",
]


def assert_aligned(original: Path, compressed: bytes, folder: Path, *, metadata=True) -> None:
    (folder / "small.onnx").write_bytes(compressed)
    small = load(folder / "small.onnx").graph
    f, g = lower(load(original).graph), lower(small)
    wide = spread(f, g, small.metadata if metadata else {})
    dual = align(f, wide)
    assert all(node.aligned for node in dual.nodes), dual.describe()
    x = torch.from_numpy(np.random.default_rng(0).random((5, f.inputs)))
    expected = g.run(x)
    torch.testing.assert_close(wide.run(x), expected, rtol=1e-12, atol=1e-12 * expected.abs().max())


@pytest.mark.parametrize("name", ["mlp", "convnet", "residual"])
@pytest.mark.parametrize("method", sorted(pruners.METHODS))
def test_every_method(example, digits, tmp_path, options, name, method):
    given = options(method, digits["images"], digits["labels"])
    compressed = pruners.METHODS[method](example(name), **given).data
    assert_aligned(example(name), compressed, tmp_path)


@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.75, 0.95])
def test_structures_of_any_size(example, digits, tmp_path, sparsity):
    for name in ("mlp", "convnet", "residual"):
        given = {"calibration": digits["images"], "sparsity": sparsity}
        assert_aligned(example(name), pruners.agf(example(name), **given).data, tmp_path)


@pytest.mark.parametrize("name", ["mlp", "convnet", "residual"])
def test_structures_without_the_map(example, digits, tmp_path, name):
    """By the likeness of the weights alone."""
    given = {"calibration": digits["images"], "sparsity": 0.5}
    small = pruners.agf(example(name), **given).data
    assert_aligned(example(name), small, tmp_path, metadata=False)


@pytest.mark.parametrize("name", REAL)
def test_real_structures(data, tmp_path, name):
    original = data / name
    x = np.random.default_rng(0).random((4, load(original).graph.input.size))
    small = pruners.agf(original, sparsity=0.4, calibration=x, loss="norm").data
    assert_aligned(original, small, tmp_path)


def test_a_structure_that_is_tuned_and_quantised_afterwards(example, digits, tmp_path):
    x, y = digits["images"], digits["labels"]
    small = pruners.agf(example("residual"), sparsity=0.5, calibration=x).data
    tuned = pruners.finetune(small, calibration=x, labels=y, epochs=1).data
    assert_aligned(example("residual"), pruners.quantize(tuned, bits=6).data, tmp_path)
