"""Regions: what is refused, weights, rounding to the networks' input type."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcert.claim import Region
from simcert.errors import ClaimError


def test_fields_are_read_only_copies() -> None:
    lower = np.zeros((1, 2))
    region = Region.from_boxes(lower, lower + 1, source="test")
    lower[:] = 7
    assert region.lower.tolist() == [[0, 0]]
    assert (region.boxes, region.inputs) == (1, 2)
    with pytest.raises(ValueError, match="read-only"):
        region.upper[0, 0] = 3


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([0, 0], [1, 1], r"same shape \(boxes, inputs\), not \(2,\)"),
        ([[0, 0]], [[1]], r"not \(1, 2\) and \(1, 1\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one box"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "one input"),
        ([[0, np.nan]], [[1, 1]], r"input 1 \(b\) of box 0 .*must be finite"),
        ([[0, 0]], [[1, np.inf]], "must be finite"),
        ([[0, 0], [0, 2.5]], [[1, 1], [1, 1]], r"input 1 \(b\) of box 1 .*\[2.5, 1.0\].*above"),
        ([[0, -1.7e308]], [[1, 1.7e308]], "overflows"),
    ],
)
def test_bounds_that_make_no_box_are_refused(lower: object, upper: object, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        Region.from_boxes(lower, upper, source="test", names=("a", "b"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "shape"),
        ([0.5, 0.6], "sum to 1.1"),
        ([-0.5, 1.5], "not negative"),
        ([np.nan, 1.0], "finite"),
    ],
)
def test_weights_that_are_no_distribution_are_refused(weights: list[float], message: str) -> None:
    box = np.zeros((2, 1))
    with pytest.raises(ClaimError, match=message):
        Region(box, box, np.array(weights), "test")


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [np.inf, 1], [np.nan, 1], [1e308, 1e308]])
def test_relative_weights_must_have_a_sum(weights: list[float]) -> None:
    box = np.zeros((2, 1))
    with pytest.raises(ClaimError, match="not all zero"):
        Region.from_boxes(box, box, source="test", weights=weights)


def test_names_must_fit() -> None:
    with pytest.raises(ClaimError, match="1 units for 2 inputs"):
        Region.from_boxes([[0, 0]], [[1, 1]], source="test", units=("m",))


def test_default_weights() -> None:
    by_volume = Region.from_boxes([[0, 5], [0, 5]], [[1, 5], [3, 5]], source="same dimensions")
    assert by_volume.weights.tolist() == [0.25, 0.75]
    equal = Region.from_boxes([[0, 5], [0, 5]], [[1, 5], [3, 6]], source="other dimensions")
    assert equal.weights.tolist() == [0.5, 0.5]
    given = Region.from_boxes([[0], [0]], [[1], [1]], source="given", weights=[1, 3])
    assert given.weights.tolist() == [0.25, 0.75]


def test_weights_close_to_one_are_kept_as_they_are() -> None:
    weights = [0.1, 0.2, 0.7]  # their float64 sum is not 1
    region = Region.from_boxes(np.zeros((3, 1)), np.ones((3, 1)), source="t", weights=weights)
    assert region.weights.tolist() == weights


def test_volumes_of_many_dimensions_do_not_underflow() -> None:
    lower = np.zeros((2, 3072))
    upper = np.full((2, 3072), 1e-3)
    upper[1, 0] = 3e-3
    region = Region.from_boxes(lower, upper, source="test")
    assert region.weights == pytest.approx([0.25, 0.75])


def test_contains() -> None:
    region = Region.from_boxes([[0, 0], [2, 2]], [[1, 1], [3, 3]], source="test")
    x = np.array([[0.0, 1.0], [2.5, 2.5], [1.5, 1.5], [np.nan, 0]])
    assert region.contains(x).tolist() == [True, True, False, False]
    assert region.contains(x, box=1).tolist() == [False, True, False, False]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(values=st.lists(st.floats(-6e4, 6e4), min_size=2, max_size=2).map(sorted))
def test_rounding_outward_is_tight(dtype: type[np.floating], values: list[float]) -> None:
    region = Region.from_boxes([values[:1]], [values[1:]], source="test")
    rounded = region.rounded_outward(dtype)
    low, high = rounded.lower[0, 0], rounded.upper[0, 0]
    assert low == dtype(low)
    assert high == dtype(high)
    assert low <= values[0] <= values[1] <= high
    assert float(np.nextafter(dtype(low), dtype(np.inf))) > values[0]
    assert float(np.nextafter(dtype(high), dtype(-np.inf))) < values[1]
    again = rounded.rounded_outward(dtype)
    assert again.lower.tolist() == rounded.lower.tolist()
    assert again.upper.tolist() == rounded.upper.tolist()


def test_rounding_outward_has_limits() -> None:
    region = Region.from_boxes([[0.0]], [[1e39]], source="big.json")
    with pytest.raises(ClaimError, match=r"big.json: input 0 of box 0 .*range of float32"):
        region.rounded_outward(np.float32)
    with pytest.raises(ClaimError, match="int8 have no region of real numbers"):
        region.rounded_outward(np.int8)


def test_digest_and_listing() -> None:
    one = Region.from_boxes([[0.1, 0]], [[1, 1]], source="a")
    described = one.to_dict()
    assert described["bounds"][0]["lower_hex"] == [(0.1).hex(), (0.0).hex()]
    other = Region.from_boxes([[0.1, 0]], [[1, 1.5]], source="a")
    assert described["sha256"] != other.to_dict()["sha256"]
    large = Region.from_boxes(np.zeros((3, 2000)), np.ones((3, 2000)), source="large")
    assert large.to_dict()["bounds"] is None


def test_all_corners_are_inside() -> None:
    region = Region.from_boxes([[0, 0, 0]], [[1, 2, 3]], source="test")
    corners = np.array(list(itertools.product([0, 1], [0, 2], [0, 3])), dtype=float)
    assert region.contains(corners).all()
