import pytest

from simcert.claim import Claim, Region
from simcert.result import ModelReference, Proof, Result, Verdict, Witness


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
            runtime="ONNX Runtime 1.20, ORT_ENABLE_BASIC, CPU",
        ),
        explanation=("Node 'a\x1b[2Jb' was run.",),
        assumptions=("Real arithmetic.",),
        seed=7,
        threads=1,
        elapsed_seconds=1.25,
        versions={"simcert": "0.1.0"},
    )
