"""Random claims against the truth: exact rational arithmetic, closed forms, other thread counts."""

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from claims import over_reals
from networks import random_mlp, write_mlp

from simcert import Verdict, verify
from simcert.claim import Region, TruncatedNormal, Uniform, divergences

ONE, ZERO = np.ones((1, 1)), np.zeros(1)
Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def _exactly(layers: Layers, x: np.ndarray) -> list[Fraction]:
    values = [Fraction(float(v)) for v in x]
    for index, (weight, bias) in enumerate(layers):
        rows = zip(weight.astype(np.float32), bias.astype(np.float32), strict=True)
        values = [
            sum(
                (Fraction(float(w)) * v for w, v in zip(row, values, strict=True)),
                Fraction(float(b)),
            )
            for row, b in rows
        ]
        if index < len(layers) - 1:
            values = [max(v, Fraction(0)) for v in values]
    return values


def _networks(generator: np.random.Generator, sizes: Sequence[int]) -> tuple[Layers, Layers]:
    """Weights of ordinary, wildly different, absorbing, denormal and whole-numbered sizes."""
    mode = generator.integers(5)

    def scale(shape: tuple[int, ...]) -> np.ndarray:
        if mode == 0:
            return np.ones(shape)
        if mode == 1:
            return 10.0 ** generator.uniform(-12, 12, size=shape)
        if mode == 2:
            return generator.choice([0, 1, 2.0**24, 2.0**-24, 2.0**40], size=shape)
        if mode == 3:
            return generator.choice([0, 1.0, 1e-38, 1e-45, 1e30], size=shape)
        return generator.integers(-2, 3, size=shape).astype(float)

    f, g = [], []
    for inputs, outputs in pairwise(sizes):
        shape = outputs, inputs
        weight = generator.normal(size=shape).round(2) * scale(shape)
        bias = generator.normal(size=outputs) * scale((outputs,))
        f.append((weight, bias))
        change = generator.choice([1.0, 1.001, 1 + 1e-6, 0.0], size=shape, p=[0.6, 0.2, 0.1, 0.1])
        g.append((weight * change, bias))
    return f, g


def _divergence(name: str, f: list[Fraction], g: list[Fraction]) -> Fraction:
    """The divergence, squared for l2."""
    differences = [abs(a - b) for a, b in zip(f, g, strict=True)]
    match name:
        case "linf":
            return max(differences)
        case "l1":
            return sum(differences, Fraction(0))
        case "l2":
            return sum((d * d for d in differences), Fraction(0))
    return Fraction(int(f.index(max(f)) != g.index(max(g))))


@pytest.mark.parametrize("seed", range(60))
def test_no_verdict_contradicts_exact_arithmetic(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = [int(n) for n in generator.integers(1, 5, size=generator.integers(2, 5))]
    name = str(generator.choice(["linf", "l1", "l2", "top1"] if sizes[-1] > 1 else ["linf", "l1"]))
    layers = _networks(generator, sizes)
    f, g = (write_mlp(tmp_path / f"{n}.onnx", part) for n, part in zip("fg", layers, strict=True))
    size = float(generator.choice([1.0, 1e-40, 1e30, 100.0]))
    lower = generator.normal(size=(2, sizes[0])) * size
    width = (
        np.abs(generator.normal(size=lower.shape)) * size * (generator.random(lower.shape) > 0.3)
    )
    region = Region.from_boxes(lower, lower + width, source="random")
    tolerance = 0.5 if name == "top1" else 10.0 ** generator.uniform(-6, 3)
    claim = over_reals(
        region, divergence=divergences.parse(name, None, "argmax"), tolerance=tolerance
    )
    result = verify(f, g, claim, samples=0, max_boxes=20, seed=seed, threads=1)
    points = [np.array(result.witness.input)] if result.witness else []
    for low, high in zip(result.claim.region.lower, result.claim.region.upper, strict=True):
        corners = generator.random((6, sizes[0])).round()
        points += [*np.where(corners, low, high), np.clip((low + high) / 2, low, high)]
    power = 2 if name == "l2" else 1
    truths = [_divergence(name, *(_exactly(part, x) for part in layers)) for x in points]
    if np.isfinite(result.proof.bound):
        assert max(truths) <= Fraction(result.proof.bound) ** power
    if result.verdict is Verdict.REFUTED:
        assert truths[0] > Fraction(tolerance) ** power
    if result.verdict is Verdict.PROVED:
        assert max(truths) <= Fraction(tolerance) ** power


def test_overlapping_boxes_of_any_weight_have_the_right_probability(tmp_path: Path) -> None:
    """f = 0 and g = relu(x − 0.9375), on a mixture of overlapping boxes and a point."""
    from scipy import stats

    f = write_mlp(tmp_path / "f.onnx", [(ONE, ZERO), (0 * ONE, ZERO)])
    g = write_mlp(tmp_path / "g.onnx", [(ONE, ZERO - 0.9375), (ONE, ZERO)])
    lower, upper = np.array([0, 0.5, 0.875, 0.953125]), np.array([1, 1, 1, 0.953125])
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    region = Region.from_boxes(lower[:, None], upper[:, None], source="four", weights=weights)
    middle, half = (lower + upper) / 2, np.maximum((upper - lower) / 2, 1e-300)
    for law in (Uniform(), TruncatedNormal(0.5), TruncatedNormal(1000.0)):
        for tolerance in (0.01, 0.03125, 0.05):
            at = 0.9375 + tolerance
            tails = np.clip((upper - at) / (2 * half), 0, 1)
            if isinstance(law, TruncatedNormal):
                tails = stats.truncnorm.sf(
                    (at - middle) / (law.scale * half), -1 / law.scale, 1 / law.scale
                )
            tails[3] = at < upper[3]
            truth = float(weights @ tails)
            for max_boxes in (1, 5, 40):
                claim = over_reals(
                    region, distribution=law, tolerance=tolerance, max_violation=truth
                )
                result = verify(f, g, claim, samples=300, max_boxes=max_boxes, threads=1)
                proof, statistics = result.proof, result.statistics
                assert proof.violation_lower <= truth + 1e-9
                assert truth - 1e-9 <= proof.violation_upper
                if statistics is not None:  # confidence 0.999, and seeds are fixed
                    assert statistics.violation_lower <= truth + 1e-9
                    assert truth - 1e-9 <= statistics.violation_upper


@pytest.mark.parametrize("samples", [3, 7, 100])
@pytest.mark.parametrize("max_boxes", [1, 3, None])
def test_repeated_rows_count_by_their_weight(
    tmp_path: Path, samples: int, max_boxes: int | None
) -> None:
    f = write_mlp(tmp_path / "f.onnx", [(ONE, ZERO), (0 * ONE, ZERO)])
    g = write_mlp(tmp_path / "g.onnx", [(ONE, ZERO - 0.9375), (ONE, ZERO)])
    rows = np.array([0.125, 0.984375, 0.984375, 0.984375, 0.25, 0.25, 1.0])
    weights = np.array([1, 2, 2, 3, 1, 1, 1]) / 11
    region = Region.from_boxes(rows[:, None], rows[:, None], source="rows", weights=weights)
    truth = 8 / 11
    claim = over_reals(region, tolerance=0.03, max_violation=0.5)
    result = verify(f, g, claim, samples=samples, max_boxes=max_boxes, threads=1)
    assert result.proof.violation_lower <= truth <= result.proof.violation_upper
    if result.statistics is not None:
        assert result.statistics.violation_lower <= truth <= result.statistics.violation_upper
        if result.statistics.method == "exhaustive":
            width = result.statistics.violation_upper - result.statistics.violation_lower
            assert width < 1e-8


def test_a_false_claim_is_rarely_certified_after_two_looks(tmp_path: Path) -> None:
    """P(d > ε) is 0.03, the claim says 0.0295: at confidence 0.8, at most one in five passes."""
    f = write_mlp(tmp_path / "f.onnx", [(ONE, ZERO), (0 * ONE, ZERO)])
    g = write_mlp(tmp_path / "g.onnx", [(ONE, ZERO - 0.9375), (ONE, ZERO)])
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit")
    claim = over_reals(region, tolerance=0.0325, max_violation=0.0295, confidence=0.8)
    wrong = sum(
        verify(f, g, claim, samples=300, max_boxes=1, threads=1, seed=seed).verdict.holds
        for seed in range(100)
    )
    assert wrong <= 20


@pytest.mark.parametrize("sizes", [(5, 32, 32, 5), (8, 300, 40, 3)])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    f = random_mlp(tmp_path / "f.onnx", sizes, 0)
    g = random_mlp(tmp_path / "g.onnx", sizes, 0, noise=0.003)
    box = [[-1.0] * sizes[0]], [[1.0] * sizes[0]]
    claim = over_reals(Region.from_boxes(*box, source="box"), tolerance=0.004, max_violation=1e-4)
    found = []
    for threads in (1, 3):
        result = verify(f, g, claim, samples=2000, max_boxes=300, threads=threads, time_limit=600)
        document = result.to_dict()
        for key in ("threads", "elapsed_seconds"):
            del document[key]
        found.append(json.dumps(document, sort_keys=True))
    assert found[0] == found[1]
