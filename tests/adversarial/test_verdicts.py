"""Claims that were once answered wrongly, or may be: random networks, rounding, underflow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from claims import over_reals
from click.testing import CliRunner
from networks import random_mlp, write_mlp
from onnx import helper

from simcert import ClaimError, ModelError, Verdict, verify
from simcert.claim import Region, TruncatedNormal, divergences
from simcert.cli import main

ONE, ZERO = np.ones((1, 1)), np.zeros(1)
FLAT = [(ONE, ZERO), (0 * ONE, ZERO)]


def _interval(lower: float, upper: float) -> Region:
    return Region.from_boxes([[lower]], [[upper]], source="interval")


def _square() -> Region:
    return Region.from_boxes([[-1.0, -1.0]], [[1.0, 1.0]], source="square")


def _pair(tmp_path: Path, f: Sequence, g: Sequence) -> tuple[Path, Path]:
    return write_mlp(tmp_path / "f.onnx", f), write_mlp(tmp_path / "g.onnx", g)


# -- networks without a definite output ------------------------------------------------------


@pytest.mark.parametrize(
    "operator", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Dropout"]
)
def test_a_random_network_is_refused(write, operator: str) -> None:
    """Two sessions draw the same numbers: noise, compared with itself, looks like agreement."""
    constants = {"ratio": np.array(0.5), "training": np.array(True)}
    trains = operator == "Dropout"
    inputs = ["x", "ratio", "training"] if trains else ["x"]
    nodes = [
        helper.make_node(operator, inputs, ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    path = write("f.onnx", nodes, constants if trains else {}, 1, 1)
    claim = over_reals(_interval(0.0, 1.0), tolerance=0.5, max_violation=0.1)
    with pytest.raises(ModelError, match=f"{operator}.*random"):
        verify(path, path, claim, samples=1000, threads=1)


# -- nothing shown, nothing passed -----------------------------------------------------------


def test_no_draw_certifies_nothing(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [2, 8, 3], 0)
    g = random_mlp(tmp_path / "g.onnx", [2, 8, 3], 0, noise=0.01)
    result = verify(f, g, over_reals(_square()), time_limit=1e-9, threads=1)
    assert result.statistics is not None
    assert result.statistics.drawn == 0
    assert result.verdict is Verdict.INCONCLUSIVE


def test_one_draw_certifies_nothing(write, tmp_path: Path) -> None:
    f = write("f.onnx", [helper.make_node("Atan", ["x"], ["y"])], {}, 1, 1)
    np.savez(tmp_path / "region.npz", lower=[[0.0]], upper=[[1.0]])
    arguments = [str(f), str(f), "--region", str(tmp_path / "region.npz"), "--samples", "1"]
    assert CliRunner().invoke(main, ["verify", *arguments, "--threads", "1"]).exit_code == 3


def test_an_output_does_not_destroy_the_region(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [1, 2, 1], 0)
    region = tmp_path / "region.npz"
    np.savez(region, lower=[[0.0]], upper=[[1.0]])
    before = region.read_bytes()
    arguments = [str(f), str(f), "--region", str(region), "--output", str(region)]
    assert CliRunner().invoke(main, ["verify", *arguments, "--tolerance", "1"]).exit_code == 2
    assert region.read_bytes() == before


# -- masses ----------------------------------------------------------------------------------


def test_a_violation_of_tiny_probability_is_not_none(tmp_path: Path) -> None:
    """The second box violates; its weight vanishes beside 1 in float64."""
    f, g = _pair(tmp_path, FLAT, [(ONE, ZERO - 2), (ONE, ZERO)])
    region = Region.from_boxes([[0], [4]], [[1], [5]], source="two", weights=[1, 1e-20])
    claim = over_reals(region, tolerance=0.5, max_violation=1e-3)
    proof = verify(f, g, claim, samples=0, threads=1).proof
    assert proof.proved_mass < 1.0
    assert proof.violation_lower <= 1e-20 <= proof.violation_upper


@pytest.mark.parametrize("max_violation", [1e-309, 1e-300, 1e-9])
def test_masses_that_underflow_refute_nothing(tmp_path: Path, max_violation: float) -> None:
    """d > ε has probability 1e-85,000 and less: beyond 625 standard deviations."""
    f, g = _pair(tmp_path, FLAT, [(ONE, ZERO - 0.5), (4 * ONE, ZERO)])
    law = TruncatedNormal(1e-3)
    claim = over_reals(
        _interval(-1.0, 1.0), distribution=law, tolerance=0.5, max_violation=max_violation
    )
    for max_boxes in (1, 5, 200):
        result = verify(f, g, claim, samples=500, max_boxes=max_boxes, threads=1)
        assert result.verdict is not Verdict.REFUTED
        assert result.proof.violated_mass == 0.0


def test_masses_out_of_range_are_refused(write) -> None:
    """The standard deviation overflows, and with it every probability became 0."""
    paths = [
        write(
            name,
            [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
            {"w": 0 * ONE, "b": ZERO + shift},
            1,
            1,
            dtype=np.float64,
        )
        for name, shift in (("f.onnx", 0.0), ("g.onnx", 1.0))
    ]
    claim = over_reals(
        _interval(-8e307, 8e307),
        distribution=TruncatedNormal(1000.0),
        tolerance=0.5,
        max_violation=1e-3,
    )
    with pytest.raises(ClaimError, match="range of float64"):
        verify(*paths, claim, samples=0, threads=1)


def test_ranges_that_cannot_be_summed_are_none(write) -> None:
    paths = [
        write(
            name,
            [helper.make_node("Gemm", ["x", "w"], ["y"])],
            {"w": ONE * weight},
            1,
            1,
            dtype=np.float64,
        )
        for name, weight in (("f.onnx", 1.0), ("g.onnx", 2.0))
    ]
    claim = over_reals(_interval(-1e300, 1e300), tolerance=0.0, max_violation=0.1)
    result = verify(*paths, claim, samples=100, max_boxes=1, threads=1)
    assert result.verdict is Verdict.REFUTED
    assert result.statistics is None or result.statistics.mean_upper is None


# -- witnesses that are only rounding --------------------------------------------------------


def test_what_float64_absorbs_refutes_nothing(tmp_path: Path) -> None:
    """relu(x + 2^60) − 2^60 is x; in float32 and in float64 it is 0."""
    big = 2.0**60
    f, g = _pair(tmp_path, [(ONE, ZERO), (ONE, ZERO)], [(ONE, ZERO + big), (ONE, ZERO - big)])
    claim = over_reals(_interval(0.0, 4.0), tolerance=0.5)
    result = verify(f, g, claim, samples=100, max_boxes=200, threads=1)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.witness is None


@pytest.mark.parametrize("name", ["kl", "js"])
@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_the_rounding_of_a_divergence_refutes_nothing(
    tmp_path: Path, name: str, shift: float
) -> None:
    """A shift of all logits leaves the softmax as it is: d = 0, and is computed as 3e-16."""
    weight = np.random.default_rng(0).normal(size=(3, 2)).round(2)
    bias = np.array([1.0, 2.0, 3.5])
    f, g = _pair(tmp_path, [(weight, bias)], [(weight, bias + shift)])
    claim = over_reals(_square(), divergence=divergences.parse(name, None, "argmax"), tolerance=0.0)
    result = verify(f, g, claim, samples=0, max_boxes=200, threads=1)
    assert result.verdict is not Verdict.REFUTED


@pytest.mark.parametrize("name", ["linf", "l1", "l2"])
@pytest.mark.parametrize("legs", [(5.0, 12.0, 13.0), (20.0, 21.0, 29.0), (0.0, 0.1, 0.1)])
def test_a_tolerance_equal_to_the_maximum_is_not_refuted(
    tmp_path: Path, name: str, legs: tuple[float, float, float]
) -> None:
    a, b = (float(np.float32(leg)) for leg in legs[:2])
    tolerance = {"linf": b, "l1": a + b, "l2": float(np.float32(legs[2]))}[name]
    weight = np.ones((2, 1))
    f, g = _pair(tmp_path, [(weight, np.zeros(2))], [(weight, np.array([a, b]))])
    divergence = divergences.parse(name, None, "argmax")
    claim = over_reals(_interval(0.0, 1.0), divergence=divergence, tolerance=tolerance)
    result = verify(f, g, claim, samples=0, max_boxes=200, threads=1)
    assert result.verdict is not Verdict.REFUTED
    assert result.proof.bound >= tolerance
    claim = over_reals(_interval(0.0, 1.0), divergence=divergence, tolerance=tolerance * (1 - 1e-6))
    result = verify(f, g, claim, samples=0, max_boxes=200, threads=1)
    assert result.verdict is Verdict.REFUTED


def test_draws_that_exceed_by_rounding_refute_nothing(tmp_path: Path) -> None:
    """d is exactly ε everywhere over the reals; half of the float32 runs are above it."""
    shift = float(np.float32(0.1))
    f, g = _pair(tmp_path, [(ONE, ZERO)], [(ONE, ZERO + shift)])
    claim = over_reals(_interval(0.0, 1.0), tolerance=shift, max_violation=0.01)
    result = verify(f, g, claim, samples=1000, max_boxes=20, threads=1)
    assert result.verdict is not Verdict.REFUTED


def test_draws_do_not_certify_what_float32_absorbs(tmp_path: Path) -> None:
    """On half of the region the difference is 0.9, and float32 rounds it to 0."""
    big = 2.0**25
    ramp = np.array([[-1024.0], [-1024.0]]), np.array([1024.0, 1023.0])
    add = np.array([[1.0, -1.0]]), ZERO
    f, g = _pair(
        tmp_path,
        [ramp, (np.zeros((2, 2)), np.full(2, big)), add],
        [ramp, (np.array([[0.9, -0.9], [0.0, 0.0]]), np.full(2, big)), add],
    )
    claim = over_reals(_interval(0.0, 2.0), tolerance=0.5, max_violation=0.01)
    result = verify(f, g, claim, samples=10_000, max_boxes=1, threads=1)
    assert result.verdict is not Verdict.CERTIFIED
