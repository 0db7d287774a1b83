"""Every input there is: small int8 networks over whole grids of float16 and of uint8 values."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import confirm
from hunt.layers import dense
from hunt.pairs import Pair
from hunt.random_networks import Random

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS

pytestmark = pytest.mark.parametrize("arithmetic", ARITHMETICS)


def int8_pair(random: Random, inputs: int, folder: Path) -> Pair:
    """A random network with one or two hidden layers, and its copy with int8 weights."""
    sizes = [inputs, *(int(n) for n in random.integers(2, 9, random.integers(1, 3))), 2]
    layers, copies = [], []
    for fan_in, fan_out in pairwise(sizes):
        weight = random.standard_normal((fan_out, fan_in))
        scale = np.abs(weight).max() / 127
        bias = 0.3 * random.standard_normal(fan_out)
        layers.append((weight, bias))
        copies.append((np.round(weight / scale) * scale, bias))
    folder.mkdir()
    return Pair(dense(layers), dense(copies), folder)


def float16_grid(low: float, high: float) -> np.ndarray:
    """Every float16 number of an interval, (n, 1)."""
    everything = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.unique(everything[(everything >= low) & (everything <= high)])[:, None]


def uint8_grid() -> np.ndarray:
    """Every pair of bytes / 255 as float32 has it, (65536, 2)."""
    values = (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float64)
    return np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)


def maximum(pair: Pair, x: np.ndarray, arithmetic: str) -> Fraction:
    """The greatest L∞ difference over all points x, exactly."""
    found = Fraction(0)
    for run, (f, g) in enumerate(pair.runs(x, arithmetic)):
        differences = np.abs(f - g).max(axis=1)
        for at in np.argsort(differences)[-5:]:  # float64 may exchange the order of the first
            a, b = pair.exactly(x[at], run, arithmetic)
            found = max(found, *(abs(p - q) for p, q in zip(a, b, strict=True)))
    return found


@pytest.mark.parametrize("inputs", [1, 2])
def test_no_verdict_contradicts_the_whole_grid(
    tmp_path: Path, figures: Figures, arithmetic: str, inputs: int
) -> None:
    for index, random in enumerate(generators(2, "grid", inputs, arithmetic)):
        pair = int8_pair(random, inputs, tmp_path / str(index))
        x = float16_grid(-2.0, 2.0) if inputs == 1 else uint8_grid()
        truth = maximum(pair, x, arithmetic)
        figures["grid points"] += len(x)
        region = Region.from_boxes(x.min(axis=0)[None], x.max(axis=0)[None], source="grid")
        for factor in (0.9, 1 - 1e-9, 1.0, 1.02, 1.2):
            claim = Claim(region, tolerance=float(truth) * factor, arithmetic=arithmetic)
            result = verify(*pair.paths, claim, samples=0, max_boxes=400, threads=1)
            assert truth <= result.proof.bound
            assert not (result.verdict is Verdict.PROVED and truth > claim.tolerance)
            confirm(result, pair, figures)
            figures[f"verdicts on grids: {result.verdict.value}"] += 1


def test_a_list_of_all_inputs_is_decided_exactly(
    tmp_path: Path, figures: Figures, arithmetic: str
) -> None:
    """A region of 256 points: the share of violations is known, and so is every verdict."""
    for index, random in enumerate(generators(2, "rows", arithmetic)):
        pair = int8_pair(random, 2, tmp_path / str(index))
        x = random.permutation(uint8_grid())[:256]
        batches = [x] if arithmetic == "real" else [x, *x[:, None]]
        ways = [pair.runs(batch, arithmetic) for batch in batches]
        each = [[np.abs(f - g).max(axis=1) for f, g in runs] for runs in ways]
        tops = [np.concatenate(parts) for parts in zip(*each, strict=True)]
        tops = [part for top in tops for part in np.split(top, len(top) // len(x))]
        d = np.max(tops, axis=0)
        if np.ptp(tops, axis=0).max() > 1e-5 * d.max():
            continue  # a sum at a threshold: batches of other lengths may take another code
        tolerance = float(np.quantile(d, 0.9)) * (1 + 1e-4)  # no d is nearer than rounding
        if (np.abs(d - tolerance) < 1e-5 * d.max()).any():
            continue
        share = float((d > tolerance).mean())
        region = Region.from_boxes(x, x, source="rows")
        for allowed in (share / 2, share * 2):
            claim = Claim(region, tolerance=tolerance, max_violation=allowed, arithmetic=arithmetic)
            result = verify(*pair.paths, claim, samples=256, threads=1)
            assert result.proof.violation_lower <= share <= result.proof.violation_upper
            statistics = result.statistics
            if statistics is not None:
                assert statistics.violation_lower <= share <= statistics.violation_upper
            assert result.verdict.holds == (share <= allowed)
            assert (result.verdict is Verdict.REFUTED) == (share > allowed)
            figures["lists of all inputs decided"] += 1
