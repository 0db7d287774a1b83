"""Quantisers, per tensor and per channel."""

from typing import Any

import torch
from torch import Tensor

from simcert.functions import DynamicQuantizer
from simcert.model.graph import DYNAMIC, Node
from simcert.model.operators.kernel import Kernel, table, unsupported


class _Round(torch.autograd.Function):
    """Rounding, half to even; its derivative is taken as 1 (straight through).

    The true derivative, 0 wherever it exists, would blind a search by gradient.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep nothing: the derivative does not depend on where it is taken."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return gradient


def _along(node: Node, x: Tensor, parameter: Tensor) -> Tensor:
    """Return a scale or zero point in a shape that broadcasts with ``x``."""
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    if parameter.numel() == 1:
        return parameter.reshape(())
    if block:
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    shape = [1] * x.ndim
    shape[axis] = -1
    return parameter.reshape(shape)


def _quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """The quantised numbers, kept in the type of ``x`` so that gradients pass."""
    if zero is None:
        if node.integer("output_dtype", 0):
            raise unsupported(node, "an output type without a zero point")
        zero = torch.zeros((), dtype=torch.uint8, device=x.device)
    limits = torch.iinfo(zero.dtype)
    steps: Tensor = _Round.apply(x / _along(node, x, scale))  # type: ignore[no-untyped-call]
    shifted = steps + _along(node, x, zero).to(x)
    return shifted.clamp(limits.min, limits.max)


def _dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    values = x.to(scale.dtype)
    if zero is not None:
        values = values - _along(node, x, zero).to(values)
    return values * _along(node, x, scale)


def _dynamic(node: Node, x: Tensor) -> Tensor:  # noqa: ARG001
    """Straight through, like every quantiser."""
    value = DynamicQuantizer().value(x.detach().flatten()).reshape(x.shape)
    return x + (value - x.detach())


KERNELS: dict[str, Kernel] = table(
    {"DequantizeLinear": _dequantize, "QuantizeLinear": _quantize, DYNAMIC: _dynamic}
)
