"""A small pair, searches of it, and what two searches must have in common."""

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
from networks import random_mlp

from simcert.claim import Claim, Region
from simcert.progress import Silent
from simcert.search import BranchAndBound, Found
from simcert.search.workers import Workers
from simcert.verification.pair import Pair


def small_pair(folder: Path, tolerance: float | None) -> Pair:
    """Two networks on a cube that differ by 0.2075; some 2,000 boxes prove 0.21."""
    inputs, sizes = 5, [5, 16, 16, 2]
    f = random_mlp(folder / "f.onnx", sizes, seed=0)
    g = random_mlp(folder / "g.onnx", sizes, seed=0, noise=0.02)
    region = Region.from_boxes([[-1] * inputs], [[1] * inputs], source="cube")
    return Pair.read(f, g, Claim(region, tolerance=tolerance, arithmetic="real"), threads=1)


def search(pair: Pair, workers: Workers | None = None, **options) -> BranchAndBound:
    """A search of the pair, from nothing."""
    return BranchAndBound(
        pair.dual, pair.claim, pair.exceeding, pair.f.dtype, workers=workers, **options
    )


def run(own: BranchAndBound, max_boxes: int | None = None) -> Found:
    """Search without a clock."""
    return own.run(deadline=math.inf, max_boxes=max_boxes, progress=Silent())


def assert_same(first: Found, second: Found) -> None:
    """The same tree, the same boxes left, the same bounds, to the last bit."""
    assert first.boxes == second.boxes
    assert first.bound == second.bound
    assert np.array_equal(first.rows, second.rows)
    for f in fields(first.splits):
        assert np.array_equal(getattr(first.splits, f.name), getattr(second.splits, f.name))
    orders = [np.argsort(found.undecided.node) for found in (first, second)]
    for f in fields(first.undecided):
        one, other = (
            getattr(found.undecided, f.name)[order]
            for found, order in zip((first, second), orders, strict=True)
        )
        assert np.array_equal(one, other), f.name
    assert first.decided_bound == second.decided_bound
    assert first.undecided_mass == second.undecided_mass
