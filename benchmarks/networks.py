"""Every network of the data folder: does SimCert read it as ONNX Runtime runs it?

    python benchmarks/networks.py DATA [--only pairs] [--inputs 20]

Each file is loaded, written as a program and run on seeded inputs: in float64 by SimCert, in
ONNX Runtime as the file is. Inputs are uniform on what the file's first quantiser can take, or on
[0, 1]. The difference is relative to the largest output, or to 1.

In a quantised network a rounding of 1e-7 may take the next code, and whatever reads it differs
then. So the codes of all its quantisers are compared: counted are the inputs on which any code
differs, and on each of them the first quantiser that has one, which still reads what it reads in
the other run, must be one step apart. Writes a Markdown table; the exit status is 1 where a file
cannot be read, or differs by more than 1e-5 without quantisers or by more than one step with them.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.shape_inference
import torch
from numpy.typing import NDArray
from torch import Tensor

from simcert.errors import SimcertError, UnsupportedOperatorError
from simcert.functions import Quantizer
from simcert.model import load
from simcert.model.executor import Executor
from simcert.model.lowering import lower
from simcert.model.operators.movement import KERNELS as MOVEMENT_KERNELS
from simcert.model.program import Program, Univariate
from simcert.model.runtime import Runtime

Float = NDArray[np.float64]

_TOLERANCE = 1e-5
_ONE_STEP = 1.0 + 1e-3


class Agreement(NamedTuple):
    """What runs of one file showed.

    Attributes:
        bounded: why it cannot be bounded; empty if it can.
        difference: the greatest of the outputs, relative to the largest one or to 1.
        flipped: inputs on which the codes of a quantiser differ.
        steps: by how many, at most, where they differ first.
        quantised: whether there are quantisers.
    """

    bounded: str
    difference: float
    flipped: int
    steps: float
    quantised: bool

    @property
    def agrees(self) -> bool:
        """Whether it is within 1e-5, or within one step where there is one."""
        return self.steps <= _ONE_STEP if self.quantised else self.difference <= _TOLERANCE


def compare(path: Path, inputs: int) -> Agreement:
    """Run a file in both ways.

    Raises:
        SimcertError: it cannot be read.
    """
    model = load(path)
    own: Callable[[Tensor], Tensor]
    bounded, quantisers = "", []
    try:
        program = lower(model.graph)
        own, quantisers = program.run, _quantisers(program)
    except UnsupportedOperatorError as error:
        own, bounded = Executor(model.graph), str(error)
    low, high = (0.0, 1.0)
    if quantisers:
        first = quantisers[0]
        low, high = (float((first.scale * code).median()) for code in (first.least, first.greatest))
    runtime = Runtime(model)
    random = np.random.default_rng(0)
    x = random.uniform(low, high, (inputs, runtime.inputs)).astype(runtime.dtype).astype(np.float64)
    expected, found = runtime.run(x), _run(own, x)
    size = np.maximum(1.0, np.abs(expected).max())
    difference = float(np.abs(found - expected).max() / size)
    flipped, steps = first_codes(path, x)
    return Agreement(bounded, difference, flipped, steps, bool(quantisers))


def first_codes(path: Path, x: Float) -> tuple[int, float]:
    """Return on how many inputs codes differ, and by how many steps where they do so first."""
    quantised = _quantised(path)
    if not quantised:
        return 0, 0.0
    model = load(path, outputs=tuple(quantised))
    expected, found = Runtime(model).run(x), _run(lower(model.graph).run, x)
    flipped, steps, start = np.zeros(len(x), dtype=bool), 0.0, 0
    for size, scale in quantised.values():  # in the order of the graph
        part = slice(start, start + size)
        apart = np.abs(found[:, part] - expected[:, part]).max(axis=1) / scale
        fresh = ~flipped & (apart > 0.5)
        steps = max(steps, float(apart[fresh].max(initial=0.0)))
        flipped |= fresh
        start += size
    return int(flipped.sum()), steps


def _quantised(path: Path) -> dict[str, tuple[int, float]]:
    """Return size and scale of the tensors behind quantisers of activations, in order."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    constants = {constant.name: constant for constant in graph.initializer}
    codes: set[str] = set()
    for node in graph.node:
        if node.op_type == "QuantizeLinear" or (
            node.op_type in MOVEMENT_KERNELS and codes.intersection(node.input[:1])
        ):
            codes.add(node.output[0])
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*graph.value_info, *graph.output)
    }
    return {
        node.output[0]: (
            int(np.prod(shapes[node.output[0]][1:])),
            float(onnx.numpy_helper.to_array(constants[node.input[1]]).max()),
        )
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in codes
    }


def _run(network: Callable[[Tensor], Tensor], x: Float) -> Float:
    with torch.no_grad():
        return network(torch.as_tensor(x)).numpy()


def _quantisers(program: Program) -> list[Quantizer]:
    """Return the quantisers of a program, in order."""
    functions = [step.function for step in program.steps if isinstance(step, Univariate)]
    return [function for function in functions if isinstance(function, Quantizer)]


def main() -> int:
    """Parse the command line, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="a folder, or a part of a path")
    parser.add_argument("--inputs", type=int, default=20)
    options = parser.parse_args()
    failed = 0
    print("| network | bounded | difference | inputs with other codes | steps apart |")
    print("|---|---|---|---|---|")
    for path in sorted(options.data.rglob("*.onnx")):
        name = path.relative_to(options.data).as_posix()
        if options.only not in name:
            continue
        try:
            found = compare(path, options.inputs)
        except SimcertError as error:
            failed += 1
            print(f"| {name} | not read: {error} | | | |", flush=True)
            continue
        failed += not found.agrees
        codes = f"{found.flipped} of {options.inputs} | {found.steps:.2g}"
        print(
            f"| {name} | {found.bounded or 'yes'} | {found.difference:.2g} | "
            f"{codes if found.quantised else '|'} |",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
