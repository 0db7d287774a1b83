"""Certificates of every kind, made once."""

from pathlib import Path

import numpy as np
import pytest
from certificates import EXAMPLE, Certified, certify
from networks import random_mlp, write_mlp

import pruners
from simcert import load
from simcert.claim import Claim, Region, region_from_metadata
from simcert.result import Verdict


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def example_region() -> Region:
    model = load(EXAMPLE)
    text = model.graph.metadata["simcert.region"]
    return region_from_metadata(text, model.graph.input.size, EXAMPLE.name)


@pytest.fixture(scope="session")
def quantised(folder: Path) -> Path:
    path = folder / "int8.onnx"
    path.write_bytes(pruners.quantize(EXAMPLE, format="qdq-weight").data)
    return path


@pytest.fixture(scope="session")
def pruned(folder: Path) -> Path:
    path = folder / "pruned.onnx"
    path.write_bytes(pruners.magnitude(EXAMPLE, sparsity=0.1).data)
    return path


@pytest.fixture(scope="session")
def proved(folder: Path, example_region: Region, quantised: Path) -> Certified:
    claim = Claim(example_region, tolerance=0.1)
    return certify(folder, "proved", EXAMPLE, quantised, claim, Verdict.PROVED)


@pytest.fixture(scope="session")
def bounded(folder: Path, example_region: Region, pruned: Path) -> Certified:
    claim = Claim(example_region, tolerance=0.07, max_violation=0.3)
    return certify(folder, "bounded", EXAMPLE, pruned, claim, Verdict.BOUNDED, samples=0)


@pytest.fixture(scope="session")
def certified(folder: Path, example_region: Region, pruned: Path) -> Certified:
    claim = Claim(example_region, tolerance=0.1, max_violation=0.002)
    return certify(
        folder,
        "certified",
        EXAMPLE,
        pruned,
        claim,
        Verdict.CERTIFIED,
        max_boxes=200,
        samples=20_000,
    )


@pytest.fixture(scope="session")
def early(folder: Path, example_region: Region, pruned: Path) -> Certified:
    """Certified by bets that stopped as soon as they had won."""
    claim = Claim(example_region, tolerance=0.1, max_violation=0.002)
    return certify(
        folder,
        "early",
        EXAMPLE,
        pruned,
        claim,
        Verdict.CERTIFIED,
        max_boxes=200,
        samples=100_000,
        early_stopping=True,
    )


@pytest.fixture(scope="session")
def bump(folder: Path) -> tuple[Path, Path]:
    """f = 0 and g = relu(x − 0.9375): d exceeds ε with probability 0.0625 − ε on [0, 1]."""
    one, zero = np.ones((1, 1)), np.zeros(1)
    flat = write_mlp(folder / "flat.onnx", [(one, zero), (0 * one, zero)])
    ramp = write_mlp(folder / "ramp.onnx", [(one, zero - 0.9375), (one, zero)])
    return flat, ramp


@pytest.fixture(scope="session")
def violated(folder: Path, bump: tuple[Path, Path]) -> Certified:
    """Proved leaves, undecided ones, and some on which the claim is proved to be violated."""
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    claim = Claim(region, tolerance=0.03, max_violation=0.033)
    return certify(folder, "violated", *bump, claim, Verdict.BOUNDED, samples=0)


@pytest.fixture(scope="session")
def noisy(folder: Path) -> tuple[Path, Path]:
    """Two small networks that differ by noise."""
    f = random_mlp(folder / "exact.onnx", [2, 16, 4], seed=2)
    return f, random_mlp(folder / "noisy.onnx", [2, 16, 4], seed=2, noise=0.003)


SQUARE = Region.from_boxes([[-1.0] * 2], [[1.0] * 2], source="square")


@pytest.fixture(scope="session")
def integrated(folder: Path, noisy: tuple[Path, Path]) -> Certified:
    """Bounded, but only with linear bounds integrated over undecided leaves."""
    claim = Claim(SQUARE, tolerance=0.013, max_violation=0.055)
    return certify(folder, "integrated", *noisy, claim, Verdict.BOUNDED, max_boxes=60, samples=0)


@pytest.fixture(scope="session")
def mixed(folder: Path, noisy: tuple[Path, Path]) -> Certified:
    """Certified: some leaves are integrated over, others are drawn from."""
    claim = Claim(SQUARE, tolerance=0.013, max_violation=0.055)
    return certify(folder, "mixed", *noisy, claim, Verdict.CERTIFIED, max_boxes=40, samples=2000)
