"""Boxes of wide networks have a bound at once, and finer ones while there is time."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import pruners
from simcert.bounds import Propagator, RowBounds
from simcert.claim import Claim, Region
from simcert.progress import Silent
from simcert.search import BranchAndBound
from simcert.search.stages import StagedPropagator
from simcert.verification.pair import Pair

WORK = 1e8


@pytest.fixture(scope="module")
def pair(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    original = data / "vision/onnx/mnist-net_256x2.onnx"
    copy = tmp_path_factory.mktemp("copy") / "copy.onnx"
    pruners.float16(original).save(copy)
    centre = np.random.default_rng(1).uniform(0.0, 1.0, 784)
    region = Region.from_boxes((centre - 0.03)[None], (centre + 0.03)[None], source="a ball")
    return Pair.read(original, copy, Claim(region), 1)


def staged(pair: Pair, work: float) -> StagedPropagator:
    return StagedPropagator(lambda limit: propagator(pair, limit), work)


def propagator(pair: Pair, work: float) -> Propagator:
    assert pair.dual is not None
    rows = pair.claim.divergence.rows(pair.dual.outputs)
    functions = (torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
    return Propagator(pair.dual, *functions, work=work)


def bound(of: StagedPropagator | Propagator, pair: Pair, deadline: float = math.inf) -> RowBounds:
    region = pair.claim.region
    return of.bound(torch.tensor(region.lower), torch.tensor(region.upper), None, deadline)


def widths(bounds: RowBounds) -> torch.Tensor:
    return bounds.upper - bounds.lower


def test_late_or_not_there_is_a_bound_and_it_holds(pair: Pair) -> None:
    x = np.random.default_rng(2).uniform(
        pair.claim.region.lower, pair.claim.region.upper, (64, 784)
    )
    difference = torch.as_tensor(pair.f.run(x) - pair.g.run(x))
    for deadline in (0.0, time.monotonic() + 0.2, math.inf):
        bounds = bound(staged(pair, math.inf), pair, deadline)
        assert widths(bounds).isfinite().all()
        assert (bounds.lower <= difference).all()
        assert (difference <= bounds.upper).all()


def test_stages_are_no_looser_than_any_of_them(pair: Pair) -> None:
    last = bound(propagator(pair, math.inf), pair)
    both = bound(staged(pair, math.inf), pair)
    assert (widths(both) <= widths(last)).all()
    assert (widths(last) < widths(bound(propagator(pair, 0.0), pair))).all()


def test_what_one_stage_can_bound_has_one(pair: Pair) -> None:
    once = bound(staged(pair, WORK), pair)
    assert torch.equal(widths(once), widths(bound(propagator(pair, WORK), pair)))


def test_boxes_that_keep_nothing_are_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what they would keep does not fit in memory; their parts then start from nothing."""
    assert pair.dual is not None
    monkeypatch.setattr("simcert.search.branch_and_bound._INHERITED_BYTES", 0)
    own = BranchAndBound(pair.dual, pair.claim, pair.exceeding, pair.f.dtype, work=WORK)
    assert own.like.inherited.shape == (0, 6, 0)
    found = own.run(deadline=math.inf, max_boxes=2, progress=Silent())
    own.close()
    assert found.boxes == 2
    assert found.candidate is not None
    assert found.candidate.divergence <= found.bound < math.inf
