"""SimCert beside other verifiers on the same pairs: ACAS Xu and float16 copies, property 1.

    python benchmarks/peers.py NETWORKS --output FOLDER --reludiff PATH --neurodiff PATH
        [--verifier 'NAME=COMMAND {network} {property} {seconds}'] [--networks 1_1,3_3]

NETWORKS is a folder with the .onnx files. Each program runs in a process of its own, one after the
other, all on the same two cores. The executables of ReluDiff and NeuroDiff (delta_network_test)
read .nnet files that are written here, and prove output 0. A --verifier is any single-network
verifier that prints sat or unsat; it is given the product network f − g as ONNX and the negated
claim as VNN-LIB. What is absent is left out. SimCert proves all five outputs, in float32
arithmetic; --outputs and --arithmetic ask for less.

seconds    without the start of the process: as the programs say themselves; of SimCert in a
           process that has loaded its libraries (solve.py); of a --verifier all seconds. No
           verdict within the limit counts as the limit.
cpu        the same in seconds of processors, which other busy processes do not change; of the
           others all of the process. Without a verdict: what was spent.
process    all seconds of the process, of SimCert those of its command.
work       boxes bounded, or splits, which is half of it.

A rerun continues FOLDER/peers.csv; FOLDER/peers.md sums up. SimCert's loops are compiled once on a
machine, before the first row.
"""

import argparse
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path

import chains
import numpy as np
from rows import Rows

import pruners
from acasxu import files, units
from acasxu.property import properties
from simcert.atomic import write_atomically

OURS = "SimCert"
_GRACE = 5.0


@dataclass(frozen=True)
class Pair:
    """One pair of networks in all formats.

    Attributes:
        original: ONNX file.
        compressed: its float16 copy.
        original_nnet: the first as .nnet file.
        compressed_nnet: the second.
        product: f − g as ONNX file.
        query: what would refute the claim, as VNN-LIB file.
        region: the box as .npz file.
    """

    original: Path
    compressed: Path
    original_nnet: Path
    compressed_nnet: Path
    product: Path
    query: Path
    region: Path


@dataclass(frozen=True)
class Answer:
    """What a program said: verdict, its own seconds and those of processors, and its work.

    None is what it does not say.
    """

    verdict: str
    seconds: float | None = None
    work: int | None = None
    cpu: float | None = None


@dataclass(frozen=True)
class Tool:
    """A program.

    Attributes:
        name: in tables.
        command: for a pair.
        read: what its output says.
        solve: another command, whose output is read instead; the first one is timed alone.
    """

    name: str
    command: Callable[[Pair], list[str]]
    read: Callable[[str], Answer]
    solve: Callable[[Pair], list[str]] | None = None


def prepare(name: str, networks: Path, folder: Path, tolerance: float) -> Pair:
    """Write a pair in all formats."""
    folder.mkdir(parents=True, exist_ok=True)
    original = files.find(name, networks)
    stem = folder / name
    pair = Pair(
        original, *(stem.with_name(f"{name}{end}") for end in (
            "_float16.onnx", ".nnet", "_float16.nnet", "_product.onnx", ".vnnlib", ".npz"
        ))
    )  # fmt: skip
    pruners.float16(original).save(pair.compressed)
    f, g = chains.read(original), chains.read(pair.compressed)
    domain = units.domain()
    mean = units.denormalise(np.zeros(5))
    width = units.denormalise(np.ones(5)) - mean
    header = *map(units.denormalise, (domain.lower[0], domain.upper[0])), mean, width
    chains.write_nnet(f, header, pair.original_nnet)
    chains.write_nnet(g, header, pair.compressed_nnet)
    chains.write_onnx(chains.product(f, g), pair.product)
    region = properties()[1].region
    lower, upper = region.lower[0], region.upper[0]
    chains.write_vnnlib(lower, upper, 5, tolerance, pair.query)
    np.savez(pair.region, lower=lower, upper=upper)
    return pair


def simcert(options: argparse.Namespace, *arguments: str) -> Tool:
    """SimCert's own command, and the same timed in a process that has loaded its libraries."""
    limits = ["--tolerance", str(options.tolerance), "--time-limit", str(options.time_limit)]
    always = [*limits, "--threads", str(len(options.cores)), *arguments]

    def command(pair: Pair) -> list[str]:
        files = [str(pair.original), str(pair.compressed), "--region", str(pair.region)]
        return [sys.executable, "-m", "simcert", "verify", *files, *always, "-q", "--samples", "0"]

    def solve(pair: Pair) -> list[str]:
        script = Path(__file__).with_name("solve.py")
        files = [str(pair.original), str(pair.compressed), str(pair.region)]
        return [sys.executable, str(script), *files, *always]

    def read(output: str) -> Answer:
        result = json.loads(output.splitlines()[-1])
        return Answer(result["verdict"], result["seconds"], result["boxes"], result["cpu"])

    return Tool(OURS, command, read, solve)


def differential(name: str, executable: Path, tolerance: float) -> Tool:
    """ReluDiff or NeuroDiff: property 1, output 0."""

    def command(pair: Pair) -> list[str]:
        networks = [str(pair.original_nnet), str(pair.compressed_nnet)]
        return [str(executable), "1", *networks, str(tolerance)]

    return Tool(name, command, said)


def said(output: str) -> Answer:
    """Read what ReluDiff or NeuroDiff prints."""
    seconds = re.search(r"^time: ([\d.]+)", output, re.MULTILINE)
    splits = re.search(r"^numSplits: (\d+)", output, re.MULTILINE)
    if not seconds or not splits:
        return Answer("none")
    found = {"adv found": "refuted", "No adv!": "proved"}
    verdict = next((verdict for words, verdict in found.items() if words in output), "none")
    return Answer(verdict, float(seconds[1]), int(splits[1]))


def single(name: str, template: str, seconds: float) -> Tool:
    """A single-network verifier on the product network."""

    def command(pair: Pair) -> list[str]:
        places = {"network": pair.product, "property": pair.query, "seconds": f"{seconds:g}"}
        return [part.format(**places) for part in shlex.split(template)]

    def read(output: str) -> Answer:
        words = re.findall(r"\b(unsat|sat|timeout|unknown)\b", output.lower())
        verdict = {"unsat": "proved", "sat": "refuted"}.get(words[-1] if words else "", "none")
        return Answer(verdict)

    return Tool(name, command, read)


def run(tool: Tool, pair: Pair, limit: float) -> dict[str, str | float | int | None]:
    """Run a program on a pair."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    output = output_of(tool.command(pair), limit)
    elapsed = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if tool.solve is not None:
        output = output_of(tool.solve(pair), 2 * limit)
    answer = tool.read(output)
    own = elapsed if answer.seconds is None else answer.seconds
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if answer.verdict not in ("proved", "refuted") or own > limit:
        own = limit
    return {
        **asdict(answer),
        "seconds": own,
        "process": elapsed,
        "cpu": cpu if answer.cpu is None else answer.cpu,
    }


def output_of(command: Sequence[str], limit: float) -> str:
    """Return what a program writes in time; the rest of it and what it started is ended."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=limit + _GRACE)[0]
    except subprocess.TimeoutExpired:
        return ""
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


COLUMNS = ("network", "tool", "verdict", "seconds", "cpu", "process", "work")


def mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean."""
    return exp(sum(map(log, ratios)) / len(ratios))


def markdown(rows: list[dict[str, str]], limit: float) -> str:
    """Return the table of seconds, and what SimCert's are shorter by."""
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    cells = {(row["network"], row["tool"]): row for row in rows}
    networks = sorted({row["network"] for row in rows})
    lines = [["network", *tools], ["---"] * (len(tools) + 1)]
    for network in networks:
        found = [cells.get((network, tool)) for tool in tools]
        lines.append([network, *("" if row is None else _cell(row, limit) for row in found)])
    for column in ("seconds", "cpu", "process"):
        line = [f"{column} over {OURS}'s"]
        for tool in tools:
            both = [n for n in networks if (n, tool) in cells and (n, OURS) in cells]
            ratios = [float(cells[n, tool][column]) / float(cells[n, OURS][column]) for n in both]
            line.append(f"{mean(ratios):.2f} ({len(both)})" if both else "")
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: dict[str, str], limit: float) -> str:
    if row["verdict"] not in ("proved", "refuted") or float(row["seconds"]) >= limit:
        return f"> {limit:g} s (cpu > {float(row['cpu']):.0f})"
    work = f", {int(row['work']):,}" if row["work"] else ""
    refuted = ", refuted" if row["verdict"] == "refuted" else ""
    return f"{float(row['seconds']):.2f} s (cpu {float(row['cpu']):.2f}){work}{refuted}"


def main() -> None:
    """Parse the command line, run, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="NETWORKS")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reludiff", type=Path)
    parser.add_argument("--neurodiff", type=Path)
    parser.add_argument("--verifier", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--networks", help="such as 1_1,3_3; all in the folder by default")
    parser.add_argument("--cores", default="0,1", help="that all run on; as many threads")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds a pair")
    parser.add_argument("--outputs", help="such as 0; all five by default")
    parser.add_argument("--arithmetic", default="float32", choices=("float32", "real"))
    options = parser.parse_args()
    options.cores = {int(core) for core in options.cores.split(",")}
    os.sched_setaffinity(0, options.cores)

    less = [f"--outputs={options.outputs}"] if options.outputs else []
    tools = [simcert(options, f"--arithmetic={options.arithmetic}", *less)]
    for name, path in (("ReluDiff", options.reludiff), ("NeuroDiff", options.neurodiff)):
        if path is None or not path.is_file():
            print(f"{name} is left out: {'no path is given' if path is None else path}")
        else:
            tools.append(differential(name, path.resolve(), options.tolerance))
    for text in options.verifier:
        name, _, template = text.partition("=")
        tools.append(single(name, template, options.time_limit))

    networks = options.networks.split(",") if options.networks else files.present(options.folder)
    options.output.mkdir(parents=True, exist_ok=True)
    measured = Rows(options.output / "peers.csv", COLUMNS, key=2)
    warm = False
    for name in networks:
        todo = [tool for tool in tools if (name, tool.name) not in measured]
        if not todo:
            continue
        pair = prepare(name, options.folder, options.output / "pairs", options.tolerance)
        if not warm:
            print("compiling", flush=True)
            run(tools[0], pair, options.time_limit)
            warm = True
        for tool in todo:
            row = {"network": name, "tool": tool.name, **run(tool, pair, options.time_limit)}
            shown = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()}
            measured.append(shown)
            print(row, flush=True)
        text = markdown(measured.stored, options.time_limit)
        write_atomically(options.output / "peers.md", text.encode())
    print(markdown(measured.stored, options.time_limit), end="")


if __name__ == "__main__":
    main()
