"""What the main job promises, on the real networks."""

from pathlib import Path

import numpy as np
import pytest
from claims import over_reals

import pruners
from simcert import Verdict, verify
from simcert.claim import Claim, Region, balls_around, read_region
from simcert.model import load
from simcert.model.runtime import Runtime


def network(data: Path, name: str) -> Path:
    return data / f"acasxu/onnx/ACASXU_run2a_{name}_batch_2000.onnx"


def property_1(data: Path) -> Region:
    return read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)


@pytest.fixture
def float16(data: Path, tmp_path: Path):
    def make(name: str) -> Path:
        path = tmp_path / f"{name}_float16.onnx"
        path.write_bytes(pruners.float16(network(data, name)).data)
        return path

    return make


@pytest.fixture
def pruned(data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "pruned.onnx"
    path.write_bytes(pruners.magnitude(network(data, "1_1"), sparsity=0.1, scope="global").data)
    return path


@pytest.mark.parametrize("name", ["1_1", "1_5", "1_9", "2_1", "3_3", "5_3"])
def test_float16_copies_are_proved_in_few_boxes(data: Path, float16, name: str) -> None:
    claim = Claim(property_1(data), tolerance=0.05)
    result = verify(network(data, name), float16(name), claim, max_boxes=1000)
    assert result.verdict is Verdict.PROVED
    assert result.passed
    assert result.proof.complete
    assert result.proof.bound <= 0.05
    assert len(result.proof.per_output) == 5
    assert result.proof.boxes <= 1000


def test_a_tolerance_below_the_maximum_is_refuted_by_a_witness(data: Path, pruned: Path) -> None:
    original = network(data, "1_1")
    result = verify(original, pruned, Claim(property_1(data), tolerance=0.005))
    assert result.verdict is Verdict.REFUTED
    witness = result.witness
    assert witness is not None
    x = np.array([witness.input])
    f, g = (Runtime(load(path)).run_exact(x) for path in (original, pruned))
    assert np.abs(f - g).max() == witness.divergence > 0.005
    assert result.claim.region.contains(x, witness.box).all()


def test_a_probability_between_mean_and_maximum_is_certified(data: Path, pruned: Path) -> None:
    claim = Claim(property_1(data), tolerance=0.0055, max_violation=1e-3, confidence=0.999)
    result = verify(network(data, "1_1"), pruned, claim)
    assert result.verdict is Verdict.CERTIFIED
    statistics = result.statistics
    assert statistics is not None
    assert statistics.violation_upper <= 1e-3
    assert statistics.violations > 0
    assert 0 < result.proof.undecided_mass < 1


def test_without_a_tolerance_the_worst_case_is_narrowed(data: Path, pruned: Path) -> None:
    claim = Claim(property_1(data))
    result = verify(network(data, "1_1"), pruned, claim, max_boxes=6000, samples=10_000)
    assert result.verdict is Verdict.PROVED
    assert result.passed is None
    assert result.statistics.maximum <= result.witness.divergence <= result.proof.bound
    assert result.proof.bound <= 1.2 * result.witness.divergence
    assert result.statistics.mean_upper <= result.proof.bound


def test_identical_files_differ_by_zero(data: Path) -> None:
    path = network(data, "3_3")
    result = verify(path, path, Claim(property_1(data)), samples=0)
    assert result.proof.bound == 0.0
    assert result.proof.boxes == 1


@pytest.mark.parametrize("other", ["equiv_cifar_base_kw_2020", "equiv_cifar_base_kw_simp_marabou"])
def test_the_same_function_in_another_graph(data: Path, other: str, tmp_path: Path) -> None:
    images = np.load(data / "vision/images/cifar10_test_even.npz")["images"][:3] / 255
    normalised = (images - np.array([0.485, 0.456, 0.406])) / 0.225
    np.save(tmp_path / "x.npy", normalised.transpose(0, 3, 1, 2))
    region = balls_around(tmp_path / "x.npy", 3072, 0.01)
    folder = data / "vision/onnx"
    claim = over_reals(region, tolerance=1e-6)
    result = verify(folder / "cifar_base_kw.onnx", folder / f"{other}.onnx", claim)
    assert result.verdict is Verdict.PROVED
    assert result.proof.bound <= 1e-6
