"""The list of ACAS Xu files against the files themselves."""

import csv
import importlib.util
from pathlib import Path

import pytest

from simcert.errors import ModelError

FOLDER = Path(__file__).resolve().parents[2] / "acasxu"


@pytest.fixture(scope="module")
def acasxu():
    spec = importlib.util.spec_from_file_location("acasxu", FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_listed_network_is_the_published_file(acasxu, data):
    with acasxu.SOURCES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    networks = [row["file"] for row in rows if row["file"].endswith(".onnx")]
    assert len(networks) == 30
    for name in networks:
        acasxu.network(data / "acasxu" / "onnx" / name)
    assert all(len(row["sha256"]) == 64 and row["commit"] and row["path"] for row in rows)


def test_a_network_has_a_short_name(acasxu, data):
    folder = data / "acasxu" / "onnx"
    assert acasxu.network("1_1", folder) == folder / "ACASXU_run2a_1_1_batch_2000.onnx"


def test_other_content_is_refused(acasxu, tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        acasxu.network("1_1", tmp_path)
    impostor = tmp_path / "ACASXU_run2a_1_1_batch_2000.onnx"
    impostor.write_bytes(b"something else")
    with pytest.raises(ModelError, match="not that of the published file"):
        acasxu.network("1_1", tmp_path)
    with pytest.raises(ModelError, match="not in sources"):
        acasxu.network(tmp_path / "unknown.onnx")
