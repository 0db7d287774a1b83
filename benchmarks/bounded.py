"""Certainty against sampling: P(d > ε) by integrated linear bounds, and by draws of equal time.

    python benchmarks/bounded.py DATA [--networks 1_1,3_3] [--sparsity 0.1] [--factor 1.05]

DATA is a folder with the ACAS Xu networks and properties (see ../acasxu/README.md). Each network is
compared with its magnitude-pruned copy within ε = factor × the largest difference that a search of
a few seconds finds. Where the claim d ≤ ε is left undecided after the time limit, the certain bound
of P(d > ε) stands beside the bound of Clopper and Pearson from draws on the whole region, made with
the same threads in the same time. Writes a Markdown table to standard output.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import pruners
import simcert
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.sampling import clopper_pearson

CONFIDENCE = 0.999
ROWS = 8192


def sampled(
    files: tuple[Path, Path], region: simcert.Region, tolerance: float, seconds: float, threads: int
) -> tuple[float, int, int]:
    """Draw uniformly for so many seconds; return the upper bound, violations and draws."""
    f, g = (Runtime(load(path), threads) for path in files)
    generator = np.random.default_rng(0)
    lower, width = region.lower[0], region.upper[0] - region.lower[0]
    violations = draws = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        x = lower + width * generator.random((ROWS, region.inputs))
        violations += int((np.abs(f.run(x) - g.run(x)).max(axis=1) > tolerance).sum())
        draws += ROWS
    return clopper_pearson.upper(violations, draws, 1 - CONFIDENCE), violations, draws


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--networks", help="comma-separated, such as 1_1,3_3; all by default")
    parser.add_argument("--sparsity", type=float, default=0.1)
    parser.add_argument("--factor", type=float, default=1.05)
    parser.add_argument("--property", default="1")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    region = simcert.read_region(options.data / f"vnnlib/prop_{options.property}.vnnlib", 5)
    print(
        "| network | ε | verdict | boxes | undecided mass | P(d > ε) ≤, certain | "
        "P(d > ε) ≤, 99.9 % | violations / draws |\n|---|---|---|---|---|---|---|---|"
    )
    undecided = smaller = 0
    limits = {"time_limit": options.time_limit, "threads": options.threads, "samples": 0}
    with tempfile.TemporaryDirectory() as folder:
        for original in sorted((options.data / "onnx").glob("*.onnx")):
            name = original.name.removeprefix("ACASXU_run2a_")[:3]
            if options.networks and name not in options.networks.split(","):
                continue
            compressed = Path(folder) / f"{name}.onnx"
            pruned = pruners.magnitude(original, sparsity=options.sparsity, scope="global")
            pruned.save(compressed)
            short = limits | {"time_limit": min(5.0, options.time_limit)}
            found = simcert.verify(original, compressed, simcert.Claim(region), **short).witness
            tolerance = options.factor * found.divergence
            claim = simcert.Claim(region, tolerance=tolerance)
            result = simcert.verify(original, compressed, claim, **limits)
            cells = [name, f"{tolerance:.4g}", result.verdict, f"{result.proof.boxes:,}"]
            if result.verdict is simcert.Verdict.INCONCLUSIVE:
                upper, violations, draws = sampled(
                    (original, compressed), region, tolerance, options.time_limit, options.threads
                )
                certain = result.proof.violation_upper
                undecided, smaller = undecided + 1, smaller + (certain < upper)
                cells += [
                    f"{result.proof.undecided_mass:.2g}",
                    f"{certain:.2g}",
                    f"{upper:.2g}",
                    f"{violations:,} / {draws:,}",
                ]
            else:
                cells += ["", "", "", ""]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{smaller} of {undecided} certain bounds are below those of equal sampling time.")


if __name__ == "__main__":
    main()
