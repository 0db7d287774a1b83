"""A difference that nobody finds by looking: a narrow bump that samples and gradients miss."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import refute
from hunt.layers import Dense, Network, float32
from hunt.pairs import Pair, divergence_of
from hunt.random_networks import Random, small_mlp

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS

pytestmark = pytest.mark.parametrize("arithmetic", ARITHMETICS)


def with_bump(
    random: Random, network: Network, width: float, height: float
) -> tuple[Network, np.ndarray]:
    """The network plus a trapezoid of a width and a height in one input, and a point on its top.

    h (relu(t + 3) − relu(t + 1) − relu(t − 1) + relu(t − 3))/2 with t = 6 (x_i − c)/width stands in
    four more neurons of the first hidden layer, and travels on through one neuron of each other.
    """
    inputs, outputs = network.inputs, network.outputs
    axis, centre = int(random.integers(inputs)), float(random.uniform(-0.9, 0.9))
    steep = 6 / width
    rows = np.zeros((4, inputs))
    rows[:, axis] = steep
    offsets = np.array([3.0, 1.0, -1.0, -3.0]) - steep * centre
    signs = 0.5 * np.array([[1.0, -1.0, -1.0, 1.0]])
    layers = list(network.layers)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for place, i in enumerate(dense):
        layer = layers[i]
        if place == 0:
            weight = np.concatenate([layer.weight, rows])
            bias = np.concatenate([layer.bias, offsets])
        elif place < len(dense) - 1:
            own = signs if place == 1 else np.ones((1, 1))
            weight = _beside(layer.weight, own)
            bias = np.append(layer.bias, 0.0)
        else:
            own = height * (signs if place == 1 else np.ones((1, 1)))
            chosen = np.zeros((outputs, 1))
            chosen[random.integers(outputs)] = 1.0
            weight, bias = np.concatenate([layer.weight, chosen @ own], axis=1), layer.bias
        layers[i] = replace(layer, weight=float32(weight), bias=float32(bias))
    x = random.uniform(-1, 1, inputs)
    x[axis] = centre
    return replace(network, layers=tuple(layers)), float32(x)


def _beside(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A block matrix with two blocks."""
    rows = first.shape[0] + second.shape[0]
    joint = np.zeros((rows, first.shape[1] + second.shape[1]))
    joint[: first.shape[0], : first.shape[1]] = first
    joint[first.shape[0] :, first.shape[1] :] = second
    return joint


def planted(random: Random, folder: Path) -> tuple[Pair, np.ndarray]:
    """A random network and its copy with a bump, and where the bump is."""
    f = small_mlp(random, 3)
    height = 10.0 ** random.uniform(-2, 2)
    g, x = with_bump(random, f, 1e-4, height)
    if random.random() < 0.5:
        f, g = g, f
    folder.mkdir()
    return Pair(f, g, folder), x


def height_of(pair: Pair, x: np.ndarray, arithmetic: str) -> Fraction:
    """The difference at the top of the bump, exactly, as the arithmetic has it."""
    runs = range(1 if arithmetic == "real" else len(pair.sessions))
    return max(divergence_of("linf", *pair.exactly(x, run, arithmetic))[0] for run in runs)


def test_no_proof_comes_out_below_the_bump(
    tmp_path: Path, figures: Figures, arithmetic: str
) -> None:
    for index, random in enumerate(generators(12, "bump", arithmetic)):
        pair, x = planted(random, tmp_path / str(index))
        height = height_of(pair, x, arithmetic)
        ones = np.ones((1, pair.f.inputs))
        region = Region.from_boxes(-ones, ones, source="cube")
        tolerance = float(height) * float(random.choice([1e-3, 0.5, 0.99, 1 - 1e-9]))
        claim = Claim(region, tolerance=tolerance, arithmetic=arithmetic)
        budget = {"threads": 1, "max_boxes": int(random.choice([1, 50, 400])), "seed": index}
        result = verify(*pair.paths, claim, samples=500, **budget)
        assert height <= result.proof.bound
        assert tolerance < height
        assert result.verdict in (Verdict.REFUTED, Verdict.INCONCLUSIVE), (tolerance, float(height))
        refute(result, pair)
        figures[f"bumps: {result.verdict.value}"] += 1


def test_no_probability_leaves_the_bump_out(
    tmp_path: Path, figures: Figures, arithmetic: str
) -> None:
    """The top of the trapezoid is a third of its width: 1e-4 / 3 of 2, that is 1.6e-5."""
    top = 1e-4 / 3 / 2
    for index, random in enumerate(generators(6, "bump mass", arithmetic)):
        f = small_mlp(random, 2)
        g, x = with_bump(random, f, 1e-4, 100.0)
        folder = tmp_path / str(index)
        folder.mkdir()
        pair = Pair(f, g, folder)
        height = float(height_of(pair, x, arithmetic))
        ones = np.ones((1, f.inputs))
        claim = Claim(
            Region.from_boxes(-ones, ones, source="cube"),
            tolerance=0.5 * height,
            max_violation=0.5 * top,
            arithmetic=arithmetic,
        )
        result = verify(*pair.paths, claim, samples=2000, max_boxes=300, threads=1, seed=index)
        assert not result.verdict.holds
        assert result.proof.violation_upper >= top
        if result.statistics is not None:  # confidence 0.999; nothing was seen
            assert result.statistics.violation_upper >= top
        figures[f"bump masses: {result.verdict.value}"] += 1
