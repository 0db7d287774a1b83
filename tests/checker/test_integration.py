"""Half-spaces in boxes: every method against exact volumes and integrals; planes against points."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from certificates import Certified
from numpy.typing import NDArray
from scipy import integrate, stats

from simcert.checker import mass
from simcert.checker.bounds import Pair
from simcert.checker.claim import Claim, Region
from simcert.checker.halfspaces import METHODS, HalfSpaces
from simcert.checker.integration import Integrator
from simcert.checker.laws import law
from simcert.checker.leaves import Functions
from simcert.checker.network import read
from simcert.checker.specification import parse
from simcert.checker.tree import Leaves

Float = NDArray[np.float64]


def claim_on(lower: Float, upper: Float, scale: float | None, spec: str = "linf") -> Claim:
    region = Region(lower[None], upper[None], np.ones(1))
    decision = "argmin" if spec.startswith("top") else None
    return Claim(region, scale, parse(spec, decision), None, 0.01, 0.1, 0.99, "real")


def leaves_of(lower: Float, upper: Float) -> Leaves:
    return Leaves(lower[None], upper[None], np.zeros(1, np.int64))


def exact_volume(h: float, b: Float) -> Fraction:
    """The formula over the corners, in fractions."""
    exact = [Fraction(x) for x in b.tolist() if x]
    corners = product(*[(Fraction(0), x) for x in exact])
    above = Fraction(0)
    for corner in corners:
        rest = Fraction(h) - sum(corner)
        sign = (-1) ** sum(1 for x in corner if x)
        above += sign * rest ** len(exact) if rest > 0 else 0
    return min(Fraction(1), above / math.factorial(len(exact)) / math.prod(exact))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_no_method_is_below_the_volume(method: str, inputs: int) -> None:
    generator = np.random.default_rng(inputs)
    spread = generator.random((60, inputs)) * 10.0 ** generator.integers(-9, 3, (60, inputs))
    spread[::7, 0] = 0.0 if inputs > 1 else 1.0
    excess = spread.sum(axis=1) * generator.random(60) ** 3
    zero, one = np.zeros(inputs), np.ones(inputs)
    uniform = law(
        claim_on(zero, one, None),
        Leaves(np.zeros((60, inputs)), np.ones((60, inputs)), np.zeros(60, np.int64)),
        np.ones((60, inputs), dtype=bool),
    )
    found = METHODS[method](HalfSpaces.scaled(excess, spread, uniform))
    exact = [exact_volume(h, b) for h, b in zip(excess.tolist(), spread, strict=True)]
    assert all(Fraction(f) >= e for f, e in zip(found.tolist(), exact, strict=True))
    assert (found <= 1).all()
    if method == "volume":
        close = np.array([float(e) for e in exact])
        np.testing.assert_allclose(found, close, rtol=1e-9, atol=1e-30)


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(("lower", "upper"), [(-1.0, 1.0), (0.5, 0.75), (-0.9, -0.25)])
def test_truncated_normal_laws(lower: float, upper: float, above: bool) -> None:
    """Mean, variance, density and transform against quadrature."""
    scale = 0.4
    box = np.array([-1.0]), np.array([1.0])
    leaf = leaves_of(np.array([lower]), np.array([upper]))
    found = law(claim_on(*box, scale), leaf, np.array([[above]]))
    weight = integrate.quad(lambda x: stats.norm.pdf(x / scale), lower, upper)[0]

    def mean(g: object) -> float:
        def inside(x: float) -> float:
            u = (upper - x if above else x - lower) / (upper - lower)
            return g(u) * stats.norm.pdf(x / scale)  # type: ignore[operator]

        return integrate.quad(inside, lower, upper, epsabs=1e-13, epsrel=1e-13)[0] / weight

    first = mean(lambda u: u)
    assert found.mean_lower[0, 0] <= first <= found.mean_upper[0, 0]
    assert found.mean_upper[0, 0] - found.mean_lower[0, 0] < 1e-10
    variance = mean(lambda u: (u - first) ** 2)
    assert variance <= found.variance[0, 0] <= variance + 1e-10
    nearest = min(max(lower, 0.0), upper)
    density = stats.norm.pdf(nearest / scale) * (upper - lower) / weight
    assert density <= found.density[0, 0] * (1 + 1e-12) <= density * (1 + 1e-9)
    for t in (-3.0, 0.0, 0.5, 4.0, 40.0):
        exact = math.log(mean(lambda u, t=t: math.exp(-t * u)))
        assert exact <= found.log_transform(np.array([[t]]))[0, 0] <= exact + 0.03


def test_narrow_and_far_normal_leaves_have_trivial_laws() -> None:
    leaf = leaves_of(np.array([0.99]), np.array([0.9900001]))
    claim = claim_on(np.array([-1.0]), np.array([1.0]), 0.01)
    found = law(claim, leaf, np.array([[True]]))
    assert (found.mean_lower[0, 0], found.mean_upper[0, 0]) == (0, 1)
    events = HalfSpaces.scaled(np.array([1e-9]), np.array([[1.0]]), found)
    assert all(method(events) == 1 for method in METHODS.values())


def test_the_normal_density_in_fixed_point() -> None:
    for z in (0.0, 0.3, -2.0, 7.0, 16.0):
        assert float(mass.gauss(Fraction(z))) == pytest.approx(math.exp(-z * z / 2), rel=1e-14)


@pytest.fixture(scope="module")
def pair(integrated: Certified) -> Pair:
    f, g = (read(path.read_bytes()) for path in (integrated.original, integrated.compressed))
    return Pair(f, g)


def test_planes_lie_above(pair: Pair, integrated: Certified) -> None:
    """The linear bounds of δ hold at points of the box, seen from the corner they start from."""
    f, g = (read(path.read_bytes()) for path in (integrated.original, integrated.compressed))
    generator = np.random.default_rng(0)
    zero, unit = np.zeros((4, 4)), np.eye(4)
    for width in (1.0, 0.2, 0.01):
        lower = generator.uniform(-1, 1 - width, (8, 2))
        upper = lower + width
        planes = pair.bound(lower, upper, zero, zero, unit, planes=True).planes
        assert planes is not None
        for box in range(8):
            x = lower[box] + generator.random((200, 2)) * width
            d = f.evaluate(x) - g.evaluate(x)
            values = np.hstack([d, -d])
            slopes = planes.slopes[box]
            far = np.where(slopes > 0, upper[box] - x[:, None], x[:, None] - lower[box])
            assert (values <= planes.ends[box] - (np.abs(slopes) * far).sum(axis=2) + 1e-12).all()


@pytest.mark.parametrize("scale", [None, 0.4])
@pytest.mark.parametrize("spec", ["linf", "l1", "l2", "top1", "top1-confident:delta=0.01", "kl"])
def test_shares_are_not_below_what_is_drawn(
    pair: Pair, integrated: Certified, spec: str, scale: float | None
) -> None:
    """P(d > ε | leaf) by each method is at least the frequency among 4,000 draws, less 5 sigma."""
    f, g = (read(path.read_bytes()) for path in (integrated.original, integrated.compressed))
    corner = np.ones(2)
    claim = claim_on(-corner, corner, scale, spec)
    tolerance = {"kl": 1e-5, "l1": 0.02, "l2": 0.012, "linf": 0.008}.get(spec, 0.5)
    claim = Claim(**{**vars(claim), "tolerance": tolerance})
    functions = Functions(*claim.divergence.rows(4))
    integrator = Integrator(pair, claim, functions, np.dtype(np.float32))
    generator = np.random.default_rng(1)
    informative = 0
    for width in (0.5, 0.1):
        lower = np.round(generator.uniform(-1, 1 - width, (12, 2)), 2)
        upper = lower + width
        leaves = Leaves(lower, upper, np.zeros(12, np.int64))
        parts = integrator._bounded(leaves)
        weights = np.array([float(m) for m in mass.masses(claim, leaves)])
        shares = parts.shares / weights[:, None]
        for box in range(12):
            if scale is None:
                x = lower[box] + generator.random((4000, 2)) * width
            else:
                ends = lower[box] / scale, upper[box] / scale
                x = scale * stats.truncnorm.rvs(*ends, size=(4000, 2), random_state=generator)
            x = x.astype(np.float32).astype(np.float64)
            violating = claim.divergence.value(f.evaluate(x), g.evaluate(x)) > tolerance
            frequency = violating.mean()
            slack = 5 * math.sqrt(max(frequency * (1 - frequency), 1e-4) / 4000)
            assert (shares[box] >= frequency - slack).all(), (box, frequency, shares[box])
            informative += bool(0 < shares[box].min() < 1)
    assert informative
