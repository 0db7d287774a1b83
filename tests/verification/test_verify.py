"""The verdict is never better than what was shown: small pairs whose truth is known."""

from pathlib import Path

import numpy as np
import pytest
from networks import random_mlp, write_mlp

from simcert import ClaimError, PairError, Verdict, verify
from simcert.bounds import Propagator
from simcert.claim import Claim, Region, TruncatedNormal, divergences
from simcert.progress import Silent
from simcert.verification.pair import Pair
from simcert.verification.sample import sample_remainder

ONE = np.ones((1, 1))
ZERO = np.zeros(1)


@pytest.fixture
def unit() -> Region:
    return Region.from_boxes([[0.0]], [[1.0]], source="unit interval")


@pytest.fixture
def bump(tmp_path: Path) -> tuple[Path, Path]:
    """f = 0 and g = relu(x − 0.9375): d exceeds ε with probability 0.0625 − ε on [0, 1]."""
    flat = write_mlp(tmp_path / "f.onnx", [(ONE, ZERO), (0 * ONE, ZERO)])
    ramp = write_mlp(tmp_path / "g.onnx", [(ONE, ZERO - 0.9375), (ONE, ZERO)])
    return flat, ramp


def test_the_confidence_covers_a_known_probability(bump: tuple[Path, Path], unit: Region) -> None:
    """2,000 repetitions: both bounds miss the truth at most as often as promised."""
    truth = 0.0625 - 0.03125
    claim = Claim(unit, tolerance=0.03125, max_violation=0.04, confidence=0.95)
    pair = Pair.read(*bump, claim, threads=1)
    missed = 0
    for seed in range(2000):
        statistics = sample_remainder(pair, None, 300, seed, 1, 1, float("inf"), Silent())
        assert statistics is not None
        lower, upper = statistics.violation_lower, statistics.violation_upper
        missed += not lower <= truth <= upper
    assert missed <= 0.05 * 2000
    assert missed > 0  # bounds that never miss would be far too wide to notice an error


def test_the_probability_of_undecided_boxes_covers_the_truth(
    bump: tuple[Path, Path], unit: Region
) -> None:
    truth = 0.0625 - 0.03
    for max_boxes in (1, 3, 9, 40):
        claim = Claim(unit, tolerance=0.03, max_violation=truth)
        proof = verify(*bump, claim, max_boxes=max_boxes, samples=0).proof
        assert proof.violation_lower <= truth <= proof.violation_upper
    assert proof.violation_upper - proof.violation_lower < 1e-3


@pytest.mark.parametrize(
    ("max_violation", "verdict"),
    [(0.2, Verdict.BOUNDED), (0.033, Verdict.BOUNDED), (0.03, Verdict.REFUTED)],
)
def test_a_probability_is_decided_without_sampling(
    bump: tuple[Path, Path], unit: Region, max_violation: float, verdict: Verdict
) -> None:
    claim = Claim(unit, tolerance=0.03, max_violation=max_violation)
    result = verify(*bump, claim, samples=0)
    assert result.verdict is verdict
    assert result.statistics is None


def test_a_narrow_bump_is_never_proved_away(tmp_path: Path) -> None:
    """A spike of height 1 on a 2^-14 wide part that random draws miss."""
    flat = write_mlp(
        tmp_path / "f.onnx", [(np.zeros((3, 2)), np.zeros(3)), (np.zeros((1, 3)), ZERO)]
    )
    place, width = 0.3, 2.0**-14
    hidden = np.array([[1 / width, 0], [1 / width, 0], [1 / width, 0]])
    offsets = -np.array([place - width, place, place + width]) / width
    spike = write_mlp(
        tmp_path / "g.onnx", [(hidden, offsets), (np.array([[1.0, -2.0, 1.0]]), ZERO)]
    )
    region = Region.from_boxes([[0, 0]], [[1, 1]], source="square")
    for max_boxes in (1, 10, 100, 1000):
        result = verify(flat, spike, Claim(region, tolerance=0.5), max_boxes=max_boxes, samples=0)
        assert result.verdict is not Verdict.PROVED
        assert result.proof.bound >= 0.99


def test_no_budget_proves_nothing(tmp_path: Path, unit: Region) -> None:
    f = random_mlp(tmp_path / "f.onnx", [1, 20, 20, 2], seed=0)
    g = random_mlp(tmp_path / "g.onnx", [1, 20, 20, 2], seed=0, noise=0.05)
    result = verify(f, g, Claim(unit, tolerance=10.0), time_limit=1e-9)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.passed is False
    assert result.proof.undecided_mass == 1.0


def test_interruption_keeps_what_was_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = Region.from_boxes([[-1] * 3], [[1] * 3], source="cube")
    f = random_mlp(tmp_path / "f.onnx", [3, 20, 20, 2], seed=0)
    g = random_mlp(tmp_path / "g.onnx", [3, 20, 20, 2], seed=0, noise=0.01)
    tolerance = 1.2 * verify(f, g, Claim(region), max_boxes=200, samples=0).witness.divergence
    calls = []
    bound = Propagator.bound

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return bound(self, *arguments)

    monkeypatch.setattr(Propagator, "bound", interrupted)
    result = verify(f, g, Claim(region, tolerance=tolerance))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.proof.stopped == "interrupted"
    assert 0.0 < result.proof.proved_mass < 1.0
    assert result.proof.proved_mass + result.proof.undecided_mass == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_result(tmp_path: Path) -> None:
    region = Region.from_boxes([[-1] * 3], [[1] * 3], source="cube")
    f = random_mlp(tmp_path / "f.onnx", [3, 20, 20, 2], seed=0)
    g = random_mlp(tmp_path / "g.onnx", [3, 20, 20, 2], seed=0, noise=0.02)
    claim = Claim(region, TruncatedNormal(), tolerance=0.05, max_violation=1e-6)
    first, second = (
        verify(f, g, claim, max_boxes=300, samples=5000, threads=threads, seed=3).to_dict()
        for threads in (1, 2)
    )
    for changing in ("elapsed_seconds", "threads"):
        del first[changing], second[changing]
    assert first == second


@pytest.mark.parametrize("name", ["linf", "l1", "l2", "top1", "topk:k=2", "kl", "js"])
def test_every_divergence_is_bounded_above_its_samples(tmp_path: Path, name: str) -> None:
    region = Region.from_boxes([[-1] * 2], [[1] * 2], source="square")
    f = random_mlp(tmp_path / "f.onnx", [2, 16, 16, 4], seed=2)
    g = random_mlp(tmp_path / "g.onnx", [2, 16, 16, 4], seed=2, noise=0.02)
    claim = Claim(region, divergence=divergences.parse(name))
    result = verify(f, g, claim, max_boxes=400, samples=4000)
    # What was run is float32, what is proved is real.
    assert result.witness.divergence <= result.proof.bound + 1e-6
    assert result.statistics.maximum <= result.witness.divergence
    assert not result.statistics.range_exceeded


def test_an_unknown_operator_is_sampled_only(tmp_path: Path, unit: Region) -> None:
    import onnx

    paths = []
    for name, scale in (("f", 1.0), ("g", 1.01)):
        path = write_mlp(tmp_path / f"{name}.onnx", [(ONE * scale, ZERO), (ONE, ZERO)])
        model = onnx.load(path)
        model.graph.node[1].op_type = "Atan"
        onnx.save(model, path)
        paths.append(path)
    claim = Claim(unit, tolerance=0.01, max_violation=0.01)
    result = verify(*paths, claim, samples=20_000)
    assert result.verdict is Verdict.CERTIFIED
    assert result.proof.stopped == "unavailable"
    assert "Atan" in result.proof.reason
    worst_case = verify(*paths, Claim(unit, tolerance=0.01))
    assert worst_case.verdict is Verdict.INCONCLUSIVE


def test_other_shapes_are_refused(tmp_path: Path, unit: Region) -> None:
    f = random_mlp(tmp_path / "f.onnx", [1, 4, 2], seed=0)
    wide = random_mlp(tmp_path / "w.onnx", [2, 4, 2], seed=0)
    more = random_mlp(tmp_path / "m.onnx", [1, 4, 3], seed=0)
    with pytest.raises(PairError, match="inputs 1 and 2"):
        verify(f, wide, Claim(unit))
    with pytest.raises(PairError, match="outputs 2 and 3"):
        verify(f, more, Claim(unit))
    with pytest.raises(ClaimError, match="unit interval has 1 inputs, the networks 2"):
        verify(wide, wide, Claim(unit))
