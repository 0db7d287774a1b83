"""What float32 absorbs: f = relu(x) against g = relu(x + 2^k) − 2^k, bare and hidden."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.layers import Conv, Flatten, Network, Relu, dense, float32
from hunt.pairs import Pair

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS

ONE, ZERO = np.ones((1, 1)), np.zeros(1)


def absorbing(k: int) -> tuple[Network, Network]:
    """f = relu(x) and g = relu(x + 2^k) − 2^k, equal for x ≥ 0."""
    offset = 2.0**k
    return dense([(ONE, ZERO), (ONE, ZERO)]), dense([(ONE, ZERO + offset), (ONE, ZERO - offset)])


def hidden(random: np.random.Generator, k: int) -> tuple[Network, Network]:
    """A random deep network, and a copy one of whose layers adds 2^k which the next takes back.

    Where the neurons stay positive, on part of the region, the two are equal over the reals: the
    next layer's weights are powers of two, so that float32 holds the bias that takes 2^k back.
    """
    sizes = [int(n) for n in random.integers(2, 7, int(random.integers(3, 5)))]
    layers = []
    for fan_in, fan_out in zip([2, *sizes], [*sizes, 2], strict=True):
        weight = random.choice([-1.0, 0.0, 0.5, 1.0], (fan_out, fan_in))
        layers.append((weight, random.choice([0.0, 1.0, 2.0], fan_out)))
    place = int(random.integers(len(layers) - 1))
    changed = list(layers)
    weight, bias = layers[place]
    offset = 2.0**k * (np.arange(len(bias)) == random.integers(len(bias)))
    after, last = layers[place + 1]
    changed[place] = weight, bias + offset
    changed[place + 1] = after, last - after @ offset
    return dense(layers), dense(changed)


def largest_run(pair: Pair, low: float, high: float) -> float:
    """The greatest difference that ONNX Runtime computes, on many points of a cube."""
    random = np.random.default_rng(0)
    x = float32(random.uniform(low, high, (20_000, pair.f.inputs)))
    x[: len(x) // 2] = np.round(x[: len(x) // 2] * 8) / 8
    return max(float(np.abs(f - g).max()) for f, g in pair.runs(x, "float32"))


def cube(inputs: int, low: float, high: float) -> Region:
    return Region.from_boxes(np.full((1, inputs), low), np.full((1, inputs), high), source="cube")


@pytest.mark.parametrize("k", range(20, 31))
def test_float32_bounds_what_the_runtime_loses(tmp_path: Path, figures: Figures, k: int) -> None:
    pair = Pair(*absorbing(k), tmp_path)
    seen = largest_run(pair, 0.0, 4.0)
    if k == 24:
        assert seen == 1.0
    for max_boxes in (1, 300):
        claim = Claim(cube(1, 0.0, 4.0), tolerance=0.9 * seen, arithmetic="float32")
        result = verify(*pair.paths, claim, samples=0, max_boxes=max_boxes, threads=1)
        assert result.proof.bound >= seen
        assert result.verdict is not Verdict.PROVED
        figures["absorbing pairs"] += 1


@pytest.mark.parametrize("k", range(20, 31))
def test_real_arithmetic_sees_nothing_and_says_that_it_is_real(tmp_path: Path, k: int) -> None:
    pair = Pair(*absorbing(k), tmp_path)
    claim = Claim(cube(1, 0.0, 4.0), tolerance=1e-3, arithmetic="real")
    result = verify(*pair.paths, claim, samples=0, max_boxes=50, threads=1)
    assert result.verdict is Verdict.PROVED
    assert result.proof.bound <= 2.0 ** (k - 40)
    assert result.to_dict()["claim"]["arithmetic"] == "real"
    assert "real" in " ".join(result.assumptions)


def test_float32_bounds_what_is_lost_inside_a_network(tmp_path: Path, figures: Figures) -> None:
    lost = 0
    for index, random in enumerate(generators(12, "hidden absorption")):
        folder = tmp_path / str(index)
        folder.mkdir()
        f, g = hidden(random, int(random.integers(20, 31)))
        pair = Pair(f, g, folder)
        real = verify(
            *pair.paths,
            Claim(cube(2, 0.0, 4.0), arithmetic="real"),
            samples=0,
            max_boxes=20,
            threads=1,
        )
        seen = largest_run(pair, 0.0, 4.0)
        claim = Claim(cube(2, 0.0, 4.0), arithmetic="float32")
        result = verify(*pair.paths, claim, samples=0, max_boxes=20, threads=1)
        assert result.proof.bound >= seen
        figures["absorbing pairs"] += 1
        lost += seen > real.proof.bound
    assert lost >= 3  # bounds over the reals are false for what the runtime computes


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**-10, 2.0**10])
def test_float32_bounds_what_is_lost_behind_weights(
    tmp_path: Path, figures: Figures, scale: float
) -> None:
    """2^24 is not in the file: it is the product of a weight and a constant neuron."""
    first = np.array([[1.0], [0.0]]), np.array([0.0, 2.0**24 * scale])
    back = np.array([[1.0, -1.0 / scale]]), np.zeros(1)
    middle = np.array([[1.0, 1.0 / scale], [0.0, 1.0]]), np.zeros(2)
    f = dense([(ONE, ZERO), (ONE, ZERO), (ONE, ZERO)])
    g = dense([first, middle, back])
    pair = Pair(f, g, tmp_path)
    seen = largest_run(pair, 0.0, 4.0)
    assert seen == 1.0
    claim = Claim(cube(1, 0.0, 4.0), tolerance=0.9, arithmetic="float32")
    result = verify(*pair.paths, claim, samples=0, max_boxes=100, threads=1)
    assert result.proof.bound >= seen
    assert result.verdict is not Verdict.PROVED
    figures["absorbing pairs"] += 1


def test_a_witness_that_only_rounding_makes_counts_in_float32(tmp_path: Path) -> None:
    """The claim is about what is computed: there the difference of 1 is real."""
    pair = Pair(*absorbing(24), tmp_path)
    claim = Claim(cube(1, 0.0, 4.0), tolerance=0.5, arithmetic="float32")
    result = verify(*pair.paths, claim, samples=1000, max_boxes=50, threads=1)
    assert result.verdict is Verdict.REFUTED
    assert result.witness is not None
    assert Fraction(result.witness.divergence) > Fraction(1, 2)


def test_offsets_hide_in_convolutions_too(tmp_path: Path, figures: Figures) -> None:
    """The same with 1×1 convolutions."""
    one = np.ones((1, 1, 1, 1))
    for arithmetic in ARITHMETICS:
        f, g = (
            Network((Conv(one, ZERO + k), Relu(), Conv(one, ZERO - k), Flatten()), (1, 2, 2))
            for k in (0.0, 2.0**24)
        )
        pair = Pair(f, g, tmp_path)
        claim = Claim(cube(4, 0.0, 4.0), arithmetic=arithmetic)
        bound = verify(*pair.paths, claim, samples=0, max_boxes=5, threads=1).proof.bound
        assert bound >= 1.0 if arithmetic == "float32" else bound < 1e-6
        figures["absorbing pairs"] += 1
