"""Splitting loses nothing: halves cover their box, and their masses add up."""

import numpy as np
import pytest

from simcert.claim import Region, TruncatedNormal, Uniform
from simcert.search.boxes import roots, split

DISTRIBUTIONS = [Uniform(), TruncatedNormal(0.7)]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_repeated_splits_cover_the_region(distribution) -> None:
    generator = np.random.default_rng(0)
    region = Region.from_boxes(
        [[-1, 0, 2], [5, 5, 5]], [[1, 0, 3], [6, 5, 9]], source="two boxes"
    ).rounded_outward(np.float32)
    boxes = roots(region, distribution, 1, 0)
    for _ in range(7):
        boxes, narrow = split(boxes, generator.random((len(boxes), 3)), region, distribution, "f4")
        assert len(narrow) == 0
    assert len(boxes) == 2 * 2**7
    assert (boxes.lower.astype(np.float32) == boxes.lower).all()
    assert boxes.mass.sum() == pytest.approx(1.0, abs=1e-9)
    assert boxes.mass.sum() >= 1.0
    for root in range(2):
        points = generator.uniform(region.lower[root], region.upper[root], (500, 3))
        own = boxes.take(boxes.root == root)
        inside = (own.lower <= points[:, None]) & (points[:, None] <= own.upper)
        assert inside.all(axis=2).any(axis=1).all()


def test_a_box_without_a_value_inside_is_not_split() -> None:
    one = np.float32(1.0)
    region = Region.from_boxes([[1.0]], [[float(np.nextafter(one, 2 * one))]], source="one step")
    boxes = roots(region, Uniform(), 1, 0)
    halves, narrow = split(boxes, np.ones((1, 1)), region, Uniform(), np.float32)
    assert len(halves) == 0
    assert len(narrow) == 1
