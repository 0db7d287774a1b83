"""Normalisations: over a batch that was seen in training, over a layer, over classes."""

import numpy as np
import torch
from torch import Tensor

from simcert.model.graph import Node
from simcert.model.operators.kernel import Kernel, table, unsupported

_EPSILON = float(np.float32(1e-5))  # the default of the specification, as the runtime takes it


def _batch_normalization(
    node: Node, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        raise unsupported(node, "training mode or per-element statistics")
    shape = [-1] + [1] * (x.ndim - 2)
    factor = scale / torch.sqrt(variance + node.real("epsilon", _EPSILON))
    return (x - mean.reshape(shape)) * factor.reshape(shape) + shift.reshape(shape)


def _layer_normalization(
    node: Node, x: Tensor, scale: Tensor, shift: Tensor | None = None
) -> Tensor:
    axis = node.integer("axis", -1)
    axes = tuple(range(axis % x.ndim, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    variance = centred.square().mean(axes, keepdim=True)
    y = centred / torch.sqrt(variance + node.real("epsilon", _EPSILON)) * scale
    return y if shift is None else y + shift


def _instance_normalization(node: Node, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    shape = (-1, *(1,) * (x.ndim - 2))
    return _standardised(node, x, x.shape[1]) * scale.reshape(shape) + shift.reshape(shape)


def _group_normalization(node: Node, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    shape = (-1, *(1,) * (x.ndim - 2))
    groups = node.integer("num_groups", 1)
    return _standardised(node, x, groups) * scale.reshape(shape) + shift.reshape(shape)


def _standardised(node: Node, x: Tensor, groups: int) -> Tensor:
    """Return x with mean 0 and variance 1 over each group of channels and all positions."""
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return (centred / torch.sqrt(variance + node.real("epsilon", _EPSILON))).reshape(x.shape)


def _softmax(node: Node, x: Tensor) -> Tensor:
    """Over one axis; before operator set 13 over all axes from the given one on."""
    if node.opset >= 13:
        return torch.softmax(x, node.integer("axis", -1))
    axis = node.integer("axis", 1) % x.ndim
    return torch.softmax(x.flatten(axis), -1).reshape(x.shape)


def _log_softmax(node: Node, x: Tensor) -> Tensor:
    if node.opset >= 13:
        return torch.log_softmax(x, node.integer("axis", -1))
    axis = node.integer("axis", 1) % x.ndim
    return torch.log_softmax(x.flatten(axis), -1).reshape(x.shape)


KERNELS: dict[str, Kernel] = table(
    {
        "BatchNormalization": _batch_normalization,
        "GroupNormalization": _group_normalization,
        "InstanceNormalization": _instance_normalization,
        "LayerNormalization": _layer_normalization,
        "LogSoftmax": _log_softmax,
        "Softmax": _softmax,
    }
)
