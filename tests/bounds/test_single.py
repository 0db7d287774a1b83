"""Convolutions of coefficients in single precision: the rounding that is added covers them."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from simcert.bounds import single
from simcert.bounds.interval import Interval
from simcert.bounds.single import Rounding, Transposed, in_single
from simcert.model.linear import Convolution, Dense

SIZES = [2.0**-140, 1e-30, 1e-6, 1.0, 1e6, 1e30]


def convolution(seed: int, stride: int = 1, groups: int = 1) -> Convolution:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, 2 // groups, 3, 3, generator=generator, dtype=torch.float64)
    sizes = torch.tensor(SIZES, dtype=torch.float64)
    weight *= sizes[torch.randint(0, len(SIZES), weight.shape, generator=generator)]
    out = 5 if stride == 1 else 3
    return Convolution(
        weight, (2, 5, 5), (4, out, out), (stride, stride), ((1, 1), (1, 1)), (1, 1), groups
    )


def exactly(values: Tensor, points: Tensor) -> Fraction:
    pairs = zip(values.tolist(), points.tolist(), strict=True)
    return sum((Fraction(v) * Fraction(x) for v, x in pairs), Fraction(0))


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("size", SIZES)
def test_covers_what_single_precision_loses(size: float, stride: int, groups: int) -> None:
    """c'·x is within |c|·error + floor of c·(W x), in exact arithmetic."""
    linear = convolution(7, stride, groups)
    generator = torch.Generator().manual_seed(1)
    c = size * torch.randn(6, linear.outputs, generator=generator, dtype=torch.float64)
    c *= torch.rand(c.shape, generator=generator) < 0.3
    x = torch.randn(1, linear.inputs, generator=generator, dtype=torch.float64)
    absolute = linear.absolute()
    magnitude = absolute.forward(x.abs())
    transposed = Transposed([linear], single=True)
    nothing = torch.zeros_like(magnitude)
    rounding = transposed.rounding(nothing, magnitude, [Interval(x, x)]).in_single()
    carried = transposed.carry(0, c, rounding)
    if not bool(torch.isfinite(carried).all()):
        assert size > 1  # what overflows is no bound, and is seen
        return
    unit = torch.eye(linear.inputs, dtype=torch.float64)
    matrix = linear.forward(unit).T  # (outputs, inputs), one product each
    differs = False
    for row in range(len(c)):
        wx = [exactly(matrix[j], x[0]) for j in range(linear.outputs)]
        pairs = zip(c[row].tolist(), wx, strict=True)
        truth = sum((Fraction(v) * y for v, y in pairs), Fraction(0))
        allowed = exactly(c[row].abs(), rounding.error[0]) + Fraction(float(rounding.floor[0]))
        found = exactly(carried[row], x[0])
        assert abs(found - truth) <= allowed
        differs |= found != truth
    assert differs  # it was single precision


def test_only_what_was_asked_for_is_single() -> None:
    """Without the choice coefficients are carried in double precision."""
    linear = convolution(3)
    c = torch.randn(2, linear.outputs, dtype=torch.float64)
    zero = torch.zeros(1, linear.outputs, dtype=torch.float64)
    rounding = Rounding(zero, zero, zero[:, 0])
    transposed = Transposed([linear], single=True)
    assert torch.equal(transposed.carry(0, c, rounding), linear.transpose(c))
    assert not torch.equal(transposed.carry(0, c, rounding.in_single()), linear.transpose(c))


def test_a_dense_map_stays_double() -> None:
    """Only convolutions gain."""
    assert in_single(Dense(torch.eye(3, dtype=torch.float64))) is None


@pytest.mark.parametrize("size", [8, 16])
def test_windows_that_do_not_overlap_stay_double(size: int) -> None:
    """A whole image at once, or patches: long sums, of which single precision loses much."""
    weight = torch.ones(4, 2, 8, 8, dtype=torch.float64)
    places = size // 8
    shapes = (2, size, size), (4, places, places)
    patches = Convolution(weight, *shapes, (8, 8), ((0, 0), (0, 0)), (1, 1), 1)
    assert in_single(patches) is None
    shapes = (2, 8, 8), (4, 8, 8)
    points = Convolution(weight[..., :1, :1], *shapes, (1, 1), ((0, 0),) * 2, (1, 1), 1)
    assert in_single(points) is not None


@pytest.mark.parametrize("variable", ["ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"])
def test_refuses_fewer_digits_by_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A process in which libraries may use bfloat16 carries everything in double precision."""
    monkeypatch.setenv(variable, "BF16")
    assert in_single(convolution(3)) is None


def test_refuses_fewer_digits_by_setting() -> None:
    """The same by torch's own switch."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert in_single(convolution(3)) is None
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("digits", [8, 11])
def test_probe_sees_fewer_digits(monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """A library that rounds operands to bfloat16 or TF32 is found out by the probe."""
    honest = Convolution.transpose

    def coarse(self: Convolution, c: Tensor) -> Tensor:
        if c.dtype == torch.float64:
            return honest(self, c)
        mantissa, exponent = torch.frexp(c)
        rounded = torch.ldexp(torch.round(mantissa * 2.0**digits) / 2.0**digits, exponent)
        return honest(self, rounded)

    monkeypatch.setattr(Convolution, "transpose", coarse)
    single._is_sum_of_products.cache_clear()
    try:
        assert in_single(convolution(3)) is None
    finally:
        single._is_sum_of_products.cache_clear()
