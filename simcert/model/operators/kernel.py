"""What a kernel is, and the few helpers that all kernels share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Array, Node

Kernel: TypeAlias = Callable[[Node, Sequence[Tensor | None]], tuple[Tensor, ...]]
"""Runs one node: its inputs in order (None where one is omitted) to its outputs in order."""

Function: TypeAlias = Callable[..., Tensor]
"""A kernel with one output, written as a function of the node and of its named inputs."""

LARGEST = 2**28
"""The most elements that an operator may make out of a shape alone: a gigabyte of float32."""


def table(functions: Mapping[str, Function]) -> dict[str, Kernel]:
    """Return functions with one output as kernels, by operator."""
    return {operator: _kernel(function) for operator, function in functions.items()}


def _kernel(function: Function) -> Kernel:
    def run(node: Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        return (function(node, *inputs),)

    return run


def tensor(array: Array) -> Tensor:
    """Return a copy of ``array`` as a tensor of the same type."""
    return torch.tensor(array)


def integers(values: Tensor) -> tuple[int, ...]:
    """Return a constant tensor of shapes, axes or indices as Python numbers."""
    return tuple(int(value) for value in values.flatten().tolist())


def bounded(sizes: Iterable[int]) -> tuple[int, ...]:
    """Return a shape, or raise ValueError where a tensor of it would be too large to make."""
    shape = tuple(sizes)
    if math.prod(shape) > LARGEST:
        raise ValueError(f"a tensor of shape {shape} is too large")
    return shape


def axes_of(node: Node, axes: Tensor | None) -> tuple[int, ...]:
    """Return the axes of ``node``: an input in recent operator sets, an attribute before."""
    return node.integers("axes") if axes is None else integers(axes)


def unsupported(node: Node, detail: str) -> UnsupportedOperatorError:
    """Return the error that says which variant of an operator is not supported."""
    return UnsupportedOperatorError(node.operator, node.name, detail)
