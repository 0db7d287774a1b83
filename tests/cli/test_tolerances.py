"""Tolerances of single outputs and of groups: on two files, and in a certificate."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from networks import write_mlp

from simcert.claim.divergences import parse_tolerances
from simcert.cli import main
from simcert.errors import ClaimError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """f = (x, 2x, 3x) and g = f + (1, 2, −3) x/8 on [0, 1]: differences up to 1/8, 1/4, 3/8."""
    slopes = {"f": [1.0, 2.0, 3.0], "g": [1.125, 2.25, 2.625]}
    region = json.dumps({"lower": [0], "upper": [1]})
    paths = [
        write_mlp(
            tmp_path / f"{name}.onnx",
            [(np.ones((1, 1)), np.zeros(1)), (np.array(slope)[:, None], np.zeros(3))],
            **{"simcert.region": region},
        )
        for name, slope in slopes.items()
    ]
    return [str(path) for path in paths]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments, "-q", "--threads", "1"])


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("--tolerances 0.126,0.251,0.376", 0),
        ("--tolerances 0.126,0.251,0.374", 1),
        ("--tolerances 0-1=0.251,rest=0.376", 0),
        ("--tolerances 0=0.126", 0),
        ("--tolerances 1=0.2,rest=9", 1),
        ("--divergence relative:share=0.126 --tolerance 0.0001", 0),
        ("--divergence relative:share=0.12 --tolerance 0.0001", 1),
        ("--divergence groups:0-1=l1/0.376,2=linf/0.376 --tolerance 1", 0),
        ("--divergence groups:0-1=l1/0.374,2=linf/0.376 --tolerance 1", 1),
    ],
)
def test_verdicts(files: list[str], options: str, status: int) -> None:
    done = run(*files, *options.split())
    assert done.exit_code == status, done.output
    if "groups" in options or "tolerances" in options:
        assert "(times the tolerance)" in " ".join(done.stdout.split())


def test_options_exclude_each_other(files: list[str]) -> None:
    for other in ("--tolerance 1", "--outputs 0", "--divergence l2"):
        done = run(*files, "--tolerances", "1,1,1", *other.split())
        assert done.exit_code == 2
        assert "leave --tolerance, --divergence and --outputs out" in done.stderr


def test_the_checker_knows_tolerances_of_outputs(files: list[str], tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.json"
    arithmetic = ("--arithmetic", "real")
    done = run(*files, "--tolerances", "1,1,1", "--certificate", str(certificate), *arithmetic)
    assert done.exit_code == 0
    checked = CliRunner().invoke(
        main, ["check", str(certificate), "--original", files[0], "--compressed", files[1]]
    )
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2", "2 tolerances for 3 outputs"),
        ("1,2,x", "'x' is not a number"),
        ("1,2,nan", "must be positive and finite"),
        ("0=1,2", "'' names no outputs"),
        ("3=1", "there is no output 3"),
        ("0=1,0=2", "named twice"),
        ("0=1,0-1=2", "each output belongs to one group"),
        ("rest=1,rest=2", "'rest' names no outputs"),
        ("0=", "'' is not a number"),
    ],
)
def test_tolerances_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        parse_tolerances(text, 3)


def test_names_of_output_tensors() -> None:
    names = {"boxes": (0, 1), "score": (2,)}
    assert parse_tolerances("boxes=2,score=0.5", 3, names).spec == "per-output:0-1=2.0,2=0.5"
