"""Layer-wise concentration against brute force: how often what holds but for η does not hold."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from networks import random_mlp
from scipy.stats import binom

from simcert.bounds import Propagator
from simcert.bounds.concentration import ConcentratedPropagator
from simcert.claim import Claim, Region, TruncatedNormal, Uniform
from simcert.claim.divergences import parse
from simcert.concentration import Concentration, applies, concentrate, concentrate_within
from simcert.errors import ClaimError
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.program import Program
from simcert.model.runtime import Runtime
from simcert.pairing import DualProgram, align, spread

DRAWS = 10_000


class Pair:
    """Two files, as a dual program and as runs in ONNX Runtime."""

    def __init__(
        self,
        folder: Path,
        sizes: tuple[int, ...],
        seed: int,
        noise: float,
        activation: str = "Relu",
    ) -> None:
        paths = (
            random_mlp(folder / "f.onnx", sizes, seed),
            random_mlp(folder / "g.onnx", sizes, seed, noise),
        )
        for path in paths:
            model = onnx.load(path)
            for node in model.graph.node:
                node.op_type = activation if node.op_type == "Relu" else node.op_type
            onnx.save(model, path)
        models = [load(path) for path in paths]
        programs = [lower(model.graph) for model in models]
        self.f, self.g = programs
        self.runtimes = [Runtime(model, 1) for model in models]
        self.dual: DualProgram = align(programs[0], spread(*programs, models[1].graph.metadata))

    def differences(self, x: np.ndarray) -> np.ndarray:
        """f − g over the reals, (n, outputs)."""
        points = torch.tensor(x)
        return (self.f.run(points) - self.g.run(points)).numpy()

    def in_float32(self, x: np.ndarray) -> np.ndarray:
        f, g = (runtime.run(x) for runtime in self.runtimes)
        return f - g


def region(inputs: int, seed: int, radius: float = 0.3, boxes: int = 1) -> Region:
    centre = np.random.default_rng(seed).normal(size=(boxes, inputs))
    ball = Region.from_boxes(centre - radius, centre + radius, source="balls")
    return ball.rounded_outward(np.float32)


def drawn(claim: Claim, seed: int, box: int = 0, count: int = DRAWS) -> np.ndarray:
    ends = claim.region.lower[box], claim.region.upper[box]
    return claim.distribution.sample(*ends, *ends, np.random.default_rng(seed), count)


def hard(pair: Pair, claim: Claim, box: int = 0) -> float:
    """The worst case by the same analysis with certain intervals."""
    rows = claim.divergence.rows(pair.dual.outputs)
    f, g, delta = (torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
    propagator = Propagator(pair.dual, f, g, delta, float32=claim.arithmetic == "float32")
    ends = torch.tensor(claim.region.lower[[box]]), torch.tensor(claim.region.upper[[box]])
    bounds = propagator.bound(*ends)
    return float(claim.divergence.upper(bounds.lower.numpy(), bounds.upper.numpy())[0])


def too_often(failures: int, draws: int, eta: float) -> bool:
    """Whether so many failures refute that their probability is at most η (at 1e-9)."""
    return bool(binom.sf(failures - 1, draws, eta) < 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_fails_with_probability_eta_at_most(tmp_path: Path, seed: int) -> None:
    sizes = [(20, 8, 3), (40, 12, 12, 4), (24, 10, 10, 10, 2)][seed % 3]
    pair = Pair(tmp_path, sizes, seed, noise=[0.02, 0.3][seed % 2])
    law = TruncatedNormal(0.5) if seed > 3 else Uniform()
    claim = Claim(region(sizes[0], seed), law, arithmetic="real")
    x = drawn(claim, seed)
    d = np.abs(pair.differences(x)).max(axis=1)
    for eta in (0.5, 0.05, 1e-3):
        found = concentrate(pair.dual, claim, np.float32, eta)
        assert 0.0 < found.spent <= eta
        assert not too_often(int((d > found.bound).sum()), DRAWS, found.spent)
        assert found.bound <= hard(pair, claim) * (1 + 1e-9)


class Watched(ConcentratedPropagator):
    """Keeps the intervals of all tensors."""

    def _bound_outputs(self, batch):
        self.triples = batch.triples
        return super()._bound_outputs(batch)


@pytest.mark.parametrize("seed", range(2))
def test_all_intervals_hold_at_once_but_for_what_was_spent(tmp_path: Path, seed: int) -> None:
    """Not the outputs alone: every tensor of both networks and their differences, jointly."""
    pair = Pair(tmp_path, (30, 10, 10, 3), seed, noise=0.1)
    claim = Claim(region(30, seed), arithmetic="real")
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    propagator = Watched(pair.dual, zero, zero, eye)

    def fall(slope: torch.Tensor, nats: float) -> torch.Tensor:
        """The exact quantile of 40,000 draws, which no inequality makes conservative."""
        x = torch.as_tensor(drawn(claim, 99, count=40_000))
        values = x @ slope.detach().T
        greatest = torch.where(slope > 0, slope * ends[1], slope * ends[0]).sum(1)
        return (greatest - torch.quantile(values, 1 - math.exp(-nats), dim=0)).clamp(min=0)

    ends = torch.tensor(claim.region.lower[0]), torch.tensor(claim.region.upper[0])
    *_, ledger = propagator.concentrate(*ends, fall, 0.9)
    assert sum(entry.eta for entry in ledger) <= 0.9
    assert {entry.block for entry in ledger} == {"f", "g", "delta", "outputs"}

    x = torch.as_tensor(drawn(claim, seed))
    holds = torch.ones(DRAWS, dtype=torch.bool)
    assert len(pair.dual.nodes) == len(pair.f.steps)
    for index, triple in enumerate(propagator.triples):
        a, b = (Program(network.steps[: index + 1]).run(x) for network in (pair.f, pair.g))
        for interval, value in zip(triple, (a, b, a - b), strict=True):
            slack = 1e-9 * (1 + value.abs())
            inside = (value >= interval.lower - slack) & (value <= interval.upper + slack)
            holds &= inside.all(1)
    before = sum(entry.eta for entry in ledger if entry.block != "outputs")
    failures = int((~holds).sum())
    assert failures > 0
    # The quantiles themselves are known up to a few hundredths.
    assert not too_often(failures, DRAWS, before * 1.1)


def test_between_the_draws_and_the_worst_case_and_narrower_with_more_to_spend(
    tmp_path: Path,
) -> None:
    pair = Pair(tmp_path, (100, 20, 20, 5), 0, noise=0.01)
    claim = Claim(region(100, 0), arithmetic="real")
    worst = hard(pair, claim)
    d = np.abs(pair.differences(drawn(claim, 0))).max(axis=1)
    bounds = [concentrate(pair.dual, claim, np.float32, 10.0**-n).bound for n in (1, 3, 9, 30, 200)]
    assert np.quantile(d, 0.999) <= bounds[1] <= worst / 3
    assert bounds == sorted(bounds)
    assert bounds[2] < worst / 2
    assert bounds[-1] <= worst * (1 + 1e-9)


def test_with_nothing_to_spend_it_is_the_worst_case(tmp_path: Path) -> None:
    """Of ten inputs the quantile at 1e-200 is the maximum up to 1e-19 of it."""
    pair = Pair(tmp_path, (10, 6, 3), 1, noise=0.05)
    claim = Claim(region(10, 1), arithmetic="real")
    found = concentrate(pair.dual, claim, np.float32, 1e-200)
    assert found.bound == pytest.approx(hard(pair, claim), rel=1e-9)
    assert {share.tensor for share in found.shares} <= {"outputs"}


def test_float32_covers_the_runs_and_is_not_narrower(tmp_path: Path) -> None:
    """Of two files that mean the same, rounding is all there is: every run must stay below D."""
    pair = Pair(tmp_path, (60, 16, 16, 4), 2, noise=1e-8)
    real = Claim(region(60, 2), arithmetic="real")
    float32 = replace(real, arithmetic="float32")
    bounds = [concentrate(pair.dual, claim, np.float32, 0.05) for claim in (real, float32)]
    assert bounds[0].bound < bounds[1].bound <= hard(pair, float32) * (1 + 1e-9)
    d = np.abs(pair.in_float32(drawn(real, 3))).max(axis=1)
    assert (d > bounds[0].bound).any()
    assert not too_often(int((d > bounds[1].bound).sum()), DRAWS, bounds[1].spent)


@pytest.mark.parametrize("name", ["l1", "l2", "top1"])
def test_other_divergences_with_linear_functions(tmp_path: Path, name: str) -> None:
    pair = Pair(tmp_path, (40, 10, 3), 4, noise=0.02)
    claim = Claim(region(40, 4), divergence=parse(name, None, "argmax"), arithmetic="real")
    found = concentrate(pair.dual, claim, np.float32, 0.05)
    x = torch.as_tensor(drawn(claim, 4))
    d = claim.divergence.evaluate(pair.f.run(x).numpy(), pair.g.run(x).numpy())
    assert not too_often(int((d > found.bound).sum()), DRAWS, found.spent)
    assert found.bound <= hard(pair, claim) * (1 + 1e-9)


def test_a_mixture_has_the_greatest_of_its_boxes_and_their_weighted_ledger(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (30, 8, 8, 3), 5, noise=0.05)
    both = region(30, 5, boxes=2)
    both = replace(both, weights=np.array([0.25, 0.75]))
    single = [
        concentrate(
            pair.dual,
            Claim(replace(both, lower=both.lower[[i]], upper=both.upper[[i]], weights=np.ones(1))),
            np.float32,
            0.01,
        )
        for i in (0, 1)
    ]
    found = concentrate(pair.dual, Claim(both), np.float32, 0.01)
    assert found.bound == max(one.bound for one in single)
    assert found.per_output == tuple(
        np.maximum(*(np.array(one.per_output) for one in single)).tolist()
    )
    assert found.spent == pytest.approx(0.25 * single[0].spent + 0.75 * single[1].spent)
    assert found.spent <= 0.01
    counts = [sum(share.bounds for share in one.shares) for one in (*single, found)]
    assert counts[2] == counts[0] + counts[1]


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid"])
def test_smooth_functions(tmp_path: Path, activation: str) -> None:
    pair = Pair(tmp_path, (50, 10, 10, 3), 12, noise=0.05, activation=activation)
    claim = Claim(region(50, 12), arithmetic="real")
    found = concentrate(pair.dual, claim, np.float32, 0.01)
    d = np.abs(pair.differences(drawn(claim, 12))).max(axis=1)
    assert not too_often(int((d > found.bound).sum()), DRAWS, found.spent)
    assert found.bound < 0.7 * hard(pair, claim)


def test_a_law_that_keeps_to_the_centre_gives_a_smaller_bound(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (60, 10, 10, 3), 10, noise=0.05)
    laws = Uniform(), TruncatedNormal(1.0), TruncatedNormal(0.3)
    bounds = [
        concentrate(pair.dual, Claim(region(60, 10), law), np.float32, 1e-3).bound for law in laws
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[2] < 0.9 * bounds[0]


def test_inputs_are_rounded_before_the_networks_see_them(tmp_path: Path) -> None:
    """Boxes of one unit in the last place: what is drawn lies on the corners, which vary more."""
    pair = Pair(tmp_path, (200, 2), 11, noise=0.05)
    corner = np.full((1, 200), 2.0**20)
    unit = Region.from_boxes(corner, corner + 2.0**-3, source="units in the last place")
    claim = Claim(unit, arithmetic="real")
    found = concentrate(pair.dual, claim, np.float32, 1e-3)
    d = np.abs(pair.differences(drawn(claim, 11))).max(axis=1)
    assert not too_often(int((d > found.bound).sum()), DRAWS, found.spent)


def test_inputs_that_do_not_move(tmp_path: Path) -> None:
    """Flat inputs are constants; of a point the bound is that of the point, for nothing."""
    pair = Pair(tmp_path, (40, 8, 8, 2), 6, noise=0.05)
    whole = region(40, 6)
    some = np.arange(40) % 2 == 0
    flat = replace(whole, upper=np.where(some, whole.lower, whole.upper))
    for law in (Uniform(), TruncatedNormal(0.5)):
        claim = Claim(flat, law, arithmetic="real")
        assert applies(claim)
        found = concentrate(pair.dual, claim, np.float32, 0.05)
        d = np.abs(pair.differences(drawn(claim, 6))).max(axis=1)
        assert d.mean() < found.bound < hard(pair, claim)
        assert not too_often(int((d > found.bound).sum()), DRAWS, found.spent)
    point = Claim(replace(whole, upper=whole.lower), arithmetic="real")
    assert not applies(point)
    found = concentrate(pair.dual, point, np.float32, 0.05)
    exact = np.abs(pair.differences(point.region.lower)).max()
    assert exact <= found.bound <= exact * (1 + 1e-9)


def test_the_least_probability_at_which_the_bound_is_within_the_tolerance(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (60, 10, 10, 3), 13, noise=0.02)
    claim = Claim(region(60, 13), arithmetic="real")
    wanted = concentrate(pair.dual, claim, np.float32, 1e-7)
    within = replace(claim, tolerance=wanted.bound)
    found = concentrate_within(pair.dual, within, np.float32, 1e-2)
    assert found.bound <= wanted.bound
    assert 1e-7 / 2 < found.eta < 1e-6
    assert found == concentrate(pair.dual, within, np.float32, found.eta)
    beyond = replace(claim, tolerance=0.9 * wanted.bound)
    assert concentrate_within(pair.dual, beyond, np.float32, 1e-7).eta == 1e-7


def test_equal_networks_cost_nothing(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (30, 8, 2), 7, noise=0.0)
    claim = Claim(region(30, 7), arithmetic="real")
    assert concentrate(pair.dual, claim, np.float32, 0.05) == Concentration(0.05, 0.0, (0.0, 0.0))


def test_no_time_no_bound(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (30, 8, 2), 8, noise=0.1)
    found = concentrate(pair.dual, Claim(region(30, 8)), np.float32, 0.05, deadline=0.0)
    assert found.bound == math.inf
    assert replace(found, tolerance=1e9).violation_upper == 1.0
    assert found.reason
    assert found.to_dict()["bound"] is None


@pytest.mark.parametrize("eta", [0.0, 1.0, -0.1, 1e-300, math.nan])
def test_probabilities_that_are_none(tmp_path: Path, eta: float) -> None:
    pair = Pair(tmp_path, (30, 2), 9, noise=0.1)
    with pytest.raises(ClaimError, match="η"):
        concentrate(pair.dual, Claim(region(30, 9)), np.float32, eta)


def test_real_images_and_their_int8_copy(data: Path, tmp_path: Path) -> None:
    """Uniform noise of 8/255 around ten digits, clipped to [0, 1] and not."""
    import pruners

    original = data / "vision/onnx/mnist-net_256x2.onnx"
    compressed = tmp_path / "int8.onnx"
    pruners.quantize(original, bits=8).save(compressed)
    models = load(original), load(compressed)
    f, g = (lower(model.graph) for model in models)
    pair = Pair.__new__(Pair)
    pair.f, pair.g = f, g
    pair.dual = align(f, spread(f, g, models[1].graph.metadata))
    images = np.load(data / "vision/images/mnist_test_0000_4999.npz")["images"][:10]
    x = images.reshape(10, -1) / 255.0
    for image in range(10):
        low, high = x[[image]] - 8 / 255, x[[image]] + 8 / 255
        if image % 2:
            low, high = low.clip(0.0, 1.0), high.clip(0.0, 1.0)
        where = Region.from_boxes(low, high, source="noise").rounded_outward(np.float32)
        claim = Claim(where)
        worst = hard(pair, claim)
        d = np.abs(pair.differences(drawn(claim, image, count=2000))).max(axis=1)
        found = concentrate(pair.dual, claim, np.float32, 1e-3)
        assert np.quantile(d, 0.999) <= found.bound <= worst / 5
        rare = concentrate(pair.dual, claim, np.float32, 1e-9)
        assert found.bound <= rare.bound <= worst / 2
        assert rare.spent <= 1e-9
