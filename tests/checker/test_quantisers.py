"""Quantisers in float32: no runtime that rounds quotient and product leaves the margins."""

import numpy as np
import pytest

from simcert.checker import quantisers
from simcert.checker.interval import Interval
from simcert.checker.program import Quantiser

_COUNT = 20_000


def near_thresholds(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scales, numbers at most three float32 neighbours from a threshold, greatest codes."""
    generator = np.random.default_rng(seed)
    scale = (2.0 ** generator.uniform(-20, 10, _COUNT)).astype(np.float32)
    greatest = generator.choice([127, 255, 32_767, 65_535], _COUNT)
    code = np.floor(generator.uniform(-1, 1, _COUNT) * greatest)
    x = ((code + 0.5) * scale).astype(np.float32)
    for _ in range(3):
        there = generator.choice([-np.inf, np.inf], _COUNT).astype(np.float32)
        x = np.where(generator.random(_COUNT) < 0.5, np.nextafter(x, there), x)
    return scale, x, greatest


@pytest.mark.parametrize("by_inverse", [False, True])
def test_codes_and_numbers_of_a_runtime(by_inverse: bool) -> None:
    """x/s or x · (1/s), each rounded to float32; then the code times s, rounded."""
    disputed = 0
    for seed in range(3):
        scale, x, greatest = near_thresholds(seed)
        one = np.float32(1)
        quotient = x * (one / scale) if by_inverse else x / scale
        code = np.clip(np.rint(quotient), -greatest, greatest)
        made = (code.astype(np.float32) * scale).astype(np.float64)
        real = scale.astype(np.float64)
        step = Quantiser((0,), real, greatest * real)
        clipped = np.clip(x.astype(np.float64), -step.largest, step.largest)
        point = Interval(clipped[None], clipped[None])
        codes = quantisers.codes(step, point, float32=True)
        assert (codes.lower <= code).all()
        assert (code <= codes.upper).all()
        assert (codes.upper - codes.lower <= 1).all()
        image, strip = quantisers.strip(step, point, float32=True)
        assert (image.lower <= made).all()
        assert (made <= image.upper).all()
        assert (np.abs(made - strip.slope * clipped - strip.middle) <= strip.half).all()
        assert (np.abs(made - clipped) <= quantisers.jump(step, float32=True)).all()
        exactly = np.clip(np.rint(x.astype(np.float64) / real), -greatest, greatest)
        disputed += int((code != exactly).sum())
        # The margins stay small beside half a step, also of 16 bits.
        assert (quantisers.jump(step, float32=True) <= real / 2 + 2.0**-21 * step.largest).all()
    assert disputed > 100
