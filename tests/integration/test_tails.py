"""Bounds of a half-space's probability in a box: never below the truth, whatever the numbers."""

import math
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import pytest

from simcert.claim import TruncatedNormal
from simcert.integration import bernstein, chernoff, hoeffding, volume
from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import NormalLaw, UniformLaw, law_of

METHODS = {m.__name__.split(".")[-1]: m.tail for m in (volume, chernoff, bernstein, hoeffding)}


def exactly(h: float, b: np.ndarray) -> Fraction:
    """P(Σ b_j U_j ≤ h) for uniform U_j, by Barrow and Smith's sum over corners."""
    spread, limit = [Fraction(x) for x in b if x > 0], Fraction(h)
    total = Fraction(0)
    for corner in product((0, 1), repeat=len(spread)):
        rest = limit - sum(x for x, taken in zip(spread, corner, strict=True) if taken)
        if rest > 0:
            total += (-1) ** sum(corner) * rest ** len(spread)
    return total / math.factorial(len(spread)) / math.prod(spread, start=Fraction(1))


def uniform(h: list[float], b: list[list[float]]) -> HalfSpaces:
    spread = np.array(b, dtype=float)
    return HalfSpaces.scaled(np.array(h, dtype=float), spread, UniformLaw(np.ones_like(spread)))


@pytest.mark.parametrize("inputs", [1, 2, 3, 5, 8])
def test_uniform_laws_of_all_shapes(inputs: int) -> None:
    """Spreads over twelve decades, excesses from a corner's to the whole box."""
    generator, count = np.random.default_rng(inputs), 40 if inputs < 8 else 8
    b = 10.0 ** generator.uniform(-12, 2, (count, inputs))
    h = b.sum(axis=1) * generator.random(count) * 10.0 ** generator.uniform(-8, 0, count)
    half_spaces = uniform(h.tolist(), b.tolist())
    truth = [exactly(x, row) for x, row in zip(h.tolist(), b, strict=True)]
    bounds = {name: tail(half_spaces) for name, tail in METHODS.items()}
    for name, bound in bounds.items():
        assert all(Fraction(p) >= q for p, q in zip(bound.tolist(), truth, strict=True)), name
        assert (bound <= 1.0).all()
    volumes = zip(bounds["volume"].tolist(), truth, strict=True)
    assert max(float(Fraction(p) / q - 1) for p, q in volumes) < 1e-12
    assert (bounds["volume"] <= bounds["chernoff"]).all()
    assert (bounds["chernoff"] <= bounds["hoeffding"] * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("h", "b"),
    [
        (1e-300, [1.0, 1.0, 1.0, 1.0, 1.0]),  # h^5 underflows
        (5e-324, [1.0, 1.0]),
        (1e300, [1e300, 1e300]),
        (1e-300, [2e-300, 1e-300]),
        (1.0, [1e-300, 2.0]),
        (1.0, [1e-17, 1e-17, 2.0]),
        (0.5, [0.5, 0.5, 0.5, 0.5]),  # corners lie on the half-space
        (math.nextafter(2.0, 0), [1.0, 1.0]),
        (math.nextafter(2.0, 3), [1.0, 1.0]),
        (1.0, [1e308, 1e308]),
        (1e308, [1e-300, 0.0]),
        (0.25, [1.0, 0.0, 0.0]),  # a flat box, or a bound that some inputs do not move
    ],
)
def test_rounding_adversaries(h: float, b: list[float]) -> None:
    truth = exactly(h, np.array(b))
    for name, tail in METHODS.items():
        (bound,) = tail(uniform([h], [b])).tolist()
        assert min(truth, 1) <= Fraction(bound) <= 1, name
        assert bound > 0.0


def test_more_inputs_than_are_integrated_exactly() -> None:
    generator = np.random.default_rng(0)
    b = generator.random((4, 11))
    h = b.sum(axis=1) * 0.2
    bounds = volume.tail(uniform(h.tolist(), b.tolist()))
    for bound, x, row in zip(bounds.tolist(), h.tolist(), b, strict=True):
        assert exactly(x, row) <= Fraction(bound) < 1


def test_the_figures_of_the_design() -> None:
    """5 equal inputs at probability 0.01: which share of the worst case each method needs."""
    share = {}
    for name, tail in METHODS.items():
        low, high = 0.0, 5.0
        for _ in range(50):
            middle = (low + high) / 2
            fits = tail(uniform([middle], [[1.0] * 5]))[0] <= 0.01
            low, high = (middle, high) if fits else (low, middle)
        share[name] = 1 - 2 * low / 5  # of x in [-1, 1]^5: h is the distance from the maximum 5
    assert share["volume"] == pytest.approx(0.59, abs=0.01)
    assert share["chernoff"] == pytest.approx(0.71, abs=0.01)
    assert share["bernstein"] > 1 - 1e-9  # 1.09: no part of the box is beyond it
    assert share["hoeffding"] > 1 - 1e-9


# -- truncated normals -----------------------------------------------------------------------

PARTS = [
    # lower and upper of a part of [-1, 1], scale
    ((-1.0, 1.0), 0.5),
    ((0.9, 1.0), 0.5),
    ((-1.0, -0.25), 0.1),
    ((0.999, 1.0), 0.02),  # 50 standard deviations away
    ((-0.001, 0.002), 0.5),
    ((-1e-7, 1e-7), 0.001),
    ((0.3, 0.3000001), 1.0),
    ((-1.0, 1.0), 900.0),  # all but uniform
    ((-1.0, 1.0), 0.001),
]


def normal_law(part: tuple[float, float], scale: float, above: bool) -> NormalLaw:
    box = np.array([[part[0]]]), np.array([[part[1]]])
    root = np.array([[-1.0]]), np.array([[1.0]])
    law = law_of(TruncatedNormal(scale), box, root, np.array([[above]]))
    assert isinstance(law, NormalLaw)
    return law


def normal_mass(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """P(a ≤ N(0, 1) ≤ b), on the side of 0 where the digits are."""
    a, b = (-b, -a) if a + b > 0 else (a, b)
    return mpmath.ncdf(b) - mpmath.ncdf(a)


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(("part", "scale"), PARTS)
def test_the_truncated_normal_in_a_box(
    part: tuple[float, float], scale: float, above: bool
) -> None:
    """Against the closed forms in 150 digits."""
    law = normal_law(part, scale, above)
    with mpmath.workdps(150):
        a, b = (mpmath.mpf(x) / mpmath.mpf(scale) for x in part)
        a, b = (a, b) if above else (-b, -a)
        width, mass = b - a, normal_mass(a, b)
        slope = (mpmath.npdf(a) - mpmath.npdf(b)) / mass  # E[z], and E[z²] below
        square = 1 + (a * mpmath.npdf(a) - b * mpmath.npdf(b)) / mass
        mean, variance = (b - slope) / width, (square - slope**2) / width**2
        for t in (1e-6, 0.5, 5.0, 300.0, -2.0, -40.0):
            s = mpmath.mpf(t) / width
            moved = normal_mass(a - s, b - s)
            exact = s**2 / 2 - s * b + mpmath.log(moved / mass)
            bound = mpmath.mpf(law.log_transform(np.array([[t]]))[0, 0])
            assert exact <= bound <= exact + 0.01 * (1 + abs(exact))
        assert mpmath.mpf(law.mean_lower[0, 0]) <= mean <= mpmath.mpf(law.mean_upper[0, 0])
        assert mpmath.mpf(law.variance_upper[0, 0]) >= variance
    assert float(law.mean_upper[0, 0] - law.mean_lower[0, 0]) < 0.01


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0])
def test_normal_half_spaces_never_below_what_is_drawn(name: str, scale: float) -> None:
    """200,000 draws; a bound that is too small by a thousandth of its size would show."""
    generator, law = np.random.default_rng(3), TruncatedNormal(scale)
    root = np.full(3, -1.0), np.full(3, 1.0)
    for _ in range(4):
        edges = np.sort(generator.uniform(-1, 1, (2, 3)).astype("f4").astype("f8"), axis=0)
        slope = generator.normal(size=3)
        x = law.sample(*edges, *root, generator, 200_000)
        corner = np.where(slope > 0, edges[1], edges[0])
        distance = (corner - x) @ slope
        h = float(np.quantile(distance, 0.05))
        seen = float((distance <= h).mean())
        lows, highs = (edge[None] for edge in edges)
        unit = law_of(law, (lows, highs), (root[0][None], root[1][None]), slope[None] > 0)
        spread = np.abs(slope) * (edges[1] - edges[0])
        (bound,) = METHODS[name](HalfSpaces.scaled(np.array([h]), spread[None], unit)).tolist()
        assert bound >= seen - 6 * math.sqrt(seen / 200_000)
