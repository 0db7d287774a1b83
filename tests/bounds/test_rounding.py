"""Attacks on the claim that a bound holds over the reals in spite of the analysis' rounding."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from soundness.programs import FLOAT, Make, bound, dense, loops, matrix, scalars

from simcert.bounds import Propagator
from simcert.bounds.affine import interval_of
from simcert.bounds.interval import Interval
from simcert.model.linear import Dense, Diagonal
from simcert.model.program import Affine, Input, Program
from simcert.pairing import align


@pytest.fixture(params=[Propagator, loops], ids=["tensors", "loops"])
def make(request: pytest.FixtureRequest) -> Make:
    """Both implementations."""
    return request.param


def holds(lower: float, value: Fraction | float, upper: float) -> bool:
    """Whether lower ≤ value ≤ upper, compared exactly."""
    return (lower == -math.inf or Fraction(lower) <= value) and (
        upper == math.inf or value <= Fraction(upper)
    )


def product(*weights: float) -> Fraction:
    return math.prod((Fraction(w) for w in weights), start=Fraction(1))


def test_underflow_on_the_way_forward_is_not_a_proof_of_zero(make: Make) -> None:
    weights = (5e-324, 0.4, 2.0, 8e307)
    f = scalars(*weights[:2], "relu", *weights[2:])
    g = scalars(weights[0], 0.0, "relu", *weights[2:])
    result = bound(f, g, [[1.0]], [[1.0]], make=make)
    true = product(*weights)  # about 3e-16
    for row, value in enumerate((true, Fraction(0), true)):
        assert holds(result.lower[0, row].item(), value, result.upper[0, row].item())


def test_underflow_of_a_negative_number_before_relu(make: Make) -> None:
    f = scalars(5e-324, -0.4, "relu", -2.0, 8e307)
    result = bound(f, f, [[1.0]], [[1.0]], make=make)
    assert holds(result.lower[0, 0].item(), 0, result.upper[0, 0].item())


def test_underflow_in_weights_that_float32_holds(make: Make) -> None:
    weights = (2.0**-149,) * 7 + (0.7, 0.7) + (2.0**127,) * 8
    assert product(*weights) > Fraction(1, 10**9)
    f = scalars(*weights[:9], "relu", *weights[9:])
    g = scalars(*weights[:8], 0.0, "relu", *weights[9:])
    result = bound(f, g, [[1.0]], [[1.0]], make=make)
    true = product(*weights)
    assert holds(result.lower[0, 2].item(), true, result.upper[0, 2].item())


@pytest.mark.parametrize("weights", [(1e-200, 1e200), (5e-324, 1e308), (1e-310, 1e-10, 1e308)])
@pytest.mark.parametrize("x", [5e-324, 1e-310, 1.0, 3.0])
def test_denormals_in_a_chain(weights: tuple[float, ...], x: float, make: Make) -> None:
    f, g = scalars(*weights, "relu", 1.0), scalars(*weights, "relu", 0.5)
    result = bound(f, g, [[x]], [[x]], make=make)
    true = product(*weights, x)
    for row, value in enumerate((true, true / 2, true / 2)):
        assert holds(result.lower[0, row].item(), value, result.upper[0, row].item())


def test_overflow_of_a_sum_is_no_bound(make: Make) -> None:
    """Σ c_i (x + bias_i), biases near 1e308: the sum, or a part of it, overflows to −∞ or +∞."""
    random = np.random.default_rng(1)
    for _ in range(300):
        size = int(random.choice([3, 4, 5, 9, 17, 33]))
        bias = random.choice([-1.0, 1.0], size) * random.uniform(0.3, 1.79, size) * 1e308
        row = torch.from_numpy(random.choice([1.0, 2.0, -1.0, 0.5, 0.125], (1, size)))
        zero = torch.zeros_like(row)
        f = dense((torch.ones(size, 1, dtype=FLOAT), torch.from_numpy(bias)))
        rows = [(row, zero, zero), (zero, row, zero), (2 * row, -row, zero)][random.integers(3)]
        result = make(align(f, f), *rows).bound(matrix([[1.0]]), matrix([[1.0]]))
        values = zip(row[0].tolist(), bias.tolist(), strict=True)
        true = sum(Fraction(c) * (Fraction(b) + 1) for c, b in values)
        assert holds(result.lower.item(), true, result.upper.item())


def test_overflow_before_relu_is_no_stable_neuron(make: Make) -> None:
    bias = torch.tensor([-1.5e308, -1.5e308, 1.4e308, 1.4e308, 1.4e308], dtype=FLOAT)
    first = (torch.ones(5, 1, dtype=FLOAT), bias)
    total = (torch.ones(1, 5, dtype=FLOAT), torch.zeros(1, dtype=FLOAT))
    f = dense(first, total, "relu", (matrix([[1.0]]), torch.zeros(1, dtype=FLOAT)))
    g = dense(first, total, "relu", (matrix([[0.5]]), torch.zeros(1, dtype=FLOAT)))
    result = bound(f, g, [[1.0]], [[2.0]], make=make)
    true = sum((Fraction(b) for b in bias.tolist()), start=Fraction(5))
    for row, value in enumerate((true, true / 2, true / 2)):
        assert holds(result.lower[0, row].item(), value, result.upper[0, row].item())


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_a_row_over_many_outputs_covers_the_rounding_of_its_own_sum(size: int, make: Make) -> None:
    """Σ_i bias_i over all outputs of an elementwise step: the sum is as long as the output."""
    bias = torch.ones(size, dtype=FLOAT)
    bias[:64] = 2.0**53  # absorbs what is added to it
    diagonal = Diagonal(torch.zeros(size, dtype=FLOAT))
    f = Program((Input(size), Affine((0,), (diagonal,), bias, "bias")))
    row, zero = torch.ones(1, size, dtype=FLOAT), torch.zeros(1, size, dtype=FLOAT)
    result = make(align(f, f), row, zero, zero).bound(zero, zero)
    assert holds(result.lower.item(), Fraction(64 * 2**53 + size - 64), result.upper.item())


def test_absorption_over_the_reals(make: Make) -> None:
    """relu(x) and relu(x + 2^24) − 2^24 are equal on [0, 4], whatever float32 makes of them."""
    one, shift = matrix([[1.0]]), torch.tensor([2.0**24], dtype=FLOAT)
    zero = torch.zeros(1, dtype=FLOAT)
    f = dense((one, zero), "relu", (one, zero))
    g = dense((one, shift), "relu", (one, -shift))
    result = bound(f, g, [[0.0]], [[4.0]], make=make)
    assert result.lower[0, 2] <= 0 <= result.upper[0, 2]
    assert result.upper[0, 2] < 1e-6
    huge = torch.tensor([2.0**80], dtype=FLOAT)
    g = dense((one, huge), "relu", (one, -huge))
    result = bound(f, g, [[0.0]], [[4.0]], make=make)
    assert result.lower[0, 2] <= 0 <= result.upper[0, 2]


def test_cancellation_of_sixteen_digits(make: Make) -> None:
    weight = matrix([[1e8, 1e-8, -1e8]])
    f = dense(
        (torch.ones(3, 1, dtype=FLOAT), torch.zeros(3, dtype=FLOAT)),
        (weight, torch.zeros(1, dtype=FLOAT)),
    )
    result = bound(f, f, [[0.3]], [[0.3]], make=make)
    true = Fraction(0.3) * Fraction(1e-8)
    assert holds(result.lower[0, 0].item(), true, result.upper[0, 0].item())
    assert result.upper[0, 0] - result.lower[0, 0] < 1e-4


def test_infinite_weights_of_sums_end_in_infinity_or_truth(make: Make) -> None:
    f = scalars(1e300, 1e300, "relu", 1.0)
    g = scalars(1e300, 1e300, "relu", 0.0)
    result = bound(f, g, [[-1.0], [0.0], [1e-300]], [[1.0], [0.0], [1e-300]], make=make)
    assert result.upper[0, 2] == math.inf
    for index, x in ((1, 0.0), (2, 1e-300)):
        true = product(1e300, 1e300, x)
        assert holds(result.lower[index, 2].item(), true, result.upper[index, 2].item())
    assert not result.lower.isnan().any()
    assert not result.upper.isnan().any()


def test_an_operand_without_one_end_bounds_the_sum_on_one_side() -> None:
    weight = torch.tensor([[1.0, 1e-20], [-1.0, 1e-20], [1.0, -1.0], [2.0, 0.0]]).double()
    maps = [Dense(weight)]
    infinity = float("inf")
    x = Interval(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[3.0, infinity]]).double())
    absolute = [linear.absolute() for linear in maps]
    zero = torch.zeros(4, dtype=torch.float64)
    (lower, upper), error, _ = interval_of(maps, absolute, [x], zero, zero, 1e-15)
    # The weight 1e-20 is lost in a sum with 1; it still loses the bound.
    assert upper[0].isinf().tolist() == [True, True, False, False]
    assert lower[0].isinf().tolist() == [False, False, True, False]
    assert 0.99 < float(lower[0, 0]) <= 1.0
    assert upper[0, 2] >= 1.0
    assert error[0].isinf().tolist() == [True, True, True, False]
