"""The published pairs around real inputs: verdict, proved worst case, and dual against product.

    python benchmarks/pairs.py DATA --output FILE.csv [--pairs a,b] [--steps 1,0.1] [--rows 0,1]

DATA is the folder with ``pairs/``, ``vision/`` and ``control/``. The region is the L∞ ball around a
real input; its radius is in steps of the compressed network's input quantiser. ``verify`` is asked
for the largest difference of the files' outputs; beside it stand bounds on the same box of what a
last softmax reads (of the outputs, where there is none), without any search: dual, and of the
product network, which is the same analysis with every difference taken as a − b and the same work.
A rerun continues FILE.csv; at its end the table is printed in Markdown.

``--half-steps`` prints instead what rounding in the compressed network may add up to: half a step
of each quantised neuron, times the derivative of the gap between the two best scores (at the first
real input, all roundings against it). To first order, no bound that knows of a rounding only that
it is at most half a step can be smaller.

``--alone`` prints the largest width of a score of the original alone, every neuron bounded
symbolically, and of the copy's codes there. Where these are far apart, so far are f and g in any
bound that bounds the original no better: at least half of what is between the two widths.
"""

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rows import Rows

import simcert
from simcert.bounds import Propagator
from simcert.claim import Region
from simcert.errors import SimcertError
from simcert.functions import Quantizer
from simcert.model import Model, load
from simcert.model.lowering import lower
from simcert.model.program import Affine, Program, Relu, Univariate
from simcert.pairing import DualProgram, align
from simcert.search.workers import Threads

_KWS_SCALE, _KWS_ZERO = 0.5847, 83
_SEEN = 200
COLUMNS = (
    "pair", "row", "steps", "arithmetic", "verdict", "proved", "largest run", "seconds",
    "scores seen", "dual", "product", "dual seconds", "product seconds",
)  # fmt: skip


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


def loaded(paths: list[Path]) -> list[Model]:
    """Return both models, with the scores before the softmax as outputs where both have one."""
    try:
        return [load(path, outputs=("before-softmax",)) for path in paths]
    except SimcertError:
        return [load(path) for path in paths]


def bound_of(
    dual: DualProgram, region: Region, float32: bool, work: float, threads: int = 1
) -> tuple[float, float]:
    """Return a bound of max |f − g| on a region of one box, and the seconds it took."""
    start = time.monotonic()
    zero = torch.zeros(dual.outputs, dual.outputs, dtype=torch.float64)
    eye = torch.eye(dual.outputs, dtype=torch.float64)
    propagator = Propagator(
        dual,
        zero,
        zero,
        eye,
        float32=float32,
        work=work,
        parallel=Threads(threads).map,
    )
    bounds = propagator.bound(torch.tensor(region.lower), torch.tensor(region.upper))
    largest = float(torch.maximum(bounds.upper.abs(), bounds.lower.abs()).max())
    return largest, time.monotonic() - start


def scores(paths: list[Path], region: Region, options: argparse.Namespace) -> dict[str, float]:
    """Bound the difference of the scores, dually and on the product network, and sample it."""
    f, g = (lower(model.graph) for model in loaded(paths))
    dual = align(f, g)
    apart = replace(dual, nodes=tuple(replace(node, aligned=False) for node in dual.nodes))
    random = np.random.default_rng(0)
    share = random.random((_SEEN, dual.inputs))
    share[::2] = share[::2] > 0.5
    x = torch.as_tensor(region.lower + share * (region.upper - region.lower))
    seen = max(float((f.run(part) - g.run(part)).abs().max()) for part in x.split(10))
    found: dict[str, float] = {"scores seen": seen}
    limits = options.arithmetic == "float32", options.work * options.time_limit, options.threads
    found["dual"], found["dual seconds"] = bound_of(dual, region, *limits)
    found["product"], found["product seconds"] = bound_of(apart, region, *limits)
    return found


def around(paths: list[Path], name: str, x: np.ndarray, steps: float) -> Region:
    """Return the ball around an input, its radius in steps of the input's quantiser."""
    radius = steps * (input_step(load(paths[1]).graph) or 1 / 255)
    corners = x - radius, x + radius
    if name == "tflm_sine":
        corners = np.array([[0.0]]), np.array([[2 * np.pi]])
    return Region.from_boxes(*corners, source=f"{name}, radius {radius:.4g}")


def measure(
    paths: list[Path], name: str, x: np.ndarray, steps: float, options: argparse.Namespace
) -> dict[str, object]:
    """Return one row of the table."""
    region = around(paths, name, x, steps)
    result = simcert.verify(
        *paths,
        simcert.Claim(region, arithmetic=options.arithmetic),
        samples=2000,
        time_limit=options.time_limit,
        threads=options.threads,
    )
    return {
        "verdict": result.verdict,
        "proved": result.proof.bound,
        "largest run": result.witness.divergence if result.witness else float("nan"),
        "seconds": result.elapsed_seconds,
        **scores(paths, region, options),
    }


def alone(paths: list[Path], region: Region, options: argparse.Namespace) -> tuple[float, float]:
    """Return the largest width of a score of the original alone, and of a score's codes."""
    f, g = (lower(model.graph) for model in loaded(paths))
    twice = align(f, f)
    zero = torch.zeros(twice.outputs, twice.outputs, dtype=torch.float64)
    eye = torch.eye(twice.outputs, dtype=torch.float64)
    threads = Threads(options.threads)
    float32 = options.arithmetic == "float32"
    propagator = Propagator(twice, eye, zero, zero, float32=float32, parallel=threads.map)
    bounds = propagator.bound(torch.tensor(region.lower), torch.tensor(region.upper))
    last = g.steps[-1]
    codes = float("inf")
    if isinstance(last, Univariate) and isinstance(last.function, Quantizer):
        q = last.function
        codes = float(((q.greatest - q.least) * q.scale).max())
    return float((bounds.upper - bounds.lower).max()), codes


def half_steps(program: Program, x: torch.Tensor) -> tuple[float, float]:
    """Return the gap of the two best scores at x (1, inputs), and what half steps add up to."""
    values, roundings = [x], []
    for step in program.steps[1:]:
        if isinstance(step, Univariate) and isinstance(step.function, Quantizer):
            q, operand = step.function, values[step.operand]
            clipped = operand.clamp(q.least * q.scale, q.greatest * q.scale)
            rounding = torch.zeros_like(clipped, requires_grad=True)
            roundings.append((rounding, q.scale / 2))
            values.append(clipped + rounding)
        elif isinstance(step, Relu):
            values.append(torch.relu(values[step.operand]))
        elif isinstance(step, Univariate):
            values.append(step.function.value(values[step.operand]))
        elif isinstance(step, Affine):
            parts = zip(step.maps, step.operands, strict=True)
            values.append(step.bias + sum(m.forward(values[o]) for m, o in parts))
        else:
            raise TypeError(f"{step.label} is not in these networks")
    best = values[-1][0].topk(min(2, values[-1].shape[1])).values
    gap = best[0] - best[-1] if len(best) > 1 else best[0]
    slopes = torch.autograd.grad(gap, [rounding for rounding, _ in roundings])
    total = sum(float((c.abs() * s).sum()) for c, (_, s) in zip(slopes, roundings, strict=True))
    return float(gap.detach()), total


def numbers(text: str) -> list[float]:
    """Read numbers with commas between them."""
    return [float(part) for part in text.split(",")]


def main() -> None:
    """Parse the command line, measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--half-steps", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--pairs", help="comma-separated; all of pairs.csv by default")
    parser.add_argument("--steps", type=numbers, default=[1.0], help="radii, in steps of the input")
    parser.add_argument("--rows", type=numbers, default=[0.0], help="which real inputs")
    parser.add_argument("--time-limit", type=float, default=300.0)
    parser.add_argument("--work", type=float, default=2e9, help="multiplications a second")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arithmetic", default="float32", choices=["float32", "real"])
    options = parser.parse_args()
    prints = options.half_steps or options.alone
    if not prints and options.output is None:
        parser.error("--output is needed")
    torch.set_num_threads(1)
    if options.half_steps:
        print("| pair | gap of the two best scores | half steps |\n|---|---|---|")
    elif options.alone:
        print("| pair | steps | original alone | codes |\n|---|---|---|---|")
    else:
        measured = Rows(options.output, COLUMNS, key=4)
    with (options.data / "pairs/pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    for pair in pairs:
        name = pair["pair"]
        if options.pairs and name not in options.pairs.split(","):
            continue
        paths = [options.data / pair[column] for column in ("original", "compressed")]
        inputs = load(paths[1]).graph.input.size
        if prints and input_step(load(paths[1]).graph) is None:
            continue
        real = inputs_of(name, options.data, int(max(options.rows)) + 1)
        if options.half_steps:
            x = real[:1] if len(real) else np.random.default_rng(0).random((1, inputs))
            program = lower(loaded(paths)[1].graph)
            gap, total = half_steps(program, torch.tensor(x, dtype=torch.float64))
            print(f"| {name} | {gap:.3g} | {total:.3g} |", flush=True)
            continue
        for row in map(int, options.rows):
            uniform = np.random.default_rng(row).random((1, inputs))
            x = real[row : row + 1] if len(real) else uniform
            for steps in options.steps:
                if options.alone:
                    region = around(paths, name, x, steps)
                    width, codes = alone(paths, region, options)
                    print(f"| {name} | {steps:g} | {width:.4g} | {codes:.4g} |", flush=True)
                    continue
                key = (name, row, steps, options.arithmetic)
                if key not in measured:
                    values = dict(zip(COLUMNS, key, strict=False))
                    measured.append(values | measure(paths, name, x, steps, options))
    if not prints:
        print_table(measured.stored)


def print_table(rows: list[dict[str, str]]) -> None:
    """Print all rows in Markdown."""
    print("| " + " | ".join(COLUMNS) + " | dual/product |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for row in rows:
        cells = [shortened(row[column]) for column in COLUMNS]
        print("| " + " | ".join(cells) + f" | {float(row['dual']) / float(row['product']):.3f} |")


def shortened(text: str) -> str:
    """Return a number with four digits, other text as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


if __name__ == "__main__":
    main()
