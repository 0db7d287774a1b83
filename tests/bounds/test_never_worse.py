"""On every box, never looser than intervals, CROWN on the product network and the plain dual bound.

Bounds are those that the search makes: inherited ones, tuned, then phases.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_mlp

import pruners
from simcert.bounds import Propagator
from simcert.bounds.phases import PhasePropagator
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import DualProgram, align


def product(dual: DualProgram) -> DualProgram:
    """The two networks side by side: no node is aligned."""
    nodes = (replace(n, aligned=False, differences=()) if n.f_operands else n for n in dual.nodes)
    return DualProgram(tuple(nodes))


@pytest.mark.parametrize("sparsity", [0.02, 0.3, 0.8])
@pytest.mark.parametrize("sizes", [(12, 24, 3), (12, 24, 24, 3), (12, 16, 16, 16, 3)])
def test_on_every_box(tmp_path: Path, sparsity: float, sizes: tuple[int, ...]) -> None:
    original = random_mlp(tmp_path / "f.onnx", sizes, 4)
    pruners.magnitude(original, sparsity=sparsity, scope="global").save(tmp_path / "g.onnx")
    f, g = (lower(load(tmp_path / name).graph) for name in ("f.onnx", "g.onnx"))
    dual = align(f, g)
    eye = torch.eye(3, dtype=torch.float64)
    rows = 0 * eye, 0 * eye, eye
    for seed, radius in enumerate((0.01, 0.1, 0.5, 2.0)):
        centre = torch.as_tensor(np.random.default_rng(seed).uniform(-1, 1, (1, 12)))
        box = centre - radius, centre + radius
        plain = Propagator(dual, *rows).bound(*box)
        tuned = plain.tightened(Propagator(dual, *rows, steps=5).bound(*box, plain.inherited))
        brancher = PhasePropagator(dual, *rows)
        own = brancher.branch(
            *box, tuned, lambda low, high: (-torch.stack([high, -low]), 0 * eye[:2]), work=3e5
        )
        others = {
            "intervals": Propagator(product(dual), *rows, work=0.0).bound(*box),
            "CROWN on the product network": Propagator(product(dual), *rows).bound(*box),
            "dual, untuned": plain,
        }
        for name, other in others.items():
            slack = 1e-9 * other.upper.abs().max()
            assert (own.upper <= other.upper + slack).all(), (name, radius)
            assert (own.lower >= other.lower - slack).all(), (name, radius)
