"""Raw and network units, and the properties in both."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import acasxu
from acasxu.units import normalised_box
from simcert import read_region


def test_units_match_the_headers_of_the_published_networks(data: Path) -> None:
    known = json.loads((data / "acasxu" / "normalisation.json").read_text())
    means, ranges = np.array(known["means"]), np.array(known["ranges"])
    raw = np.random.default_rng(0).uniform(known["mins"], known["maxs"], (100, 5))
    assert np.allclose(acasxu.normalise(raw), (raw - means) / ranges, rtol=0, atol=1e-15)
    score = np.array([[1500.0, 0, 0, 0, 0]])
    assert acasxu.raw_scores((score - known["out_mean"]) / known["out_range"])[0, 0] == 1500
    domain = acasxu.domain()
    assert np.allclose(domain.lower, (np.array(known["mins"]) - means) / ranges, rtol=0, atol=1e-15)
    assert np.allclose(domain.upper, (np.array(known["maxs"]) - means) / ranges, rtol=0, atol=1e-15)


def test_back_and_forth_is_the_identity() -> None:
    raw = np.random.default_rng(1).uniform([0, -3, -3, 100, 0], [60760, 3, 3, 1200, 1200], (50, 5))
    assert np.allclose(acasxu.denormalise(acasxu.normalise(raw)), raw, rtol=1e-13, atol=1e-11)


def test_boxes_are_rounded_outward_by_at_most_one_step() -> None:
    box = [Decimal("0.1"), Decimal("-0.3"), Decimal("3.1"), Decimal(1000), Decimal(7)]
    lower, upper = normalised_box(box, box)
    means = [Fraction(m) for m in ("19791.091", "0", "0", "650", "600")]
    ranges = [Fraction(r) for r in ("60261", "6.28318530718", "6.28318530718", "1100", "1200")]
    for low, high, value, mean, width in zip(lower, upper, box, means, ranges, strict=True):
        exact = (Fraction(value) - mean) / width
        assert Fraction(low) <= exact <= Fraction(high)
        assert high <= np.nextafter(low, np.inf)


@pytest.mark.parametrize("number", range(1, 11))
def test_properties_are_those_of_the_literature(data: Path, number: int) -> None:
    known = json.loads((data / "acasxu" / "properties.json").read_text())["properties"]
    known, own = known[str(number)], acasxu.properties()[number]
    raw = np.array(known["input_box_raw"]).transpose(0, 2, 1)
    assert np.allclose(own.raw, raw, rtol=0, atol=1e-9)
    assert set(own.networks) == set(known["networks_reluplex_scripts"])
    published = read_region(data / "acasxu" / known["vnnlib"], inputs=5)
    assert own.region.boxes == published.boxes
    # The VNN-LIB files are rounded to nine decimals.
    assert np.allclose(own.region.lower, published.lower, rtol=0, atol=5.1e-10)
    assert np.allclose(own.region.upper, published.upper, rtol=0, atol=5.1e-10)
    assert own.requirement


def test_property_6_has_two_boxes_and_property_4_no_width_in_the_heading() -> None:
    known = acasxu.properties()
    assert list(known) == list(range(1, 11))
    assert known[6].region.boxes == 2
    assert known[4].region.lower[0, 2] == known[4].region.upper[0, 2] == 0
    assert known[3].region.names == acasxu.INPUTS


def test_the_advisory_is_the_least_score() -> None:
    outputs = np.array([[0.1, -0.2, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, -1.0]])
    assert [acasxu.ADVISORIES[i] for i in acasxu.advisory(outputs)] == ["WL", "SR"]
