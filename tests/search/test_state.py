"""A search that goes on from a file ends as one that was never interrupted; other files do not."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from searches import assert_same, run, search, small_pair

from simcert import ClaimError, Verdict, verify
from simcert.search import Resources
from simcert.search.state import State
from simcert.verification.pair import Pair

IDENTITY = {"original": "f", "claim": "c"}


@pytest.mark.parametrize("tolerance", [0.21, None])
@pytest.mark.parametrize("limits", [(37,), (255, 600), (400, 401)])
def test_resuming_is_going_on(
    tmp_path: Path, tolerance: float | None, limits: tuple[int, ...]
) -> None:
    pair, path = small_pair(tmp_path, tolerance), tmp_path / "state.npz"
    whole = run(search(pair), 1200)
    own = search(pair, keep=True)
    for limit in limits:
        run(own, limit)
        own.state.save(path, IDENTITY, 1)
        own = search(pair, keep=True)
        state, runs = State.load(path, IDENTITY, own.like, pair.claim.region)
        own.resume(state)
        assert runs == 1
    assert_same(whole, run(own, 1200))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Pair, Path]:
    pair, path = small_pair(tmp_path, 0.22), tmp_path / "state.npz"
    own = search(pair, keep=True)
    run(own, 300)
    own.state.save(path, IDENTITY, 1)
    return pair, path


def load(pair: Pair, path: Path, identity: dict[str, str] = IDENTITY) -> State:
    return State.load(path, identity, search(pair).like, pair.claim.region)[0]


def test_the_state_of_another_search_is_refused(saved: tuple[Pair, Path]) -> None:
    with pytest.raises(ClaimError, match="original"):
        load(*saved, {**IDENTITY, "original": "another"})


def test_damaged_states_are_refused(saved: tuple[Pair, Path]) -> None:
    pair, path = saved
    with np.load(path) as old:
        arrays = dict(old)
    lower, node, cut = arrays["open.lower"], arrays["open.node"], arrays["splits.cut"]
    moved, twice = lower + 2.0**-10, np.where(node == node[0], node[1], node)
    header = json.dumps({"format": "another", **IDENTITY, "runs": 1}).encode()
    for damage in (
        {"open.lower": moved},
        {"open.node": twice},
        {"open.node": node[:-1]},
        {"open.node": node + 10**9},
        {"open.mass": np.full_like(arrays["open.mass"], np.nan)},
        {"open.inherited": arrays["open.inherited"][:, :, 1:]},
        {"splits.cut": cut + 5.0},
        {"splits.node": arrays["splits.node"][::-1]},
        {"counts": arrays["counts"][:1]},
        {"header": np.frombuffer(header, np.uint8)},
        {"header": np.frombuffer(b"[" * 10**5, np.uint8)},
        {"closed": np.array([np.nan] * 4)},
        {"violated": np.array([{}], dtype=object)},
    ):
        np.savez(path, **{**arrays, **damage})
        with pytest.raises(ClaimError):
            load(pair, path)
    np.savez(path, **arrays)
    load(pair, path)
    data = path.read_bytes()
    for wrong in (b"", b"PK", data[:1000], data[: len(data) // 2]):
        path.write_bytes(wrong)
        with pytest.raises(ClaimError):
            load(pair, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("header.npy", b"\0" * 10**7)
    with pytest.raises(ClaimError, match="compressed"):
        load(pair, path)


def test_runs_go_on_until_all_is_proved(tmp_path: Path) -> None:
    pair, path = small_pair(tmp_path, 0.22), tmp_path / "state.npz"
    files = pair.original.path, pair.compressed.path
    whole = verify(*files, pair.claim, samples=0)
    assert whole.verdict is Verdict.PROVED
    first = verify(*files, pair.claim, samples=0, max_boxes=50, resources=Resources(resume=path))
    assert first.verdict is Verdict.INCONCLUSIVE
    assert path.exists()
    second = verify(*files, pair.claim, samples=0, resources=Resources(resume=path))
    assert second.verdict is Verdict.PROVED
    assert second.proof.boxes == whole.proof.boxes
    assert second.proof.bound == whole.proof.bound
    assert any("went on from" in sentence for sentence in second.assumptions)
    assert not path.exists()


def test_every_run_has_less_of_the_confidence(tmp_path: Path) -> None:
    """Three runs of one file spend at most α/2 + α/4 + α/8."""
    pair, path = small_pair(tmp_path, 0.25), tmp_path / "state.npz"
    files = pair.original.path, pair.compressed.path
    shares = []
    for _ in range(3):
        resources = Resources(resume=path)
        result = verify(*files, pair.claim, samples=2000, max_boxes=5, resources=resources)
        assert result.statistics is not None
        shares.append(result.statistics.plan.family)
    assert shares == [2, 4, 8]
