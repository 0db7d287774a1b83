"""The checker's own bounds: above every sample, and equal to themselves in exact arithmetic."""

from pathlib import Path

import numpy as np
import pytest
from networks import random_mlp, write_mlp

from simcert.checker.bounds import Pair
from simcert.checker.errors import CannotCheckError
from simcert.checker.exact import Dyadic, ExactPair
from simcert.checker.network import Network, read


def networks(folder: Path, sizes: list[int], seed: int, noise: float) -> tuple[Network, Network]:
    f = random_mlp(folder / "f.onnx", sizes, seed=seed)
    g = random_mlp(folder / "g.onnx", sizes, seed=seed, noise=noise)
    return read(f.read_bytes()), read(g.read_bytes())


def boxes(count: int, inputs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of all sizes, some of them points in some inputs."""
    generator = np.random.default_rng(seed)
    centre = generator.uniform(-1, 1, (count, inputs))
    radius = 2.0 ** generator.uniform(-12, 0, (count, 1)) * generator.random((count, inputs))
    radius[generator.random((count, inputs)) < 0.1] = 0.0
    return centre - radius, centre + radius


def functions(outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every output of f, of g and of f − g."""
    eye, zero = np.eye(outputs), np.zeros((outputs, outputs))
    return (
        np.vstack([eye, zero, zero]),
        np.vstack([zero, eye, zero]),
        np.vstack([zero, zero, eye]),
    )


@pytest.mark.parametrize("noise", [0.0, 1e-5, 0.01, 0.3])
@pytest.mark.parametrize("sizes", [[1, 6, 1], [3, 16, 16, 2], [5, 24, 24, 24, 24, 3]])
def test_contain_every_sample(tmp_path: Path, sizes: list[int], noise: float) -> None:
    for seed in range(4):
        f, g = networks(tmp_path, sizes, seed, noise)
        lower, upper = boxes(40, sizes[0], seed)
        c_f, c_g, c_d = functions(f.outputs)
        bounds = Pair(f, g).bound(lower, upper, c_f, c_g, c_d)
        generator = np.random.default_rng(seed)
        for _ in range(50):
            t = generator.choice([0.0, 1.0, generator.random()], size=lower.shape)
            x = lower + t * (upper - lower)
            a, b = f.evaluate(x), g.evaluate(x)
            values = a @ c_f.T + b @ c_g.T + (a - b) @ c_d.T
            rounding = 1e-13 * (1 + np.abs(a).max())
            assert (bounds.lower <= values + rounding).all()
            assert (values - rounding <= bounds.upper).all()
        assert np.isfinite(bounds.upper).all()


def test_equal_networks_differ_by_exactly_nothing(tmp_path: Path) -> None:
    f, g = networks(tmp_path, [3, 16, 16, 2], 0, 0.0)
    zero = np.zeros((2, 2))
    bounds = Pair(f, g).bound(-np.ones((1, 3)), np.ones((1, 3)), zero, zero, np.eye(2))
    assert (bounds.lower == 0).all()
    assert (bounds.upper == 0).all()


@pytest.mark.parametrize("noise", [1e-4, 0.1])
def test_exact_arithmetic_finds_the_same(tmp_path: Path, noise: float) -> None:
    """Not below the truth, and the same up to the choice of slopes."""
    f, g = networks(tmp_path, [3, 10, 10, 2], 3, noise)
    lower, upper = boxes(12, 3, 1)
    coefficients = functions(f.outputs)
    near, exact = (kind(f, g).bound(lower, upper, *coefficients) for kind in (Pair, ExactPair))
    width = exact.upper - exact.lower
    assert (np.abs(near.upper - exact.upper) <= 0.5 * width + 1e-12).all()
    x = lower + 0.5 * (upper - lower)
    a, b = f.evaluate(x), g.evaluate(x)
    values = np.hstack([a, b, a - b])
    assert (exact.lower <= values + 1e-12).all()
    assert (values <= exact.upper + 1e-12).all()


@pytest.mark.parametrize("sizes", [[2, 300, 1], [300, 2, 1], [3, 20, 20, 20, 2]])
def test_rounding_is_covered(tmp_path: Path, sizes: list[int]) -> None:
    """At a point the value is known exactly: the bounds of float64 must contain it."""
    for seed in range(3):
        f, g = networks(tmp_path, sizes, seed, 1e-6)
        x = np.random.default_rng(seed).uniform(-1e6, 1e6, (4, sizes[0]))
        coefficients = functions(f.outputs)
        near, exact = (kind(f, g).bound(x, x, *coefficients) for kind in (Pair, ExactPair))
        assert (near.lower <= exact.lower).all()
        assert (exact.upper <= near.upper).all()
        assert (np.nextafter(exact.lower, np.inf) >= exact.upper).all()


def test_a_cancellation_that_rounding_would_hide(tmp_path: Path) -> None:
    """g = relu(x + 2^24) − 2^24: over the reals equal to f = relu(x) on [0, 4]."""
    one = np.ones((1, 1))
    f = read(write_mlp(tmp_path / "f.onnx", [(one, np.zeros(1)), (one, np.zeros(1))]).read_bytes())
    g = read(
        write_mlp(
            tmp_path / "g.onnx", [(one, np.full(1, 2.0**24)), (one, np.full(1, -(2.0**24)))]
        ).read_bytes()
    )
    zero = np.zeros((1, 1))
    for kind, slack in ((Pair, 1e-5), (ExactPair, 0.0)):
        bounds = kind(f, g).bound(np.zeros((1, 1)), np.full((1, 1), 4.0), zero, zero, one)
        assert 0 <= bounds.upper[0, 0] <= slack
        assert -slack <= bounds.lower[0, 0] <= 0


def test_other_shapes_stand_side_by_side(tmp_path: Path) -> None:
    f = read(random_mlp(tmp_path / "f.onnx", [2, 8, 8, 2], seed=0).read_bytes())
    g = read(random_mlp(tmp_path / "g.onnx", [2, 5, 2], seed=1).read_bytes())
    lower, upper = boxes(20, 2, 0)
    zero = np.zeros((2, 2))
    x = lower + 0.3 * (upper - lower)
    values = f.evaluate(x) - g.evaluate(x)
    for kind in (Pair, ExactPair):
        pair = kind(f, g)
        assert not pair.nodes[-1].alike
        bounds = pair.bound(lower, upper, zero, zero, np.eye(2))
        assert (bounds.lower <= values + 1e-12).all()
        assert (values <= bounds.upper + 1e-12).all()


def test_weights_that_could_underflow_are_refused(tmp_path: Path) -> None:
    tiny = write_mlp(tmp_path / "big.onnx", [(np.full((2, 2), 1e38), np.zeros(2))] * 3)
    f = read(tiny.read_bytes())
    with pytest.raises(CannotCheckError, match="too large"):
        Pair(f, f)


def test_dyadic_numbers_are_exact() -> None:
    values = np.array([[0.1, -3.0], [2.0**-60, 1e18]])
    x = Dyadic.of(values)
    assert (x.above() == values).all()
    assert (x.below() == values).all()
    total = x + Dyadic.of(np.full((2, 2), 2.0**-200))
    assert (total.above() > values).all()
    assert (total.below() == values).all()
