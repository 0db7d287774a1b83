"""Image classifiers: SimCert's worst case against single-network verifiers on the product network.

    python benchmarks/images_crown.py VISION --output images.csv [--images 20] [--time-limit 60]

VISION is a folder with onnx/*.onnx, images/*.npz and preprocessing.json. Around each of the first
images, ±radius in the network's own input units, clipped to the pixels' range for MNIST: what
`simcert.verify` proves of max |f_i − g_i| within the time limit, CROWN and α-CROWN on f and g side
by side (the same propagator with no node aligned, however long it takes; no splitting), the best
of an attack, and whether equal top-1 decisions are proved. Rows are written one by one and a rerun
goes on; the table of geometric means goes to standard output.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rows import Rows

import pruners
import simcert
from simcert.bounds import Propagator
from simcert.claim import Region
from simcert.claim.divergences import Top1
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import DualProgram, align
from simcert.pairing.dual import DualNode

CASES = {
    "mnist-net_256x2": (0.005, 0.01, 0.03),
    "Convnet_avgpool": (0.01,),
    "cifar_base_kw": (0.01,),
}
COPIES = {
    "float16": lambda path: pruners.float16(path),
    "int8 per tensor": lambda path: pruners.quantize(path, bits=8, per="tensor"),
    "int8 per channel": lambda path: pruners.quantize(path, bits=8),
    "50 % pruned": lambda path: pruners.magnitude(path, sparsity=0.5, scope="global"),
}
FIELDS = ("network", "copy", "radius", "image", "simcert", "seconds", "crown", "crown seconds")
FIELDS += ("alpha-crown", "alpha-crown seconds", "attack", "top-1")
ALPHA_STEPS = 20
MEAN, SPREAD = np.array([0.485, 0.456, 0.406]), 0.225


def inputs(vision: Path, network: str, count: int) -> np.ndarray:
    """Return the first images as the network reads them, (count, inputs)."""
    if network.startswith("cifar"):
        with np.load(vision / "images/cifar10_test_even.npz") as data:
            images = data["images"][:count].astype(np.float64) / 255
        if images.shape[-1] == 3:
            images = images.transpose(0, 3, 1, 2)
        return ((images - MEAN[:, None, None]) / SPREAD).reshape(count, -1)
    with np.load(vision / "images/mnist_test_0000_4999.npz") as data:
        return data["images"][:count].reshape(count, -1) / 255.0


def side_by_side(dual: DualProgram) -> DualProgram:
    """Return the product network: no node is aligned, so that no difference is tracked."""
    nodes = [
        DualNode(n.f, n.g, n.f_operands, n.g_operands, aligned=not n.f_operands) for n in dual.nodes
    ]
    return DualProgram(tuple(nodes))


def measure(original: Path, compressed: Path, region: Region, seconds: float) -> dict[str, object]:
    """Return the bounds of one pair around one image."""
    limits = {"samples": 0, "time_limit": seconds, "threads": 1}
    start = time.monotonic()
    own = simcert.verify(original, compressed, simcert.Claim(region), **limits)
    row: dict[str, object] = {"simcert": own.proof.bound, "seconds": time.monotonic() - start}
    row["attack"] = own.witness.divergence if own.witness else 0.0
    dual = side_by_side(align(*(lower(load(p).graph) for p in (original, compressed))))
    eye = torch.eye(dual.outputs, dtype=torch.float64)
    box = torch.tensor(region.lower), torch.tensor(region.upper)
    for name, steps in (("crown", 0), ("alpha-crown", ALPHA_STEPS)):
        start = time.monotonic()
        propagator = Propagator(dual, 0 * eye, 0 * eye, eye, steps=steps, float32=True)
        bounds = propagator.bound(*box)
        row[name] = float(torch.maximum(bounds.upper, -bounds.lower).max())
        row[f"{name} seconds"] = time.monotonic() - start
    claim = simcert.Claim(region, divergence=Top1(), tolerance=0.0)
    decided = simcert.verify(original, compressed, claim, **limits)
    row["top-1"] = decided.verdict.value
    return row


def rows(options: argparse.Namespace, folder: Path, measured: Rows) -> Iterator[dict]:
    """Measure what is not there yet."""
    for network in options.networks:
        original = options.vision / "onnx" / f"{network}.onnx"
        x = inputs(options.vision, network, options.images)
        for copy in options.copies:
            compressed = folder / f"{network} {copy}.onnx".replace("%", "")
            COPIES[copy](original).save(compressed)
            for radius in options.radii or CASES[network]:
                for image in range(options.images):
                    key = {"network": network, "copy": copy, "radius": radius, "image": image}
                    if tuple(key.values()) in measured:
                        continue
                    low, high = x[[image]] - radius, x[[image]] + radius
                    if not network.startswith("cifar"):
                        low, high = low.clip(0, 1), high.clip(0, 1)
                    region = Region.from_boxes(low, high, source=f"image {image}")
                    yield key | measure(original, compressed, region, options.time_limit)


def mean(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-300)))))


def table(found: list[dict[str, str]]) -> None:
    """Print geometric means over the images."""
    columns = ("attack", "simcert", "crown", "alpha-crown")
    print(f"| network | copy | radius | images | {' | '.join(columns)} | ratio to crown | top-1 |")
    print("|---" * 10 + "|")
    groups = dict.fromkeys((row["network"], row["copy"], row["radius"]) for row in found)
    for group in groups:
        own = [r for r in found if (r["network"], r["copy"], r["radius"]) == group]
        means = {name: mean([float(row[name]) for row in own]) for name in columns}
        ratio = means["crown"] / means["simcert"]
        agreed = sum(row["top-1"] == "proved" for row in own)
        numbers = " | ".join(f"{means[name]:.3g}" for name in columns)
        cells = f"{' | '.join(group)} | {len(own)} | {numbers} | {ratio:.3g}"
        print(f"| {cells} | {agreed} of {len(own)} |")


def main() -> None:
    """Parse the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vision", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--networks", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--copies", nargs="*", default=list(COPIES), choices=list(COPIES))
    parser.add_argument("--radii", nargs="*", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = Rows(options.output, FIELDS, key=4)
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(options, Path(folder), measured):
            measured.append(row)
    table(measured.stored)


if __name__ == "__main__":
    main()
