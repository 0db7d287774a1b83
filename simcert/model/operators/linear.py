"""Matrix products and convolutions."""

import torch
from torch import Tensor
from torch.nn import functional

from simcert.model.graph import COMPUTED, Node
from simcert.model.operators.kernel import Kernel, table
from simcert.model.operators.window import pad, window

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if node.integer("transA", 0) else a
    b = b.T if node.integer("transB", 0) else b
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    product = a @ b if alpha == 1.0 else alpha * (a @ b)
    if c is None:
        return product
    return product + (c if beta == 1.0 else beta * c)


def _matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if node.integer(COMPUTED, 0):  # either may be the parameter, which is of float64
        shorter = min(a.dtype, b.dtype, key=lambda dtype: dtype.itemsize)
        a, b = a.to(shorter), b.to(shorter)
    return torch.matmul(a, b)


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    frame = window(node, x.shape[2:], weight.shape[2:])
    convolve = _CONVOLUTIONS[weight.ndim - 2]
    return convolve(
        pad(x, frame.before, frame.after, 0.0),
        _typed(node, weight, x),
        None if bias is None else _typed(node, bias, x),
        stride=frame.strides,
        dilation=frame.dilations,
        groups=node.integer("group", 1),
    )


def _typed(node: Node, parameter: Tensor, x: Tensor) -> Tensor:
    """Return a parameter that a pass computed in float64 in the type of the activation."""
    return parameter.to(x.dtype) if node.integer(COMPUTED, 0) else parameter


KERNELS: dict[str, Kernel] = table({"Gemm": _gemm, "MatMul": _matmul, "Conv": _conv})
