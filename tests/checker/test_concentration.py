"""Certificates that rest on bounds which hold but for a probability η over the inputs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import Certified, certify
from networks import random_mlp

from simcert.checker.claim import Claim as CheckedClaim
from simcert.checker.claim import Region as CheckedRegion
from simcert.checker.concentration import ConcentratedPair, depth
from simcert.checker.laws import law
from simcert.checker.leaves import Functions
from simcert.checker.network import read
from simcert.checker.specification import parse
from simcert.checker.tree import Leaves
from simcert.claim import Claim, Region, TruncatedNormal, Uniform
from simcert.result import Verdict

INPUTS = 60
CENTRE = np.random.default_rng(0).normal(size=(1, INPUTS))
LAWS = {"uniform": (Uniform(), 0.22), "normal": (TruncatedNormal(0.5), 0.16)}

Json = dict[str, Any]


@pytest.fixture(scope="module")
def pair(folder: Path) -> tuple[Path, Path]:
    sizes = (INPUTS, 16, 16, 3)
    return (
        random_mlp(folder / "many_f.onnx", sizes, 0),
        random_mlp(folder / "many_g.onnx", sizes, 0, noise=0.01),
    )


@pytest.fixture(scope="module", params=LAWS)
def rare(request: pytest.FixtureRequest, folder: Path, pair: tuple[Path, Path]) -> Certified:
    distribution, tolerance = LAWS[request.param]
    region = Region.from_boxes(CENTRE - 0.3, CENTRE + 0.3, source="noise")
    claim = Claim(region, distribution, tolerance=tolerance, max_violation=1e-4)
    return certify(
        folder, f"rare_{request.param}", *pair, claim, Verdict.BOUNDED, samples=0, max_boxes=4
    )


def test_passes(rare: Certified) -> None:
    report = rare.check(resample=True)
    assert report.holds, report.steps[-1]
    assert "but for η" in next(step.detail for step in report.steps if "η" in step.name)


def number(owner: Json, name: str, value: float) -> None:
    owner[name], owner[f"{name}_hex"] = value, value.hex()


def of_eta(factor: float) -> Callable[[Json], None]:
    """Change η wherever it is compared, and what follows from it."""

    def change(predicate: Json) -> None:
        eta = factor * predicate["concentration"]["eta"]
        for owner, name in (("concentration", "eta"), ("guarantee", "value")):
            number(predicate[owner], name, eta)
        number(predicate["concentration"], "spent", min(eta, predicate["concentration"]["spent"]))
        total = math.fsum(item["eta"] for item in predicate["ledger"]["eta"])
        for item in predicate["ledger"]["eta"]:
            number(item, "eta", item["eta"] / total * predicate["concentration"]["spent"] / 2)
        number(predicate["guarantee"]["shares"], "bounded", 0.0)

    return change


def of(name: str, factor: float) -> Callable[[Json], None]:
    def change(predicate: Json) -> None:
        number(predicate["concentration"], name, factor * predicate["concentration"][name])

    return change


def of_ledger(which: int, factor: float) -> Callable[[Json], None]:
    def change(predicate: Json) -> None:
        item = predicate["ledger"]["eta"][which]
        number(item, "eta", factor * item["eta"])

    return change


def without(predicate: Json) -> None:
    del predicate["concentration"]


def no_ledger(predicate: Json) -> None:
    predicate["ledger"]["eta"] = []


def share_of_certainty(predicate: Json) -> None:
    shares = predicate["guarantee"]["shares"]
    number(shares, "bounded", float(np.nextafter(1 - predicate["guarantee"]["value"] / 2, 1)))


def smaller_claim(predicate: Json) -> None:
    """Say of half the tolerance what was shown of all of it."""
    claim = predicate["claim"]
    old, new = claim["tolerance"], claim["tolerance"] / 2
    number(claim, "tolerance", new)
    claim["sentence"] = claim["sentence"].replace(str(old), str(new))
    number(predicate["concentration"], "bound", new)


def rarer_claim(predicate: Json) -> None:
    claim, new = predicate["claim"], 1e-12
    claim["sentence"] = claim["sentence"].replace(str(claim["max_violation"]), str(new))
    number(claim, "max_violation", new)
    number(predicate["guarantee"], "limit", new)


def integrated_too(predicate: Json) -> None:
    predicate["integration"] = {"leaves": 1, "methods": []}
    for name, value in (("mass", 1.0), ("upper", 0.0), ("eta", 0.0)):
        number(predicate["integration"], name, value)


CHANGES = [
    *(of_eta(factor) for factor in (1e-12, 1e-100, 1e-200, 1e6, 0.0)),
    *(of("eta", factor) for factor in (0.5, 2.0)),
    *(of("bound", factor) for factor in (0.5, 1.01, -1.0)),
    *(of("spent", factor) for factor in (0.5, 1e6, 0.0, -1.0)),
    *(of_ledger(which, factor) for which in (0, -1) for factor in (2.0, 1e9, 0.0, -1.0)),
    *(without, no_ledger, share_of_certainty, smaller_claim, rarer_claim, integrated_too),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_stronger_statement(
    rare: Certified, change: Callable[[Json], None], tmp_path: Path
) -> None:
    report = rare.changed(lambda statement: change(statement["predicate"]), tmp_path / "x.json")
    assert not report.holds


@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("nats", [1.0, 7.0, 40.0])
def test_a_depth_is_not_reached_more_often_than_stated(scale: float | None, nats: float) -> None:
    """Of inputs seen from either side; an exact value for one uniform input, draws for several."""
    one = CheckedRegion(np.zeros((1, 8)), np.ones((1, 8)), np.ones(1))
    claim = CheckedClaim(one, scale, parse("linf", None), None, 1.0, 0.5, 0.999, "real")
    leaves = Leaves(one.lower, one.upper, np.zeros(1, np.int64))
    generator = np.random.default_rng(0)
    u = generator.random((100_000, 8))
    if scale is not None:
        draws = generator.normal(0.5, scale / 2, (400_000, 8))
        u = draws[((draws >= 0) & (draws <= 1)).all(axis=1)]
    for above in (False, True):
        spread = np.array([[1.0, 0.5, 2.0, 0.0, 1e-3, 3.0, 0.25, 1.0]])
        found = depth(spread, law(claim, leaves, np.full((1, 8), above)), nats)[0]
        assert 0 <= found < spread.sum()
        reached = float(((1 - u if above else u) @ spread[0] <= found).mean())
        assert reached <= math.exp(-nats) + 4 * math.sqrt(math.exp(-nats) / len(u))
    single = depth(np.eye(8)[:1], law(claim, leaves, np.zeros((1, 8), dtype=bool)), nats)[0]
    assert scale is not None or single <= math.exp(-nats)


def test_no_draw_leaves_the_bounds(pair: tuple[Path, Path]) -> None:
    """At η = 1e-6 none of 20,000 draws does; at smaller η the bounds are wider."""
    f, g = (read(path.read_bytes()) for path in pair)
    region = CheckedRegion(CENTRE - 0.25, CENTRE + 0.25, np.ones(1))
    claim = CheckedClaim(region, None, parse("linf", None), None, 1.0, 1e-6, 0.999, "real")
    checked = ConcentratedPair(f, g, claim, np.dtype(np.float32))
    m = f.outputs
    functions = Functions(np.zeros((m, m)), np.zeros((m, m)), np.eye(m))
    bounds = [checked.concentrate(functions, 0, eta) for eta in (1e-6, 1e-60)]
    draws = CENTRE + np.random.default_rng(1).uniform(-0.25, 0.25, (20_000, INPUTS))
    d = f.evaluate(draws) - g.evaluate(draws)
    assert (bounds[0].lower <= d).all()
    assert (d <= bounds[0].upper).all()
    assert (bounds[1].upper > bounds[0].upper).all()
