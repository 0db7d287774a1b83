"""The published pairs: verdict, proved worst case and largest run around real inputs.

    python benchmarks/pairs.py DATA [--pairs a,b] [--steps 1] [--time-limit 300]

DATA is the folder with ``pairs/``, ``vision/`` and ``control/``. The region is the L∞ ball around
the first real input, its radius one step of the compressed network's input quantiser (or
``--radius``). Beside the proved bound stands that of the product network, the same analysis without
differences.
Writes a Markdown table.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import simcert
from simcert.bounds import Propagator
from simcert.claim import Region
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import align

_KWS_SCALE, _KWS_ZERO = 0.5847, 83
_WORK = 2e10


def inputs_of(pair: str, data: Path, count: int) -> np.ndarray:
    """Return real inputs of a pair, (n, inputs); seeded uniform ones where none are published."""
    if pair.startswith("mlptiny_ad01"):
        windows = sorted((data / "pairs/inputs").glob("ad01*.bin"))
        return np.concatenate([np.fromfile(w, np.float32) for w in windows]).reshape(-1, 640)
    if "kws" in pair:
        with np.load(data / "pairs/inputs/kws01_mfcc_int8.npz") as stored:
            codes = stored[stored.files[0]]
        return (codes.reshape(len(codes), -1).astype(float) - _KWS_ZERO) * _KWS_SCALE
    if "resnet8" in pair:
        with np.load(data / "vision/images/cifar10_test_even.npz") as stored:
            return stored["images"].reshape(-1, 32 * 32 * 3).astype(float)
    if pair.startswith("tinymaix_mnist"):
        with np.load(data / "vision/images/mnist_test_0000_4999.npz") as stored:
            return stored["images"].reshape(-1, 784) / 255.0
    if pair.startswith("equiv_cifar"):
        with np.load(data / "vision/images/cifar10_test_even.npz") as stored:
            images = stored["images"][:count] / 255.0
        normalised = (images - [0.485, 0.456, 0.406]) / 0.225
        return normalised.transpose(0, 3, 1, 2).reshape(count, -1)
    return np.empty((0, 0))


def input_step(graph: simcert.model.Graph) -> float | None:
    """Return the scale of the quantiser that reads the input."""
    for node in graph.nodes:
        if node.operator == "QuantizeLinear" and node.inputs[1] in graph.constants:
            return float(np.max(graph.constants[node.inputs[1]]))
    return None


def product_bound(original: Path, compressed: Path, region: Region, float32: bool) -> float:
    """Return the bound of the same analysis with every node's difference taken as a − b."""
    f, g = (lower(load(path).graph) for path in (original, compressed))
    dual = align(f, g)
    alone = replace(dual, nodes=tuple(replace(n, aligned=False) for n in dual.nodes))
    zero = torch.zeros(dual.outputs, dual.outputs, dtype=torch.float64)
    eye = torch.eye(dual.outputs, dtype=torch.float64)
    propagator = Propagator(alone, zero, zero, eye, float32=float32, work=_WORK)
    bounds = propagator.bound(torch.as_tensor(region.lower), torch.as_tensor(region.upper))
    return float(torch.maximum(bounds.upper.abs(), bounds.lower.abs()).max())


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", help="comma-separated; all of pairs.csv by default")
    parser.add_argument("--steps", type=float, default=1.0, help="radius in steps of the input")
    parser.add_argument("--radius", type=float, help="the same radius for every pair")
    parser.add_argument("--time-limit", type=float, default=300.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--boxes", type=int, help="bound at most so many boxes")
    parser.add_argument("--arithmetic", default="float32", choices=["float32", "real"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| pair | radius | verdict | proved bound | product network | largest run | aligned | "
        "seconds |\n|---|---|---|---|---|---|---|---|"
    )
    with (options.data / "pairs/pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    for pair in pairs:
        name = pair["pair"]
        if options.pairs and name not in options.pairs.split(","):
            continue
        paths = [options.data / pair[column] for column in ("original", "compressed")]
        model = load(paths[1])
        x = inputs_of(name, options.data, 1)
        if not len(x):
            x = np.random.default_rng(0).random((1, model.graph.input.size))
        radius = options.radius or options.steps * (input_step(model.graph) or 1 / 255)
        lower_corner, upper_corner = x[:1] - radius, x[:1] + radius
        if name == "tflm_sine":
            lower_corner, upper_corner = np.array([[0.0]]), np.array([[2 * np.pi]])
        region = Region.from_boxes(
            lower_corner, upper_corner, source=f"{name}, radius {radius:.4g}"
        )
        result = simcert.verify(
            *paths,
            simcert.Claim(region, arithmetic=options.arithmetic),
            samples=2000,
            time_limit=options.time_limit,
            threads=options.threads,
            max_boxes=options.boxes,
        )
        product = product_bound(*paths, region, options.arithmetic == "float32")
        largest = result.witness.divergence if result.witness else float("nan")
        print(
            f"| {name} | {radius:.3g} | {result.verdict} | {result.proof.bound:.4g} | "
            f"{product:.4g} | {largest:.4g} | {result.proof.pairing.split(' affine')[0]} | "
            f"{result.elapsed_seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
