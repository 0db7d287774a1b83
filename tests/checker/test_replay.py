"""A file that the checker reads otherwise than ONNX Runtime runs it is refused."""

import numpy as np
import onnx.parser
import pytest
from certificates import Certified

from simcert.checker import replay
from simcert.checker.claim import Claim, Region
from simcert.checker.draws import Runner
from simcert.checker.errors import CheckError
from simcert.checker.interface import interface
from simcert.checker.network import read
from simcert.checker.onnxfile import File
from simcert.checker.operators import OPERATORS
from simcert.checker.tree import Leaves


@pytest.mark.parametrize("kind", ["proved", "bounded", "certified", "integrated"])
def test_honest_files_run_as_they_are_read(kind: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(kind).check()
    assert report.holds, report.steps[-1].detail
    assert report.steps[-1].name == "ONNX Runtime runs the files as they are read"
    assert report.steps[-1].detail.endswith("points")


@pytest.mark.parametrize("which", [0, 1])
def test_another_reading_is_found(
    proved: Certified, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """One of the two is read without rectifiers."""
    data = [path.read_bytes() for path in (proved.original, proved.compressed)]
    networks, files = [read(each) for each in data], [interface(File(each)) for each in data]
    monkeypatch.setitem(OPERATORS, "Relu", lambda _builder, _node, operands: operands[0])
    networks[which] = read(data[which])
    claim = proved.statement["predicate"]["claim"]
    region = Region.of(proved.statement["predicate"]["evidence"]["content"]["region"])
    leaves = Leaves(region.lower, region.upper, np.zeros(1, dtype=np.int64))
    x = replay.points(leaves, np.dtype(np.float32))
    runners = tuple(map(Runner, data, files))
    with pytest.raises(CheckError, match=("original", "compressed")[which]):
        replay.agree(x, tuple(networks), runners, Claim.of(claim, region), None)


NETWORK = '<ir_version: 8, opset_import: ["" : 13]> g ({}[1, 2] x) => ({}[1, 2] y) {{ {} }}'


@pytest.mark.parametrize("floats", ["float", "double"])
@pytest.mark.parametrize(
    ("nodes", "operator"),
    [("y = Relu(x)", "Relu"), ("r = Relu(x) s = Neg(r) y = Sqrt(s)", "Sqrt")],
    ids=["other numbers", "no numbers"],
)
def test_what_is_found_in_float64_too(
    proved: Certified, monkeypatch: pytest.MonkeyPatch, floats: str, nodes: str, operator: str
) -> None:
    data = onnx.parser.parse_model(NETWORK.format(floats, floats, nodes)).SerializeToString()
    predicate, used = proved.statement["predicate"], interface(File(data))
    claim = Claim.of(predicate["claim"], Region.of(predicate["evidence"]["content"]["region"]))
    leaves = Leaves(np.full((1, 2), -1.0), np.full((1, 2), 1.0), np.zeros(1, dtype=np.int64))
    x = replay.points(leaves, used.input_type)
    runners = Runner(data, used), Runner(data, used)
    if operator == "Relu":
        assert replay.agree(x[:5], (read(data), read(data)), runners, claim, None) == 5
    monkeypatch.setitem(OPERATORS, operator, lambda _builder, _node, operands: operands[0])
    with pytest.raises(CheckError, match="otherwise than ONNX Runtime"):
        replay.agree(x, (read(data), read(data)), runners, claim, None)


def test_a_difference_that_a_proof_excludes(
    proved: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "measured", lambda *_: [0.2])
    report = proved.check()
    assert not report.holds
    assert "d = 0.2" in report.steps[-1].detail
