"""Quantisers of the inputs, code by code: tight on any box of few codes, and never wrong."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from soundness.programs import FLOAT, dense

from simcert.bounds import Propagator, cells
from simcert.bounds.propagator import RowBounds
from simcert.functions import Quantizer
from simcert.model.linear import Dense
from simcert.model.program import Affine, Input, Program, Relu, Univariate
from simcert.pairing import align


def layers(random: np.random.Generator, inputs: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    sizes = (inputs, 6, 2)
    return [
        (
            torch.from_numpy(random.standard_normal((m, n))),
            torch.from_numpy(random.standard_normal(m)),
        )
        for n, m in pairwise(sizes)
    ]


def network(own: list[tuple[torch.Tensor, torch.Tensor]], quantizer: Quantizer | None) -> Program:
    if quantizer is None:
        return dense(own[0], "relu", own[1])
    size = own[0][0].shape[1]
    return Program(
        (
            Input(size),
            Univariate(0, quantizer, size, "quantiser"),
            Affine((1,), (Dense(own[0][0]),), own[0][1], "dense"),
            Relu(2, len(own[0][1]), "relu"),
            Affine((3,), (Dense(own[1][0]),), own[1][1], "dense"),
        )
    )


def quantizer(scale: float, size: int, greatest: float = 127.0) -> Quantizer:
    limits = torch.full((size,), -128.0, dtype=FLOAT), torch.full((size,), greatest, dtype=FLOAT)
    return Quantizer(torch.full((size,), scale, dtype=FLOAT), *limits)


def bounds(
    f: Program, g: Program, low: np.ndarray, high: np.ndarray, *, float32: bool = False
) -> RowBounds:
    eye = torch.eye(2, dtype=FLOAT)
    zero = torch.zeros_like(eye)
    dual = align(f, g)
    propagator = Propagator(
        dual,
        torch.cat([eye, zero, zero]),
        torch.cat([zero, eye, zero]),
        torch.cat([zero, zero, eye]),
        float32=float32,
    )
    return propagator.bound(torch.from_numpy(low), torch.from_numpy(high))


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_a_box_around_thresholds_is_as_tight_as_its_codes(inputs: int) -> None:
    random = np.random.default_rng(inputs)
    for _ in range(20):
        own = layers(random, inputs)
        scale = float(random.uniform(0.01, 1.0))
        f, g = network(own, None), network(own, quantizer(scale, inputs))
        code = random.integers(-100, 100, inputs)
        threshold = (code + 0.5) * scale
        low, high = threshold - 1e-9 * scale, threshold + 1e-9 * scale
        result = bounds(f, g, low[None], high[None])
        corners = np.stack(np.meshgrid(*[(a, b) for a, b in zip(low, high, strict=True)]), -1)
        x = torch.from_numpy(corners.reshape(-1, inputs))
        difference = f.run(x) - g.run(x)
        assert (result.upper[0, 4:] >= difference.amax(0)).all()
        assert (result.upper[0, 4:] <= difference.amax(0) + 1e-6).all()
        assert (result.lower[0, 4:] >= difference.amin(0) - 1e-6).all()


@pytest.mark.parametrize("float32", [False, True])
@pytest.mark.parametrize("kind", ["one", "same", "other", "clipped"])
def test_no_run_is_outside(kind: str, float32: bool) -> None:
    """Corners, thresholds, their neighbours and random points of boxes with few codes."""
    tried = tightened = 0
    for seed in range(8):
        random = np.random.default_rng([seed, len(kind)])
        inputs = int(random.integers(1, 4))
        own, other = layers(random, inputs), layers(random, inputs)
        changed = [(w + 0.01 * v, b) for (w, b), (v, _) in zip(own, other, strict=True)]
        scale = float(np.float32(random.uniform(0.05, 0.5)))
        beside = {"same": quantizer(scale, inputs), "other": quantizer(scale / 1.7, inputs)}
        of_g = quantizer(scale, inputs, 2.0 if kind == "clipped" else 127.0)
        f, g = network(own, beside.get(kind)), network(changed, of_g)
        low = random.uniform(-2, 2, (3, inputs))
        high = low + random.uniform(0, 2, (3, inputs)) * scale
        result = bounds(f, g, low, high, float32=float32)
        for index in range(len(low)):
            x = points(random, low[index], high[index], scale)
            a, b = f.run(x), g.run(x)
            values = torch.cat([a, b, a - b], 1)
            assert (values <= result.upper[index] + 1e-12).all()
            assert (values >= result.lower[index] - 1e-12).all()
            tried += len(x)
        ordinary = without_cells(f, g, low, high, float32=float32)
        assert (result.upper <= ordinary.upper).all()
        tightened += int((result.upper < ordinary.upper).any(1).sum())
    assert tried == 480
    assert tightened >= 4


def without_cells(
    f: Program, g: Program, low: np.ndarray, high: np.ndarray, *, float32: bool
) -> RowBounds:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "MOST_INPUTS", 0)
        return bounds(f, g, low, high, float32=float32)


def points(
    random: np.random.Generator, low: np.ndarray, high: np.ndarray, scale: float
) -> torch.Tensor:
    share = random.random((20, len(low)))
    share[:8] = share[:8].round()
    x = low + share * (high - low)
    near = (np.round(x[8:16] / scale - 0.5) + 0.5) * scale
    x[8:16] = [near[:8], np.nextafter(near[:8], 9.0), np.nextafter(near[:8], -9.0)][
        random.integers(3)
    ]
    return torch.from_numpy(np.clip(x, low, high))


def test_a_cell_holds_every_number_of_its_code() -> None:
    """In exact arithmetic, for scales of many sizes."""
    random = np.random.default_rng(0)
    scale = torch.from_numpy(10.0 ** random.uniform(-30, 30, 500))
    limits = torch.full_like(scale, -20.0), torch.full_like(scale, 20.0)
    whole = Quantizer(scale, *limits)
    code = torch.from_numpy(random.integers(-20, 21, 500).astype(np.float64))
    lower, upper = whole.cell(code)
    for s, c, low, high in zip(*(t.tolist() for t in (scale, code, lower, upper)), strict=True):
        if c > -20:
            assert Fraction(low) <= (Fraction(c) - Fraction(1, 2)) * Fraction(s)
        else:
            assert low == -np.inf
        if c < 20:
            assert Fraction(high) >= (Fraction(c) + Fraction(1, 2)) * Fraction(s)
        else:
            assert high == np.inf
