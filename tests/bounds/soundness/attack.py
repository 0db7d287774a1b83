"""One random pair of networks: bounded on several boxes, and held against its values at points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from simcert.bounds import Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Graph
from simcert.model.lowering import lower
from simcert.model.program import Program
from simcert.pairing import align
from soundness.exact import Exact
from soundness.networks import BOXES, COMPRESSIONS, MODERATE, STYLES, box, chain, compress, network
from soundness.points import points
from soundness.truth import Float32, Real, Truth

Random = np.random.Generator
Box = tuple[np.ndarray, np.ndarray]
Limits = tuple[np.ndarray, np.ndarray]
"""Lower and upper bound of each row."""

ARITHMETICS = ("real", "float32")
_FLOAT32_STYLES = tuple(style for style in STYLES if style != "denormal")
_NOT_BOUNDED = ("the range of float64", "a batch of")
"""Weights that overflow in the analysis; a sequence that an operator takes for a batch."""

_ROUNDED = Fraction(1, 2**250)
"""More than divisions and elementary functions are off by, relative to 1 + |value|."""


@dataclass
class Count:
    """What was tried.

    A triple is a pair, a box and a point of it; ``finite`` counts those where every function has
    both bounds. A pair that is refused cannot be bounded.
    """

    pairs: int = 0
    refused: int = 0
    boxes: int = 0
    points: int = 0
    triples: int = 0
    finite: int = 0

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Target:
    """What is attacked, and how.

    Attributes:
        operator: its ONNX name; None is for chains of Gemm and Relu.
        curved: whether it is meant as one that is bounded by relaxations.
        arithmetic: "real" or "float32".
        boxes: of each pair; each also has a part.
        points: of each box, and of each part.
        folder: where the files of "float32" are written.
    """

    operator: str | None
    curved: bool
    arithmetic: str
    boxes: int
    points: int
    folder: Path

    @property
    def triples(self) -> int:
        """Of one pair: points of a part are held against the bounds of the whole, too."""
        return 3 * self.boxes * self.points


def attack(random: Random, target: Target) -> Count:
    """Bound one random pair in which an operator occurs, and look for points outside its bounds.

    Raises:
        AssertionError: a value lies outside a bound.
    """
    f, g, where = _pair(random, target)
    truth: Truth = Real(f, g)
    if target.arithmetic == "float32":
        truth = Float32(f, g, target.folder)
    try:
        programs = lower(truth.graphs[0]), lower(truth.graphs[1])
    except UnsupportedOperatorError as error:
        assert any(reason in str(error) for reason in _NOT_BOUNDED)  # noqa: PT017
        return Count(refused=1)
    rows = _coefficients(random, programs[0].outputs)
    kinds = random.choice(BOXES, target.boxes)
    wholes = [_held(box(random, programs[0].inputs, str(k)), truth.dtype) for k in kinds]
    parts = [_held(_part(random, *whole), truth.dtype) for whole in wholes]
    outer, inner = [], []
    for propagator in _propagators(random, programs, rows, target.arithmetic):
        outer.append(propagator.bound(*_corners(wholes)))
        inner.append(propagator.bound(*_corners(parts), outer[-1].inherited))
    count = Count(pairs=1, boxes=2 * target.boxes)
    for boxes, groups in ((wholes, [outer]), (parts, [inner, outer])):
        for i, (low, high) in enumerate(boxes):
            first = groups[0][0]
            slopes = torch.cat([first.lower_slope[i], first.upper_slope[i]]).numpy()
            margin = _Margin(programs, rows, _limits(first, i))
            x = points(random, low, high, slopes, target.points, margin, truth.dtype)
            limits = [[_limits(bounds, i) for bounds in group] for group in groups]
            tried = _hold(truth, x, rows, [*itertools.chain(*limits)], (*where, target))
            count.points += tried
            count.triples += tried * len(groups)
            count.finite += tried * sum(bool(np.isfinite(group[0]).all()) for group in limits)
    return count


@dataclass(frozen=True)
class _Margin:
    """By how much values pass the bounds, nearly: what tells which points are worth a closer look.

    This is computed by SimCert's own program in float64; nothing is concluded from it.
    """

    programs: tuple[Program, Program]
    rows: Sequence[np.ndarray]
    limits: Limits

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Excess (n, 2 rows) at points (n, inputs)."""
        with np.errstate(invalid="ignore", over="ignore"):
            f, g = (program.run(torch.from_numpy(x)).numpy() for program in self.programs)
            values = sum(y @ c.T for y, c in zip((f, g, f - g), self.rows, strict=True))
            return np.concatenate([self.limits[0] - values, values - self.limits[1]], axis=1)


def _hold(
    truth: Truth, x: np.ndarray, rows: Sequence[np.ndarray], limits: list[Limits], where: object
) -> int:
    """Hold the values at points x against all limits, and count the points that have values."""
    exact = [Exact.of(c) for c in rows]
    tried = 0
    for own in truth.outputs(x):
        f, g = (y.like(y.n.T) for y in (own.f, own.g))
        values = exact[0] @ f + exact[1] @ g + exact[2] @ (f - g)
        overflows = _computed(rows, own.overflows)
        for low, high in limits:
            if len(own.x):
                _assert_between(low, values, high, own.x, where)
            _assert_overflow(low, high, overflows, where)
        tried += len(own.x) + len(overflows.T)
    return min(tried, len(x))


def _assert_between(
    low: np.ndarray, values: Exact, high: np.ndarray, x: np.ndarray, where: object
) -> None:
    """No tolerance at all, but for 2^-250 where a division had to be rounded."""
    assert not np.isnan([low, high]).any(), where
    for limits, at, sign in (
        (low, values.n.argmin(axis=1), -1),
        (high, values.n.argmax(axis=1), 1),
    ):
        for row, limit in enumerate(limits.tolist()):
            value = sign * Fraction(int(values.n[row, at[row]]), 1 << values.e)
            slack = (1 + abs(value)) * _ROUNDED if values.rounded else 0
            inside = math.isinf(limit) or value - slack <= sign * Fraction(limit)
            assert inside, (row, limit, sign * float(value), x[at[row]].tolist(), where)


def _computed(rows: Sequence[np.ndarray], outputs: np.ndarray) -> np.ndarray:
    """The values (rows, n) as floats of outputs (2, n, outputs), not all finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        f, g = outputs
        values: np.ndarray = sum(
            np.where(c[:, None] == 0, 0.0, c[:, None] * y).sum(axis=2)
            for c, y in zip(rows, (f, g, f - g), strict=True)
        )
    return values


def _assert_overflow(low: np.ndarray, high: np.ndarray, values: np.ndarray, where: object) -> None:
    """Where a value is infinite or NaN there is no bound on either side."""
    lost = ~np.isfinite(values).all(axis=1)
    assert np.isinf([low[lost], high[lost]]).all(), where


def _pair(random: Random, target: Target) -> tuple[Graph, Graph, tuple[str, str]]:
    """f and g, and what they are: the style of their weights, and how one was compressed."""
    styles = STYLES if target.arithmetic == "real" else _FLOAT32_STYLES
    style = str(random.choice(MODERATE if target.curved else styles))
    method = str(random.choice(COMPRESSIONS))
    outputs = int(random.integers(1, 4)) if method == "architecture" else None
    if target.operator is None:
        f = chain(random, style)
        g = compress(random, f, method, style) if outputs is None else chain(random, style, f)
    else:
        f = network(random, target.operator, style=style, outputs=outputs, curved=target.curved)
        g = compress(random, f, method, style)
    return (*((g, f) if random.random() < 0.5 else (f, g)), (style, method))


def _propagators(
    random: Random,
    programs: tuple[Program, Program],
    rows: Sequence[np.ndarray],
    arithmetic: str,
) -> list[Propagator | DensePropagator]:
    """All that can bound a pair."""
    dual, functions = align(*programs), tuple(map(torch.from_numpy, rows))
    float32 = arithmetic == "float32"
    work = float(random.choice([math.inf, math.inf, math.inf, 1e2]))
    single = bool(random.integers(2))
    found: list[Propagator | DensePropagator] = [
        Propagator(dual, *functions, float32=float32, work=work, single=single)
    ]
    layers = layers_of(dual, float32=float32)
    return found if layers is None else [*found, DensePropagator(layers, *functions)]


def _coefficients(random: Random, size: int) -> list[np.ndarray]:
    """Rows on f, on g, on δ and on all of them."""
    eye, zero = np.eye(size), np.zeros((size, size))
    mixed = random.standard_normal((3, 2, size)) * (random.random((3, 2, size)) < 0.7)
    return [
        np.concatenate([eye, zero, zero, mixed[0]]),
        np.concatenate([zero, eye, zero, mixed[1]]),
        np.concatenate([zero, zero, eye, mixed[2]]),
    ]


def _part(random: Random, low: np.ndarray, high: np.ndarray) -> Box:
    """A box inside a box: halves, faces, points."""
    ends = [
        np.clip(low + (high - low) * random.choice([0, 0, 0.25, 0.5, 1, 1], low.shape), low, high)
        for _ in range(2)
    ]
    return np.minimum(*ends), np.maximum(*ends)


def _held(own: Box, dtype: type) -> Box:
    """The box with corners of a type; a part of a box remains a part."""
    low, high = (corner.astype(dtype).astype(np.float64) for corner in own)
    return low, high


def _corners(boxes: list[Box]) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper corners, each (B, inputs)."""
    low, high = (torch.tensor(np.array(c)) for c in zip(*boxes, strict=True))
    return low, high


def _limits(bounds: RowBounds, index: int) -> Limits:
    return bounds.lower[index].numpy(), bounds.upper[index].numpy()
