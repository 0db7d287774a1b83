"""Pairs that were proved to agree and do not: codes taken for one, integers for reals, NaN as 0."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.errors import UnsupportedOperatorError
from simcert.model import load
from simcert.model.lowering import lower

UNIT = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")


def saved(path: Path, body: str, *, output: str = "float") -> Path:
    """Write a network of one input x and one output y, with constants in text."""
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> n (float[1,1] x) => ({output}[1,1] y) {{{body}}}'
    )
    onnx.save(parser.parse_model(text), path)
    return path


def run(path: Path, x: float) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": np.array([[x]], np.float32)})[0].item())


def quantised(factor: float) -> str:
    return f"""
        k = Constant <value = float {{ {factor!r} }}> ()
        s = Constant <value = float {{ 1.0 }}> ()
        z = Constant <value = int8 {{ 0 }}> ()
        m = Mul(x, k)
        q = QuantizeLinear(m, s, z)
        y = DequantizeLinear(q, s, z)"""


def test_inputs_that_differ_by_a_little_have_codes_of_their_own(tmp_path: Path) -> None:
    f = saved(tmp_path / "f.onnx", quantised(1.0))
    g = saved(tmp_path / "g.onnx", quantised(1.0 + 2.0**-20))
    assert (run(f, 0.5), run(g, 0.5)) == (0.0, 1.0)
    result = verify(f, g, Claim(UNIT, tolerance=0.5, arithmetic="real"), time_limit=5.0)
    assert result.verdict is not Verdict.PROVED


@pytest.mark.parametrize(
    ("made", "computed"),
    [
        ("c = Cast <to = 7> (b)", "Div(c, i)"),
        ("c = Cast <to = 7> (b)", "ReduceMean <keepdims = 1> (c)"),
        ("c = Cast <to = 7> (b)", "Add(c, i)"),
        ("p = Concat <axis = 1> (x, t)\nc = ArgMax <axis = 1> (p)", "Mul(c, i)"),
        ("p = Cast <to = 7> (b)\nc = Where(b, i, i)", "Sub(c, i)"),
    ],
)
def test_nothing_is_computed_from_integers(tmp_path: Path, made: str, computed: str) -> None:
    path = saved(
        tmp_path / "n.onnx",
        f"""t = Constant <value = float[1,1] {{ 0.3 }}> ()
        i = Constant <value = int64[1,1] {{ 2 }}> ()
        b = Greater(x, t)
        {made}
        d = {computed}
        y = Cast <to = 1> (d)""",
    )
    with pytest.raises(UnsupportedOperatorError, match="integers"):
        lower(load(path).graph)


def test_integers_are_compared_and_made_real(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "n.onnx",
        """t = Constant <value = float[1,1] { 0.3 }> ()
        i = Constant <value = int64[1,1] { 0 }> ()
        p = Concat <axis = 1> (x, t)
        c = ArgMin <axis = 1> (p)
        e = Greater(c, i)
        y = Cast <to = 1> (e)""",
    )
    program = lower(load(path).graph)
    assert program.steps[-1].size == 1
    assert [run(path, x) for x in (0.1, 0.5)] == [0.0, 1.0]


def test_no_weight_of_zero_mends_what_is_undefined(tmp_path: Path) -> None:
    """The logarithm of −1 where |x − 1/3| < 1e-6, times 0."""
    f = saved(
        tmp_path / "f.onnx",
        """a = Constant <value = float[1,1] { 0.3333323 }> ()
        b = Constant <value = float[1,1] { 0.3333343 }> ()
        zero = Constant <value = float[1,1] { 0.0 }> ()
        one = Constant <value = float[1,1] { 1.0 }> ()
        minus = Constant <value = float[1,1] { -1.0 }> ()
        above = Sub(x, a)
        below = Sub(b, x)
        bump = Min(above, below)
        inside = Greater(bump, zero)
        number = Where(inside, minus, one)
        log = Log(number)
        y = Mul(log, zero)""",
    )
    g = saved(
        tmp_path / "g.onnx", "zero = Constant <value = float[1,1] { 0.0 }> ()\ny = Mul(x, zero)"
    )
    assert np.isnan(run(f, 0.3333333))
    for arithmetic in ("real", "float32"):
        claim = Claim(UNIT, tolerance=1e-3, arithmetic=arithmetic)
        assert verify(f, g, claim, time_limit=3.0).verdict is not Verdict.PROVED


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
def test_scores_far_apart_leave_softmax_its_bound(tmp_path: Path, arithmetic: str) -> None:
    """No lie, but lost with them: exp(1e5) is a number, and no runtime computes it."""
    for name, factor in (("f", 1e5), ("g", 1.01e5)):
        body = f"""k = Constant <value = float[1,3] {{ {factor}, 0.0, -1.0 }}> ()
        m = Mul(x, k)
        p = Softmax(m)
        y = ReduceMax <axes = [1]> (p)"""
        saved(tmp_path / f"{name}.onnx", body)
    claim = Claim(UNIT, arithmetic=arithmetic)
    result = verify(tmp_path / "f.onnx", tmp_path / "g.onnx", claim, max_boxes=1, samples=0)
    assert result.proof is not None
    assert result.proof.bound < 2.0


def test_a_runtime_that_flushes_subnormals_finds_a_tie(tmp_path: Path) -> None:
    f = saved(
        tmp_path / "f.onnx",
        """zero = Constant <value = float[1,1] { 0.0 }> ()
        p = Concat <axis = 1> (zero, x)
        c = ArgMax <axis = 1> (p)
        y = Cast <to = 1> (c)""",
    )
    g = saved(
        tmp_path / "g.onnx",
        """zero = Constant <value = float[1,1] { 0.0 }> ()
        one = Constant <value = float[1,1] { 1.0 }> ()
        m = Mul(x, zero)
        y = Add(m, one)""",
    )
    region = Region.from_boxes([[1e-40]], [[2e-40]], source="subnormal numbers")
    result = verify(f, g, Claim(region, tolerance=0.5), time_limit=3.0)
    assert result.verdict is not Verdict.PROVED
