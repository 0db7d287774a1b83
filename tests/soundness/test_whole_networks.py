"""Whole random networks against compressed copies: no point ever lies outside a proved bound."""

from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import confirm, judge
from hunt.pairs import Pair
from hunt.random_networks import FAMILIES, Random, box, compress

from simcert import Verdict, verify
from simcert.claim import Claim, Region, divergences
from simcert.claim.claim import ARITHMETICS

pytestmark = pytest.mark.parametrize("arithmetic", ARITHMETICS)


def random_pair(random: Random, family: str, folder: Path) -> Pair:
    f = FAMILIES[family](random)
    method, g = compress(random, f)
    folder = folder / f"{method}-{random.integers(1 << 32)}"
    folder.mkdir()
    return Pair(*((f, g) if random.random() < 0.7 else (g, f)), folder)


def random_region(random: Random, inputs: int) -> Region:
    boxes = [box(random, inputs) for _ in range(random.integers(1, 4))]
    return Region.from_boxes(*np.swapaxes(boxes, 0, 1), source="random")


def attacked(random: Random, pair: Pair, region: Region) -> np.ndarray:
    boxes = zip(region.lower, region.upper, strict=True)
    return np.concatenate([pair.attacked(random, low, high) for low, high in boxes])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_point_contradicts_a_bound_or_a_verdict(
    tmp_path: Path, figures: Figures, arithmetic: str, family: str
) -> None:
    for random in generators(4, "whole", family, arithmetic):
        pair = random_pair(random, family, tmp_path)
        figures["networks"] += 2
        region = random_region(random, pair.f.inputs)
        figures["boxes"] += region.boxes
        names = ["linf", "linf", "l1", "l2"] + ["top1"] * (pair.f.outputs > 1)
        divergence = divergences.parse(str(random.choice(names)), None, "argmax")
        budget = {"samples": 0, "max_boxes": int(random.choice([1, 10, 60])), "threads": 1}
        open_claim = Claim(region, divergence=divergence, arithmetic=arithmetic)
        result = verify(*pair.paths, open_claim, **budget)
        x = attacked(random, pair, region)
        truth = judge(result, pair, x, figures)
        if divergence.name == "top1":
            tolerance = 0.5
        else:
            factor = random.choice([0.5, 1 - 1e-6, 1.0, 1.1, 2.0])
            tolerance = float(truth) ** (0.5 if divergence.name == "l2" else 1.0) * factor
        claim = Claim(region, divergence=divergence, tolerance=tolerance, arithmetic=arithmetic)
        result = verify(*pair.paths, claim, **budget)
        judge(result, pair, x, figures)
        confirm(result, pair, figures)


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_files_differ_by_exactly_nothing(
    tmp_path: Path, figures: Figures, arithmetic: str, family: str
) -> None:
    for random in generators(1, "equal", family, arithmetic):
        f = FAMILIES[family](random)
        pair = Pair(f, f, tmp_path)
        claim = Claim(random_region(random, f.inputs), tolerance=0.0, arithmetic=arithmetic)
        result = verify(*pair.paths, claim, samples=0, max_boxes=50, threads=1)
        if result.proof.stopped == "unavailable":
            figures["equal pairs that are not bounded"] += 1
            continue
        if family in ("smooth", "quantised") and arithmetic == "float32":
            # Such a function's difference is not exactly 0 where float32 rounds what it reads.
            assert result.verdict in (Verdict.PROVED, Verdict.INCONCLUSIVE)
            continue
        assert result.proof.bound == 0.0
        assert result.verdict is Verdict.PROVED
        confirm(result, pair, figures)
