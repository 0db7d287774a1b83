"""Float32 runtimes that are allowed but that nobody ships: any order, fused or not, flushed or not.

Every sum is taken product by product in one random order, each step in float32. A claim for float32
is about these as much as about ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from hunt.layers import (
    SMOOTH,
    Conv,
    Dense,
    Flatten,
    Global,
    Identity,
    Layer,
    Leaky,
    Network,
    Norm,
    Pool,
    Quantiser,
    Relu,
    Residual,
    Smooth,
)

Array = np.ndarray
_SMALLEST = np.float32(2.0**-126)


@dataclass(frozen=True)
class Habits:
    """How a runtime computes.

    Attributes:
        fused: a product is not rounded before it is added.
        flushes: subnormal inputs, weights and results count as zero.
        bias_first: a sum begins with the bias.
        folds: BatchNormalization is x·factor + shift with constants computed beforehand.
        order: seed of the order of every sum.
    """

    fused: bool
    flushes: bool
    bias_first: bool
    folds: bool
    order: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> Habits:
        """Random habits."""
        fused, flushes, bias_first, folds = (bool(b) for b in random.random(4) < 0.5)
        return cls(fused, flushes, bias_first, folds, int(random.integers(1 << 30)))


class Emulated:
    """A network as a runtime with some habits computes it; the two of a pair share theirs."""

    def __init__(self, network: Network, habits: Habits) -> None:
        self._network = network
        self._habits = habits
        self._random = np.random.default_rng(habits.order)

    def run(self, x: Array) -> Array:
        """Outputs (n, outputs), float64 copies of float32 numbers, at points x (n, inputs)."""
        self._random = np.random.default_rng(self._habits.order)
        values = self._flush(x.astype(np.float32)).reshape(-1, *self._network.shape)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for layer in self._network.layers:
                values = self._apply(layer, values)
        return values.astype(np.float64)

    def _flush(self, x: Array) -> Array:
        return np.where(np.abs(x) < _SMALLEST, np.float32(0), x) if self._habits.flushes else x

    def _apply(self, layer: Layer, x: Array) -> Array:
        match layer:
            case Dense():
                return self._sum(layer.weight.T, x, layer.bias)
            case Conv():
                return self._convolve(layer, x)
            case Norm():
                return self._normalise(layer, x)
            case Relu():
                return np.maximum(x, np.float32(0))
            case Leaky():
                return np.where(x < 0, self._flush(x * np.float32(layer.slope)), x)
            case Pool("MaxPool"):
                return functional.max_pool2d(torch.from_numpy(x), layer.size).numpy()
            case Pool():
                n, channels, height, width = (*x.shape[:2], *(s // layer.size for s in x.shape[2:]))
                blocks = x[:, :, : height * layer.size, : width * layer.size]
                blocks = blocks.reshape(n, channels, height, layer.size, width, layer.size)
                blocks = blocks.transpose(0, 1, 2, 4, 3, 5).reshape(n, channels, height, width, -1)
                return self._mean(blocks)
            case Global():
                return self._mean(x.reshape(*x.shape[:2], -1))[..., None, None]
            case Flatten():
                return x.reshape(len(x), -1)
            case Identity():
                return x
            case Smooth():
                return SMOOTH[layer.operator](torch.from_numpy(x)).numpy()
            case Quantiser():
                scale = np.float32(layer.scale)
                levels = np.clip(np.rint(x / scale) + np.float32(layer.zero), 0, 255)
                return ((levels - np.float32(layer.zero)) * scale).astype(np.float32)
            case Residual():
                y = x
                for part in layer.body:
                    y = self._apply(part, y)
                return self._flush(x + y)
        raise TypeError(f"no emulation of {layer}")

    def _sum(self, weight: Array, x: Array, bias: Array) -> Array:
        """x (…, terms) times weight (terms, out) plus bias (out,), term by term."""
        weight, bias = (self._flush(a.astype(np.float32)) for a in (weight, bias))
        total = np.zeros((*x.shape[:-1], len(bias)), dtype=np.float32)
        if self._habits.bias_first:
            total = total + bias
        for k in self._random.permutation(len(weight)):
            total = self._add_product(total, x[..., k, None], weight[k])
        return total if self._habits.bias_first else self._flush(total + bias)

    def _add_product(self, total: Array, x: Array, weight: Array) -> Array:
        if self._habits.fused:  # exact in float64, but for a second rounding once in 2^29
            exact = x.astype(np.float64) * weight.astype(np.float64) + total
            return self._flush(exact.astype(np.float32))
        return self._flush(total + self._flush(x * weight))

    def _convolve(self, layer: Conv, x: Array) -> Array:
        outputs, _, size, _ = layer.weight.shape
        patches = functional.unfold(
            torch.from_numpy(x), size, padding=layer.pad, stride=layer.stride
        ).numpy()
        values = self._sum(
            layer.weight.reshape(outputs, -1).T, patches.transpose(0, 2, 1), layer.bias
        )
        height = (x.shape[2] + 2 * layer.pad - size) // layer.stride + 1
        return values.transpose(0, 2, 1).reshape(len(x), outputs, height, -1)

    def _normalise(self, layer: Norm, x: Array) -> Array:
        shape = (-1, *(1,) * (x.ndim - 2))
        scale, shift, mean, variance = (
            a.astype(np.float32).reshape(shape)
            for a in (layer.scale, layer.shift, layer.mean, layer.variance)
        )
        factor = scale / np.sqrt(variance + np.float32(layer.epsilon))
        if self._habits.folds:
            return self._flush(self._flush(x * factor) + (shift - mean * factor))
        return self._flush(self._flush((x - mean) * factor) + shift)

    def _mean(self, x: Array) -> Array:
        """Over the last axis, added in a random order."""
        total = np.zeros(x.shape[:-1], dtype=np.float32)
        for k in self._random.permutation(x.shape[-1]):
            total = self._flush(total + x[..., k])
        return self._flush(total / np.float32(x.shape[-1]))
