"""Propagators of f, g and f − g, output by output, and the values that must lie inside."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from hunt.figures import Figures
from hunt.pairs import Pair
from simcert.bounds import Propagator, RowBounds
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import align, spread

_ROUNDED = Fraction(1, 1 << 350)
"""More than quotients and roots with 400 binary places are off by, each network by its own."""


def propagators(pair: Pair, arithmetic: str) -> list[Propagator | DensePropagator]:
    """All that can bound a pair; rows are f_1, f_2, …, g_1, …, δ_1, …"""
    graphs = [load(path).graph for path in pair.paths]
    f, g = (lower(graph) for graph in graphs)
    dual = align(f, spread(f, g, graphs[1].metadata))
    size = f.outputs
    eye, zero = np.eye(size), np.zeros((size, size))
    rows = [
        torch.from_numpy(np.concatenate([eye if part == own else zero for part in range(3)]))
        for own in range(3)
    ]
    float32 = arithmetic == "float32"
    found: list[Propagator | DensePropagator] = [
        Propagator(dual, *rows, float32=float32, single=True)
    ]
    layers = layers_of(dual, float32=float32)
    return found if layers is None else [*found, DensePropagator(layers, *rows)]


def bound(
    propagator: Propagator | DensePropagator,
    boxes: list[tuple[np.ndarray, np.ndarray]],
    inherited: torch.Tensor | None = None,
) -> RowBounds:
    """Bound a batch of boxes."""
    low, high = (torch.tensor(np.array(corners)) for corners in zip(*boxes, strict=True))
    return propagator.bound(low, high, inherited)


def contain(
    bounds: RowBounds, index: int, pair: Pair, x: np.ndarray, arithmetic: str, figures: Figures
) -> None:
    """Assert that the bounds of one box of a batch contain f, g and f − g at points of it."""
    low, high = bounds.lower[index].numpy(), bounds.upper[index].numpy()
    assert not np.isnan([low, high]).any()
    figures["finite bounds"] += int(np.isfinite([low, high]).sum())
    figures["infinite bounds"] += int(np.isinf([low, high]).sum())
    for run, (f, g) in enumerate(pair.runs(x, arithmetic)):
        figures["points in propagated bounds"] += len(x)
        with np.errstate(invalid="ignore"):
            values = np.concatenate([f, g, f - g], axis=1)
            excess = np.fmax(values - high, low - values)
        unknown = ~np.isfinite(values)
        if unknown.any():  # overflow: then there is no bound on either side
            row = unknown.any(axis=0)
            assert np.isinf(low[row]).all()
            assert np.isinf(high[row]).all()
        at = int(np.where(unknown, -np.inf, excess).max(axis=1).argmax())
        if np.isfinite(values[at]).all():
            _contains_exactly(low, high, pair.exactly(x[at], run, arithmetic), x[at])


def _contains_exactly(
    low: np.ndarray,
    high: np.ndarray,
    outputs: tuple[list[Fraction], list[Fraction]],
    x: np.ndarray,
) -> None:
    f, g = outputs
    values = [*f, *g, *(a - b for a, b in zip(f, g, strict=True))]
    for row, value in enumerate(values):
        where = row, x.tolist(), float(value), low[row], high[row]
        if np.isfinite([low[row], high[row]]).all():
            # Rational numbers are compared with rational numbers.
            least, greatest = Fraction(float(low[row])), Fraction(float(high[row]))
            assert least - _ROUNDED <= value <= greatest + _ROUNDED, where
        else:
            assert float(low[row]) <= value <= float(high[row]), where
