"""No bound is ever wrong: random pairs, boxes and points, compared in exact arithmetic.

`SIMCERT_SOUNDNESS_TRIPLES` is the number of (pair, box, point) triples for each operator.
"""

import math
import os
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from soundness.elementary import BeyondError
from soundness.exact import Exact, Value, constants, evaluate
from soundness.networks import (
    BOXES,
    COMPRESSIONS,
    CURVED,
    MODERATE,
    OPERATORS,
    STYLES,
    box,
    chain,
    compress,
    network,
)

from simcert.bounds import Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import DYNAMIC, Graph
from simcert.model.lowering import LOWERINGS, lower
from simcert.pairing import align

TRIPLES = int(os.environ.get("SIMCERT_SOUNDNESS_TRIPLES", "280"))
_BOXES = 4
_POINTS = 4
_CURVED = 4 * TRIPLES
"""Triples for operators that are bounded by relaxations, most of which share a bound."""
_MANY = 12
"""Boxes of such a pair, and points of each."""


def test_every_operator_is_attacked() -> None:
    made_by_passes = {DYNAMIC}
    assert {*OPERATORS, *CURVED} == set(LOWERINGS) - made_by_passes


def test_chains_of_dense_layers() -> None:
    """What the compiled loops take: deep chains of Gemm and Relu in every style."""
    for seed in np.random.SeedSequence(5).spawn(math.ceil(5 * TRIPLES / (4 * _BOXES * _POINTS))):
        attack(np.random.default_rng(seed), None)


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_bounds_contain_the_exact_values(operator: str) -> None:
    seeds = np.random.SeedSequence(zlib.crc32(operator.encode()))
    for seed in seeds.spawn(math.ceil(TRIPLES / (2 * _BOXES * _POINTS))):
        attack(np.random.default_rng(seed), operator)


@pytest.mark.parametrize("operator", sorted(CURVED))
def test_bounds_contain_values_in_high_precision(operator: str) -> None:
    """Of operators that are bounded by relaxations; most of the bounds are finite."""
    seeds = np.random.SeedSequence(zlib.crc32(operator.encode()) + 1)
    found = [0, 0]
    for seed in seeds.spawn(math.ceil(_CURVED / (2 * _MANY**2))):
        attack(np.random.default_rng(seed), operator, curved=True, found=found)
    assert found[0] >= _CURVED / 2
    assert found[1] >= found[0] / 4


def attack(
    random: np.random.Generator,
    operator: str | None,
    *,
    curved: bool = False,
    found: list[int] | None = None,
) -> None:
    """Bound one random pair on several boxes and evaluate it at several points of each.

    ``found`` counts the points and those with finite bounds of all functions.
    """
    style = str(random.choice(MODERATE if curved else STYLES))
    method = str(random.choice(COMPRESSIONS))
    outputs = int(random.integers(1, 4)) if method == "architecture" else None
    if operator is None:
        f = chain(random, style)
        g = compress(random, f, method, style) if outputs is None else chain(random, style, f)
    else:
        f = network(random, operator, style=style, outputs=outputs, curved=curved)
        g = compress(random, f, method, style)
    if random.random() < 0.5:
        f, g = g, f
    try:
        left, right = lower(f), lower(g)
    except UnsupportedOperatorError as error:
        assert "the range of float64" in str(error)  # noqa: PT017 - otherwise nothing is raised
        return
    size = f.output.size
    rows = coefficients(random, size)
    dual, functions = align(left, right), tuple(map(torch.from_numpy, rows))
    propagators: list[Propagator | DensePropagator] = [Propagator(dual, *functions)]
    layers = layers_of(dual)
    if layers is not None:
        propagators.append(DensePropagator(layers, *functions))
    known = constants(f), constants(g)
    weights = tuple(map(Exact.of, rows))
    kinds = random.choice(BOXES, _MANY if curved else _BOXES)
    boxes = [box(random, f.input.size, str(kind)) for kind in kinds]
    parts = [part(random, *whole) for whole in boxes]  # which inherit what is known of the whole
    for propagator in propagators:
        what = (style, method, type(propagator).__name__)
        bounds = propagator.bound(*corners(boxes))
        inner = propagator.bound(*corners(parts), bounds.inherited)
        if not curved:
            check(random, (f, g), known, weights, boxes, [bounds], what)
        check(random, (f, g), known, weights, parts, [inner, bounds], what, found)


def corners(boxes: list[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper corners, each (B, inputs)."""
    low, high = (torch.tensor(np.array(c)) for c in zip(*boxes, strict=True))
    return low, high


def check(
    random: np.random.Generator,
    pair: tuple[Graph, Graph],
    known: tuple[dict[str, Value], dict[str, Value]],
    rows: tuple[Exact, ...],
    boxes: list[tuple[np.ndarray, np.ndarray]],
    bounds: list[RowBounds],
    what: tuple[str, ...],
    found: list[int] | None = None,
) -> None:
    """Evaluate a pair at some points of each box, where all bounds must hold."""
    slopes = torch.cat([bounds[0].lower_slope, bounds[0].upper_slope], 1).numpy()
    c_f, c_g, c_delta = rows
    for index, (low, high) in enumerate(boxes):
        for x in points(random, low, high, slopes[index], _MANY if found else _POINTS):
            try:
                a, b = (evaluate(graph, x, k) for graph, k in zip(pair, known, strict=True))
            except BeyondError:
                continue
            values = c_f @ a + c_g @ b + c_delta @ (a - b)
            for own in bounds:
                assert_between(own.lower[index], values, own.upper[index], (*what, x))
            if found:
                found[0] += len(bounds)
                found[1] += len(bounds) * bool((bounds[0].lower[index] > -math.inf).all())


def part(
    random: np.random.Generator, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A box inside a box: halves, faces, points."""
    ends = [
        np.clip(low + (high - low) * random.choice([0, 0, 0.25, 0.5, 1, 1], low.shape), low, high)
        for _ in range(2)
    ]
    return np.minimum(*ends), np.maximum(*ends)


def coefficients(random: np.random.Generator, size: int) -> list[np.ndarray]:
    """Rows on f, on g, on δ and on all of them."""
    eye, zero = np.eye(size), np.zeros((size, size))
    mixed = random.standard_normal((3, 2, size)) * (random.random((3, 2, size)) < 0.7)
    return [
        np.concatenate([eye, zero, zero, mixed[0]]),
        np.concatenate([zero, eye, zero, mixed[1]]),
        np.concatenate([zero, zero, eye, mixed[2]]),
    ]


def points(
    random: np.random.Generator,
    low: np.ndarray,
    high: np.ndarray,
    slopes: np.ndarray,
    count: int,
) -> list[np.ndarray]:
    """Corners, the centre, random points, zero, and corners that a linear bound points at."""
    slope = slopes[random.integers(len(slopes))]
    candidates = [
        low,
        high,
        np.where(slope > 0, high, low),
        np.where(slope > 0, low, high),
        np.where(random.random(low.shape) < 0.5, low, high),
        low + (high - low) * random.random(low.shape),
        low / 2 + high / 2,
        np.zeros(low.shape),
        np.nextafter(low, high),
    ]
    candidates += [low + (high - low) * random.random(low.shape) for _ in range(count - _POINTS)]
    chosen = random.permutation(len(candidates))[:count]
    return [np.clip(candidates[i], low, high) for i in chosen]


def assert_between(lower: torch.Tensor, values: Exact, upper: torch.Tensor, what: object) -> None:
    """No tolerance at all, but for 2^-250 where a division had to be rounded."""
    for low, value, high in zip(lower.tolist(), values.fractions(), upper.tolist(), strict=True):
        slack = (1 + abs(value)) * Fraction(1, 2**250) if values.rounded else 0
        assert not math.isnan(low)
        assert not math.isnan(high)
        assert low == -math.inf or Fraction(low) <= value + slack, (low, float(value), what)
        assert high == math.inf or value - slack <= Fraction(high), (float(value), high, what)
