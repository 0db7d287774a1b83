"""Every method on every network: is the file what was asked for, and does verify judge it?

    python benchmarks/pruners_matrix.py [DATA] [--output matrix.md] [--seconds 2]

The networks are the examples and, from the folder DATA with the networks and images of the study,
ACAS Xu 1_1, mnist-net_256x2, cifar_base_kw and resnet_2b. Of each file the table says whether the
ONNX checker and ONNX Runtime accept it, whether its zeros, bits or channels are exactly what was
asked for, whether pruning with sparsity 0 gives the original back, how many of its layers the
verifier aligns with the original's, and the verdict of a short verification of a ball around one
input, with a tolerance of a tenth of the outputs' size. The command fails if anything but the
verdict is not as it should be.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

import pruners
from pruners.agf import KEPT
from pruners.onnx_edit import Network
from pruners.sites import Site, weight_sites
from simcert import Claim, Region, Result, verify
from simcert.atomic import write_atomically
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime
from simcert.pairing import align, spread

Array = NDArray[Any]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SPARSITY = 0.5
SHARE = 0.1
"""Of the outputs' size: the tolerance."""

VARIANTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "magnitude": (("magnitude", {"sparsity": SPARSITY, "scope": "layer"}),),
    "wanda": (("wanda", {"sparsity": SPARSITY, "calibration": None}),),
    "lamp": (("lamp", {"sparsity": SPARSITY}),),
    "slamp": (("slamp", {"sparsity": SPARSITY, "calibration": None}),),
    "agf": (("agf", {"sparsity": SPARSITY, "calibration": None}),),
    "quantize, 4 bits": (("quantize", {"bits": 4}),),
    "quantize, 8 bits a tensor": (("quantize", {"per": "tensor"}),),
    "quantize, qdq-weight": (("quantize", {"format": "qdq-weight"}),),
    "quantize, W8A8": (("quantize", {"format": "qdq", "calibration": None}),),
    "float16": (("float16", {}),),
    "agf, then W8A8": (
        ("agf", {"sparsity": SPARSITY, "calibration": None}),
        ("quantize", {"format": "qdq", "calibration": None}),
    ),
}
"""What is made: chains of methods with their options; calibration stands for the network's data."""


class Case(NamedTuple):
    """A network, inputs to calibrate on, and the radius of the balls of the claim."""

    name: str
    path: Path
    inputs: Array
    radius: float


class Row(NamedTuple):
    """What became of one variant; ``faults`` is empty where all is as it should be."""

    network: str
    variant: str
    faults: list[str]
    aligned: str
    result: Result


def cases(data: Path | None) -> Iterator[Case]:
    """The example networks, and the real ones if their folder is given."""
    with np.load(EXAMPLES / "digits.npz") as archive:
        digits = archive["images"][:50].reshape(50, -1).astype(float)
    for name in ("mlp", "convnet", "residual", "vit", "spiking"):
        yield Case(name, EXAMPLES / f"digits_{name}.onnx", digits, 0.02)
    uniform = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 5))
    yield Case("advisory", EXAMPLES / "advisory.onnx", uniform, 0.02)
    if data is None:
        return
    path = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
    yield Case("ACAS Xu 1_1", path, uniform, 0.02)
    with np.load(data / "vision/images/mnist_test_0000_4999.npz") as archive:
        x = archive["images"][:20].reshape(20, -1) / 255.0
    yield Case("mnist-net_256x2", data / "vision/onnx/mnist-net_256x2.onnx", x, 0.002)
    with np.load(data / "vision/images/cifar10_test_even.npz") as archive:
        x = np.moveaxis(archive["images"][:20] / 255.0 - 0.47, -1, 1).reshape(20, -1) / 0.25
    for name in ("cifar_base_kw", "resnet_2b"):
        yield Case(name, data / f"vision/onnx/{name}.onnx", x, 0.002)


def made(case: Case, variant: str) -> list[pruners.Compressed]:
    """Compress; the stages of the chain."""
    stages: list[pruners.Compressed] = []
    for method, options in VARIANTS[variant]:
        given = {k: case.inputs if k == "calibration" else v for k, v in options.items()}
        source: bytes | Path = stages[-1].data if stages else case.path
        stages.append(pruners.METHODS[method](source, **given))
    return stages


def judged(case: Case, variant: str, folder: Path, seconds: float) -> Row:
    """Compress, check the file and its counts, align, verify."""
    stages = made(case, variant)
    file = folder / "compressed.onnx"
    stages[-1].save(file)
    onnx.checker.check_model(stages[-1].data)
    faults = []
    if not np.isfinite(Runtime(load(file)).run(case.inputs[:3])).all():
        faults.append("its outputs are not finite")
    before = case.path.read_bytes()
    for (method, options), stage in zip(VARIANTS[variant], stages, strict=True):
        faults += counts(method, options, before, stage.data)
        before = stage.data
        zero = {**options, "sparsity": 0}
        if options.get("sparsity") and untouched(case, method, zero) != case.path.read_bytes():
            faults.append("sparsity 0 changes the file")
    aligned, total, everywhere = alignment(case.path, file)
    if not everywhere:
        faults.append("not aligned throughout")
    ball = case.inputs[:1]
    region = Region(ball - case.radius, ball + case.radius, np.ones(1), "a ball")
    size = float(np.abs(Runtime(load(case.path)).run(case.inputs)).max())
    claim = Claim(region, tolerance=SHARE * size, max_violation=0.2)
    limits: dict[str, Any] = {"time_limit": seconds, "max_boxes": 2, "samples": 300, "threads": 1}
    result = verify(case.path, file, claim, **limits)
    # Either the symbolic analysis decided something, or draws from both files did.
    if not (result.proof.boxes or result.statistics or result.witness):
        faults.append("verify found nothing out")
    return Row(case.name, variant, faults, f"{aligned} of {total}", result)


def untouched(case: Case, method: str, options: Mapping[str, Any]) -> bytes:
    """The file that a method makes at sparsity 0."""
    given = {k: case.inputs if k == "calibration" else v for k, v in options.items()}
    return pruners.METHODS[method](case.path, **given).data


def alignment(original: Path, compressed: Path) -> tuple[int, int, bool]:
    """How many affine layers of the original are aligned, of how many; whether all nodes are."""
    small = load(compressed).graph
    f, g = lower(load(original).graph), lower(small)
    dual = align(f, spread(f, g, small.metadata))
    words = dual.describe().split()
    return int(words[0]), int(words[2]), all(node.aligned for node in dual.nodes)


def counts(method: str, options: Mapping[str, Any], before: bytes, after: bytes) -> list[str]:
    """What of the zeros, bits or channels in a file is not what was asked for."""
    old = weight_sites(Network(before))
    sizes = [site.rows.size for site in old]
    if options.get("format") in ("qdq", "qdq-weight"):
        return _stored_as_integers(old, after, options["format"])
    new = weight_sites(Network(after))
    zeros = [int(np.sum(site.rows == 0)) for site in new]
    match method:
        case "magnitude":
            exact = zeros == [round(SPARSITY * size) for size in sizes]
        case "wanda":
            exact = all(
                np.all(np.sum(site.rows == 0, axis=1) == int(SPARSITY * site.rows.shape[1]))
                for site in new
            )
        case "lamp" | "slamp":
            exact = sum(sizes) - sum(zeros) == round((1 - SPARSITY) * sum(sizes))
        case "agf":
            exact = _channels_are_left(old, new, after)
        case "quantize":
            exact = all(_levels(site, options) for site in new)
        case _:
            exact = all(
                np.array_equal(site.weights.astype(np.float16), site.weights) for site in new
            )
    return [] if exact else [f"{method}: the counts are not what was asked for"]


def _levels(site: Site, options: Mapping[str, Any]) -> bool:
    """Whether the weights are whole multiples of a scale, no more than the bits can tell apart."""
    most = 2 ** (options.get("bits", 8) - 1)
    rows = site.rows.reshape(1, -1) if options.get("per") == "tensor" else site.rows
    return all(len(np.unique(np.abs(row))) <= most for row in rows)


def _stored_as_integers(old: tuple[Site, ...], after: bytes, form: str) -> list[str]:
    """The weights that are not int8 in the file."""
    ending = "_quantized" if form == "qdq" else "_int8"
    stored = {
        tensor.name
        for tensor in onnx.ModelProto.FromString(after).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    }
    return [f"{x.tensor} is not int8" for x in old if f"{x.tensor}{ending}" not in stored]


def _channels_are_left(old: tuple[Site, ...], new: tuple[Site, ...], after: bytes) -> bool:
    """Whether every weight has the channels of the map, as many as were asked for."""
    properties = onnx.ModelProto.FromString(after).metadata_props
    kept = json.loads({item.key: item.value for item in properties}[KEPT])
    before, now = (
        {node: len(site.rows) for site in sites for node in site.nodes} for sites in (old, new)
    )
    return bool(kept) and all(
        now[node] == len(left) == before[node] - round(SPARSITY * before[node])
        for node, left in kept.items()
    )


def line(row: Row) -> str:
    """A row as Markdown."""
    right = "; ".join(row.faults) or "yes"
    return (
        f"| {row.network} | {row.variant} | {right} | {row.aligned} | {row.result.verdict.value} |"
    )


HEAD = "| network | method | as asked for | layers aligned | verdict |\n|---|---|---|---|---|"


def main() -> None:
    """Judge all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each verification")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(options.data):
            for variant in VARIANTS:
                rows.append(judged(case, variant, Path(folder), options.seconds))
                print(line(rows[-1]), flush=True)
    if options.output is not None:
        write_atomically(options.output, "\n".join([HEAD, *map(line, rows), ""]).encode())
    sys.exit(any(row.faults for row in rows))


if __name__ == "__main__":
    main()
