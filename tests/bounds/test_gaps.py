"""What relaxations add goes back to the inputs that they depend on, and to nobody else."""

import torch
from test_dense import functions, program

from simcert.bounds.dense import DensePropagator, layers_of
from simcert.model.linear import Dense
from simcert.pairing import align


def gap(radius: float, *, without: int) -> torch.Tensor:
    """The gap (S, inputs) on a box of a pair whose first layer does not read one input."""
    f, g = (program([3, 12, 12, 2], 1, noise) for noise in (0.0, 0.01))
    for network in (f, g):
        (first,) = network.steps[1].maps
        assert isinstance(first, Dense)
        first.weight[:, without] = 0.0
    layers = layers_of(align(f, g))
    assert layers is not None
    box = torch.full((1, 3), radius, dtype=torch.float64)
    return DensePropagator(layers, *functions(2, 5)).bound(0.1 - box, 0.1 + box).gap[0]


def test_an_input_that_nothing_reads_has_no_share() -> None:
    for without in range(3):
        found = gap(1.0, without=without)
        assert (found[:, without] == 0).all()
        assert (found[:, [j for j in range(3) if j != without]] > 0).all()


def test_where_all_signs_are_known_there_is_no_gap() -> None:
    assert (gap(1e-9, without=0) == 0).all()


def test_the_gap_is_what_the_constants_of_relaxations_add() -> None:
    """On a box around 0 of a pair without biases the linear bounds' constants are nothing else."""
    f, g = (program([3, 12, 2], 1, noise) for noise in (0.0, 0.01))
    for network in (f, g):
        for step in network.steps[1::2]:
            step.bias.zero_()
    layers = layers_of(align(f, g))
    assert layers is not None
    box = torch.ones((1, 3), dtype=torch.float64)
    bounds = DensePropagator(layers, *functions(2, 5)).bound(-box, box)
    added = bounds.upper_offset - bounds.lower_offset
    torch.testing.assert_close(bounds.gap.sum(2), added, rtol=1e-9, atol=1e-12)
