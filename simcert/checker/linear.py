"""Linear maps of flat tensors: matrices, convolutions, and weighted sums of chosen elements.

Tensors are rows (n, size). The numbers may be float64 or Python integers (``exact``): only
products, sums and movements are used.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Index = NDArray[np.intp]


class LinearMap(ABC):
    """A matrix W (outputs, inputs), kept in a form that is cheap to multiply with.

    Attributes:
        weight: the numbers behind W.
    """

    weight: Numbers

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """At most so many products make one element of W x."""

    @abstractmethod
    def apply(self, x: Numbers) -> Numbers:
        """Return W x for rows x (n, inputs)."""

    @abstractmethod
    def back(self, c: Numbers) -> Numbers:
        """Return c W for rows c (n, outputs)."""

    @abstractmethod
    def _geometry(self) -> object:
        """Return what two maps share if W is the same function of their weights."""

    def with_weight(self, weight: Numbers) -> LinearMap:
        """Return the map with other numbers in the same places."""
        return replace(self, weight=weight)  # type: ignore[type-var]

    @property
    def absolute(self) -> LinearMap:
        """|W|."""
        return self.with_weight(np.abs(self.weight))

    @property
    def norm(self) -> float:
        """The greatest sum of absolute numbers of a row or a column, about."""
        outputs, inputs = self.shape
        size = self.absolute
        rows, columns = size.apply(np.ones((1, inputs))), size.back(np.ones((1, outputs)))
        return float(max(rows.max(), columns.max()))

    def alike(self, other: LinearMap) -> bool:
        """Whether W differs from the other map in numbers only."""
        return (
            type(self) is type(other)
            and self.weight.shape == other.weight.shape
            and self.shape == other.shape
            and self._geometry() == other._geometry()
        )


@dataclass(frozen=True, eq=False)
class Dense(LinearMap):
    """A matrix (m, k) for each of ``outer`` rows: (outer, k) → (outer, m)."""

    weight: Numbers
    outer: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return self.outer * self.weight.shape[0], self.outer * self.weight.shape[1]

    @property
    def terms(self) -> int:
        """Columns of the matrix."""
        return int(self.weight.shape[1])

    def apply(self, x: Numbers) -> Numbers:
        """Return W x."""
        return self._times(x, self.weight.T)

    def back(self, c: Numbers) -> Numbers:
        """Return c W."""
        return self._times(c, self.weight)

    def _times(self, x: Numbers, matrix: Numbers) -> Numbers:
        return (x.reshape(-1, matrix.shape[0]) @ matrix).reshape(len(x), -1)

    def _geometry(self) -> object:
        return self.outer


@dataclass(frozen=True, eq=False)
class Convolution(LinearMap):
    """A convolution (filters, channels of a group, *kernel) of one sample.

    Attributes:
        size: of the input, (channels, *spatial).
        strides: one for each spatial axis.
        dilations: one for each spatial axis.
        before: zeros in front of each spatial axis.
        after: zeros behind it.
        groups: of channels.
    """

    weight: Numbers
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    groups: int = 1

    @cached_property
    def result(self) -> tuple[int, ...]:
        """Shape of the output, (filters, *spatial)."""
        windows = zip(
            self._padded, self.weight.shape[2:], self.strides, self.dilations, strict=True
        )
        return self.weight.shape[0], *(
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, dilation in windows
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return math.prod(self.result), math.prod(self.size)

    @property
    def terms(self) -> int:
        """Numbers of one filter."""
        return math.prod(self.weight.shape[1:])

    def apply(self, x: Numbers) -> Numbers:
        """Return W x: all windows as columns, then one product."""
        padded = np.zeros((len(x), self.size[0], *self._padded), dtype=x.dtype)
        padded[self._inside] = x.reshape(len(x), *self.size)
        columns = np.stack([padded[window] for window in self._windows()], axis=2)
        columns = columns.reshape(len(x), self.groups, self.terms, -1)
        return np.asarray(np.matmul(self._filters, columns).reshape(len(x), -1))

    def back(self, c: Numbers) -> Numbers:
        """Return c W: one product, then each window's share is added where it belongs."""
        rows = c.reshape(len(c), self.groups, self.result[0] // self.groups, -1)
        columns = np.matmul(self._filters.swapaxes(1, 2), rows)
        columns = columns.reshape(len(c), self.size[0], -1, *self.result[1:])
        padded = np.zeros((len(c), self.size[0], *self._padded), dtype=columns.dtype)
        for number, window in enumerate(self._windows()):
            padded[window] += columns[:, :, number]
        return padded[self._inside].reshape(len(c), -1)

    @property
    def _filters(self) -> Numbers:
        return self.weight.reshape(self.groups, self.result[0] // self.groups, -1)

    @property
    def _padded(self) -> tuple[int, ...]:
        sizes = zip(self.size[1:], self.before, self.after, strict=True)
        return tuple(size + before + after for size, before, after in sizes)

    @property
    def _inside(self) -> tuple[slice, ...]:
        sizes = zip(self.size[1:], self.before, strict=True)
        return slice(None), slice(None), *(slice(b, b + size) for size, b in sizes)

    def _windows(self) -> Iterator[tuple[slice, ...]]:
        """Yield, for each position in the kernel, the elements that meet it, window by window."""
        for offset in np.ndindex(*self.weight.shape[2:]):
            axes = zip(offset, self.dilations, self.strides, self.result[1:], strict=True)
            yield (
                slice(None),
                slice(None),
                *(
                    slice(o * dilation, o * dilation + stride * (count - 1) + 1, stride)
                    for o, dilation, stride, count in axes
                ),
            )

    def _geometry(self) -> object:
        return self.size, self.strides, self.dilations, self.before, self.after, self.groups


@dataclass(frozen=True, eq=False)
class Gather(LinearMap):
    """y_i = weight_i Σ_j x[index_ij]: movements, scales, and the sums of pools.

    Attributes:
        weight: (outputs,).
        index: (outputs, k); −1 for no element.
        inputs: elements of x.
    """

    weight: Numbers
    index: Index
    inputs: int

    @classmethod
    def move(cls, index: Index, inputs: int, factor: float = 1.0) -> Gather:
        """Return the map to ``factor`` times the elements ``index``."""
        flat = index.reshape(-1, 1)
        return cls(np.full(len(flat), factor), flat, inputs)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        return len(self.index), self.inputs

    @property
    def terms(self) -> int:
        """Elements of one sum."""
        return int(self.index.shape[1])

    @property
    def is_movement(self) -> bool:
        """Whether elements are only moved."""
        return self.terms == 1 and bool((self.weight == 1).all())

    @property
    def is_identity(self) -> bool:
        """Whether W is the unit matrix."""
        return self.is_movement and self._in_place

    @cached_property
    def _in_place(self) -> bool:
        return self.terms == 1 and np.array_equal(self.index[:, 0], np.arange(self.inputs))

    def apply(self, x: Numbers) -> Numbers:
        """Return W x."""
        nothing = np.zeros((len(x), 1), dtype=x.dtype)
        chosen = np.concatenate([x, nothing], axis=1)[:, self.index]
        sums = chosen[..., 0] if self.terms == 1 else chosen.sum(axis=-1)
        return np.asarray(self.weight * sums)

    def back(self, c: Numbers) -> Numbers:
        """Return c W."""
        scaled = c * self.weight
        if self._in_place:
            return scaled
        found = np.zeros((len(c), self.inputs), dtype=scaled.dtype)
        for rows, sources in self._parts:
            found[:, sources] += scaled[:, rows]
        return found

    @cached_property
    def _parts(self) -> list[tuple[Index, Index]]:
        """Pairs (output, element), in parts that name no element twice."""
        rows, columns = np.nonzero(self.index >= 0)
        sources = self.index[rows, columns]
        order = np.argsort(sources, kind="stable")
        rows, sources = rows[order], sources[order]
        # How often an element was named before.
        rank = np.arange(len(sources)) - np.searchsorted(sources, sources)
        return [(rows[rank == r], sources[rank == r]) for r in range(rank.max(initial=-1) + 1)]

    def _geometry(self) -> object:
        return self.index.tobytes()
