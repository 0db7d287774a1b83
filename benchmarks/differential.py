"""The image and sensor pairs of ReluDiff's and NeuroDiff's studies: 300 cases, each proved or not.

    python benchmarks/differential.py DATA --output FOLDER [--reludiff PATH] [--neurodiff PATH]

DATA is the folder with the two pairs of ONNX files and their inputs. Around each of 100 inputs:

mnist    every pixel ± 3/255, differences up to 1
pixels   the three listed pixels anywhere in [0, 1], differences up to 1
har      every value ± 0.1 in [−1, 1], differences up to 0.25

SimCert is asked for all outputs, in float32 arithmetic and over the reals; the executables
(delta_network_test), which hold these inputs themselves, for that of the true class. All run on
the same cores, in turn. seconds are without the start of the process, bound is the largest
difference of an output that the whole region is given at first. A rerun continues
FOLDER/differential.csv.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import chains
import numpy as np
from peers import output_of, said
from rows import Rows

import simcert

COLUMNS = ("set", "case", "tool", "verdict", "seconds", "bound")
CASES = 100
OURS = {"SimCert": "float32", "SimCert, reals": "real"}


@dataclass(frozen=True)
class Benchmark:
    """One hundred regions of a pair.

    Attributes:
        name: of the set.
        network: stem of the original's file; the copy's ends in _16bit.
        tolerance: ε.
        first: what the executables call the first case.
        reludiff: its further arguments.
        neurodiff: likewise.
    """

    name: str
    network: str
    tolerance: float
    first: int
    reludiff: tuple[str, ...]
    neurodiff: tuple[str, ...]

    def files(self, data: Path) -> tuple[Path, Path]:
        """The two ONNX files."""
        return data / f"{self.network}.onnx", data / f"{self.network}_16bit.onnx"

    def region(self, data: Path, case: int) -> simcert.Region:
        """The box of a case."""
        with np.load(data / f"inputs_{'har' if self.name == 'har' else 'mnist'}.npz") as stored:
            x = stored["x"][case].astype(float)
            pixels = stored["random_pixels"][case, :3] if self.name == "pixels" else []
        if self.name == "har":
            lower, upper = np.maximum(x - 0.1, -1), np.minimum(x + 0.1, 1)
        elif self.name == "mnist":
            lower, upper = np.maximum(x - 3, 0) / 255, np.minimum(x + 3, 255) / 255
        else:
            lower, upper = x / 255, x / 255
            lower[pixels], upper[pixels] = 0, 1
        return simcert.Region.from_boxes(lower[None], upper[None], source=f"{self.name} {case}")


_PIXELS = (("-t",), ("-x", "3"))
BENCHMARKS = (
    Benchmark("mnist", "mnist_relu_3_100", 1.0, 400, ("-p", "3"), ("-p", "3")),
    Benchmark("pixels", "mnist_relu_3_100", 1.0, 400, *_PIXELS),
    Benchmark("har", "HAR", 0.25, 1000, ("-p", "0.1"), ("-p", "0.1")),
)


def ours(
    benchmark: Benchmark, data: Path, case: int, options: argparse.Namespace, arithmetic: str
) -> list[str]:
    """Verify a case with SimCert; return verdict, seconds and bound."""
    region, tolerance = benchmark.region(data, case), benchmark.tolerance
    claim = simcert.Claim(region, tolerance=tolerance, arithmetic=arithmetic)
    start = time.monotonic()
    result = simcert.verify(
        *benchmark.files(data),
        claim,
        samples=0,
        time_limit=options.time_limit,
        threads=len(options.cores),
    )
    seconds = time.monotonic() - start
    at_once = result.proof.boxes == 1
    bound = f"{result.proof.bound:.4g}" if at_once else ""
    return [str(result.verdict), f"{seconds:.4f}", bound]


def theirs(
    executable: Path, benchmark: Benchmark, arguments: tuple[str, ...], networks: list[Path],
    case: int, limit: float,
) -> list[str]:  # fmt: skip
    """Verify a case with an executable; return verdict, seconds and bound."""
    case_arguments = [str(benchmark.first + case), *map(str, networks), str(benchmark.tolerance)]
    output = output_of([str(executable), *case_arguments, *arguments], limit)
    answer = said(output)
    rows = re.search(r"Initial output delta:\n\[(.*?)\]\n\[(.*?)\]", output)
    bound = ""
    if rows:
        bound = f"{max(abs(float(n)) for row in rows.groups() for n in row.split()):.4g}"
    return [answer.verdict, "" if answer.seconds is None else f"{answer.seconds:.4f}", bound]


def rows(
    benchmark: Benchmark, data: Path, measured: Rows, options: argparse.Namespace
) -> Iterator[list[str]]:
    """Run what is not done yet, case by case, every program in turn."""
    header = np.full(2000, -1.0), np.full(2000, 1.0), np.zeros(2000), np.ones(2000)
    with tempfile.TemporaryDirectory() as folder:
        networks = [Path(folder) / name for name in ("original.nnet", "compressed.nnet")]
        for source, target in zip(benchmark.files(data), networks, strict=True):
            chain = chains.read(source)
            chains.write_nnet(chain, [row[: chain[0][0].shape[1]] for row in header], target)
        for case in range(CASES):
            for tool in (*OURS, "ReluDiff", "NeuroDiff"):
                executable = getattr(options, tool.lower(), None)
                if (benchmark.name, case, tool) in measured:
                    continue
                if tool in OURS:
                    found = ours(benchmark, data, case, options, OURS[tool])
                elif executable is None or not executable.is_file():
                    continue
                else:
                    arguments = getattr(benchmark, tool.lower())
                    limit, path = options.time_limit, executable.resolve()
                    found = theirs(path, benchmark, arguments, networks, case, limit)
                yield [benchmark.name, str(case), tool, *found]


def markdown(table: list[dict[str, str]]) -> str:
    """Return one line a set and tool."""
    lines = [["set", "tool", "proved", "seconds: median", "most", "bound: median", "most"]]
    lines.append(["---"] * len(lines[0]))
    for key in dict.fromkeys((row["set"], row["tool"]) for row in table):
        own = [row for row in table if (row["set"], row["tool"]) == key]
        proved = [row for row in own if row["verdict"] == "proved"]
        cells = [*key, f"{len(proved)} of {len(own)}"]
        for column, form in (("seconds", ".3f"), ("bound", ".4f")):
            values = [float(row[column]) for row in own if row[column]]
            some = [statistics.median(values), max(values)] if values else []
            cells += [f"{value:{form}}" for value in some] or ["", ""]
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Parse the command line, run, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reludiff", type=Path)
    parser.add_argument("--neurodiff", type=Path)
    parser.add_argument("--cores", default="0,1", help="that all run on; as many threads")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds a case")
    options = parser.parse_args()
    options.cores = {int(core) for core in options.cores.split(",")}
    os.sched_setaffinity(0, options.cores)
    options.output.mkdir(parents=True, exist_ok=True)
    measured = Rows(options.output / "differential.csv", COLUMNS, key=3)
    for benchmark in BENCHMARKS:
        ours(benchmark, options.data, 0, options, "real")  # libraries are loaded first
        for row in rows(benchmark, options.data, measured, options):
            measured.append(dict(zip(COLUMNS, row, strict=True)))
    print(markdown(measured.stored), end="")


if __name__ == "__main__":
    main()
