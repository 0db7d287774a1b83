"""The bounds of f, g and f − g themselves, on boxes and on parts that inherit from them."""

from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.pairs import Pair
from hunt.propagators import bound, contain, propagators
from hunt.random_networks import FAMILIES, box, compress, part, points

from simcert import UnsupportedOperatorError
from simcert.claim.claim import ARITHMETICS

POINTS = 400


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_run_lies_inside_the_bounds(
    tmp_path: Path, figures: Figures, arithmetic: str, family: str
) -> None:
    for index, random in enumerate(generators(5, "propagators", family, arithmetic)):
        f = FAMILIES[family](random)
        _, g = compress(random, f)
        folder = tmp_path / str(index)
        folder.mkdir()
        pair = Pair(f, g, folder)
        boxes = [box(random, f.inputs) for _ in range(3)]
        parts = [part(random, *whole) for whole in boxes]
        figures["networks"] += 2
        try:
            own_propagators = propagators(pair, arithmetic)
        except UnsupportedOperatorError:
            figures["pairs that are not bounded"] += 1
            continue
        for propagator in own_propagators:
            whole = bound(propagator, boxes)
            inherited = bound(propagator, parts, whole.inherited)
            for bounds, own in ((whole, boxes), (inherited, parts)):
                figures["boxes"] += len(own)
                for i, (low, high) in enumerate(own):
                    x = points(random, low, high, POINTS)
                    contain(bounds, i, pair, x, arithmetic, figures)
                    inside = pair.attacked(random, low, high, 10)
                    contain(bounds, i, pair, np.unique(inside, axis=0), arithmetic, figures)
