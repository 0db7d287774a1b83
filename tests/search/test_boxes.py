"""Splitting loses nothing: halves cover their box, and their masses add up."""

import numpy as np
import pytest

from simcert.claim import Region, TruncatedNormal, Uniform
from simcert.search.boxes import Boxes, Splits, roots, split

DISTRIBUTIONS = [Uniform(), TruncatedNormal(0.7)]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_repeated_splits_cover_the_region(distribution) -> None:
    generator = np.random.default_rng(0)
    region = Region.from_boxes(
        [[-1, 0, 2], [5, 5, 5]], [[1, 0, 3], [6, 5, 9]], source="two boxes"
    ).rounded_outward(np.float32)
    boxes = roots(region, distribution, 1, 0)
    first = 2
    for _ in range(7):
        score = generator.random((len(boxes), 3))
        boxes, _, narrow, cuts = split(boxes, score, region, distribution, "f4", first)
        first += 2 * len(cuts)
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
    halves, _, narrow, cuts = split(boxes, np.ones((1, 1)), region, Uniform(), np.float32, 1)
    assert len(halves) == 0
    assert len(narrow) == 1
    assert len(cuts) == 0


def test_the_split_tree_rebuilds_the_leaves() -> None:
    generator = np.random.default_rng(1)
    region = Region.from_boxes([[-1, 0]] * 3, [[1, 4]] * 3, source="three boxes")
    boxes, parts, first = roots(region, Uniform(), 1, 0), [], 3
    for _ in range(5):
        chosen = generator.random(len(boxes)) < 0.6
        score = generator.random((int(chosen.sum()), 2))
        law = region, Uniform(), np.float32
        halves, _, _, cuts = split(boxes.take(chosen), score, *law, first)
        boxes, parts, first = (
            Boxes.concatenated([boxes.take(~chosen), halves]),
            [*parts, cuts],
            first + 2 * len(cuts),
        )
    lower, upper = list(region.lower), list(region.upper)
    splits = Splits.joined(parts)
    for node, dimension, cut in zip(splits.node, splits.dimension, splits.cut, strict=True):
        for side in (upper, lower):
            side.append(side[node].copy())
            side.append(side[node].copy())
        upper[-2][dimension] = lower[-1][dimension] = cut
    assert np.array_equal(np.array(lower)[boxes.node], boxes.lower)
    assert np.array_equal(np.array(upper)[boxes.node], boxes.upper)
    assert sorted([*boxes.node, *splits.node]) == list(range(first))
