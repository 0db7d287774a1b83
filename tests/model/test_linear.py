"""Linear maps: one matrix, read forward, backward, in absolute value and as a difference."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from simcert.model.linear import Convolution, Dense, Diagonal, LinearMap, Mean, Selection, Zero

FLOAT = torch.float64


def whole(random: np.random.Generator, *shape: int) -> Tensor:
    """Small integers, so that every sum is exact in any order."""
    return torch.from_numpy(random.integers(-5, 6, shape).astype(np.float64))


def convolution(random: np.random.Generator, rank: int) -> Convolution:
    groups = int(random.integers(1, 4))
    in_channels, out_channels = (
        groups * int(random.integers(1, 3)),
        groups * int(random.integers(1, 3)),
    )
    kernel, stride, dilation = (tuple(map(int, random.integers(1, 4, rank))) for _ in range(3))
    padding = tuple((int(a), int(b)) for a, b in random.integers(0, 4, (rank, 2)))
    size, out = [], []
    for k, s, d, (begin, end) in zip(kernel, stride, dilation, padding, strict=True):
        reach = d * (k - 1) + 1
        length = max(1, reach - begin - end) + int(random.integers(0, 4))
        size.append(length)
        out.append((length + begin + end - reach) // s + 1)
    return Convolution(
        whole(random, out_channels, in_channels // groups, *kernel),
        (in_channels, *size),
        (out_channels, *out),
        stride,
        padding,
        dilation,
        groups,
    )


def examples(seed: int) -> list[LinearMap]:
    random = np.random.default_rng(seed)
    n, m, outer = (int(k) for k in random.integers(1, 7, 3))
    index = torch.from_numpy(random.integers(-1, n, m))
    return [
        Zero(n, m),
        Dense(whole(random, m, n)),
        Dense(whole(random, m, n), outer=outer),
        Diagonal(whole(random, n)),
        Selection(index, n),
        Selection(index, n, -1.0),
        Selection(torch.arange(n), n),
        Mean(outer, 2 ** int(random.integers(0, 4)), m),
        *(convolution(random, rank) for rank in (1, 2, 3)),
    ]


MAPS = [linear for seed in range(25) for linear in examples(seed)]


def matrix(linear: LinearMap) -> Tensor:
    """The matrix, (outputs, inputs), column by column."""
    return linear.forward(torch.eye(linear.inputs, dtype=FLOAT)).T


def name(linear: LinearMap) -> str:
    return type(linear).__name__


def test_transpose_is_the_adjoint() -> None:
    random = np.random.default_rng(0)
    for linear in MAPS:
        x = whole(random, 3, linear.inputs)
        c = whole(random, 3, linear.outputs)
        assert torch.equal((linear.forward(x) * c).sum(-1), (x * linear.transpose(c)).sum(-1)), (
            linear
        )


def test_both_directions_are_the_same_matrix() -> None:
    for linear in MAPS:
        backward = linear.transpose(torch.eye(linear.outputs, dtype=FLOAT))
        assert torch.equal(backward, matrix(linear)), linear


def test_leading_axes_are_kept() -> None:
    random = np.random.default_rng(1)
    for linear in MAPS:
        x, c = whole(random, 2, 3, linear.inputs), whole(random, 2, 3, linear.outputs)
        assert torch.equal(linear.forward(x)[1, 2], linear.forward(x[1, 2][None])[0]), linear
        assert torch.equal(linear.transpose(c)[1, 2], linear.transpose(c[1, 2][None])[0]), linear
        assert linear.forward(x[:, :0]).shape == (2, 0, linear.outputs)
        assert linear.transpose(c[:, :0]).shape == (2, 0, linear.inputs)


def test_absolute_has_the_absolute_matrix() -> None:
    for linear in MAPS:
        assert torch.equal(matrix(linear.absolute()), matrix(linear).abs()), linear
        assert linear.absolute().terms == linear.terms


def test_terms_bounds_the_products_of_every_sum() -> None:
    for linear in MAPS:
        ones = linear
        if isinstance(linear, Dense | Convolution):
            ones = type(linear)(**{**vars(linear), "weight": torch.ones_like(linear.weight)})
        elif isinstance(linear, Diagonal):
            ones = Diagonal(torch.ones_like(linear.scale))
        used = matrix(ones) != 0
        assert linear.terms >= used.sum(0).max(), linear
        assert linear.terms >= used.sum(1).max(), linear


@pytest.mark.parametrize("seed", range(10))
def test_minus_is_the_difference_of_the_matrices(seed: int) -> None:
    random = np.random.default_rng(seed)
    for linear in examples(seed):
        assert isinstance(linear.minus(linear), Zero)
        other = linear
        if isinstance(linear, Dense | Convolution):
            weight = whole(random, *linear.weight.shape)
            other = type(linear)(**{**vars(linear), "weight": weight})
        elif isinstance(linear, Diagonal):
            other = Diagonal(whole(random, linear.inputs))
        difference = linear.minus(other)
        assert difference is not None
        assert (difference.inputs, difference.outputs) == (linear.inputs, linear.outputs)
        assert torch.equal(matrix(difference), matrix(linear) - matrix(other)), name(linear)
        assert difference.terms <= linear.terms


def test_minus_refuses_another_geometry() -> None:
    maps = [linear for seed in range(6) for linear in examples(seed)]
    refused = 0
    for a, b in itertools.permutations(maps, 2):
        difference = a.minus(b)
        if difference is None:
            refused += 1
        elif not isinstance(a, Zero):
            assert torch.equal(matrix(difference), matrix(a) - matrix(b)), (a, b)
    assert refused > len(maps)


def test_identity_is_recognised() -> None:
    assert Selection(torch.arange(3), 3).is_identity
    assert not Selection(torch.arange(3), 4).is_identity
    assert not Selection(torch.tensor([0, 2, 1]), 3).is_identity
    assert not Selection(torch.arange(3), 3, -1.0).is_identity


def test_numbers_move_with_the_device() -> None:
    for linear in examples(0):
        moved = linear.to(torch.device("cpu"))
        assert torch.equal(matrix(moved), matrix(linear))


def test_large_and_small_numbers_do_not_mix_in_a_selection() -> None:
    """What is not selected contributes nothing, not even infinity."""
    x = torch.tensor([[math.inf, 1.0]], dtype=FLOAT)
    assert Selection(torch.tensor([1, -1]), 2).forward(x).tolist() == [[1.0, 0.0]]
