"""Boxes are cut where the distance between their linear bounds comes from, relaxations included."""

from pathlib import Path

from searches import run, search

import pruners
from simcert.claim import Claim, read_region
from simcert.verification.pair import Pair


def test_an_input_that_only_relaxations_depend_on_is_cut(data: Path, tmp_path: Path) -> None:
    """Linear bounds are flat in input 2 there; cuts by slopes alone want more than 64,000 boxes."""
    original = data / "acasxu/onnx/ACASXU_run2a_1_2_batch_2000.onnx"
    compressed = tmp_path / "pruned.onnx"
    pruners.magnitude(original, sparsity=0.3, scope="global").save(compressed)
    region = read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)
    claim = Claim(region, tolerance=0.0068368)
    own = search(Pair.read(original, compressed, claim, threads=1))
    found = run(own, max_boxes=1_000)
    own.close()
    assert found.stopped == "finished"
    assert found.bound <= claim.tolerance
    # A box that is far from done is cut twice at once, so that fewer are bounded than made.
    assert found.boxes < 1 + 2 * len(found.splits)
