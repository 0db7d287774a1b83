"""``verify`` with layer-wise concentration: verdict, result, report, certificate, command line."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_mlp

from simcert import Claim, Result, Verdict, verify
from simcert.certificate import build, sealed, write
from simcert.checker import check
from simcert.claim import Region
from simcert.cli import main
from simcert.errors import ClaimError
from simcert.report import text

OPTIONS = {"samples": 0, "time_limit": 20.0, "max_boxes": 4, "threads": 1}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    sizes = (60, 16, 16, 3)
    return (
        random_mlp(folder / "f.onnx", sizes, 0),
        random_mlp(folder / "g.onnx", sizes, 0, noise=0.01),
    )


def noise(inputs: int = 60) -> Region:
    centre = np.random.default_rng(0).normal(size=(1, inputs))
    return Region.from_boxes(centre - 0.3, centre + 0.3, source="noise")


@pytest.fixture(scope="module")
def rare(pair: tuple[Path, Path]) -> Result:
    """Without a tolerance: D(η) beside the worst case."""
    return verify(*pair, Claim(noise()), eta=1e-4, **OPTIONS)


def bounded(pair: tuple[Path, Path], rare: Result) -> Result:
    assert rare.proof.concentration is not None
    tolerance = 1.01 * rare.proof.concentration.bound
    return verify(*pair, Claim(noise(), tolerance=tolerance, max_violation=1e-4), **OPTIONS)


def test_without_a_tolerance_the_bound_stands_beside_the_worst_case(rare: Result) -> None:
    found = rare.proof.concentration
    assert rare.verdict is Verdict.PROVED
    assert found is not None
    assert found.bound < rare.proof.bound / 2
    assert max(found.per_output) == found.bound
    assert 0 < found.spent <= found.eta == 1e-4
    assert found.violation_upper == 1.0
    stated = rare.to_dict()["proof"]["concentration"]
    assert float.fromhex(stated["bound_hex"]) == found.bound
    assert float.fromhex(stated["eta_hex"]) == 1e-4
    assert sum(share["eta"] for share in stated["ledger"]) <= 1e-4
    assert [share["tensor"] for share in stated["ledger"]][-1] == "outputs"
    report = text.render(rare, 200)
    assert "but for η = 0.0001" in report
    assert "of the difference" in report
    json.dumps(stated, allow_nan=False)


def test_a_claim_about_a_probability_is_bounded_without_a_draw(
    pair: tuple[Path, Path], rare: Result
) -> None:
    result = bounded(pair, rare)
    assert result.verdict is Verdict.BOUNDED
    found = result.proof.concentration
    assert found is not None
    assert 1e-5 < found.eta <= 1e-4  # the least at which D ≤ ε, up to the claim's own p
    assert result.proof.violation_upper == found.spent <= found.eta
    assert result.proof.not_proved == 1.0
    assert result.proof.bound > result.claim.tolerance
    assert result.statistics is None


@pytest.mark.parametrize("change", ["tolerance", "eta", "few inputs", "no time"])
def test_what_does_not_show_it_is_not_bounded(
    pair: tuple[Path, Path], rare: Result, change: str, tmp_path: Path
) -> None:
    assert rare.proof.concentration is not None
    tolerance, options = 1.01 * rare.proof.concentration.bound, dict(OPTIONS)
    claim = Claim(noise(), tolerance=tolerance, max_violation=1e-4)
    if change == "tolerance":
        claim = replace(claim, tolerance=0.98 * rare.proof.concentration.bound)
    elif change == "eta":
        options["eta"] = 1e-2  # more than the claim allows
    elif change == "no time":
        options["time_limit"] = 1e-9
    else:
        pair = tuple(  # type: ignore[assignment]
            random_mlp(tmp_path / f"{i}.onnx", (16, 40, 40, 2), 1, 0.1 * i) for i in (0, 1)
        )
        claim = Claim(noise(16), tolerance=1e-3, max_violation=1e-4)
    result = verify(*pair, claim, **options)
    found = result.proof.concentration
    assert result.verdict is not Verdict.BOUNDED
    assert not result.passed
    if change == "few inputs":
        assert found is None
    elif change == "eta":
        assert found is not None
        assert found.bound <= tolerance
        assert found.violation_upper > 1e-4
    else:
        assert found is not None
        assert found.violation_upper == 1.0


def test_no_draw_exceeds_what_is_called_rare(pair: tuple[Path, Path], rare: Result) -> None:
    """With draws beside: the 99.99 % quantile of 20,000 of them is not above D."""
    claim = Claim(noise())
    result = verify(*pair, claim, eta=1e-4, **(OPTIONS | {"samples": 20_000}))
    assert result.statistics is not None
    assert result.proof.concentration == rare.proof.concentration
    assert result.statistics.maximum <= result.proof.concentration.bound


def test_the_certificate_states_it_and_the_checker_shows_it(
    pair: tuple[Path, Path], rare: Result, tmp_path: Path
) -> None:
    assert rare.proof.concentration is not None
    tolerance = 1.2 * rare.proof.concentration.bound
    result = verify(*pair, Claim(noise(), tolerance=tolerance, max_violation=1e-4), **OPTIONS)
    found = result.proof.concentration
    assert found is not None
    statement = build(result, datetime.now(UTC))
    predicate = statement["predicate"]
    assert predicate["guarantee"]["kind"] == "bounded"
    # A checker gets room: more than what was spent, and still below what is allowed.
    eta = predicate["concentration"]["eta"]
    assert 5 * found.spent < eta == predicate["guarantee"]["value"] < 1e-4 / 5
    assert predicate["concentration"]["bound"] == tolerance
    assert predicate["integration"] is None
    assert predicate["ledger"]["alpha"] == []
    assert predicate["ledger"]["eta"] == [share.to_dict() for share in found.shares]
    path = tmp_path / "certificate.json"
    write(statement, path)
    report = check(path, *pair)
    assert report.holds, report.steps[-1]
    step = next(step for step in report.steps if "η" in step.name)
    assert "with certainty" in step.detail

    del predicate["concentration"]
    write(sealed(statement), path)
    report = check(path, *pair)  # nothing else bears it out
    assert not report.holds
    assert not report.cannot


def test_a_certificate_that_does_not_rest_on_it_does_not_name_it(pair: tuple[Path, Path]) -> None:
    claim = Claim(noise(), tolerance=1e3, max_violation=0.5)
    result = verify(*pair, claim, eta=1e-4, **OPTIONS)
    assert result.verdict is Verdict.PROVED
    assert result.proof.concentration is not None
    predicate = build(result, datetime.now(UTC))["predicate"]
    assert "concentration" not in predicate
    assert predicate["ledger"]["eta"] == []


def test_the_command_line(pair: tuple[Path, Path], tmp_path: Path) -> None:
    region = tmp_path / "region.npz"
    np.savez(region, lower=noise().lower, upper=noise().upper)
    arguments = ["verify", *map(str, pair), "--region", str(region), "--samples", "0"]
    arguments += ["--boxes", "4", "--threads", "1", "--format", "json", "-q"]
    answer = CliRunner().invoke(main, [*arguments, "--eta", "1e-3"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output)["proof"]["concentration"]["eta"] == 1e-3
    answer = CliRunner().invoke(main, [*arguments, "--eta", "1.5"])
    assert answer.exit_code == 2


@pytest.mark.parametrize("eta", [0.0, 1.0, -1.0, float("nan")])
def test_probabilities_that_are_none_are_refused_first(eta: float) -> None:
    with pytest.raises(ClaimError, match="η"):
        verify("no file", "no file", Claim(noise()), eta=eta)
