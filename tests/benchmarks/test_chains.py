"""What benchmarks hand to other verifiers computes what the ONNX files compute."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from networks import random_mlp

import simcert

SIZES = (4, 9, 9, 3)
NORMALISATION = ([-1, -2, 0, 5], [1, 2, 60760, 6], [0, 0.5, 19791.091, 5], [1, 2, 60261, 1])


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("chains")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    original = random_mlp(tmp_path / "f.onnx", SIZES, 0)
    return original, random_mlp(tmp_path / "g.onnx", SIZES, 0, noise=0.1)


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None].astype("f")})[0] for row in x])


def run_nnet(path: Path, raw: np.ndarray) -> np.ndarray:
    """Run a .nnet file as its format is described: clip, normalise, multiply, rectify."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("//")]
    rows = [[float(number) for number in line.rstrip(",").split(",")] for line in lines]
    (layers, inputs, outputs, widest), sizes = rows[0], [int(size) for size in rows[1]]
    assert (inputs, outputs, widest) == (sizes[0], sizes[-1], max(sizes))
    least, greatest, mean, width = (np.array(row[: sizes[0]]) for row in rows[3:7])
    x, rest = (np.clip(raw, least, greatest) - mean) / width, rows[7:]
    for number, size in enumerate(sizes[1:], start=1):
        x = x @ np.array(rest[:size]).T + np.array(rest[size : 2 * size])[:, 0]
        x, rest = (x if number == layers else np.maximum(x, 0)), rest[2 * size :]
    assert not rest
    return x


def test_an_nnet_file_computes_what_its_onnx_file_computes(
    chains: ModuleType, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    chains.write_nnet(chains.read(pair[0]), NORMALISATION, tmp_path / "f.nnet")
    least, greatest, mean, width = map(np.array, NORMALISATION)
    raw = np.random.default_rng(0).uniform(least, greatest, (100, 4))
    expected = run(pair[0], (raw - mean) / width)
    np.testing.assert_allclose(run_nnet(tmp_path / "f.nnet", raw), expected, rtol=1e-4, atol=1e-5)


def test_all_digits_of_weights_are_written(
    chains: ModuleType, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    chain = chains.read(pair[0])
    chains.write_nnet(chain, NORMALISATION, tmp_path / "f.nnet")
    rows = (tmp_path / "f.nnet").read_text().splitlines()[8 : 8 + SIZES[1]]
    written = np.array([[float(n) for n in row.rstrip(",").split(",")] for row in rows])
    np.testing.assert_array_equal(written.astype(np.float32), chain[0][0].astype(np.float32))


def test_the_product_network_is_the_difference(
    chains: ModuleType, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    product = chains.product(*map(chains.read, pair))
    chains.write_onnx(product, tmp_path / "product.onnx")
    x = np.random.default_rng(0).normal(size=(100, 4))
    expected = run(pair[0], x) - run(pair[1], x)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(run(tmp_path / "product.onnx", x), expected, rtol=0, atol=1e-5)


def test_a_query_holds_the_box(chains: ModuleType, tmp_path: Path) -> None:
    lower, upper = np.array([0.1, -1e-9]), np.array([0.30000000000000004, 2.0])
    chains.write_vnnlib(lower, upper, 3, 0.05, tmp_path / "query.vnnlib")
    region = simcert.read_region(tmp_path / "query.vnnlib", inputs=2)
    assert (region.lower <= lower).all()
    assert (region.upper >= upper).all()
    np.testing.assert_allclose([region.lower[0], region.upper[0]], [lower, upper], rtol=1e-15)


def test_what_is_no_chain_is_refused(chains: ModuleType) -> None:
    network = Path(__file__).resolve().parents[2] / "examples" / "digits_residual.onnx"
    with pytest.raises(ValueError, match="no part of a chain"):
        chains.read(network)
