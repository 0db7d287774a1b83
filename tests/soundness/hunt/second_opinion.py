"""Bounds by auto_LiRPA (K. Xu et al., NeurIPS 2020), which shares no code with SimCert.

Version 0.3, the newest on PyPI, was written for torch 1.12. Four names that it asks for are gone
since; they are put back here, for this process only, before it is imported.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from hunt.layers import Conv, Dense, Flatten, Leaky, Network, Norm, Pool, Relu, Residual

AVAILABLE = all(importlib.util.find_spec(name) for name in ("auto_LiRPA", "appdirs", "tqdm"))
REASON = "auto_LiRPA is not installed: pip install --no-deps auto_LiRPA==0.3 appdirs tqdm"


@cache
def _library() -> Any:
    """Import auto_LiRPA with the missing names."""
    with warnings.catch_warnings(record=True):  # it sets filters of its own
        _put_back()
        import auto_LiRPA

    members = auto_LiRPA.BoundedModule._named_members

    def named(self: Any, get: Any, prefix: str = "", recurse: bool = True, **_: Any) -> Any:
        return members(self, get, prefix, recurse)

    auto_LiRPA.BoundedModule._named_members = named
    return auto_LiRPA


def _put_back() -> None:
    """Give numpy and torch the names that they had, where they are missing."""
    import torch.onnx.symbolic_helper as helper

    if not hasattr(helper, "_set_opset_version"):
        from torch.onnx._internal.torchscript_exporter._globals import GLOBALS

        helper._set_opset_version = lambda version: setattr(
            GLOBALS, "export_onnx_opset_version", version
        )
    sets = types.ModuleType("numpy.lib.arraysetops")
    sets.isin = np.isin
    sys.modules.setdefault("numpy.lib.arraysetops", sets)
    if not hasattr(torch._C.Node, "__getitem__"):
        torch._C.Node.__getitem__ = lambda node, name: getattr(node, node.kindOf(name))(name)


def crown(
    network: nn.Module, shape: tuple[int, ...], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """CROWN bounds of the outputs of a module on a box.

    Args:
        network: of float64; see `module` and `Product`.
        shape: of a sample.
        low: (inputs,) lower corner.
        high: (inputs,) upper corner.

    Returns:
        Lower and upper bounds (outputs,), without the rounding of their own computation.
    """
    library = _library()
    lower, upper = (torch.from_numpy(c).reshape(1, *shape) for c in (low, high))
    x = (lower + upper) / 2
    with warnings.catch_warnings(record=True):
        bounded = library.BoundedModule(network, torch.zeros_like(x), device="cpu")
        ball = library.PerturbationLpNorm(norm=np.inf, x_L=lower, x_U=upper)
        with torch.no_grad():
            bounds = bounded.compute_bounds(x=(library.BoundedTensor(x, ball),), method="CROWN")
    return bounds[0].detach().numpy().ravel(), bounds[1].detach().numpy().ravel()


class Product(nn.Module):
    """f − g as one network."""

    def __init__(self, f: Network, g: Network) -> None:
        super().__init__()
        self.f, self.g = module(f), module(g)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(x) - self.g(x)


class _Residual(nn.Module):
    def __init__(self, layer: Residual) -> None:
        super().__init__()
        self.body = nn.Sequential(*(_part(part) for part in layer.body))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def module(network: Network) -> nn.Module:
    """The network as a module of float64 in evaluation mode."""
    return nn.Sequential(*(_part(layer) for layer in network.layers)).double().eval()


def _part(layer: object) -> nn.Module:
    match layer:
        case Dense():
            part = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
            _set(part, weight=layer.weight, bias=layer.bias)
        case Conv():
            outputs, inputs, size, _ = layer.weight.shape
            part = nn.Conv2d(inputs, outputs, size, layer.stride, layer.pad)
            _set(part, weight=layer.weight, bias=layer.bias)
        case Norm():
            part = nn.BatchNorm2d(len(layer.scale), eps=layer.epsilon)
            _set(part, weight=layer.scale, bias=layer.shift)
            _set(part, running_mean=layer.mean, running_var=layer.variance)
        case Relu():
            part = nn.ReLU()
        case Leaky():
            part = nn.LeakyReLU(layer.slope)
        case Flatten():
            part = nn.Flatten()
        case Residual():
            part = _Residual(layer)
        case Pool("AveragePool"):
            part = nn.AvgPool2d(layer.size)
        case _:
            raise TypeError(f"no module for {layer}")
    return part


def _set(part: nn.Module, **arrays: np.ndarray) -> None:
    part.double()
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(part, name).copy_(torch.from_numpy(array))
