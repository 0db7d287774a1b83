"""The quick part of ``benchmarks/networks.py``: files of the data folder against ONNX Runtime."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/networks.py"


@pytest.mark.parametrize("part", ["control/", "tflm_sine", "mlptiny_kws_int8"])
def test_files_are_read_as_they_run(data: Path, part: str) -> None:
    command = [sys.executable, str(BENCHMARK), str(data), "--only", part, "--inputs", "5"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "| yes |" in ended.stdout
