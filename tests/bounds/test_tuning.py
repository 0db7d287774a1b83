"""Tuned slopes and planes are never looser, contain what they bound, and pay on pruned pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_mlp

import pruners
from simcert.bounds import Propagator
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import DualProgram, align


def pair(folder: Path, sparsity: float) -> DualProgram:
    original = random_mlp(folder / "f.onnx", (20, 40, 40, 5), 1)
    pruners.magnitude(original, sparsity=sparsity, scope="global").save(folder / "g.onnx")
    f, g = (lower(load(folder / name).graph) for name in ("f.onnx", "g.onnx"))
    return align(f, g)


@pytest.mark.parametrize("sparsity", [0.05, 0.5])
@pytest.mark.parametrize("radius", [0.02, 0.5])
def test_never_looser_and_sound(tmp_path: Path, sparsity: float, radius: float) -> None:
    dual = pair(tmp_path, sparsity)
    eye = torch.eye(5, dtype=torch.float64)
    rows = 0 * eye, 0 * eye, eye
    centre = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (3, 20)))
    lower_corner, upper_corner = centre - radius, centre + radius
    plain = Propagator(dual, *rows).bound(lower_corner, upper_corner)
    tuned = Propagator(dual, *rows, steps=15).bound(lower_corner, upper_corner)
    assert (tuned.upper <= plain.upper + 1e-9).all()
    assert (tuned.lower >= plain.lower - 1e-9).all()
    f, g = (lower(load(tmp_path / name).graph) for name in ("f.onnx", "g.onnx"))
    x = lower_corner + 2 * radius * torch.rand(2000, 3, 20, dtype=torch.float64)
    difference = f.run(x.reshape(-1, 20)) - g.run(x.reshape(-1, 20))
    difference = difference.reshape(2000, 3, 5)
    assert (difference <= tuned.upper).all()
    assert (difference >= tuned.lower).all()
    # The linear bound lies above the function too, not only its maximum.
    line = torch.einsum("bsn,tbn->tbs", tuned.upper_slope, x) + tuned.upper_offset
    assert (difference <= line + 1e-12).all()


def test_pays_on_pruned_pairs_of_large_regions(tmp_path: Path) -> None:
    dual = pair(tmp_path, 0.5)
    eye = torch.eye(5, dtype=torch.float64)
    rows = 0 * eye, 0 * eye, eye
    box = torch.full((1, 20), -0.5, dtype=torch.float64), torch.full((1, 20), 0.5).double()
    plain, tuned = (Propagator(dual, *rows, steps=s).bound(*box) for s in (0, 15))
    gain = (plain.upper - plain.lower).sum() / (tuned.upper - tuned.lower).sum()
    assert gain > 1.1


def test_tuning_starts_from_bounds_of_the_same_boxes(tmp_path: Path) -> None:
    dual = pair(tmp_path, 0.5)
    eye = torch.eye(5, dtype=torch.float64)
    rows = 0 * eye, 0 * eye, eye
    box = torch.full((1, 20), -0.5, dtype=torch.float64), torch.full((1, 20), 0.5).double()
    plain = Propagator(dual, *rows).bound(*box)
    both = plain.tightened(Propagator(dual, *rows, steps=5).bound(*box, plain.inherited))
    assert (both.upper <= plain.upper).all()
    assert (both.lower >= plain.lower).all()
