"""Bounds that hold but for a probability, against the worst case and against draws.

    python benchmarks/concentration.py VISION [--images 10] [--time-limit 10]

VISION is a folder with onnx/mnist-net_256x2.onnx and images/mnist_test_0000_4999.npz. First table:
that network and its int8 copy, uniform noise of 8/255 about the first images, clipped to [0, 1] and
not. Second table: random networks, inputs uniform within 8/255, against copies with fewer bits, by
each inequality alone. Third table: the images once more, D by the prover and by the checker. η is
1e-3 unless said. The worst case is what `simcert.verify` proves within
the time limit (first table), or the bound without splits (second). Writes Markdown to standard
output.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import pruners
import simcert
import simcert.checker.claim
import simcert.checker.concentration
import simcert.checker.leaves
import simcert.checker.network
import simcert.checker.specification
from simcert import checker
from simcert.bounds import Propagator
from simcert.claim import Region
from simcert.concentration import concentrate
from simcert.integration.quantile import QUANTILES
from simcert.model import Model, load
from simcert.model.linear import Dense
from simcert.model.lowering import lower
from simcert.model.program import Affine, Input, Program, Relu, Step
from simcert.model.runtime import Runtime
from simcert.numerals import format_upper
from simcert.pairing import DualProgram, align, spread

RADIUS, ETA, DRAWS = 8 / 255, 1e-3, 100_000


def drawn(region: Region, generator: np.random.Generator, count: int) -> np.ndarray:
    """Draw uniformly from the region's only box."""
    low, high = region.lower[0], region.upper[0]
    return (low + (high - low) * generator.random((count, region.inputs))).astype(np.float32)


def row(cells: list[object]) -> None:
    """Print a row; numbers have four digits, rounded up."""
    texts = [format_upper(c) if isinstance(c, float) else str(c) for c in cells]
    print(f"| {' | '.join(texts)} |", flush=True)


def images_of(vision: Path, count: int) -> np.ndarray:
    """Return the first images (count, pixels), in 0 … 255."""
    images = np.load(vision / "images/mnist_test_0000_4999.npz")["images"]
    return images[:count].reshape(count, -1)


def quantised(vision: Path, folder: Path) -> tuple[Path, Path]:
    """Return the network's file and that of its int8 copy."""
    original, compressed = vision / "onnx/mnist-net_256x2.onnx", folder / "int8.onnx"
    pruners.quantize(original, bits=8).save(compressed)
    return original, compressed


def paired(models: Sequence[Model]) -> DualProgram:
    """Return the pair as one program."""
    f, g = (lower(model.graph) for model in models)
    return align(f, spread(f, g, models[1].graph.metadata))


def images(vision: Path, count: int, seconds: float) -> None:
    """Print the table of real images."""
    row(["image", "clipped", "worst case", "D(1e-3)", "ratio", "D(1e-9)", "sampled 99.9 %", "s"])
    row(["---"] * 8)
    x = images_of(vision, count)
    with tempfile.TemporaryDirectory() as folder:
        files = quantised(vision, Path(folder))
        models = [load(path) for path in files]
        f, g = (Runtime(model, 2) for model in models)
        dual = paired(models)
        limits = {"samples": 0, "time_limit": seconds}
        for number, clipped in ((i, c) for i in range(count) for c in (False, True)):
            low, high = x[[number]] / 255 - RADIUS, x[[number]] / 255 + RADIUS
            if clipped:
                low, high = low.clip(0, 1), high.clip(0, 1)
            region = Region.from_boxes(low, high, source="noise").rounded_outward(np.float32)
            claim = simcert.Claim(region)
            worst = simcert.verify(*files, claim, **limits).proof.bound
            start = time.monotonic()
            bounds = [concentrate(dual, claim, np.float32, eta).bound for eta in (ETA, 1e-9)]
            took = (time.monotonic() - start) / 2
            draws = drawn(region, np.random.default_rng(number), DRAWS)
            d = np.abs(f.run(draws) - g.run(draws)).max(axis=1)
            sampled = float(np.quantile(d, 1 - ETA))
            ratio = f"{worst / bounds[0]:.1f}"
            row([number, clipped, worst, bounds[0], ratio, bounds[1], sampled, f"{took:.2f}"])


def checked(vision: Path, count: int) -> None:
    """Print what the independent checker finds beside the prover."""
    row(["image", "η", "D, prover", "D, checker", "ratio", "s, checker"])
    row(["---"] * 6)
    x = images_of(vision, count)
    with tempfile.TemporaryDirectory() as folder:
        files = quantised(vision, Path(folder))
        dual = paired([load(path) for path in files])
        read = [checker.network.read(path.read_bytes()) for path in files]
        m = read[0].outputs
        functions = checker.leaves.Functions(np.zeros((m, m)), np.zeros((m, m)), np.eye(m))
        for number in range(count):
            ends = x[[number]] / 255 - RADIUS, x[[number]] / 255 + RADIUS
            region = Region.from_boxes(*ends, source="noise").rounded_outward(np.float32)
            claim = simcert.Claim(region)
            again = checker.claim.Claim(
                checker.claim.Region(region.lower, region.upper, region.weights),
                None, checker.specification.parse(claim.divergence.spec, None), None,
                1.0, 0.5, 0.999, claim.arithmetic,
            )  # fmt: skip
            pair = checker.concentration.ConcentratedPair(*read, again, np.dtype(np.float32))
            for eta in (ETA, 1e-9, 1e-30):
                own = concentrate(dual, claim, np.float32, eta).bound
                start = time.monotonic()
                bounds = pair.concentrate(functions, 0, eta)
                took = f"{time.monotonic() - start:.2f}"
                other = float(np.maximum(-bounds.lower, bounds.upper).max())
                row([number, f"{eta:.0e}", own, other, f"{other / own:.4f}", took])


def network(weights: list[np.ndarray], biases: list[np.ndarray]) -> Program:
    """Return a ReLU network of layers (out, in)."""
    steps: list[Step] = [Input(weights[0].shape[1])]
    for weight, bias in zip(weights, biases, strict=True):
        if len(steps) > 1:
            steps.append(Relu(len(steps) - 1, len(weight[0]), f"relu{len(steps)}"))
        layer = Dense(torch.tensor(weight))
        steps.append(Affine((len(steps) - 1,), (layer,), torch.tensor(bias), f"fc{len(steps)}"))
    return Program(tuple(steps))


def random_networks() -> None:
    """Print the table of random networks."""
    row(["network", "bits", "worst case", *QUANTILES, "sampled 99.9 %"])
    row(["---"] * (4 + len(QUANTILES)))
    for sizes in ((784, 64, 64, 10), (784, 128, 128, 128, 10)):
        for bits in (8, 6, 4):
            generator = np.random.default_rng(0)
            f = [generator.normal(size=(o, i)) * np.sqrt(2 / i) for i, o in pairwise(sizes)]
            biases = [0.1 * generator.normal(size=o) for o in sizes[1:]]
            steps = [np.abs(w).max() / (2 ** (bits - 1) - 1) for w in f]
            g = [np.round(w / step) * step for w, step in zip(f, steps, strict=True)]
            programs = network(f, biases), network(g, biases)
            dual = align(*programs)
            x = generator.random((1, 784))
            region = Region.from_boxes(x - RADIUS, x + RADIUS, source="noise")
            region = region.rounded_outward(np.float32)
            claim = simcert.Claim(region, arithmetic="real")
            eye = torch.eye(10, dtype=torch.float64)
            propagator = Propagator(dual, torch.zeros_like(eye), torch.zeros_like(eye), eye)
            ends = torch.tensor(region.lower), torch.tensor(region.upper)
            bounds = propagator.bound(*ends)
            worst = float(torch.maximum(bounds.upper, -bounds.lower).max())
            by = [concentrate(dual, claim, np.float32, ETA, methods=(m,)).bound for m in QUANTILES]
            draws = torch.tensor(drawn(region, generator, DRAWS), dtype=torch.float64)
            d = (programs[0].run(draws) - programs[1].run(draws)).abs().amax(1)
            sampled = float(np.quantile(d.numpy(), 1 - ETA))
            row(["-".join(map(str, sizes)), bits, worst, *by, sampled])


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vision", type=Path)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--time-limit", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images(options.vision, options.images, options.time_limit)
    print()
    random_networks()
    print()
    checked(options.vision, options.images)


if __name__ == "__main__":
    main()
