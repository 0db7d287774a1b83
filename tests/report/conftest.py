import json
from datetime import UTC, datetime

import pytest
from networks import random_mlp

from simcert.certificate import build
from simcert.claim import Claim, Region
from simcert.result import ModelReference, Proof, Result, Verdict, Witness
from simcert.verification import verify


@pytest.fixture
def result() -> Result:
    """A refuted claim on three inputs, with a name and a unit from hostile files."""
    region = Region.from_boxes(
        [[0.0, 0.0, 0.0]],
        [[1.0, 1.0, 1.0]],
        source="prop.vnnlib",
        names=("speed", "ang\x1b[31mle", "height\n::error::x"),
        units=("m/s", "\u202erad", ""),
    )
    model = ModelReference(
        path="folder/net\x1b]0;owned\x07.onnx",
        sha256="ab" * 32,
        bytes=29_420,
        parameters=7_005,
        operators={"Gemm": 6, "Relu": 5},
    )
    return Result(
        verdict=Verdict.REFUTED,
        claim=Claim(region, tolerance=0.05, max_violation=0.01),
        original=model,
        compressed=model,
        proof=Proof(
            bound=0.07000000000000001,
            per_output=(0.07000000000000001, 0.01),
            boxes=1_234,
            proved_mass=0.75,
            violated_mass=0.125,
            undecided_mass=0.125,
            complete=False,
            stopped="time limit",
            pairing="7 of 7 layers aligned",
        ),
        statistics=None,
        witness=Witness(
            input=(0.5, 0.10000000149011612, 1.0),
            box=0,
            original_output=(1.0, 2.0),
            compressed_output=(1.0, 2.0625),
            divergence=0.0625,
            runtime="ONNX Runtime 1.20, ORT_DISABLE_ALL, CPU",
        ),
        explanation=("Node 'a\x1b[2Jb' was run.",),
        assumptions=("Real arithmetic.",),
        seed=7,
        threads=1,
        elapsed_seconds=1.25,
        versions={"simcert": "0.1.0"},
    )


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A claim that draws decide: few boxes are bounded."""
    folder = tmp_path_factory.mktemp("pair")
    f = random_mlp(folder / "f.onnx", [2, 8, 8, 3], seed=0)
    g = random_mlp(folder / "g.onnx", [2, 8, 8, 3], seed=0, noise=0.02)
    region = Region.from_boxes([[-1] * 2], [[1] * 2], source="square.json")
    claim = Claim(region, tolerance=0.05, max_violation=0.3)
    found = verify(f, g, claim, max_boxes=4, samples=2000, threads=1)
    assert found.verdict is Verdict.CERTIFIED
    return found


@pytest.fixture
def certificate(certified: Result) -> dict:
    """The certificate of ``certified``, as its reader sees it."""
    return json.loads(json.dumps(build(certified, datetime(2026, 1, 2, tzinfo=UTC))))
