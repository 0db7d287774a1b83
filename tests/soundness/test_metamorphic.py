"""One function written in two ways: the two agree, and no bound of them is below their rounding."""

from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import confirm, judge
from hunt.metamorphic import REWRITINGS
from hunt.pairs import Pair, measured
from hunt.random_networks import box, compress, small_mlp

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS
from simcert.claim.divergences import LInf

pytestmark = [
    pytest.mark.parametrize("arithmetic", ARITHMETICS),
    pytest.mark.parametrize("rewriting", REWRITINGS),
]


def test_the_bound_of_two_ways_covers_their_rounding(
    tmp_path: Path, figures: Figures, arithmetic: str, rewriting: str
) -> None:
    first, second = REWRITINGS[rewriting]
    for index, random in enumerate(generators(2, "rounding", rewriting, arithmetic)):
        network = small_mlp(random, 4, normed=rewriting.startswith("folded"))
        folder = tmp_path / str(index)
        folder.mkdir()
        pair = Pair(first(random, network), second(random, network), folder)
        low, high = box(random, pair.f.inputs)
        region = Region.from_boxes([low], [high], source="box")
        claim = Claim(region, arithmetic=arithmetic)
        result = verify(*pair.paths, claim, samples=0, max_boxes=30, threads=1)
        judge(result, pair, pair.attacked(random, low, high), figures)
        figures["rewritten pairs"] += 1


def test_the_verdict_does_not_depend_on_how_a_function_is_written(
    tmp_path: Path, figures: Figures, arithmetic: str, rewriting: str
) -> None:
    """Tolerances well above and well below the worst case, so that rounding decides nothing."""
    first, second = REWRITINGS[rewriting]
    ones = np.ones((1, 1))
    for index, random in enumerate(generators(1, "verdict", rewriting, arithmetic)):
        network = small_mlp(random, 1, normed=rewriting.startswith("folded"))
        _, g = compress(random, network)
        pairs = []
        for way, own in (("first", first), ("second", second)):
            folder = tmp_path / f"{index}-{way}"
            folder.mkdir()
            pairs.append(Pair(own(random, network), first(random, g), folder))
        x = np.linspace(-1, 1, 4001)[:, None]
        worst = max(measured(LInf(), pair.f.run(x), pair.g.run(x)).max() for pair in pairs)
        for factor, expected in ((0.7, Verdict.REFUTED), (1.5, Verdict.PROVED)):
            claim = Claim(
                Region.from_boxes(-ones, ones, source="interval"),
                tolerance=float(factor * worst + (factor > 1) * 1e-3),
                arithmetic=arithmetic,
            )
            for pair in pairs:
                result = verify(*pair.paths, claim, samples=0, max_boxes=500, threads=1)
                judge(result, pair, x.astype(np.float32).astype(float), figures)
                confirm(result, pair, figures)
                if worst > 1e-3:
                    assert result.verdict in (expected, Verdict.INCONCLUSIVE)
                    figures[f"same verdict: {result.verdict is expected}"] += 1
