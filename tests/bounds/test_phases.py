"""Branching on phases: leaves cover the box, bounds hold, reach the truth, and are never looser."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_mlp
from torch import Tensor

import pruners
from simcert.bounds import Propagator, RowBounds
from simcert.bounds.phases import PhasePropagator
from simcert.claim.divergences import L1, LInf, Top1, TopK
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.program import Program
from simcert.pairing import DualProgram, align
from simcert.search.goals import goals_of

Pair = tuple[Program, Program, DualProgram]


def pair(folder: Path, sizes: tuple[int, ...], sparsity: float = 0.3) -> Pair:
    original = random_mlp(folder / "f.onnx", sizes, 1)
    pruners.magnitude(original, sparsity=sparsity, scope="global").save(folder / "g.onnx")
    f, g = (lower(load(folder / name).graph) for name in ("f.onnx", "g.onnx"))
    return f, g, align(f, g)


def differences(outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    eye = torch.eye(outputs, dtype=torch.float64)
    return 0 * eye, 0 * eye, eye


def everything(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Tighten all bounds, the largest first."""
    ends = torch.stack([upper, -lower])
    return -ends, torch.full_like(ends, -torch.inf)


def largest(bounds: RowBounds) -> float:
    return float(torch.maximum(bounds.upper, -bounds.lower).max())


def test_most_of_the_gap_to_the_truth_is_closed(tmp_path: Path) -> None:
    """Phases close most of the gap to the maximum: two inputs, a fine grid."""
    f, g, dual = pair(tmp_path, (2, 6, 6, 2), 0.5)
    rows = differences(2)
    corners = torch.full((1, 2), -1.0).double(), torch.full((1, 2), 1.0).double()
    plain = Propagator(dual, *rows).bound(*corners)
    own = PhasePropagator(dual, *rows).branch(*corners, plain, everything, work=6e6)
    line = torch.linspace(-1, 1, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    values = f.run(grid) - g.run(grid)
    assert (values <= own.upper[0]).all()
    assert (values >= own.lower[0]).all()
    true = float(values.abs().max())
    assert largest(own) - true <= 0.5 * (largest(plain) - true)


@pytest.mark.parametrize("float32", [False, True])
def test_bounds_hold_and_are_never_looser(tmp_path: Path, float32: bool) -> None:
    f, g, dual = pair(tmp_path, (20, 30, 30, 4))
    rows = differences(4)
    generator = np.random.default_rng(3)
    for radius in (0.05, 0.3):
        centre = torch.as_tensor(generator.uniform(-1, 1, (1, 20)))
        corners = centre - radius, centre + radius
        plain = Propagator(dual, *rows, float32=float32, steps=5).bound(*corners)
        brancher = PhasePropagator(dual, *rows, float32=float32)
        own = brancher.branch(*corners, plain, everything, work=4e6)
        assert (own.upper <= plain.upper).all()
        assert (own.lower >= plain.lower).all()
        assert largest(own) < largest(plain)
        x = corners[0] + 2 * radius * torch.rand(20000, 20, dtype=torch.float64)
        x = torch.where(torch.rand(20000, 1) < 0.5, corners[0] + 2 * radius * x.gt(centre), x)
        values = f.run(x) - g.run(x)
        assert (values <= own.upper).all()
        assert (values >= own.lower).all()


def test_equal_networks_stay_at_zero(tmp_path: Path) -> None:
    program = lower(load(random_mlp(tmp_path / "f.onnx", (5, 8, 8, 3), 1)).graph)
    dual = align(program, program)
    corners = torch.zeros(1, 5).double(), torch.ones(1, 5).double()
    plain = Propagator(dual, *differences(3)).bound(*corners)
    own = PhasePropagator(dual, *differences(3)).branch(*corners, plain, everything, work=1e6)
    assert largest(own) == 0.0


def test_the_goals_of_a_divergence() -> None:
    low, high = torch.tensor([-1.0, -3.0]).double(), torch.tensor([2.0, 0.5]).double()
    goals = goals_of(LInf(), 2, 2.5)
    assert goals is not None
    goal = goals(low, high)
    assert goal is not None
    # One rank for all, each done at the limit; a sum has no limit of its own.
    assert goal[0].unique().tolist() == [0.0]
    assert goal[1].unique().tolist() == [2.5]
    assert goals(low, high.clamp(max=2.5)) is not None
    assert goals(low.clamp(min=-2.5), high) is None
    summed = goals_of(L1(), 2, 2.5)
    assert summed is not None
    goal = summed(low, high)
    assert goal is not None
    assert goal[0].flatten().argmin() == 3  # the lower bound of the second output
    assert goals_of(TopK(), 7, 0.0) is None


def test_the_goals_of_a_decision() -> None:
    """f_0 leads: f_0 − f_1 is decided, f_0 − f_2 is open by 0.2, and g_0 − g_1 by 0.1."""
    goals = goals_of(Top1(), 3, 0.0)
    assert goals is not None
    low = torch.tensor([1.0, -0.2, -1.0, -0.1, 0.5, -1.0, -9.0, -9.0, -9.0]).double()
    high = torch.tensor([3.0, 3.0, 1.0, 3.0, 2.0, 1.0, 9.0, 9.0, 9.0]).double()
    goal = goals(low, high)
    assert goal is not None
    order = goal[0]
    assert order.isfinite().nonzero().tolist() == [[1, 1], [1, 3]]
    assert order[1, 3] < order[1, 1]
    argmin = goals_of(Top1(decision="argmin"), 3, 0.0)
    assert argmin is not None
    goal = argmin(-high, -low)
    assert goal is not None
    assert goal[0].isfinite().nonzero().tolist() == [[0, 1], [0, 3]]
