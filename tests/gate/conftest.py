"""A scratch project."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scratch import REGION, network


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes the project with some claims and returns its configuration."""
    network(tmp_path / "f.onnx", 0.0, **{"simcert.region": REGION})
    network(tmp_path / "g.onnx", 0.1)

    def write(*claims: str, top: str = "", name: str = "simcert.toml") -> Path:
        prefix = "tool.simcert." if name == "pyproject.toml" else ""
        table = f"[{prefix.removesuffix('.')}]\n" if prefix else ""
        path = tmp_path / name
        path.write_text(
            f"{table}threads = 1\n{top}\n[[{prefix}pair]]\nname = 'small'\noriginal = 'f.onnx'\n"
            f"compressed = 'g.onnx'\nclaim = [\n{''.join(claims)}]\n"
        )
        return path

    return write
