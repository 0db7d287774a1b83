"""Draws of the checker's own: a seed may have been chosen for what it draws."""

import numpy as np
import pytest
from certificates import Certified, certify
from click.testing import CliRunner
from networks import write_mlp

from simcert.claim import Claim, Region
from simcert.cli import main
from simcert.result import Verdict


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """P(d > ε) = 0.025, certified to be at most 0.024 with the first seed that draws few."""
    folder = tmp_path_factory.mktemp("chosen")
    one, zero = np.ones((1, 1)), np.zeros(1)
    f = write_mlp(folder / "f.onnx", [(one, zero), (0 * one, zero)])
    g = write_mlp(folder / "g.onnx", [(one, zero - 0.475), (2.0 * one, zero)])
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    claim = Claim(region, tolerance=1.0, max_violation=0.024, confidence=0.6)
    options = {"max_boxes": 1, "samples": 100}
    for seed in range(200):
        try:
            return certify(folder, "c", f, g, claim, Verdict.CERTIFIED, seed=seed, **options)
        except AssertionError:
            continue
    raise AssertionError("no seed draws few violations")


def test_a_chosen_seed_shows_what_is_false(chosen: Certified) -> None:
    report = chosen.check(resample=True)
    assert report.holds
    assert "if seed" in report.claim


def test_another_seed_does_not(chosen: Certified) -> None:
    report = chosen.check(seed=10**12)
    assert not report.holds
    assert "do not show" in report.steps[-1].detail


def test_an_honest_claim_is_shown_by_other_draws(certified: Certified) -> None:
    report = certified.check(seed=10**12)
    assert report.holds, report.steps[-1].detail
    assert report.claim.endswith("by draws of seed 1000000000000 too")


def test_nothing_else_rests_on_a_seed(proved: Certified) -> None:
    report = proved.check(seed=1)
    assert report.holds
    assert "seed" not in report.claim


@pytest.mark.parametrize("seed", ["7", "random"])
def test_on_the_command_line(certified: Certified, seed: str) -> None:
    files = ["--original", certified.original, "--compressed", certified.compressed]
    arguments = ["check", certified.path, *files, "--seed", seed]
    output = CliRunner().invoke(main, list(map(str, arguments))).output
    assert "so do draws of another seed" in output
    wrong = CliRunner().invoke(main, [*map(str, arguments[:-1]), "-1"])
    assert wrong.exit_code == 2
