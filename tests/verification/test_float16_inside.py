"""A float32 network that computes one tensor in float16 rounds it 2^13 times as far."""

from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from simcert import Claim, verify
from simcert.claim import Region
from simcert.model import load
from simcert.model.runtime import Runtime

NODES = "q = QuantizeLinear(x, one, z) h = DequantizeLinear(q, s, z) y = Cast<to = 1>(h)"
SCALE = 0.1338


@pytest.mark.parametrize("arithmetic", ["float32", "real"])
def test_float16_inside_is_bounded_over_the_reals_only(arithmetic: str, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 19]> g (float[1, 1] x) => (float[1, 1] y) '
        f"<float one = {{1}}, uint8 z = {{0}}> {{ {NODES} }}"
    )
    scale = np.float16(SCALE)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(scale), "s"))
    path = tmp_path / "half.onnx"
    path.write_bytes(model.SerializeToString())
    run = Runtime(load(path)).run_exact([[240.0]])[0, 0]
    assert abs(run / (240.0 * float(scale)) - 1.0) > 2.0**-12

    region = Region.from_boxes([[239.6]], [[240.4]], source="box")
    claim = Claim(region, arithmetic=arithmetic)
    result = verify(path, path, claim, samples=0, max_boxes=10)
    assert ("in float16" in result.proof.reason) == (arithmetic == "float32")
    assert result.proof.bound == (np.inf if arithmetic == "float32" else 0.0)
