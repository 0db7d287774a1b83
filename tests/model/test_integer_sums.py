"""Integer sums that 32 bits may not hold wrap around in a runtime: they are not bounded."""

from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime
import pytest
import torch
from integer_sums import KERNELS, integer_kernel

from simcert import Claim, verify
from simcert.claim import Region
from simcert.errors import UnsupportedOperatorError
from simcert.model import load
from simcert.model.lowering import lower


def run(data: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(data)
    x = np.full(session.get_inputs()[0].shape, 255, np.float32)
    return session.run(None, {"x": x})[0].ravel()


@pytest.mark.parametrize("kernel", KERNELS)
def test_sums_that_may_wrap_are_refused(kernel: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.onnx"
    path.write_bytes(integer_kernel(kernel, wraps=False))
    program = lower(load(path).graph)
    x = torch.full((1, program.steps[0].size), 255.0, dtype=torch.float64)
    expected = program.run(x).numpy().ravel()
    np.testing.assert_allclose(run(path.read_bytes()), expected, rtol=1e-6)

    path.write_bytes(integer_kernel(kernel, wraps=True))
    assert run(path.read_bytes())[0] <= 0 < expected[0]
    with pytest.raises(UnsupportedOperatorError, match=r"Linear|Integer|sums of codes"):
        lower(load(path).graph)


def test_nothing_is_proved_of_sums_that_may_wrap(tmp_path: Path) -> None:
    for name, wraps in (("holds", False), ("wraps", True)):
        data = integer_kernel("QLinearConv with a bias", wraps=wraps)
        (tmp_path / f"{name}.onnx").write_bytes(data)
    files = tmp_path / "holds.onnx", tmp_path / "wraps.onnx"
    apart = abs(run(files[0].read_bytes()) - run(files[1].read_bytes()))
    assert apart[0] == 255
    claim = Claim(Region.from_boxes([[0.0]], [[255.0]], source="bytes"))
    result = verify(*files, claim, samples=0)
    assert result.proof.bound == np.inf
    assert "QLinearConv" in result.proof.reason


def test_codes_of_two_tensors_may_saturate(tmp_path: Path) -> None:
    """uint8 times int8 that depend on the input: their codes may be any."""
    nodes = """
        q = QuantizeLinear(x, s, u) t = Transpose(x) r = QuantizeLinear(t, s, i)
        c = QLinearMatMul(q, s, u, r, s, i, s, u) y = DequantizeLinear(c, s, u)"""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2] x) => (float[1, 1] y) '
        f"<float s = {{0.1}}, uint8 u = {{0}}, int8 i = {{0}}> {{ {nodes} }}"
    )
    path = tmp_path / "codes.onnx"
    path.write_bytes(model.SerializeToString())
    region = Region.from_boxes([[0.0] * 2], [[0.1] * 2], source="box")
    result = verify(path, path, Claim(region), samples=0, max_boxes=1)
    assert any("may saturate" in said for said in result.assumptions)
