"""auto_LiRPA's CROWN beside SimCert's bounds: of each network alone, and of their difference.

Both are sound, so that their intervals overlap and hold the same points. SimCert's bounds of a
difference are not looser than CROWN on the product network, which the propagator computes besides.
"""

from pathlib import Path

import numpy as np
import pytest
from hunt.effort import generators
from hunt.figures import Figures
from hunt.layers import Network
from hunt.pairs import Pair
from hunt.propagators import bound, propagators
from hunt.random_networks import FAMILIES, Random, box, compress
from hunt.second_opinion import AVAILABLE, REASON, Product, crown, module

pytestmark = pytest.mark.skipif(not AVAILABLE, reason=REASON)

READ = ("mlp", "convolutional", "residual")
"""Families that auto_LiRPA 0.3 bounds; its LeakyRelu is not trusted."""

ROUNDING = 1e-9
"""auto_LiRPA does not bound the rounding of its own float64 computation."""


@pytest.mark.parametrize("family", READ)
def test_both_opinions_hold_the_same_points(tmp_path: Path, figures: Figures, family: str) -> None:
    for index, random in enumerate(generators(3, "opinion", family)):
        f, g = pair_of(random, family)
        folder = tmp_path / str(index)
        folder.mkdir()
        pair = Pair(f, g, folder)
        low, high = box(random, f.inputs)
        theirs = [
            np.concatenate(ends)
            for ends in zip(
                *(
                    crown(network, f.shape, low, high)
                    for network in (module(f), module(g), Product(f, g))
                ),
                strict=True,
            )
        ]
        x = pair.attacked(random, low, high)
        a, b = f.run(x), g.run(x)
        values = np.concatenate([a, b, a - b], axis=1)
        size = ROUNDING * (1 + np.tile(np.maximum(abs(a), abs(b)).max(axis=0), 3))
        assert (theirs[0] - size <= values).all()
        assert (values <= theirs[1] + size).all()
        for propagator in propagators(pair, "real"):
            bounds = bound(propagator, [(low, high)])
            lower, upper = bounds.lower[0].numpy(), bounds.upper[0].numpy()
            assert (lower <= values.min(axis=0) + size).all()
            assert (values.max(axis=0) <= upper + size).all()
            assert (lower <= theirs[1] + size).all()
            assert (theirs[0] <= upper + size).all()
            figures["opinions compared"] += len(lower)
            ours, other = upper - lower, theirs[1] - theirs[0]
            rows = slice(2 * f.outputs, None)
            compare(ours[rows], other[rows], size[rows], family, figures)


def pair_of(random: Random, family: str) -> tuple[Network, Network]:
    f = FAMILIES[family](random)
    while family == "residual" and len(f.shape) == 1:  # on dense ones auto_LiRPA 0.3 fails
        f = FAMILIES[family](random)
    return f, compress(random, f)[1]


def compare(
    ours: np.ndarray, theirs: np.ndarray, size: np.ndarray, family: str, figures: Figures
) -> None:
    """Widths of the bounds of f − g; SimCert's hold the rounding of their computation too."""
    if family == "mlp":
        assert (ours <= 1.05 * theirs + size).all()
    figures["differences"] += len(ours)
    figures["differences bounded ten times tighter"] += int((10 * ours < theirs).sum())
    figures["differences bounded looser"] += int((ours > 1.05 * theirs + size).sum())
