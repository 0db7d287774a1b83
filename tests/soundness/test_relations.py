"""What must hold between two answers about the same networks."""

from pathlib import Path

import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.judge import judge
from hunt.pairs import Pair
from hunt.random_networks import FAMILIES, box, compress

from simcert import verify
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS

pytestmark = [
    pytest.mark.parametrize("arithmetic", ARITHMETICS),
    pytest.mark.parametrize("family", FAMILIES),
]


def test_exchanging_the_networks_changes_no_truth(
    tmp_path: Path, figures: Figures, arithmetic: str, family: str
) -> None:
    """d is symmetric; bounds need not be, but what was found one way lies below both."""
    for index, random in enumerate(generators(2, "symmetry", family, arithmetic)):
        f = FAMILIES[family](random)
        _, g = compress(random, f)
        low, high = box(random, f.inputs)
        claim = Claim(Region.from_boxes([low], [high], source="box"), arithmetic=arithmetic)
        results = []
        for way, networks in (("fg", (f, g)), ("gf", (g, f))):
            folder = tmp_path / f"{index}-{way}"
            folder.mkdir()
            pair = Pair(*networks, folder)
            result = verify(*pair.paths, claim, samples=0, max_boxes=1, threads=1)
            x = pair.attacked(random, low, high)
            results.append((result, judge(result, pair, x, figures)))
        (one, truth), (other, mirrored) = results
        assert max(truth, mirrored) <= min(one.proof.bound, other.proof.bound)
        figures["exchanged pairs"] += 1
        equal = abs(one.proof.bound - other.proof.bound) <= 1e-9 * one.proof.bound
        figures["exchanged pairs with bounds equal up to 1e-9"] += int(equal)


def test_more_boxes_never_loosen_a_bound(
    tmp_path: Path, figures: Figures, arithmetic: str, family: str
) -> None:
    """Parts inherit what is known of the whole."""
    for index, random in enumerate(generators(1, "parts", family, arithmetic)):
        f = FAMILIES[family](random)
        _, g = compress(random, f)
        folder = tmp_path / str(index)
        folder.mkdir()
        pair = Pair(f, g, folder)
        low, high = box(random, f.inputs)
        claim = Claim(Region.from_boxes([low], [high], source="box"), arithmetic=arithmetic)
        bounds = []
        for max_boxes in (1, 4, 16, 64):
            result = verify(*pair.paths, claim, samples=0, max_boxes=max_boxes, threads=1)
            bounds.append(result.proof.bound)
        judge(result, pair, pair.attacked(random, low, high), figures)
        assert bounds == sorted(bounds, reverse=True)
