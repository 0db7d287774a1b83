"""The unit of the outputs comes from the original's metadata, and is no more than a short text."""

from pathlib import Path

import pytest
from networks import random_mlp

from simcert.claim import Claim, Region
from simcert.report import text
from simcert.verification import verify


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ('{"unit": "m/s"}', "(m/s)"),
        ('{"unit": "\\u001b[31mred"}', "(\\x1b[31mred)"),
        ('{"unit": 3}', "(output units)"),
        ('{"unit": "' + 50 * "x" + '"}', "(output units)"),
        ("[1]", "(output units)"),
        ("{", "(output units)"),
        ("[" * 100_000, "(output units)"),
    ],
)
def test_the_unit_is_shown(tmp_path: Path, metadata: str, shown: str) -> None:
    path = random_mlp(tmp_path / "f.onnx", [1, 3, 1], seed=0, **{"simcert.outputs": metadata})
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    page = text.render(verify(path, path, Claim(region, tolerance=0.5), samples=0))
    assert shown in page
    assert "\x1b" not in page
