"""Probabilities and tails: against known values, and never on the wrong side."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import special, stats

from simcert.checker import binomial, normal
from simcert.checker.betting import capital_reaches
from simcert.checker.binomial import tail_at_most
from simcert.checker.claim import Claim, Region
from simcert.checker.divergences import measured
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.mass import integral, masses
from simcert.checker.specification import parse
from simcert.checker.tree import Leaves
from simcert.claim import TruncatedNormal, divergences
from simcert.sampling import betting, clopper_pearson


@pytest.mark.parametrize("k", [0, 1, 7, 300])
@pytest.mark.parametrize("n", [301, 4603, 10**6])
@pytest.mark.parametrize("alpha", [0.3, 1e-3, 1e-9])
def test_the_bound_of_clopper_and_pearson(k: int, n: int, alpha: float) -> None:
    upper = clopper_pearson.upper(k, n, alpha)
    assert tail_at_most(k, n, Fraction(upper), Fraction(alpha))
    assert not tail_at_most(k, n, Fraction(upper) * (1 - Fraction(1, 10**7)), Fraction(alpha))


@pytest.mark.parametrize("k", [10_001, 200_000, 499_000, 990_000, 500_000_000])
@pytest.mark.parametrize("alpha", [0.3, 1e-3, 1e-9])
def test_the_bound_of_many_events(k: int, alpha: float) -> None:
    """In a moment, however many draws a certificate states."""
    n = 10**6 if k < 10**6 else 10**9
    upper = clopper_pearson.upper(k, n, alpha)
    assert tail_at_most(k, n, Fraction(upper), Fraction(alpha))
    assert not tail_at_most(k, n, Fraction(upper) * (1 - Fraction(1, 10**7)), Fraction(alpha))
    assert not tail_at_most(k, n, Fraction(k, n), Fraction(alpha))


@pytest.mark.parametrize("few", [10_000, 0])
def test_both_ways_to_a_tail_are_exact(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binomial, "_FEW", few)
    tiny = Fraction(1, 10**12)
    for k, n in ((1, 2), (5, 400), (39, 400), (1400, 1600)):
        p = Fraction(1, 10) if n < 1000 else Fraction(15, 16)
        terms = (math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
        tail = sum(terms, Fraction(0))
        assert tail_at_most(k, n, p, tail * (1 + tiny)) or k >= n * p
        assert not tail_at_most(k, n, p, tail * (1 - tiny))


@pytest.mark.parametrize(("k", "n"), [(0, 1000), (5, 20_000), (300, 5000), (0, 50), (70, 100)])
@pytest.mark.parametrize("alpha", [0.3, 1e-3, 1e-9])
def test_the_bound_by_betting(k: int, n: int, alpha: float) -> None:
    upper = Fraction(betting.violation_upper(k, n, alpha))
    assert capital_reaches(k, n, upper, Fraction(alpha)) or upper == 1
    assert not capital_reaches(k, n, upper * (1 - Fraction(1, 10**6)), Fraction(alpha))


@pytest.mark.parametrize("scale", [0.03, 0.5, 3.0])
def test_truncated_normal_draws(scale: float) -> None:
    """The verifier's draws once more, at leaves in the middle and far from it."""
    generator = np.random.default_rng(0)
    lower = generator.uniform(-1, 1, (2000, 3)).astype(np.float32)
    width = 10.0 ** generator.uniform(-5, 0.3, lower.shape)
    upper = np.minimum(1, lower + width).astype(np.float32).astype(np.float64)
    lower = lower.astype(np.float64)
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    box = np.ones_like(lower)
    expected = TruncatedNormal(scale).sample(lower, upper, -box, box, one, len(lower))
    found = normal.drawn(lower, upper, 0 * box, scale * box, two.random(lower.shape))
    rounded = np.clip(found.astype(np.float32).astype(np.float64), lower, upper)
    assert (rounded != expected).mean() < 1e-3
    np.testing.assert_allclose(rounded, expected, rtol=1e-6, atol=1e-7)


def test_tails_of_small_samples_are_exact() -> None:
    for n in range(1, 9):
        for k in range(n):
            for p in (Fraction(1, 1000), Fraction(1, 3), Fraction(9, 10)):
                tail = sum(
                    (math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)),
                    Fraction(0),
                )
                tiny = Fraction(1, 2**200)
                assert tail_at_most(k, n, p, tail * (1 + tiny))
                assert not tail_at_most(k, n, p, tail * (1 - tiny))


def test_tails_at_the_ends() -> None:
    assert not tail_at_most(3, 3, Fraction(1), Fraction(1, 2))
    assert tail_at_most(2, 3, Fraction(1), Fraction(0))
    assert not tail_at_most(4, 3, Fraction(1, 2), Fraction(1))
    assert not tail_at_most(0, 3, Fraction(0), Fraction(1, 2))
    assert tail_at_most(0, 10**8, Fraction(1, 2), Fraction(1, 10**300))


def claim(scale: float | None, lower: list[list[float]], upper: list[list[float]]) -> Claim:
    region = Region(np.array(lower), np.array(upper), np.full(len(lower), 1 / len(lower)))
    return Claim(region, scale, parse("linf", None), None, 1.0, None, 0.99, "real")


def test_uniform_masses_are_exact() -> None:
    leaves = Leaves(np.array([[0.25, 1.0]]), np.array([[0.5, 1.0]]), np.array([0]))
    (mass,) = masses(claim(None, [[0.0, 1.0]], [[3.0, 1.0]]), leaves)
    assert mass == Fraction(1, 12)


def test_weights_are_normalised() -> None:
    boxes = [[float(i)] for i in range(3)]
    leaves = Leaves(np.array(boxes), np.array(boxes), np.arange(3))
    assert sum(masses(claim(None, boxes, boxes), leaves)) == 1


@pytest.mark.parametrize("scale", [0.05, 0.4, 3.0])
def test_masses_of_a_truncated_normal(scale: float) -> None:
    """Above the truth, below what the verifier rounds up to, and summing to 1."""
    cuts = np.sort(np.random.default_rng(0).uniform(-1, 1, 9))
    ends = np.concatenate([[-1.0], cuts, [1.0]])[:, None]
    lower, upper = ends[:-1], ends[1:]
    leaves = Leaves(lower, upper, np.zeros(10, dtype=np.int64))
    found = masses(claim(scale, [[-1.0]], [[1.0]]), leaves)
    box = np.array([-1.0]), np.array([1.0])
    stated = TruncatedNormal(scale).mass(lower, upper, *box)
    truth = np.diff(stats.truncnorm.cdf(ends[:, 0], -1 / scale, 1 / scale, 0, scale))
    np.testing.assert_allclose([float(m) for m in found], truth, rtol=1e-7, atol=1e-15)
    for mine, other in zip(found, stated.tolist(), strict=True):
        assert mine <= Fraction(other) + Fraction(1, 2**180)
    assert 1 <= sum(found) <= 1 + Fraction(1, 2**170)


@pytest.mark.parametrize("z", [0.0, 1e-9, 0.3, 2.0, 7.5, 15.9, 40.0])
def test_the_error_integral(z: float) -> None:
    expected = math.sqrt(math.pi / 2) * special.erf(z / math.sqrt(2))
    assert float(integral(Fraction(z))) == pytest.approx(expected, rel=1e-14)
    assert integral(Fraction(-z)) == -integral(Fraction(z))


NAMES = ["linf", "l1", "l2", "top1", "topk:k=2", "top1-confident:delta=0.2", "kl", "js"]


@pytest.mark.parametrize("name", NAMES)
def test_divergences_are_those_of_the_claim(name: str) -> None:
    """The same values and words as the verifier's, which is written independently."""
    generator = np.random.default_rng(0)
    f = generator.normal(size=(200, 4)).round(1)
    g = (f + 0.2 * generator.normal(size=f.shape)).round(1)
    decision = "argmin" if name.startswith("top") else None
    mine, other = parse(name, decision), divergences.parse(name, decision="argmin")
    np.testing.assert_allclose(measured(mine, f, g), other.evaluate(f, g), rtol=1e-12, atol=1e-15)
    assert mine.event(0.5, "f", "g") == other.event(0.5, "f", "g")
    assert mine.claim(0.5, "f", "g") == other.bound(0.5, other.unit, "f", "g")
    assert (mine.unit, mine.supremum, mine.fewest) == (
        other.unit,
        other.supremum,
        other.fewest_outputs,
    )


@pytest.mark.parametrize("name", NAMES)
def test_divergences_are_bounded_soundly(name: str) -> None:
    """Where the bounds show d ≤ t or d > t, every point between them agrees."""
    generator = np.random.default_rng(1)
    divergence = parse(name, "argmax" if name.startswith("top") else None)
    c_f, c_g, c_d = divergence.rows(3)
    shown = 0
    for _ in range(60):
        f = generator.normal(size=(30, 3))
        f = (f[:1] + generator.choice([0.01, 0.3]) * f).round(2)
        g = (f + generator.choice([0.0, 0.02, 1.0]) * generator.normal(size=f.shape)).round(2)
        if generator.random() < 0.2:
            g = -f
        rows = f @ c_f.T + g @ c_g.T + (f - g) @ c_d.T
        lower, upper = rows.min(0)[None] - 1e-12, rows.max(0)[None] + 1e-12
        d = measured(divergence, f, g)
        for limit in (0.0, 0.05, 0.5):
            at_most = bool(divergence.at_most(lower, upper, limit)[0])
            above = bool(divergence.above(lower, upper, limit)[0])
            assert not at_most or (d <= limit + 1e-12).all()
            assert not above or (d > limit).all()
            shown += at_most or above
    assert shown > 5


def test_outputs_that_are_not_finite_differ_most() -> None:
    f, g = np.array([[np.nan, 0.0]]), np.array([[0.0, 0.0]])
    assert measured(parse("linf", None), f, g)[0] == math.inf
    assert measured(parse("top1", "argmax"), f, g)[0] == 1.0


@pytest.mark.parametrize(
    ("spec", "decision"),
    [("linf", "argmax"), ("top1", None), ("top1", "max"), ("top1-confident:delta=-1", "argmax")],
)
def test_what_does_not_go_together(spec: str, decision: str | None) -> None:
    with pytest.raises(CheckError):
        parse(spec, decision)


@pytest.mark.parametrize("spec", ["cosine", "linf:k=1", "topk", "topk:k=0", "kl:x=1"])
def test_what_is_not_known(spec: str) -> None:
    with pytest.raises(CannotCheckError):
        parse(spec, None)
