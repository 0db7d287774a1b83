"""What all tests share: the real data, and few threads."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real networks, properties and images; the test is skipped without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SIMCERT_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set SIMCERT_DATA")
    return folder
