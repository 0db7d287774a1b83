"""Masses against closed forms and high-precision integrals, draws against masses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simcert.claim import TruncatedNormal, Uniform
from simcert.claim.distributions import Distribution, parse
from simcert.errors import ClaimError

mpmath = pytest.importorskip("mpmath", reason="the reference for tiny masses; comes with torch")
mpmath.mp.dps = 1200  # beyond every cancellation below

LAWS = [Uniform(), TruncatedNormal(), TruncatedNormal(0.05), TruncatedNormal(30.0)]


def relative_excess(mass: float, exact: "mpmath.mpf") -> float:
    return float(mpmath.mpf(float(mass)) / exact - 1)


def exact_mass(law: Distribution, low: float, high: float, a: float, b: float) -> "mpmath.mpf":
    """The mass of [low, high] in [a, b], by the definition of the law."""
    if isinstance(law, Uniform):
        return (mpmath.mpf(high) - low) / (mpmath.mpf(b) - a)
    assert isinstance(law, TruncatedNormal)
    mean, deviation = mpmath.mpf(a / 2 + b / 2), mpmath.mpf(law.scale * ((b - a) / 2))

    def probability(left: float, right: float) -> "mpmath.mpf":
        x, y = (mpmath.mpf(left) - mean) / deviation, (mpmath.mpf(right) - mean) / deviation
        if x > 0:
            x, y = -y, -x
        return mpmath.ncdf(y) - mpmath.ncdf(x)

    return probability(low, high) / probability(a, b)


def one(law: Distribution, low: float, high: float, a: float, b: float) -> float:
    corners = (np.array([value]) for value in (low, high, a, b))
    return float(law.mass(*corners))


@pytest.mark.parametrize("law", LAWS, ids=str)
@settings(max_examples=60, deadline=None)
@given(
    ends=st.lists(st.floats(-3, 7), min_size=2, max_size=2, unique=True).map(sorted),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_masses_are_upper_bounds_and_tight(
    law: Distribution, ends: list[float], shares: list[float]
) -> None:
    a, b = ends
    low, high = (min(b, a + share * (b - a)) for share in shares)
    if not low < high or b - a < 1e-200:
        return
    exact = exact_mass(law, low, high, a, b)
    mass = one(law, low, high, a, b)
    assert mass >= exact
    if exact > 1e-307:
        assert relative_excess(mass, exact) <= 3 * 2.0**-38


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("distance", [0.0, 1e-3, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("width", [1e-12, 1e-6, 1e-3, 0.02, 0.06])
def test_narrow_parts_lose_no_digits(law: Distribution, distance: float, width: float) -> None:
    """Where the difference of two distribution functions would cancel; on both sides."""
    for sign in (1, -1):
        low, high = sorted((sign * distance, sign * min(1.0, distance + width)))
        exact = exact_mass(law, low, high, -1, 1)
        if exact > 1e-307:
            assert 0 <= relative_excess(one(law, low, high, -1, 1), exact) < 3 * 2.0**-38


def test_tiny_masses() -> None:
    """A corner of 100 dimensions has a mass near 1e-300, and thousands underflow upward."""
    lower, upper = np.zeros(100), np.ones(100)
    mass = float(Uniform().mass(lower, np.full(100, 1e-3), lower, upper))
    assert 0 <= relative_excess(mass, mpmath.mpf(1e-3) ** 100) < 102 * 2.0**-38
    tail = TruncatedNormal(1 / 37)  # the end of the box is 37 standard deviations away
    mass = one(tail, 0.99, 1.0, -1, 1)
    assert 1e-300 < mass < 1e-290
    assert relative_excess(mass, exact_mass(tail, 0.99, 1.0, -1, 1)) < 3 * 2.0**-38
    everything = np.ones(3072)
    assert Uniform().mass(everything * 0, everything / 2, everything * 0, everything) > 0
    assert one(TruncatedNormal(0.001), 0.9, 1.0, -1, 1) > 0


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_partitions_sum_to_at_least_one(law: Distribution) -> None:
    cuts = np.sort(np.random.default_rng(0).uniform(-1, 1, 2000))
    ends = np.concatenate([[-1.0], cuts, [1.0]])
    total = sum(
        mpmath.mpf(float(mass))
        for mass in law.mass(
            ends[:-1, np.newaxis], ends[1:, np.newaxis], np.array([-1.0]), np.array([1.0])
        )
    )
    assert 1 <= total < 1 + 1e-10


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_zero_width_dimensions_do_not_count(law: Distribution) -> None:
    low, high = np.array([[0.0, 2.0]]), np.array([[1.0, 2.0]])
    assert law.mass(low, high, low[0], high[0]) == pytest.approx(1.0)
    half = np.array([[0.5, 2.0]])
    assert law.mass(low, half, low, high) == pytest.approx(0.5)
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert law.mass(points, points, points, points) == pytest.approx([1, 1])
    generator = np.random.default_rng(0)
    assert (law.sample(points, points, points, points, generator, 2) == points).all()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_draws_follow_the_masses(law: Distribution) -> None:
    """Chi-squared over the cells of a partition, fixed seed: a wrong law fails by far."""
    low, high = np.array([-2.0, 5.0]), np.array([4.0, 5.0])
    draws = law.sample(low, high, low, high, np.random.default_rng(7), 100_000)[:, 0]
    middle, step = 1.0, 3 * min(1.0, 2 * getattr(law, "scale", 1.0))
    cells = np.array([-2.0, *(middle + step * np.linspace(-0.9, 0.9, 13)), 4.0])
    observed = np.histogram(draws, cells)[0]
    expected = [one(law, a, b, -2.0, 4.0) for a, b in pairwise(cells)]
    expected = np.array(expected) / sum(expected) * len(draws)
    keep = expected > 5
    assert (
        stats.chisquare(
            observed[keep], expected[keep] * (observed[keep].sum() / expected[keep].sum())
        ).pvalue
        > 1e-4
    )


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("part", [(-0.25, 0.5), (0.75, 1.0), (-1.0, -0.875), (0.5, 0.50390625)])
def test_conditioned_draws_follow_the_masses(law: Distribution, part: tuple[float, float]) -> None:
    box = np.array([-1.0]), np.array([1.0])
    low, high = (np.array([end]) for end in part)
    draws = law.sample(low, high, *box, np.random.default_rng(3), 20_000)
    assert ((low <= draws) & (draws <= high)).all()
    middle = np.float64(np.float32((part[0] + part[1]) / 2))
    share = one(law, part[0], middle, -1, 1) / one(law, *part, -1, 1)
    below = (draws < middle).sum()
    assert stats.binomtest(int(below), 20_000, min(1.0, share)).pvalue > 1e-4


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_draws_are_values_of_the_type_inside_their_part(
    law: Distribution, dtype: type[np.floating]
) -> None:
    generator = np.random.default_rng(1)
    low = generator.uniform(-1, 1, (5000, 3)).astype(dtype).astype(float)
    high = low.copy()
    for _ in range(3):  # parts that are a few steps of the type wide
        high = np.nextafter(high.astype(dtype), dtype(2)).astype(float)
    box_low, box_high = np.full(3, -1.0), np.full(3, 2.0)
    draws = law.sample(low, high, box_low, box_high, generator, 5000, dtype)
    assert (draws == draws.astype(dtype)).all()
    assert ((low <= draws) & (draws <= high)).all()
    assert draws.dtype == np.float64


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_draws_far_in_the_tail(law: Distribution) -> None:
    low, high = np.array([0.9375]), np.array([1.0])
    for sign in (1, -1):
        ends = sorted((sign * low, sign * high))
        draws = law.sample(*ends, np.array([-1.0]), np.array([1.0]), np.random.default_rng(2), 999)
        assert len(np.unique(draws)) > 500
        assert ((ends[0] <= draws) & (draws <= ends[1])).all()


def test_bounds_must_be_values_of_the_type() -> None:
    low, high = np.array([0.1]), np.array([1.0])
    with pytest.raises(ValueError, match="must be values of float32"):
        Uniform().sample(low, high, low, high, np.random.default_rng(0), 3)


def test_draws_are_reproducible() -> None:
    low, high = np.zeros(4), np.ones(4)
    for law in LAWS:
        one, two = (law.sample(low, high, low, high, np.random.default_rng(5), 9) for _ in "ab")
        assert (one == two).all()


def test_names() -> None:
    assert parse("uniform") == Uniform()
    assert parse("truncated-normal") == TruncatedNormal(0.5)
    assert parse("truncated-normal:scale=0.3") == TruncatedNormal(0.3)
    for law in LAWS:
        assert parse(law.spec) == law
    assert TruncatedNormal(0.3).describe().endswith("standard deviation 0.3 half-widths)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("normal", r"unknown distribution 'normal'; known: truncated-normal, uniform"),
        ("", "unknown distribution ''"),
        ("uniform:scale=1", "uniform has no option 'scale'; it has none"),
        ("truncated-normal:sigma=1", "no option 'sigma'; it has scale"),
        ("truncated-normal:scale", "name:key=value"),
        ("truncated-normal:scale=1,scale=2", "each key once"),
        ("truncated-normal:scale=wide", "scale='wide' is not a number"),
        ("truncated-normal:scale=0", "between 0.001 and 1000"),
        ("truncated-normal:scale=nan", "between 0.001 and 1000"),
        ("truncated-normal:scale=inf", "between 0.001 and 1000"),
    ],
)
def test_other_names(text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        parse(text)
