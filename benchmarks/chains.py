"""Chains of dense layers with rectifiers between them, in the formats that other verifiers read.

The product network of two chains of equal depth computes f(x) − g(x) and is a chain itself: first
layers stacked, inner layers side by side, last layers subtracted.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.program import Affine, Relu

Float = NDArray[np.float64]
Chain = list[tuple[Float, Float]]
"""Weight (outputs, inputs) and bias (outputs,) of each layer; all but the last are rectified."""

_OPSET, _IR_VERSION = 13, 8


def read(path: Path) -> Chain:
    """Return the layers of an ONNX file; affine operators in a row become one layer.

    Raises:
        ValueError: the file is no chain, or a layer is not one of float32 numbers.
    """
    program = lower(load(path).graph)
    weight, bias = np.eye(program.inputs), np.zeros(program.inputs)
    chain: Chain = []
    for number, step in enumerate(program.steps[1:], start=1):
        if step.operands != (number - 1,) or not isinstance(step, Affine | Relu):
            raise ValueError(f"{path}: {step.label} is no part of a chain of dense layers")
        if isinstance(step, Relu):
            chain.append((weight, bias))
            weight, bias = np.eye(step.size), np.zeros(step.size)
        else:
            own = step.maps[0].forward(torch.eye(step.maps[0].inputs, dtype=torch.float64)).T
            weight, bias = own.numpy() @ weight, own.numpy() @ bias + step.bias.numpy()
    chain.append((weight, bias))
    for numbers in (part for layer in chain for part in layer):
        if not np.array_equal(numbers, numbers.astype(np.float32)):
            raise ValueError(f"{path}: merged layers are not made of float32 numbers")
    return chain


def product(f: Chain, g: Chain) -> Chain:
    """Return the chain that computes f(x) − g(x).

    Raises:
        ValueError: the chains differ in depth.
    """
    if len(f) != len(g) or len(f) < 2:
        raise ValueError(f"chains of {len(f)} and {len(g)} layers have no product chain")
    first, *inner, last = zip(f, g, strict=True)
    chain = [(np.vstack([w for w, _ in first]), np.concatenate([b for _, b in first]))]
    for (weight_f, bias_f), (weight_g, bias_g) in inner:
        above = np.hstack([weight_f, np.zeros((len(weight_f), weight_g.shape[1]))])
        below = np.hstack([np.zeros((len(weight_g), weight_f.shape[1])), weight_g])
        chain.append((np.vstack([above, below]), np.concatenate([bias_f, bias_g])))
    (weight_f, bias_f), (weight_g, bias_g) = last
    return [*chain, (np.hstack([weight_f, -weight_g]), bias_f - bias_g)]


def module(chain: Chain) -> torch.nn.Sequential:
    """Return the chain as a float64 module in evaluation mode."""
    parts: list[torch.nn.Module] = []
    for weight, bias in chain:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1]).eval()


def write_onnx(chain: Chain, path: Path) -> None:
    """Write the chain as Gemm and Relu nodes of float32."""
    nodes, constants, name = [], [], "x"
    for number, layer in enumerate(chain):
        for kind, numbers in zip("wb", layer, strict=True):
            tensor = numpy_helper.from_array(numbers.astype(np.float32), f"{kind}{number}")
            constants.append(tensor)
        operands = [name, f"w{number}", f"b{number}"]
        nodes.append(helper.make_node("Gemm", operands, [f"y{number}"], transB=1))
        if number < len(chain) - 1:
            nodes.append(helper.make_node("Relu", [f"y{number}"], [f"z{number}"]))
        name = f"z{number}"
    value = helper.make_tensor_value_info
    ends = [
        value("x", TensorProto.FLOAT, [1, chain[0][0].shape[1]]),
        value(f"y{len(chain) - 1}", TensorProto.FLOAT, [1, len(chain[-1][1])]),
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    opset = helper.make_opsetid("", _OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION), path)


def write_vnnlib(lower: Float, upper: Float, outputs: int, tolerance: float, path: Path) -> None:
    """Write the query whether an output of a product network leaves ± tolerance on a box."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(lower))]
    lines += [f"(declare-const Y_{i} Real)" for i in range(outputs)]
    for i, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        lines += [f"(assert (>= X_{i} {low!r}))", f"(assert (<= X_{i} {high!r}))"]
    beyond = [
        f"(and ({sign} Y_{i} {bound!r}))"
        for i in range(outputs)
        for sign, bound in ((">=", tolerance), ("<=", -tolerance))
    ]
    path.write_text("\n".join([*lines, f"(assert (or {' '.join(beyond)}))", ""]))


def write_nnet(
    chain: Chain,
    normalisation: tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]],
    path: Path,
) -> None:
    """Write the chain in the .nnet format.

    Args:
        chain: of float32 numbers, which nine digits hold exactly.
        normalisation: least, greatest, mean and range of each input; a program that reads the
            file clips raw inputs to the first two and makes (x − mean) / range of them.
        path: of the file.
    """
    least, greatest, mean, width = ([*map(float, row)] for row in normalisation)
    sizes = [chain[0][0].shape[1], *(len(bias) for _, bias in chain)]
    rows: list[Sequence[float]] = [
        [len(chain), sizes[0], sizes[-1], max(sizes)],
        sizes,
        [0],
        least,
        greatest,
        [*mean, 0.0],  # the last number is of the outputs
        [*width, 1.0],
    ]
    for weight, bias in chain:
        rows += [*weight.tolist(), *([number] for number in bias.tolist())]
    text = "".join(",".join(f"{number:.9g}" for number in row) + ",\n" for row in rows)
    path.write_text("// written from an ONNX file\n" + text)
