"""The exact worst case, from a mixed-integer program, as the oracle of every verdict near it."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import confirm, judge
from hunt.layers import Network, dense
from hunt.optimum import worst_case
from hunt.pairs import Pair, divergence_of
from hunt.random_networks import METHODS, Random

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS

SOLVER = 1e-5
"""Relative tolerance of HiGHS (feasibility 1e-6, integrality 1e-6) that its numbers are granted."""


def relu_pair(random: Random, folder: Path) -> Pair:
    """Two hidden layers, a dozen neurons, and a compressed copy."""
    sizes = [int(random.integers(1, 4)), *(int(n) for n in random.integers(2, 7, 2)), 2]
    f: Network = dense(
        [
            (random.standard_normal((n, m)), 0.3 * random.standard_normal(n))
            for m, n in pairwise(sizes)
        ]
    )
    methods = ("float16", "integers", "pruned", "noise", "unrelated")
    g = f.changed(METHODS[str(random.choice(methods))](random))
    folder.mkdir()
    return Pair(f, g, folder)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_bounds_and_verdicts_enclose_the_optimum(
    tmp_path: Path, figures: Figures, arithmetic: str
) -> None:
    for index, random in enumerate(generators(3, "optimum", arithmetic)):
        pair = relu_pair(random, tmp_path / str(index))
        low, high = np.full(pair.f.inputs, -1.0), np.ones(pair.f.inputs)
        best = worst_case(pair.f, pair.g, low, high)
        above = best.upper + SOLVER * (1 + abs(best.upper))
        region = Region.from_boxes([low], [high], source="cube")
        # What the solver's point attains is a fact, whatever the solver's tolerances are.
        attained, _ = divergence_of("linf", *pair.exactly(best.x, 0, arithmetic))
        budget = {"samples": 0, "max_boxes": 400, "threads": 1}
        result = verify(*pair.paths, Claim(region, arithmetic=arithmetic), **budget)
        assert attained <= result.proof.bound
        assert result.witness is not None
        assert result.witness.divergence <= above
        judge(result, pair, best.x[None], figures)
        figures["optima"] += 1
        if result.proof.stopped == "finished":
            figures["optima bracketed by a finished search"] += 1
        for factor in (0.98, 1 - 1e-7, 1 + 1e-4, 1.05):
            tolerance = float(attained) * factor
            claim = Claim(region, tolerance=tolerance, arithmetic=arithmetic)
            result = verify(*pair.paths, claim, **budget)
            if attained > tolerance:
                assert result.verdict is not Verdict.PROVED
            if above < tolerance and arithmetic == "real":
                assert result.verdict is not Verdict.REFUTED
            judge(result, pair, best.x[None], figures)
            confirm(result, pair, figures)


def test_one_box_is_no_tighter_than_what_is_true(tmp_path: Path, figures: Figures) -> None:
    """With no cut at all the bound lies above the optimum; the linear relaxation, for scale."""
    for index, random in enumerate(generators(2, "one box")):
        pair = relu_pair(random, tmp_path / str(index))
        low, high = np.full(pair.f.inputs, -0.5), np.full(pair.f.inputs, 0.5)
        best = worst_case(pair.f, pair.g, low, high)
        relaxed = worst_case(pair.f, pair.g, low, high, relaxed=True)
        claim = Claim(Region.from_boxes([low], [high], source="cube"), arithmetic="real")
        bound = verify(*pair.paths, claim, samples=0, max_boxes=1, threads=1).proof.bound
        attained, _ = divergence_of("linf", *pair.exactly(best.x, 0, "real"))
        assert attained <= Fraction(bound)
        assert best.value <= relaxed.value + SOLVER * (1 + abs(relaxed.value))
        figures["one-box bounds tighter than the linear relaxation"] += int(bound < relaxed.value)
        figures["one-box bounds"] += 1
