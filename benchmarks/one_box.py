"""One box: how closely the difference is bounded without a search, by verifier and checker.

    python benchmarks/one_box.py [--data DATA]

On an L∞ ball: the largest difference of the outputs that 200 inputs show, half of them corners; the
bound of the propagator, and that of the checker. The networks are those of ``examples/``, around
digits (where pixels stay within [0, 1]), and two layers of tanh with seeded weights. With DATA, the
folder with ``vision/``, ``control/`` and ``pairs/``, published networks with functions that are not
piecewise linear take their place, and the checker is left out. Seconds are those of the processor,
on one thread. Writes a Markdown table.
"""

import os

# Both sides compute in one thread; numpy reads these when it is loaded.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from pairs import bound_of

import pruners
from simcert.checker.bounds import Pair
from simcert.checker.network import read
from simcert.claim import Region
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.program import Program
from simcert.pairing import align

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_SEEN = 200
_SMALL = 1000
"""Inputs up to which inner tensors get symbolic bounds however long it takes."""

_WORK = 1e10
"""Multiplications that inner symbolic bounds may take beyond that."""

_MEAN, _DEVIATION = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True)
class Case:
    """A network, how it is compressed, and a ball.

    Attributes:
        original: the file.
        copy: what compresses it.
        compress: likewise.
        centre: of the ball, (inputs,).
        radius: of the ball.
        least: of all inputs.
        greatest: likewise.
        arithmetic: "real" or "float32".
        checked: whether the checker bounds it too.
    """

    original: Path
    copy: str
    compress: Callable[[Path], pruners.Compressed]
    centre: np.ndarray
    radius: float
    arithmetic: str
    checked: bool = True
    least: float = -np.inf
    greatest: float = np.inf

    @property
    def region(self) -> Region:
        """The ball."""
        ends = (self.centre[None] + sign * self.radius for sign in (-1, 1))
        return Region.from_boxes(
            *(end.clip(self.least, self.greatest) for end in ends), source="ball"
        )


def int8(path: Path) -> pruners.Compressed:
    """Weights of 8 bits, per channel."""
    return pruners.quantize(path, bits=8)


def examples(folder: Path) -> Iterator[Case]:
    """The cases of ``examples/``, and two layers of tanh."""
    with np.load(_EXAMPLES / "digits.npz") as digits:
        images, training = digits["test_images"].astype(float), digits["images"]
    pixels = {"least": 0.0, "greatest": 1.0}

    def activations(path: Path) -> pruners.Compressed:
        return pruners.quantize(path, bits=8, format="qdq", calibration=training)

    for arithmetic in ("real", "float32"):
        vit = _EXAMPLES / "digits_vit.onnx"
        yield Case(vit, "float16", pruners.float16, images[0], 0.001, arithmetic, **pixels)
    for radius in (0.001, 0.02):
        for image in images[:3]:
            mlp = _EXAMPLES / "digits_mlp.onnx"
            yield Case(mlp, "int8", activations, image, radius, "float32", **pixels)
    network = tanh(folder / "tanh.onnx")
    for radius in (0.01, 0.1, 1.0):
        yield Case(network, "float16", pruners.float16, np.zeros(4), radius, "float32")


def tanh(path: Path) -> Path:
    """Write two layers of eight tanh between four inputs and two outputs."""
    random = np.random.default_rng(0)
    nodes, constants, tensor = [], [], "x"
    for k, (rows, columns) in enumerate(((4, 8), (8, 8), (8, 2))):
        weight = random.normal(size=(rows, columns)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight / np.float32(rows**0.5), f"w{k}"))
        nodes.append(helper.make_node("MatMul", [tensor, f"w{k}"], [f"h{k}"]))
        nodes.append(helper.make_node("Tanh", [f"h{k}"], [f"t{k}"]))
        tensor = f"t{k}"
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])]
        for name, size in (("x", 4), ("h2", 2))
    ]
    graph = helper.make_graph(nodes[:-1], "tanh", *ends, constants)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def published(data: Path) -> Iterator[Case]:
    """Networks with functions, around an image or the centre of the unit box, over the reals."""
    with np.load(data / "vision/images/mnist_test_0000_4999.npz") as stored:
        digit = stored["images"][0].reshape(-1).astype(float)
    with np.load(data / "vision/images/cifar10_test_even.npz") as stored:
        colours = (stored["images"][0] / 255 - _MEAN) / _DEVIATION
    centres = {
        "vision/onnx/vit_ibp_3_3_8": (colours.transpose(2, 0, 1).reshape(-1), 0.002),
        "vision/onnx/self-attention-mnist-pgd-medium-sim": (digit / 255, 0.004),
        "vision/onnx/tansig_200_50_onnx": (digit, 1.0),
        "pairs/onnx/lhcjets_3layer": (np.full(16, 0.5), 0.01),
        "control/onnx/ml4acopf_14_ieee": (np.full(22, 0.5), 0.005),
        "vision/onnx/KJ_TinyTaxiNet": (np.full(128, 0.5), 0.004),
    }
    for name, (centre, radius) in centres.items():
        for copy, compress in (("float16", pruners.float16), ("int8", int8)):
            path = data / f"{name}.onnx"
            yield Case(path, copy, compress, centre, radius, "real", checked=False)


def row(case: Case, compressed: Path) -> list[str]:
    """Measure one case."""
    case.compress(case.original).save(compressed)
    f, g = (lower(load(path).graph) for path in (case.original, compressed))
    region = case.region
    work = float("inf") if region.inputs <= _SMALL else _WORK
    start = time.process_time()
    bound, _ = bound_of(align(f, g), region, case.arithmetic == "float32", work)
    seconds = time.process_time() - start
    cells = [case.original.stem, case.copy, f"{case.radius:g}", case.arithmetic]
    cells += [f"{seen(f, g, region):.3g}", f"{bound:.3g}", f"{seconds:.1f} s"]
    return [*cells, *(checked(case, compressed) if case.checked else ("", ""))]


def seen(f: Program, g: Program, region: Region) -> float:
    """Return the largest difference that inputs of the box show."""
    share = np.random.default_rng(0).random((_SEEN, region.inputs))
    share[::2] = share[::2] > 0.5
    x = torch.as_tensor(region.lower + share * (region.upper - region.lower))
    with torch.no_grad():
        return max(float((f.run(part) - g.run(part)).abs().max()) for part in x.split(10))


def checked(case: Case, compressed: Path) -> list[str]:
    """Return the checker's bound, and the seconds it took."""
    pair = Pair(*(read(p.read_bytes()) for p in (case.original, compressed)), case.arithmetic)
    size = pair.nodes[-1].size
    start = time.process_time()
    zero, each = np.zeros((size, size)), np.eye(size)
    found = pair.bound(case.region.lower, case.region.upper, zero, zero, each)
    seconds = time.process_time() - start
    return [f"{np.maximum(found.upper, -found.lower).max():.3g}", f"{seconds:.2f} s"]


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | copy | radius | arithmetic | seen | verifier | | checker | |")
    print("|---" * 9 + "|")
    with tempfile.TemporaryDirectory() as folder:
        chosen = published(options.data) if options.data else examples(Path(folder))
        for case in chosen:
            print(f"| {' | '.join(row(case, Path(folder) / 'copy.onnx'))} |", flush=True)


if __name__ == "__main__":
    main()
