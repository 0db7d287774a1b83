"""The region's own bound comes before the attack, and is not computed twice."""

import math

import pytest
from searches import assert_same, run, search, small_pair

from simcert import verify
from simcert.verification import findings


def test_what_is_bounded_first_is_what_the_search_bounds_first(tmp_path):
    pair = small_pair(tmp_path, 0.21)
    own = search(pair)
    assert not own.settles_at_once(math.inf)
    first, second = run(own, max_boxes=200), run(search(pair), max_boxes=200)
    assert first.boxes == 200
    assert_same(first, second)


def test_a_region_that_is_on_disk_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCERT_CACHE", str(tmp_path))
    own = search(small_pair(tmp_path, 1e6), memory=1.0)
    assert own.settles_at_once(math.inf)
    own.close()


def test_no_time_says_nothing(tmp_path):
    own = search(small_pair(tmp_path, 1e6))
    assert not own.settles_at_once(-math.inf)
    assert own.settles_at_once(math.inf)
    assert run(own).boxes == 1


@pytest.mark.parametrize(
    ("tolerance", "verdict", "climbs"), [(1e6, "proved", False), (0.0, "refuted", True)]
)
def test_only_claims_that_the_first_bound_leaves_open_are_attacked_in_earnest(
    tmp_path, monkeypatch, tolerance, verdict, climbs
):
    pair, calls = small_pair(tmp_path, tolerance), []
    attack = findings.attack

    def noted(*positional, **options):
        calls.append(options["climbs"])
        return attack(*positional, **options)

    monkeypatch.setattr(findings, "attack", noted)
    result = verify(pair.original, pair.compressed, pair.claim, samples=0)
    assert (result.verdict, calls) == (verdict, [climbs])
