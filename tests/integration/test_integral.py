"""What integration says of real pairs: true of every box, of every divergence, and of the whole."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from certificates import resealed
from networks import random_mlp, write_mlp
from scipy.stats import binom

from simcert import Verdict, verify
from simcert.bounds import RowBounds
from simcert.certificate import build, write
from simcert.checker import check
from simcert.claim import Claim, Region, TruncatedNormal, Uniform, divergences
from simcert.integration import Integral, Integrator
from simcert.numerals import exact
from simcert.progress import Silent
from simcert.search import BranchAndBound, Found
from simcert.search.boxes import Boxes, roots
from simcert.verification.findings import Findings
from simcert.verification.judge import judge
from simcert.verification.pair import Pair
from simcert.verification.sample import sample_remainder

LAWS = [Uniform(), TruncatedNormal(0.6)]
DIVERGENCES = ["linf", "l1", "l2", "top1", "topk:k=2", "top1-confident:delta=0.05", "kl", "js"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    f = random_mlp(folder / "f.onnx", [3, 12, 12, 3], seed=4)
    return f, random_mlp(folder / "g.onnx", [3, 12, 12, 3], seed=4, noise=0.05)


@pytest.fixture(scope="module")
def cube() -> Region:
    return Region.from_boxes([[-1.0] * 3, [0.5] * 3], [[1.0] * 3, [1.5] * 3], source="two cubes")


def searched(files: tuple[Path, Path], claim: Claim, boxes: int) -> tuple[Pair, Found, Integral]:
    """What a search leaves that is not ended by a witness, and its integral."""
    pair = Pair.read(*files, claim, threads=1)
    assert pair.dual is not None
    everywhere = replace(pair.claim, max_violation=None)
    search = BranchAndBound(pair.dual, everywhere, lambda x: np.zeros(len(x)), pair.f.dtype)
    found = search.run(deadline=float("inf"), max_boxes=boxes, progress=Silent())
    integrator = Integrator(pair.claim, pair.f.dtype, len(found.rows))
    return pair, found, integrator.integral(found.undecided, pair.claim.tolerance or 0.0)


def drawn(pair: Pair, boxes: Boxes, count: int) -> np.ndarray:
    """d at ``count`` draws from each box, (B, count)."""
    region, generator = pair.claim.region, np.random.default_rng(8)
    values = [
        pair.measured(
            pair.claim.distribution.sample(
                low, high, region.lower[root], region.upper[root], generator, count, "f4"
            )
        )
        for low, high, root in zip(boxes.lower, boxes.upper, boxes.root, strict=True)
    ]
    return np.array(values)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", DIVERGENCES)
def test_no_box_violates_more_often_than_is_said(
    files: tuple[Path, Path], cube: Region, name: str, law
) -> None:
    """Exact binomial tests of every undecided box, jointly at one in a million."""
    divergence = divergences.parse(name)
    tolerance = (
        0.0 if divergence.unit == "disagreement" else {"kl": 1e-4, "js": 3e-5}.get(name, 0.1)
    )
    claim = Claim(cube, law, divergence, tolerance, max_violation=1e-9)
    pair, found, integral = searched(files, claim, 120)
    some = np.argsort(-integral.shares, kind="stable")[:60]
    violations = (drawn(pair, found.undecided.take(some), 400) > tolerance).sum(axis=1)
    probability = np.minimum(1.0, integral.shares[some] / found.undecided.mass[some])
    assert (binom.sf(violations - 1, 400, probability) > 1e-6 / len(some)).all()
    assert 0 < integral.upper <= integral.mass
    assert (integral.shares <= found.undecided.mass).all()
    for _, upper in integral.methods:
        assert integral.upper <= upper * (1 + 1e-9)


@pytest.mark.parametrize("name", ["linf", "l2"])
def test_integration_says_much_more_than_the_mass(
    files: tuple[Path, Path], cube: Region, name: str
) -> None:
    """And not less than the truth: the violation probability of the whole region by draws."""
    claim = Claim(cube, divergence=divergences.parse(name), tolerance=0.4, max_violation=1e-9)
    pair, found, integral = searched(files, claim, 2000)
    x = np.concatenate(
        [
            np.random.default_rng(i).uniform(low, high, (200_000, 3)).astype("f4")
            for i, (low, high) in enumerate(zip(cube.lower, cube.upper, strict=True))
        ]
    )
    weights = np.repeat(pair.claim.region.weights, 200_000) / 200_000
    truth = float(weights[pair.measured(x.astype("f8")) > 0.4].sum())
    certain = found.violated_upper + integral.upper
    assert certain >= truth - 6 * np.sqrt(truth / 400_000)
    assert integral.upper < 0.6 * integral.mass


def test_linear_bounds_hold_on_their_boxes(files: tuple[Path, Path], cube: Region) -> None:
    claim = Claim(cube, tolerance=0.1, max_violation=1e-9, arithmetic="real")
    pair, found, _ = searched(files, claim, 300)
    assert pair.networks is not None
    generator, boxes = np.random.default_rng(1), found.undecided
    for box in range(0, len(boxes), 7):
        x = generator.uniform(boxes.lower[box], boxes.upper[box], (50, 3))
        f, g = (network(torch.as_tensor(x)).numpy() for network in pair.networks)
        values = np.concatenate([f - g, g - f], axis=1)
        linear = x @ boxes.slope[box].T + boxes.offset[box]
        assert (values <= linear + 1e-12).all()
        assert (np.abs(linear).max() < 100.0).all()


def test_every_divergence_is_covered() -> None:
    """Where d exceeds ε all half-spaces of a term exceed theirs, whatever the magnitudes."""
    generator = np.random.default_rng(0)
    f = generator.integers(-3, 4, (20_000, 5)) / 2.0
    g = f + generator.integers(-2, 3, f.shape) / 2.0 * (generator.random(f.shape) < 0.4)
    for name in DIVERGENCES:
        for decision in ("argmax", "argmin"):
            divergence = divergences.parse(name, None, decision)
            rows = divergence.rows(5)
            v = f @ rows.f.T + g @ rows.g.T + (f - g) @ rows.difference.T
            tolerance = 0.0 if divergence.unit == "disagreement" else 0.05
            violating = divergence.evaluate(f, g) > tolerance
            assert 0.02 < violating.mean() < 0.98
            for magnitudes in (np.abs(v), np.full_like(v, np.inf), generator.random(v.shape)):
                cover = divergence.cover(tolerance, magnitudes)
                exceeding = np.concatenate([v, -v], axis=1) > cover.thresholds
                covered = np.zeros(len(f), dtype=bool)
                for term in cover.terms:
                    covered |= exceeding[:, term].all(axis=1)
                assert not (violating & ~covered).any(), name


# -- edges -----------------------------------------------------------------------------------


def one_function(slope: list[float], offset: float) -> RowBounds:
    """A linear bound of one function and the same of its negative."""
    slopes, offsets = (torch.tensor(v, dtype=torch.float64)[None, None] for v in (slope, offset))
    nothing = torch.zeros(1, 6, 0)
    return RowBounds(
        -torch.inf + 0 * offsets,
        torch.inf + 0 * offsets,
        -slopes,
        slopes,
        -offsets,
        offsets,
        slopes[..., :0],
        nothing,
        [],
    )


@pytest.fixture
def boxes_of() -> Callable[..., tuple[Integrator, object]]:
    """A box with a linear bound of |v|, d = |v| > 0.5."""

    def make(low: list[float], high: list[float], slope: list[float], offset: float):
        region = Region.from_boxes([low], [high], source="box")
        claim = Claim(region, tolerance=0.5, max_violation=0.1)
        integrator = Integrator(claim, np.float32, 1)
        slopes, offsets = integrator.linear(one_function(slope, offset))
        boxes = roots(region, claim.distribution, 1, 0, integrator.width)
        return integrator, replace(boxes, slope=slopes, offset=offsets)

    return make


@pytest.mark.parametrize(
    ("low", "high", "slope", "offset", "least", "most"),
    [
        ([0.0], [1.0], [1.0], 0.0, 0.5, 0.50001),  # v ≤ x and −v ≤ x: union of the same event twice
        ([0.0], [1.0], [0.0], 0.5, 1.0, 1.0),  # the constant is ε up to rounding
        ([0.0], [1.0], [0.0], 0.4999, 0.0, 0.0),
        ([0.25], [0.25], [1.0], 0.25, 0.0, 1.0),  # a point with d = ε
        ([0.25], [0.25], [1.0], 0.26, 1.0, 1.0),  # a point with d > ε
        ([0.25], [0.25], [1.0], 0.2, 0.0, 0.0),  # a point with d < ε
        ([0.0, 0.3], [1.0, 0.3], [1.0, 1.0], -0.3, 0.5, 0.50001),  # flat in one input
        ([0.0], [1.0], [float("nan")], 0.0, 1.0, 1.0),
        ([0.0], [1.0], [float("inf")], 0.0, 1.0, 1.0),
        ([0.0], [1.0], [1.0], float("inf"), 1.0, 1.0),
        ([0.0], [1.0], [1e-300], 0.6, 1.0, 1.0),
        ([0.0], [1.0], [1e300], -1e300, 0.0, 1e-6),  # d > ε in the last corner at most
    ],
)
def test_edges(boxes_of, low, high, slope, offset, least, most) -> None:
    integrator, boxes = boxes_of(low, high, slope, offset)
    for share in (integrator.possible(boxes)[0], integrator.integral(boxes, 0.5).upper):
        # Two terms, for v and for −v, say the same here: the union bound counts them twice.
        assert min(1.0, 2 * least) <= share <= min(1.0, 2 * most) * (1 + 1e-6)


def test_rounding_of_inputs_is_covered(boxes_of) -> None:
    """x in [1, 1 + 2^-23] is rounded to one of two values; each violates or not as a whole."""
    step = 2.0**-23
    integrator, boxes = boxes_of([1.0], [1.0 + step], [1.0], -0.5 - 0.75 * step)
    # x > 1 + 3/4 step holds with probability 1/4 over the reals, but rounded with 1/2.
    assert integrator.possible(boxes)[0] >= 2 * 0.5


# -- verify ----------------------------------------------------------------------------------


def test_a_claim_is_bounded_by_integration_and_no_less_is_confirmed(
    tmp_path: Path,
) -> None:
    """d = |x − y| on a square: what the search leaves undecided is a triangle in each box."""
    weight = np.array([[1.0, -1.0]])
    f = write_mlp(tmp_path / "f.onnx", [(weight, np.zeros(1)), (np.eye(1), np.zeros(1))])
    g = write_mlp(tmp_path / "g.onnx", [(0 * weight, np.zeros(1)), (np.eye(1), np.zeros(1))])
    region = Region.from_boxes([[0.0, 0.0]], [[1.0, 1.0]], source="square")
    # d = max(0, x − y) > 0.5 with probability 1/8.
    claim = Claim(region, tolerance=0.5, max_violation=0.126, arithmetic="real")
    result = verify(f, g, claim, max_boxes=64, samples=0)
    assert result.verdict is Verdict.BOUNDED
    assert result.proof.not_proved > 0.126 >= result.proof.violation_upper >= 0.125
    statement = build(result, datetime.now(UTC))
    assert 0 < statement["predicate"]["integration"]["upper"] <= 0.126
    assert confirmed_or_unknown(statement, tmp_path / "certificate.json", (f, g))
    # Less than the truth, 1/8, with all digests made anew.
    integration, guarantee = (statement["predicate"][key] for key in ("integration", "guarantee"))
    integration |= exact("upper", 0.1)
    guarantee |= exact("value", 0.1)
    write(resealed(statement), tmp_path / "forged.json")
    assert not check(tmp_path / "forged.json", f, g).holds


def test_draws_are_made_only_where_they_can_say_more(
    files: tuple[Path, Path], cube: Region
) -> None:
    claim = Claim(cube, tolerance=0.57, max_violation=1e-9)
    pair, found, integral = searched(files, claim, 1500)
    arguments = (pair, found, 2000, 1, 1, 1, float("inf"), Silent())
    alone, both = sample_remainder(*arguments), sample_remainder(*arguments, integral)
    assert alone is not None
    assert both is not None
    remainder = both.remainder
    assert 0 < len(remainder.leaves) < len(found.undecided)
    assert remainder.integrated_upper < remainder.integrated_mass
    # What is integrated is less than what draws could say of it at best: its whole mass.
    assert both.plan.samples == alone.plan.samples
    positions = remainder.positions
    assert positions is not None
    assert np.array_equal(remainder.leaves.lower, found.undecided.lower[positions])
    rest = np.setdiff1d(np.arange(len(found.undecided)), positions)
    assert remainder.integrated_upper >= integral.shares[rest].sum()
    # Decided by what is known before the first draw: the plan names what is drawn from.
    assert both.plan.strata == remainder.digest()
    assert both.plan.strata != replace(remainder, integrated_upper=0.0).digest()


def confirmed_or_unknown(statement: dict[str, Any], path: Path, files: tuple[Path, Path]) -> bool:
    """Whether the checker re-establishes the certificate, or says that it does not know how."""
    write(statement, path)
    report = check(path, *files)
    return report.holds or report.cannot


def test_a_certified_claim_with_integrated_leaves_needs_them_in_its_certificate(
    files: tuple[Path, Path], cube: Region, tmp_path: Path
) -> None:
    claim = Claim(cube, tolerance=0.57, max_violation=0.0037, arithmetic="real")
    result = verify(*files, claim, max_boxes=200, samples=20_000, seed=1)
    assert result.verdict is Verdict.CERTIFIED
    assert result.statistics is not None
    remainder = result.statistics.remainder
    integration = build(result, datetime.now(UTC))["predicate"]["integration"]
    assert integration["mass"] == remainder.integrated_mass > 0
    assert integration["upper"] == remainder.integrated_upper
    statement = build(result, datetime.now(UTC))
    assert confirmed_or_unknown(statement, tmp_path / "certificate.json", files)
    statement["predicate"]["integration"] = None
    write(resealed(statement), tmp_path / "forged.json")
    assert not check(tmp_path / "forged.json", *files).holds


def test_integration_never_outweighs_a_contradiction(
    files: tuple[Path, Path], cube: Region
) -> None:
    claim = Claim(cube, tolerance=0.4, max_violation=0.9)
    pair = Pair.read(*files, claim, threads=1)
    findings = Findings.gather(
        pair,
        samples=0,
        start=time.monotonic(),
        time_limit=60.0,
        max_boxes=200,
        seed=0,
        family=1,
        progress=Silent(),
    )
    assert judge(claim, findings)[0] is Verdict.BOUNDED
    assert judge(claim, replace(findings, contradicted=True))[0] is Verdict.INCONCLUSIVE


def test_the_curve_falls_and_stays_above_the_truth(files: tuple[Path, Path], cube: Region) -> None:
    claim = Claim(cube, tolerance=0.4, max_violation=1e-9)
    result = verify(*files, claim, max_boxes=400, samples=0)
    integral = result.proof.integral
    assert integral is not None
    bounds = [upper for _, upper in integral.curve]
    assert len(bounds) > 4
    assert bounds == sorted(bounds, reverse=True)
    generator = np.random.default_rng(5)
    pair = Pair.read(*files, claim, threads=1)
    chosen = generator.choice(2, 100_000, p=cube.weights)
    x = cube.lower[chosen] + (cube.upper - cube.lower)[chosen] * generator.random((100_000, 3))
    d = pair.measured(x.astype("f4").astype("f8"))
    for tolerance, upper in integral.curve:
        certain = upper + result.proof.violated_upper
        assert (d > tolerance).mean() <= certain + 6 * np.sqrt(certain / 100_000)
