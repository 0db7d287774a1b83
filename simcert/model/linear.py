"""Linear maps between flattened tensors: forward, transposed, in absolute value, as a difference.

The propagator needs four things of a weight: ``W x`` (intervals), ``Wᵀ c`` (backward
substitution), ``|W|`` (interval radii and rounding errors) and ``W_f − W_g`` (the difference of two
networks). Every linear ONNX operator becomes one of the maps of this file.

All tensors are float64 and flat: ``forward`` takes (..., inputs) to (..., outputs), ``transpose``
takes (..., outputs) to (..., inputs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional


class LinearMap(Protocol):
    """A linear map R^inputs → R^outputs.

    ``terms`` bounds the number of products summed in one entry of ``forward`` or of ``transpose``;
    it enters the rounding-error constant γ_n.
    """

    @property
    def inputs(self) -> int:
        """Elements of the flat input."""

    @property
    def outputs(self) -> int:
        """Elements of the flat output."""

    @property
    def terms(self) -> int:
        """Products in one sum."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``W x``: (..., inputs) → (..., outputs)."""

    def transpose(self, c: Tensor) -> Tensor:
        """Return ``Wᵀ c``: (..., outputs) → (..., inputs)."""

    def absolute(self) -> Self:
        """Return the map whose weights are the absolute values of these."""

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return ``W − W_other``, zero maps as :class:`Zero`; None where the geometry differs."""

    def to(self, device: torch.device) -> Self:
        """Return the map with its weights on ``device``."""


@dataclass(frozen=True)
class Zero:
    """The zero map; what is left of two equal weights."""

    inputs: int
    outputs: int
    terms: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros (..., outputs)."""
        return x.new_zeros(*x.shape[:-1], self.outputs)

    def transpose(self, c: Tensor) -> Tensor:
        """Return zeros (..., inputs)."""
        return c.new_zeros(*c.shape[:-1], self.inputs)

    def absolute(self) -> Self:
        """Return itself."""
        return self

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return itself minus a zero map; other differences are never asked for."""
        return self if isinstance(other, Zero) else None

    def to(self, device: torch.device) -> Self:  # noqa: ARG002 - nothing to move
        """Return itself."""
        return self


@dataclass(frozen=True)
class Dense:
    """A matrix (out, in) applied to each of ``outer`` rows: Gemm, MatMul by a constant."""

    weight: Tensor
    outer: int = 1

    @property
    def inputs(self) -> int:
        """Columns, for each row."""
        return self.outer * self.weight.shape[1]

    @property
    def outputs(self) -> int:
        """Rows of the matrix, for each row of the tensor."""
        return self.outer * self.weight.shape[0]

    @property
    def terms(self) -> int:
        """The longer side."""
        return max(self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x Wᵀ``."""
        if self.outer == 1:
            return x @ self.weight.T
        rows = x.reshape(*x.shape[:-1], self.outer, self.weight.shape[1])
        return (rows @ self.weight.T).reshape(*x.shape[:-1], self.outputs)

    def transpose(self, c: Tensor) -> Tensor:
        """Return ``c W``."""
        if self.outer == 1:
            return c @ self.weight
        rows = c.reshape(*c.shape[:-1], self.outer, self.weight.shape[0])
        return (rows @ self.weight).reshape(*c.shape[:-1], self.inputs)

    def absolute(self) -> Self:
        """Return |W|."""
        return replace(self, weight=self.weight.abs())

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return the difference of the matrices."""
        if not isinstance(other, Dense) or self.weight.shape != other.weight.shape:
            return None
        if self.outer != other.outer:
            return None
        if torch.equal(self.weight, other.weight):
            return Zero(self.inputs, self.outputs)
        return replace(self, weight=self.weight - other.weight)

    def to(self, device: torch.device) -> Self:
        """Return the map on ``device``."""
        return replace(self, weight=self.weight.to(device))


@dataclass(frozen=True)
class Diagonal:
    """A scale per element (size,): constant Mul and Div, BatchNormalization, the identity."""

    scale: Tensor

    @property
    def inputs(self) -> int:
        """Size of the tensor."""
        return self.scale.shape[0]

    @property
    def outputs(self) -> int:
        """Size of the tensor."""
        return self.scale.shape[0]

    terms = 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled tensor."""
        return x * self.scale

    def transpose(self, c: Tensor) -> Tensor:
        """Return the scaled coefficients."""
        return c * self.scale

    def absolute(self) -> Self:
        """Return |scale|."""
        return replace(self, scale=self.scale.abs())

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return the difference of the scales."""
        if not isinstance(other, Diagonal) or self.scale.shape != other.scale.shape:
            return None
        if torch.equal(self.scale, other.scale):
            return Zero(self.inputs, self.outputs)
        return Diagonal(self.scale - other.scale)

    def to(self, device: torch.device) -> Self:
        """Return the map on ``device``."""
        return replace(self, scale=self.scale.to(device))


@dataclass(frozen=True)
class Selection:
    """y_i = weight · x_{index_i}, or 0 where index_i = −1: operators that only move elements."""

    index: Tensor
    inputs: int
    weight: float = 1.0

    @property
    def outputs(self) -> int:
        """Elements selected."""
        return self.index.shape[0]

    @cached_property
    def terms(self) -> int:
        """How often one element is used (the sum in the transposed map)."""
        chosen = self.index[self.index >= 0]
        return int(torch.bincount(chosen).max()) if len(chosen) else 1

    @cached_property
    def _reversed(self) -> Selection:
        """The transposed map where no element is used twice: it moves elements too."""
        index = torch.full((self.inputs,), -1, device=self.index.device)
        chosen = self.index >= 0
        index[self.index[chosen]] = chosen.nonzero()[:, 0]
        return Selection(index, self.outputs, self.weight)

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return (
            self.weight == 1.0
            and self.inputs == self.outputs
            and torch.equal(self.index, torch.arange(self.inputs, device=self.index.device))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the selected elements."""
        chosen = x.index_select(-1, self.index.clamp(min=0))
        if self.weight != 1.0:
            chosen = self.weight * chosen
        return chosen.masked_fill(self.index < 0, 0.0) if self._leaves_out else chosen

    @cached_property
    def _leaves_out(self) -> bool:
        """Whether some result is 0."""
        return bool((self.index < 0).any())

    def transpose(self, c: Tensor) -> Tensor:
        """Return the coefficients added up at their sources."""
        if self.terms == 1:
            return self._reversed.forward(c)
        valid = self.index >= 0
        result = c.new_zeros(*c.shape[:-1], self.inputs)
        return result.index_add_(-1, self.index[valid], self.weight * c[..., valid])

    def absolute(self) -> Self:
        """Return the selection with |weight|."""
        return replace(self, weight=abs(self.weight))

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return zero where both select the same."""
        if not isinstance(other, Selection) or self.inputs != other.inputs:
            return None
        if self.weight != other.weight or not torch.equal(self.index, other.index):
            return None
        return Zero(self.inputs, self.outputs)

    def to(self, device: torch.device) -> Self:
        """Return the map on ``device``."""
        return replace(self, index=self.index.to(device))


@dataclass(frozen=True)
class Convolution:
    """A convolution of any spatial rank: Conv, AveragePool.

    ``weight`` is (out channels, in channels / groups, *kernel); ``padding`` holds (begin, end) per
    spatial axis; ``in_shape`` and ``out_shape`` are (channels, *spatial).
    """

    weight: Tensor
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def geometry(self) -> tuple[object, ...]:
        """All but the weight."""
        return (
            self.in_shape,
            self.out_shape,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )

    @property
    def inputs(self) -> int:
        """Elements of the input tensor."""
        return math.prod(self.in_shape)

    @property
    def outputs(self) -> int:
        """Elements of the output tensor."""
        return math.prod(self.out_shape)

    @property
    def terms(self) -> int:
        """Products in one output, or in one input of the transposed map."""
        kernel = math.prod(self.weight.shape[2:])
        return kernel * max(self.weight.shape[1], self.weight.shape[0] // self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution."""
        batch = x.reshape(-1, *self.in_shape)
        pads = [side for pair in reversed(self.padding) for side in pair]
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.stride) - 1]
        y = convolve(
            functional.pad(batch, pads),
            self.weight,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )
        return y.reshape(*x.shape[:-1], self.outputs)

    def transpose(self, c: Tensor) -> Tensor:
        """Return the transposed convolution, cropped to the unpadded input."""
        batch = c.reshape(-1, *self.out_shape)
        rank = len(self.stride)
        convolve = (
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )[rank - 1]
        # What a stride leaves over at the end of the padded input gets a zero coefficient.
        missing = tuple(
            size + begin + end - ((out - 1) * stride + dilation * (kernel - 1) + 1)
            for size, (begin, end), out, stride, dilation, kernel in zip(
                self.in_shape[1:],
                self.padding,
                self.out_shape[1:],
                self.stride,
                self.dilation,
                self.weight.shape[2:],
                strict=True,
            )
        )
        y = convolve(
            batch, self.weight, stride=self.stride, dilation=self.dilation, groups=self.groups
        )
        y = functional.pad(y, [side for extra in reversed(missing) for side in (0, extra)])
        for axis, (size, (begin, _)) in enumerate(
            zip(self.in_shape[1:], self.padding, strict=True), start=2
        ):
            y = y.narrow(axis, begin, size)
        return y.reshape(*c.shape[:-1], self.inputs)

    def absolute(self) -> Self:
        """Return the convolution with |weight|."""
        return replace(self, weight=self.weight.abs())

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return the difference of the kernels."""
        if not isinstance(other, Convolution) or self.weight.shape != other.weight.shape:
            return None
        if self.geometry != other.geometry:
            return None
        if torch.equal(self.weight, other.weight):
            return Zero(self.inputs, self.outputs)
        return replace(self, weight=self.weight - other.weight)

    def to(self, device: torch.device) -> Self:
        """Return the map on ``device``."""
        return replace(self, weight=self.weight.to(device))


@dataclass(frozen=True)
class Mean:
    """The mean over the middle axis of (outer, reduced, inner): ReduceMean, GlobalAveragePool."""

    outer: int
    reduced: int
    inner: int

    @property
    def inputs(self) -> int:
        """Elements that are averaged."""
        return self.outer * self.reduced * self.inner

    @property
    def outputs(self) -> int:
        """Means."""
        return self.outer * self.inner

    @property
    def terms(self) -> int:
        """Elements of one mean."""
        return self.reduced

    def forward(self, x: Tensor) -> Tensor:
        """Return the means."""
        y = x.reshape(*x.shape[:-1], self.outer, self.reduced, self.inner).sum(-2) / self.reduced
        return y.reshape(*x.shape[:-1], self.outputs)

    def transpose(self, c: Tensor) -> Tensor:
        """Return the coefficients spread over the averaged elements."""
        spread = (c / self.reduced).reshape(*c.shape[:-1], self.outer, 1, self.inner)
        return spread.expand(*c.shape[:-1], self.outer, self.reduced, self.inner).reshape(
            *c.shape[:-1], self.inputs
        )

    def absolute(self) -> Self:
        """Return itself."""
        return self

    def minus(self, other: LinearMap) -> LinearMap | None:
        """Return zero for the same mean."""
        return Zero(self.inputs, self.outputs) if self == other else None

    def to(self, device: torch.device) -> Self:  # noqa: ARG002 - nothing to move
        """Return itself."""
        return self


def parts(linear: LinearMap) -> tuple[LinearMap, LinearMap]:
    """Return the positive and the negative part of a map, both without negative weights."""
    if isinstance(linear, Dense | Convolution):
        weight = linear.weight
        above, below = (replace(linear, weight=w.clamp(min=0.0)) for w in (weight, -weight))
        return above, below
    if isinstance(linear, Diagonal):
        return Diagonal(linear.scale.clamp(min=0.0)), Diagonal((-linear.scale).clamp(min=0.0))
    nothing = Zero(linear.inputs, linear.outputs)
    if isinstance(linear, Selection) and linear.weight < 0:
        return nothing, linear.absolute()
    return linear, nothing


def work(linear: LinearMap) -> int:
    """Return the multiplications of one product with the map, about."""
    if isinstance(linear, Dense):
        return linear.outer * linear.weight.numel()
    if isinstance(linear, Convolution):
        return linear.weight.numel() * math.prod(linear.out_shape[1:])
    return 0 if isinstance(linear, Zero) else linear.inputs + linear.outputs


def rows(linear: LinearMap, index: Tensor) -> Tensor:
    """Return rows of the matrix of a map: (R,) → (R, inputs)."""
    if isinstance(linear, Dense) and linear.outer == 1:
        return linear.weight[index]
    unit = torch.zeros(len(index), linear.outputs, dtype=torch.float64, device=index.device)
    return linear.transpose(unit.scatter_(1, index[:, None], 1.0))
