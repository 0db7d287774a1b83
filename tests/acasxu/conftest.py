"""The real networks, and copies of them."""

from pathlib import Path

import pytest

import pruners


@pytest.fixture(scope="session")
def networks(data: Path) -> Path:
    """The folder with the 30 networks."""
    return data / "acasxu" / "onnx"


@pytest.fixture(scope="session")
def original(networks: Path) -> Path:
    return networks / "ACASXU_run2a_1_1_batch_2000.onnx"


@pytest.fixture(scope="session")
def pruned(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of 1_1 whose advisories differ in whole areas."""
    path = tmp_path_factory.mktemp("pruned") / "pruned.onnx"
    pruners.magnitude(original, sparsity=0.3, scope="global").save(path)
    return path
