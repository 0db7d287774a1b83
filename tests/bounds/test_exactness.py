"""Where a bound must be exact, tight, or at least no worse than a simpler method's."""

import itertools
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from soundness.networks import COMPRESSIONS, OPERATORS, box, compress, network
from soundness.programs import FLOAT, bound, dense, evaluate, intervals, unaligned

from simcert.bounds import Propagator
from simcert.model.linear import Dense
from simcert.model.lowering import lower
from simcert.model.program import Affine, Program
from simcert.pairing import align

Random = np.random.Generator


def random_dense(random: Random, *sizes: int) -> Program:
    layers: list[tuple[torch.Tensor, torch.Tensor] | str] = []
    for index, (n, m) in enumerate(itertools.pairwise(sizes)):
        weight = torch.from_numpy(random.standard_normal((m, n)) / n**0.5)
        layers += ["relu"] * (index > 0)
        layers.append((weight, torch.from_numpy(random.standard_normal(m) * 0.3)))
    return dense(*layers)


def perturbed(random: Random, program: Program, size: float) -> Program:
    layers: list[tuple[torch.Tensor, torch.Tensor] | str] = []
    for step in program.steps[1:]:
        if hasattr(step, "maps"):
            weight = step.maps[0].weight
            noise = torch.from_numpy(random.standard_normal(tuple(weight.shape)))
            layers.append((weight + size * noise, step.bias))
        else:
            layers.append("relu")
    return dense(*layers)


def corners(random: Random, inputs: int, kinds: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    boxes = [box(random, inputs, kind) for kind in kinds]
    low, high = (torch.tensor(np.array(c)) for c in zip(*boxes, strict=True))
    return low, high


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_identical_networks_differ_by_exactly_zero(operator: str) -> None:
    for seed in range(8):
        random = np.random.default_rng([seed, zlib.crc32(operator.encode())])
        style = ("plain", "wide", "absorbing")[seed % 3]
        graph = network(random, operator, style=style)
        f, g = lower(graph), lower(compress(random, graph, "same"))
        low, high = corners(random, f.inputs, ["unit", "point", "offset", "small", "mixed"])
        result = bound(f, g, low, high)
        delta = slice(2 * f.outputs, None)
        assert result.lower[:, delta].eq(0).all()
        assert result.upper[:, delta].eq(0).all()


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_intervals_of_every_node_contain_its_values(operator: str) -> None:
    for seed in range(6):
        random = np.random.default_rng([seed, 1, zlib.crc32(operator.encode())])
        f = network(random, operator, outputs=2)
        g = compress(random, f, COMPRESSIONS[seed + 3], "plain")
        dual = align(lower(f), lower(g))
        low, high = corners(random, f.input.size, ["unit", "small", "mixed", "positive"])
        eye = torch.eye(2, dtype=FLOAT)
        triples = Propagator(dual, eye, eye, eye).bound(low, high).triples
        for index in range(len(low)):
            share = torch.from_numpy(random.random((40, f.input.size)))
            share[:20] = share[:20].round()
            x = torch.clamp(low[index] + share * (high - low)[index], low[index], high[index])
            for triple, (a, b) in zip(triples, evaluate(dual, x), strict=True):
                size = max(v.abs().max().item() for v in (a, b) if v is not None)
                delta = None if a is None or b is None else a - b
                for interval, value in zip(triple, (a, b, delta), strict=True):
                    if value is None:
                        continue
                    slack = 1e-11 * (1 + size)
                    assert (value >= interval.lower[index] - slack).all()
                    assert (value <= interval.upper[index] + slack).all()


def test_stable_networks_have_their_true_range() -> None:
    """Active neurons only: f and g are affine, the bound is the range of their difference."""
    random = np.random.default_rng(3)
    for _ in range(20):
        weights = [torch.from_numpy(random.standard_normal(s)) for s in ((6, 3), (5, 6), (2, 5))]
        others = [
            w + 0.1 * torch.from_numpy(random.standard_normal(tuple(w.shape))) for w in weights
        ]
        biases = [torch.full((6,), 50.0, dtype=FLOAT), torch.full((5,), 1000.0, dtype=FLOAT)]
        biases.append(torch.zeros(2, dtype=FLOAT))
        f, g = (
            dense((w[0], biases[0]), "relu", (w[1], biases[1]), "relu", (w[2], biases[2]))
            for w in (weights, others)
        )
        result = bound(f, g, -torch.ones(1, 3, dtype=FLOAT), torch.ones(1, 3, dtype=FLOAT))
        maps = [w[2] @ w[1] @ w[0] for w in (weights, others)]
        shifts = [w[2] @ (w[1] @ biases[0] + biases[1]) + biases[2] for w in (weights, others)]
        rows = torch.cat([maps[0], maps[1], maps[0] - maps[1]])
        centre = torch.cat([shifts[0], shifts[1], shifts[0] - shifts[1]])
        radius = rows.abs().sum(1)
        scale = 1 + centre.abs().max()
        assert (result.upper[0] - (centre + radius)).abs().max() <= 1e-12 * scale
        assert (result.lower[0] - (centre - radius)).abs().max() <= 1e-12 * scale


def test_one_affine_layer_has_its_true_range() -> None:
    random = np.random.default_rng(4)
    f = random_dense(random, 4, 3)
    g = perturbed(random, f, 1e-3)
    low, high = corners(random, 4, ["unit", "positive", "mixed"])
    result = bound(f, g, low, high)
    difference = f.steps[1].maps[0].weight - g.steps[1].maps[0].weight
    centre, radius = (low + high) / 2, (high - low) / 2
    exact = centre @ difference.T + radius @ difference.abs().T
    assert (result.upper[:, 6:] - exact).abs().max() < 1e-12


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.1, 3.0])
@pytest.mark.parametrize("kind", ["unit", "small", "positive", "large"])
def test_never_worse_than_the_product_network(noise: float, kind: str) -> None:
    for f, g, low, high in pairs(noise, kind):
        dual = align(f, g)
        ours = bound(f, g, low, high, dual)
        product = bound(f, g, low, high, unaligned(dual))
        scale = 1e-12 * (1 + product.upper.abs().max())
        assert (ours.upper[:, 4:] <= product.upper[:, 4:] + scale).all()
        assert (ours.lower[:, 4:] >= product.lower[:, 4:] - scale).all()


def test_equal_first_layers_are_never_worse_than_the_product_network() -> None:
    """Rows on δ alone: where only the last layer differs, b's bounds still matter."""
    random = np.random.default_rng(9)
    zero, eye = torch.zeros(1, 1, dtype=FLOAT), torch.eye(1, dtype=FLOAT)
    low, high = -torch.ones(1, 3, dtype=FLOAT), torch.ones(1, 3, dtype=FLOAT)
    for _ in range(10):
        f = random_dense(random, 3, 8, 8, 8, 1)
        last = f.steps[-1]
        assert isinstance(last, Affine)
        weight = torch.from_numpy(random.standard_normal((1, 8)))
        changed = Affine(last.operands, (Dense(weight),), last.bias, "changed")
        dual = align(f, Program((*f.steps[:-1], changed)))
        ours = Propagator(dual, zero, zero, eye).bound(low, high)
        product = Propagator(unaligned(dual), zero, zero, eye).bound(low, high)
        assert ours.upper <= product.upper + 1e-12
        assert ours.lower >= product.lower - 1e-12


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.1, 3.0])
@pytest.mark.parametrize("kind", ["unit", "small", "positive", "large"])
def test_never_worse_than_plain_intervals(noise: float, kind: str) -> None:
    for f, g, low, high in pairs(noise, kind):
        ours = bound(f, g, low, high)
        f_low, f_high = intervals(f, low, high)
        g_low, g_high = intervals(g, low, high)
        scale = 1e-12 * (1 + f_high.abs().max() + g_high.abs().max())
        plain_low = torch.cat([f_low, g_low, f_low - g_high], 1)
        plain_high = torch.cat([f_high, g_high, f_high - g_low], 1)
        assert (ours.upper <= plain_high + scale).all()
        assert (ours.lower >= plain_low - scale).all()


def pairs(noise: float, kind: str) -> Iterator[tuple[Program, Program, torch.Tensor, torch.Tensor]]:
    random = np.random.default_rng([7, int(noise * 1e6)])
    for _ in range(8):
        f = random_dense(random, 3, 8, 8, 2)
        g = perturbed(random, f, noise)
        yield f, g, *corners(random, 3, [kind] * 2)


@pytest.mark.parametrize("width", [1e-2, 1e-5, 1e-9])
def test_a_planted_bump_that_samples_miss_is_seen(width: float) -> None:
    """g = f + a tent of height 1 and half-width `width`, in the middle of nowhere."""
    random = np.random.default_rng(11)
    for _ in range(10):
        place = float(random.uniform(-0.9, 0.9))
        slope = 1 / width
        tent = torch.tensor([[1.0], [1.0], [1.0]], dtype=FLOAT)
        shift = torch.tensor([-(place - width), -place, -(place + width)], dtype=FLOAT)
        inner = torch.from_numpy(random.standard_normal((4, 1)))
        weight, bias = torch.cat([inner, tent]), torch.cat([torch.ones(4, dtype=FLOAT), shift])
        out = torch.from_numpy(random.standard_normal((1, 4)))
        up = torch.tensor([[slope, -2 * slope, slope]], dtype=FLOAT)
        zero = torch.zeros(1, dtype=FLOAT)
        f = dense((weight, bias), "relu", (torch.cat([out, torch.zeros_like(up)], 1), zero))
        g = dense((weight, bias), "relu", (torch.cat([out, up], 1), zero))
        x = torch.linspace(-1, 1, 50, dtype=FLOAT)[:, None]
        x = x[(x - place).abs()[:, 0] > width]
        assert (f.run(x) - g.run(x)).abs().max() < 1e-5 * slope**0.5
        result = bound(f, g, [[-1.0], [place - width]], [[1.0], [place + width]])
        assert (result.lower[:, 2] <= -1 + 1e-6).all()


def test_exchanging_the_networks_negates_the_intervals() -> None:
    random = np.random.default_rng(5)
    ratios = []
    for seed in range(20):
        f = random_dense(random, 3, 6, 6, 2)
        g = perturbed(random, f, 10.0 ** random.uniform(-4, 0))
        low, high = corners(random, 3, ["unit", "small"])
        forth, back = bound(f, g, low, high), bound(g, f, low, high)
        x = low + (high - low) * torch.from_numpy(random.random((200, 1, 3)))
        difference = f.run(x.reshape(-1, 3)) - g.run(x.reshape(-1, 3))
        difference = difference.reshape(200, 2, 2)
        for result, sign in ((forth, 1.0), (back, -1.0)):
            assert (sign * difference <= result.upper[:, 4:] + 1e-12).all(), seed
            assert (sign * difference >= result.lower[:, 4:] - 1e-12).all(), seed
        ratios.append((forth.upper - forth.lower)[:, 4:] / (back.upper - back.lower)[:, 4:])
    spread = torch.stack(ratios)
    assert (spread > 0.1).all()
    assert (spread < 10).all()


def test_a_child_box_contains_its_own_values() -> None:
    random = np.random.default_rng(6)
    for _ in range(10):
        f = random_dense(random, 2, 6, 6, 1)
        g = perturbed(random, f, 0.05)
        low, high = corners(random, 2, ["unit"])
        for _depth in range(8):
            axis = int(random.integers(2))
            middle = (low + high)[:, axis] / 2
            side = high if random.random() < 0.5 else low
            side[:, axis] = middle
            result = bound(f, g, low, high)
            x = low + (high - low) * torch.from_numpy(random.random((100, 2)))
            values = torch.cat([f.run(x), g.run(x), f.run(x) - g.run(x)], 1)
            assert (values <= result.upper + 1e-12).all()
            assert (values >= result.lower - 1e-12).all()


def test_many_boxes_at_once_give_the_bounds_of_each_alone() -> None:
    random = np.random.default_rng(8)
    f = random_dense(random, 3, 8, 8, 2)
    g = perturbed(random, f, 1e-2)
    low, high = corners(random, 3, ["unit", "small", "point", "mixed", "offset", "positive"] * 5)
    together = bound(f, g, low, high)
    for index in range(len(low)):
        alone = bound(f, g, low[index : index + 1], high[index : index + 1])
        scale = 1e-12 * (1 + alone.upper.abs().max())
        assert (together.upper[index] - alone.upper[0]).abs().max() <= scale
        assert (together.lower[index] - alone.lower[0]).abs().max() <= scale
