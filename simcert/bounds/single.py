"""Coefficients carried through convolutions in single precision, and what that may lose.

Backward substitution through a convolution is a transposed convolution of every row. Libraries
compute it ten to twenty-five times faster in float32 than in float64. The bounds of inner neurons
only decide how rectifiers are relaxed, so a little looseness there costs nothing; those of the
outputs stay in float64.

With u = 2^-24 and m = n + 4 for n products in a sum, rounding of c and W included, the computed
c' is within γ_m |W|ᵀ|c| of Wᵀc (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1),
besides what underflows. Hence c'·x is within γ_m |c|·(|W||x|) of c·(Wx): an error per unit of
coefficient, like that of the other roundings.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simcert.bounds.interval import Interval
from simcert.bounds.rounding import FLOAT32_ROUNDOFF, FLOAT32_SMALLEST, gamma
from simcert.model.linear import Convolution, LinearMap

_ROUNDINGS = 4
"""Of one product beyond those of its sum: of the coefficient, of the weight, and room for two."""

_PROBES = 16
"""Rows that a convolution is tried on: as many as make libraries choose the way for many."""


class Rounding(NamedTuple):
    """What an affine step may lose to rounding on the way back.

    Attributes:
        error: (B, size) per unit of coefficient, where coefficients are carried in float64.
        single: (B, size) the same, where convolutions are computed in float32.
        floor: (B,) what underflow in float32 may lose besides.
        chosen: whether they are.
    """

    error: Tensor
    single: Tensor
    floor: Tensor
    chosen: bool = False

    def in_single(self) -> Rounding:
        """Return the same where convolutions are computed in float32."""
        return self._replace(error=self.single, chosen=True)


class Transposed:
    """Wᵀ c for each map of a step, in either precision."""

    def __init__(self, maps: Sequence[LinearMap], *, single: bool = False) -> None:
        """Prepare the maps; with ``single`` their convolutions for float32 too."""
        self._maps = list(maps)
        self._single = [in_single(linear) if single else None for linear in maps]
        self._terms = max((s.terms for s in self._single if s is not None), default=0)

    def carry(self, k: int, c: Tensor, rounding: Rounding) -> Tensor:
        """Return the coefficients (R, inputs) on operand k for those (R, outputs) on the result."""
        single = self._single[k] if rounding.chosen else None
        if single is None:
            return self._maps[k].transpose(c)
        return single.transpose(c.to(torch.float32)).to(torch.float64)

    def rounding(self, error: Tensor, magnitude: Tensor, operands: Sequence[Interval]) -> Rounding:
        """Return the step's rounding.

        Args:
            error: per unit of coefficient in float64, (B, size), infinite where there is no bound.
            magnitude: Σ |W||x| + |bias|, (B, size), up to rounding.
            operands: the intervals of the x, by map.
        """
        nothing = error.new_zeros(len(error))
        if not self._terms:
            return Rounding(error, error, nothing)
        largest, total = nothing[:, None], nothing
        for single, operand in zip(self._single, operands, strict=True):
            if single is None:
                continue
            size = operand.magnitude
            size = torch.where(torch.isfinite(size), size, 0.0)  # its readers' errors are infinite
            largest = largest + size.amax(1, keepdim=True)
            total = total + size.sum(1)
        factor = gamma(self._terms + _ROUNDINGS, FLOAT32_ROUNDOFF) * (1 + 2.0**-20)
        flushed = FLOAT32_SMALLEST * self._terms * (1 + 2.0**-20)
        own = error + factor * magnitude + flushed * largest
        sizes = torch.where(torch.isfinite(magnitude), magnitude, 0.0).sum(1)
        floor = FLOAT32_SMALLEST * (1 + 2.0**-20) * sizes + 2 * flushed * total
        return Rounding(error, own, floor)


def in_single(linear: LinearMap) -> Convolution | None:
    """Return a convolution with weights in float32, where float32 is computed as float32."""
    if not isinstance(linear, Convolution) or not gains(linear) or not _is_set_to_float32():
        return None
    if not _is_sum_of_products(tuple(linear.weight.shape), *linear.geometry):
        return None
    return replace(linear, weight=linear.weight.to(torch.float32))


def gains(linear: LinearMap) -> bool:
    """Whether a map is a convolution whose windows overlap, or have one place each.

    Others (of a whole image at once, of the patches of a transformer) are matrix products, which
    gain little, and whose long sums lose more than close networks differ by.
    """
    if not isinstance(linear, Convolution):
        return False
    windows = zip(linear.out_shape[1:], linear.stride, linear.weight.shape[2:], strict=True)
    return not all(places == 1 or stride >= kernel > 1 for places, stride, kernel in windows)


def _is_set_to_float32() -> bool:
    """Whether no setting of the process allows libraries fewer digits (TF32, bfloat16)."""
    variables = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
    strict = all(os.environ.get(name, "STRICT").upper() == "STRICT" for name in variables)
    return strict and torch.get_float32_matmul_precision() == "highest"


@cache
def _is_sum_of_products(shape: tuple[int, ...], *geometry: Any) -> bool:
    """Whether the library computes a transposed convolution as sums of products in float32.

    Other algorithms (Winograd's) mix weights, so that small ones drown beside large ones, and
    fewer digits show at once: neither keeps to γ_n on weights of very different sizes.
    """
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        sizes = torch.randint(-12, 13, shape, generator=generator)
        return (1 + torch.rand(shape, generator=generator)) * torch.exp2(sizes)

    probe = Convolution(numbers(*shape), *geometry)
    c = numbers(_PROBES, probe.outputs)
    c *= torch.rand(c.shape, generator=generator) < 4 / (4 + probe.terms)  # few to a sum
    found = probe.transpose(c).to(torch.float64)
    exact = replace(probe, weight=probe.weight.to(torch.float64)).transpose(c.to(torch.float64))
    bound = gamma(probe.terms + _ROUNDINGS, FLOAT32_ROUNDOFF) * exact
    return bool(((found - exact).abs() <= bound).all())
