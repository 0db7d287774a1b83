"""How loose single-network bounds are on the product network: CROWN, α-CROWN and SimCert.

    python benchmarks/product_bounds.py DATA --output FOLDER [--inputs 3] [--acasxu 1_1,3_3]

DATA is the folder with acasxu/, vision/ and differential/. On a region with no split, each method
bounds all outputs of f − g over the reals; SimCert with one box (so without a search) and, where
the inputs are many, with the tuning that this includes. A bound is set in relation to the largest
difference that sampling and gradient search find. Needs auto_LiRPA 0.7 or later; the 0.3 of PyPI
is refused, as torch 2 has moved on from what it imports. A rerun continues FOLDER/product.csv.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import chains
import numpy as np
import torch
from peers import mean
from rows import Rows

import pruners
import simcert
from acasxu import files
from acasxu.property import properties

COLUMNS = ("set", "case", "method", "bound", "found", "seconds")
_MEAN, _DEVIATION = 0.1307, 0.3081


@dataclass(frozen=True)
class Case:
    """A pair and a region of one box."""

    kind: str
    name: str
    original: Path
    compressed: Path
    region: simcert.Region


def cases(data: Path, scratch: Path, inputs: int, networks: list[str]) -> Iterator[Case]:
    """Make the pairs and their regions."""
    for number in (1, 3):
        about = properties()[number]
        for name in networks:
            if name not in about.networks:
                continue
            original = files.find(name, data / "acasxu/onnx")
            for kind, compressed in compressions(original, scratch):
                yield Case(f"ACAS Xu {number}, {kind}", name, original, compressed, about.region)
    with np.load(data / "differential/inputs_mnist.npz") as stored_inputs:
        images = stored_inputs["x"][:inputs] / 255.0
    original = data / "differential/mnist_relu_3_100.onnx"
    for radius in (3 / 255, 0.03):
        for kind, compressed in compressions(original, scratch):
            for index, x in enumerate(images):
                lower, upper = np.maximum(x - radius, 0), np.minimum(x + radius, 1)
                region = simcert.Region.from_boxes(lower[None], upper[None], source=str(index))
                kind_and_radius = f"MNIST ± {radius:.3g}, {kind}"
                yield Case(kind_and_radius, str(index), original, compressed, region)


def compressions(original: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Write three compressed copies."""
    made: dict[str, Callable[[], pruners.Compressed]] = {
        "float16": lambda: pruners.float16(original),
        "int8": lambda: pruners.quantize(original, bits=8, per="tensor", format="fake"),
        "30 % pruned": lambda: pruners.magnitude(original, sparsity=0.3, scope="global"),
    }
    for kind, make in made.items():
        path = scratch / f"{original.stem}_{kind.split()[0]}.onnx"
        if not path.exists():
            make().save(path)
        yield kind, path


def lirpa(case: Case, method: str) -> float:
    """Bound f − g with auto_LiRPA."""
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    pair = [chains.read(path) for path in (case.original, case.compressed)]
    network = chains.module(chains.product(pair[0], pair[1]))
    lower, upper = (torch.from_numpy(c) for c in (case.region.lower, case.region.upper))
    x = (lower + upper) / 2
    bounded = BoundedModule(network, torch.zeros_like(x), device="cpu")
    bounded.set_bound_opts({"optimize_bound_args": {"iteration": 20}})
    ball = PerturbationLpNorm(norm=np.inf, x_L=lower, x_U=upper)
    torch.set_default_dtype(torch.float64)  # of what α-CROWN keeps its best bounds in
    try:
        bounds = bounded.compute_bounds(x=(BoundedTensor(x, ball),), method=method)
    finally:
        torch.set_default_dtype(torch.float32)
    return float(torch.stack([part.detach().abs().max() for part in bounds]).max())


def ours(case: Case) -> tuple[float, float]:
    """Bound the difference with SimCert on one box; return the bound and the largest run."""
    claim = simcert.Claim(case.region, arithmetic="real")
    result = simcert.verify(case.original, case.compressed, claim, samples=0, max_boxes=1)
    found = result.witness.divergence if result.witness else float("nan")
    return result.proof.bound, found


def markdown(table: list[dict[str, str]]) -> str:
    """Return the geometric mean of bound / largest run for each set and method."""
    methods = list(dict.fromkeys(row["method"] for row in table))
    lines = [["set", "cases", *methods], ["---"] * (len(methods) + 2)]
    for kind in dict.fromkeys(row["set"] for row in table):
        own = [row for row in table if row["set"] == kind]
        cells = [kind, str(len({row["case"] for row in own}))]
        for method in methods:
            some = [row for row in own if row["method"] == method]
            ratio = mean([float(row["bound"]) / float(row["found"]) for row in some])
            cells.append(f"{ratio:.3g} ({mean([float(row['seconds']) for row in some]):.1f} s)")
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Parse the command line, run, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--acasxu", default="1_1,2_1,3_3,3_9,4_7")
    parser.add_argument("--inputs", type=int, default=5, help="images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options.output.mkdir(parents=True, exist_ok=True)
    measured = Rows(options.output / "product.csv", COLUMNS, key=2)
    with tempfile.TemporaryDirectory() as scratch:
        networks = options.acasxu.split(",")
        for case in cases(options.data, Path(scratch), options.inputs, networks):
            if (case.kind, case.name) in measured:
                continue
            start = time.monotonic()
            bound, found = ours(case)
            rows = [("SimCert", bound, time.monotonic() - start)]
            for method in ("CROWN", "CROWN-Optimized"):
                start = time.monotonic()
                bound = lirpa(case, method)
                rows.append((method, bound, time.monotonic() - start))
            cells = [
                (case.kind, case.name, method, f"{bound:.6g}", f"{found:.6g}", f"{seconds:.3f}")
                for method, bound, seconds in rows
            ]
            measured.append(*(dict(zip(COLUMNS, row, strict=True)) for row in cells))
            print(case.kind, case.name, rows, found, flush=True)
    print(markdown(measured.stored), end="")


if __name__ == "__main__":
    main()
