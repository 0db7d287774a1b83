"""Bounds of every function against high precision, without any tolerance."""

import math

import numpy as np
import pytest
import torch
from functions_exact import CASES, JUMPS, PIECEWISE, SMOOTH, Case, inside, intervals, mp

COUNT = 120


def tensors(*arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64))[None] for a in arrays)


def slopes_near(random: np.random.Generator, case: Case, low: np.ndarray, high: np.ndarray):
    """Slopes: 0, of the chord, of the function, random, of extreme sizes."""
    lower, upper = tensors(low, high)
    chord = ((case.function.value(upper) - case.function.value(lower)) / (upper - lower))[0].numpy()
    least, greatest = (t[0].numpy() for t in case.function.slopes(lower, upper))
    drawn = least + (greatest - least) * random.random(low.shape)
    choices = [
        np.zeros_like(low), chord, least, greatest, drawn,
        random.standard_normal(low.shape), 10.0 ** random.uniform(-300, 6, low.shape),
    ]  # fmt: skip
    chosen = np.choose(random.integers(0, len(choices), low.shape), choices)
    return np.where(np.isfinite(chosen), chosen, 0.0)


def seeded(case: Case) -> np.random.Generator:
    return np.random.default_rng(sum(case.id.encode()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_residual(case: Case) -> None:
    random = seeded(case)
    low, high = intervals(random, case, COUNT)
    with np.errstate(all="ignore"):
        slope = slopes_near(random, case, low, high)
    bounds = case.function.residual(*tensors(low, high, slope))
    least, greatest = (bound[0].tolist() for bound in bounds)
    finite = 0
    for i in range(COUNT):
        assert not math.isnan(least[i])
        assert not math.isnan(greatest[i])
        finite += math.isfinite(least[i]) and math.isfinite(greatest[i])
        if least[i] == -math.inf and greatest[i] == math.inf:
            continue
        for x in inside(random, case, float(low[i]), float(high[i])):
            value = case.exact(mp.mpf(x)) - mp.mpf(float(slope[i])) * mp.mpf(x)
            what = (x, low[i], high[i], slope[i], mp.nstr(value, 25))
            assert least[i] <= value <= greatest[i], (least[i], greatest[i], *what)
    assert finite > COUNT / 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_slopes_and_differences(case: Case) -> None:
    random = seeded(case)
    low, high = intervals(random, case, COUNT)
    lower, upper = tensors(low, high)
    least, greatest = (bound[0].tolist() for bound in case.function.slopes(lower, upper))
    finite = 0
    ends: list[tuple[float, float]] = []
    for i in range(COUNT):
        width = float(high[i] - low[i])
        below, above = sorted(float(b) for b in random.uniform(-width, width, 2))
        if random.random() < 0.3:
            below, above = below * 1e-6, above * 1e-6
        ends.append((min(below, 0.0), above) if random.random() < 0.5 else (below, above))
    below, above = (np.array(e) for e in zip(*ends, strict=True))
    line = case.function.difference(lower, upper, *tensors(below, above))
    slope, intercept = (term[0].tolist() for term in line)
    for i in range(COUNT):
        assert not math.isnan(intercept[i])
        points = inside(random, case, float(low[i]), float(high[i]))
        for y in points:
            partners = random.choice(points, 3).tolist()
            partners += [y + d for d in (*ends[i], 0.0)]
            for x in partners:
                if not low[i] <= x <= high[i]:
                    continue
                try:
                    values = case.exact(mp.mpf(x)), case.exact(mp.mpf(y))
                except (ValueError, ZeroDivisionError):
                    continue
                change = values[0] - values[1]
                if abs(change) < max(map(abs, values)) * mp.mpf(2) ** -300:
                    continue  # lost even in this precision
                delta = mp.mpf(x) - mp.mpf(y)
                if delta != 0:
                    what = (x, y, low[i], high[i])
                    assert least[i] <= change / delta, (least[i], what)
                    assert change / delta <= greatest[i], (greatest[i], what)
                if below[i] <= delta <= above[i] and intercept[i] < math.inf:
                    finite += 1
                    # The product s δ is exact here.
                    value = mp.mpf(slope[i]) * delta + mp.mpf(intercept[i])
                    assert change <= value, (x, y, slope[i], intercept[i], below[i], above[i])
    assert finite > COUNT


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
def test_residual_is_tight(case: Case) -> None:
    """On intervals of length up to 4 within 0.2 % of the range of the residual."""
    random = seeded(case)
    low = random.uniform(-5.0, 5.0, 200) if case.least < 0 else random.uniform(0.05, 5.0, 200)
    high = low + random.uniform(0.01, 4.0, 200)
    lower, upper = tensors(low, high)
    middle = case.function.slopes(lower, upper)
    usable = torch.isfinite(middle[0]) & torch.isfinite(middle[1])
    assert usable.sum() > 20
    slope = torch.where(usable, middle[0] * 0.3 + middle[1] * 0.7, 0.0)
    least, greatest = case.function.residual(lower, upper, slope)
    grid = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None, None]
    x = lower + (upper - lower) * grid
    values = case.function.value(x) - slope * x
    spread = values.amax(0) - values.amin(0) + 1e-9
    excess = torch.maximum(greatest - values.amax(0), values.amin(0) - least) / spread
    assert float(excess[usable].max()) < 2e-3


@pytest.mark.parametrize("case", [*SMOOTH, *PIECEWISE, *JUMPS], ids=lambda case: case.id)
def test_infinite_ends(case: Case) -> None:
    """No information in, none out, or the range of the function."""
    infinite, zero = torch.full((1, 1), math.inf, dtype=torch.float64), torch.zeros(1, 1).double()
    for lower, upper in ((-infinite, infinite), (zero + 1, infinite), (-infinite, zero - 1)):
        low, high = case.function.residual(lower, upper, zero)
        for x in (-1e4, -3.0, -1.0, 1.0, 1.5, 100.0):
            if float(lower) <= x <= float(upper) and x >= case.least:
                value = case.exact(mp.mpf(x))
                assert float(low) <= value <= float(high)
        low, high = case.function.residual(lower, upper, zero + 0.5)
        assert not low.isnan()
        assert not high.isnan()
        slope, intercept = case.function.difference(lower, upper, zero - 1, zero + 1)
        assert not slope.isnan()
        assert not intercept.isnan()


def test_bounded_functions_stay_bounded() -> None:
    infinite = torch.full((1, 1), math.inf, dtype=torch.float64)
    found = {}
    for case in CASES:
        low, high = case.function.residual(-infinite, infinite, torch.zeros_like(infinite))
        found[type(case.function).__name__] = (float(low), float(high))
    assert found["Sigmoid"] == (0.0, 1.0)
    assert found["Tanh"] == found["Erf"] == found["Softsign"] == found["Sine"] == (-1.0, 1.0)
    assert found["Exponential"] == found["Softplus"] == (0.0, math.inf)
    assert found["Step"] == found["ZeroIndicator"] == (0.0, 1.0)
