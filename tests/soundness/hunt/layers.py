"""Networks as lists of layers: written to ONNX files and run in float64 with torch alone.

Nothing here reads ONNX or shares code with SimCert: a lie of its reader or of its rewriting passes
is a difference between the two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

Array = np.ndarray
Change = Callable[[Array], Array]


class File:
    """The nodes and constants of a file under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        """Add a constant and return its name; floats become float32."""
        kept = array.astype(np.float32) if array.dtype.kind == "f" else array
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        index = len(self.nodes)
        node = helper.make_node(operator, inputs, [f"t{index}"], name=f"n{index}", **attributes)
        self.nodes.append(node)
        return f"t{index}"


class Layer(ABC):
    """A function of a batch of tensors."""

    @abstractmethod
    def write(self, file: File, x: str) -> str:
        """Append the layer to a file; returns the name of its output."""

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """Apply the layer in float64."""

    def changed(self, _change: Change) -> Layer:
        """The layer with other weights."""
        return self


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """weight (out, in), bias (out,); written as Gemm, or as MatMul and Add."""

    weight: Array
    bias: Array
    gemm: bool = True

    def write(self, file: File, x: str) -> str:
        if self.gemm:
            names = file.constant(self.weight), file.constant(self.bias)
            return file.add("Gemm", x, *names, transB=1)
        product = file.add("MatMul", x, file.constant(self.weight.T))
        return file.add("Add", product, file.constant(self.bias))

    def run(self, x: Tensor) -> Tensor:
        return functional.linear(x, _double(self.weight), _double(self.bias))

    def changed(self, change: Change) -> Layer:
        return replace(self, weight=change(self.weight), bias=change(self.bias))


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """weight (out, in, k, k), bias (out,)."""

    weight: Array
    bias: Array
    stride: int = 1
    pad: int = 0

    def write(self, file: File, x: str) -> str:
        names = file.constant(self.weight), file.constant(self.bias)
        strides, pads = [self.stride] * 2, [self.pad] * 4
        return file.add("Conv", x, *names, strides=strides, pads=pads)

    def run(self, x: Tensor) -> Tensor:
        weight, bias = _double(self.weight), _double(self.bias)
        return functional.conv2d(x, weight, bias, self.stride, self.pad)

    def changed(self, change: Change) -> Layer:
        return replace(self, weight=change(self.weight), bias=change(self.bias))


@dataclass(frozen=True, eq=False)
class Norm(Layer):
    """BatchNormalization over axis 1; all arrays (channels,)."""

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    epsilon: float = 2.0**-17  # which float32 holds

    def write(self, file: File, x: str) -> str:
        arrays = self.scale, self.shift, self.mean, self.variance
        names = [file.constant(array) for array in arrays]
        return file.add("BatchNormalization", x, *names, epsilon=self.epsilon)

    def run(self, x: Tensor) -> Tensor:
        shape = (-1, *(1,) * (x.ndim - 2))
        scale, shift, mean, variance = (
            _double(array).reshape(shape)
            for array in (self.scale, self.shift, self.mean, self.variance)
        )
        return (x - mean) / torch.sqrt(variance + self.epsilon) * scale + shift

    def changed(self, change: Change) -> Layer:
        return replace(self, scale=change(self.scale), shift=change(self.shift))


@dataclass(frozen=True)
class Relu(Layer):
    """max(x, 0)."""

    def write(self, file: File, x: str) -> str:
        return file.add("Relu", x)

    def run(self, x: Tensor) -> Tensor:
        return x.clamp(min=0.0)


@dataclass(frozen=True)
class Leaky(Layer):
    """LeakyRelu; the slope is one that float32 holds."""

    slope: float = 0.125

    def write(self, file: File, x: str) -> str:
        return file.add("LeakyRelu", x, alpha=self.slope)

    def run(self, x: Tensor) -> Tensor:
        return x.clamp(min=0.0) + self.slope * x.clamp(max=0.0)


@dataclass(frozen=True)
class Smooth(Layer):
    """Sigmoid, Tanh, Softplus, Elu or Softsign."""

    operator: str

    def write(self, file: File, x: str) -> str:
        return file.add(self.operator, x)

    def run(self, x: Tensor) -> Tensor:
        return SMOOTH[self.operator](x)


SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "Elu": functional.elu,
    "Softsign": functional.softsign,
}


@dataclass(frozen=True)
class Quantiser(Layer):
    """QuantizeLinear and DequantizeLinear to uint8 and back."""

    scale: float
    zero: int

    def write(self, file: File, x: str) -> str:
        scale = file.constant(np.array(self.scale))
        zero = file.constant(np.array(self.zero, dtype=np.uint8))
        return file.add("DequantizeLinear", file.add("QuantizeLinear", x, scale, zero), scale, zero)

    def run(self, x: Tensor) -> Tensor:
        levels = torch.clamp(torch.round(x / self.scale) + self.zero, 0, 255)
        return (levels - self.zero) * self.scale


@dataclass(frozen=True)
class Pool(Layer):
    """MaxPool or AveragePool with kernel and stride of one size."""

    operator: str
    size: int = 2

    def write(self, file: File, x: str) -> str:
        sizes = [self.size] * 2
        return file.add(self.operator, x, kernel_shape=sizes, strides=sizes)

    def run(self, x: Tensor) -> Tensor:
        if self.operator == "MaxPool":
            return functional.max_pool2d(x, self.size)
        return functional.avg_pool2d(x, self.size)


@dataclass(frozen=True)
class Global(Layer):
    """GlobalAveragePool."""

    def write(self, file: File, x: str) -> str:
        return file.add("GlobalAveragePool", x)

    def run(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True)


@dataclass(frozen=True)
class Flatten(Layer):
    """To (n, size)."""

    def write(self, file: File, x: str) -> str:
        return file.add("Flatten", x)

    def run(self, x: Tensor) -> Tensor:
        return x.flatten(1)


@dataclass(frozen=True)
class Identity(Layer):
    """An identity in one of the ways in which exporters write it."""

    kind: str = "Identity"

    def write(self, file: File, x: str) -> str:
        match self.kind:
            case "Add":
                return file.add("Add", x, file.constant(np.zeros(1)))
            case "Mul":
                return file.add("Mul", x, file.constant(np.ones(1)))
            case "Neg":
                return file.add("Neg", file.add("Neg", x))
        return file.add("Identity", x)

    def run(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True, eq=False)
class Residual(Layer):
    """x + body(x)."""

    body: tuple[Layer, ...]

    def write(self, file: File, x: str) -> str:
        before = x
        for layer in self.body:
            x = layer.write(file, x)
        return file.add("Add", before, x)

    def run(self, x: Tensor) -> Tensor:
        before = x
        for layer in self.body:
            x = layer.run(x)
        return before + x

    def changed(self, change: Change) -> Layer:
        return Residual(tuple(layer.changed(change) for layer in self.body))


@dataclass(frozen=True, eq=False)
class Network:
    """Layers from a sample of ``shape`` to a flat output."""

    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.run(np.zeros((1, self.inputs))).shape[1]

    def run(self, x: Array) -> Array:
        """Outputs (n, outputs) at points x (n, inputs), in float64."""
        with torch.no_grad():
            return self.apply(torch.from_numpy(np.asarray(x, dtype=np.float64))).numpy()

    def apply(self, x: Tensor) -> Tensor:
        """The same with tensors, and with gradients."""
        x = x.reshape(-1, *self.shape)
        for layer in self.layers:
            x = layer.run(x)
        return x

    def changed(self, change: Change) -> Network:
        """A copy whose weights, layer by layer, were changed and then rounded to float32."""
        layers = tuple(layer.changed(lambda a: float32(change(a))) for layer in self.layers)
        return replace(self, layers=layers)

    def save(self, path: Path) -> Path:
        """Write the network as an ONNX file of float32 with a symbolic batch."""
        file, x = File(), "x"
        for layer in self.layers:
            x = layer.write(file, x)
        graph = helper.make_graph(
            file.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape])],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", self.outputs])],
            file.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
        helper.set_model_props(model, self.metadata)
        onnx.save(model, path)
        return path


def dense(layers: Sequence[tuple[Array, Array]]) -> Network:
    """A ReLU network of (weight, bias) layers, rounded to float32."""
    parts: list[Layer] = []
    for weight, bias in layers:
        parts += [Dense(float32(np.asarray(weight)), float32(np.asarray(bias))), Relu()]
    return Network(tuple(parts[:-1]), (np.shape(layers[0][0])[1],))


def float32(array: Array) -> Array:
    """The nearest float32 numbers, as float64."""
    return np.asarray(array, dtype=np.float32).astype(np.float64)


def _double(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
