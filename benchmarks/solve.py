"""The time of one verification without the start of the process: python benchmarks/solve.py --help.

The pair is verified twice, first with few boxes, so that libraries and compiled loops are loaded.
Prints as JSON the verdict, boxes, seconds, and seconds of processors (cpu) of the second run, with
reading the files.
"""

import argparse
import json
import time
from pathlib import Path

import simcert

_LOADS_ALL = 600
"""Boxes after which the compiled loops are in use, too."""


def main() -> None:
    """Parse the command line, verify twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    parser.add_argument("compressed", type=Path)
    parser.add_argument("region", type=Path)
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--outputs", help="such as 0,3; all by default")
    parser.add_argument("--arithmetic", default="float32", choices=("float32", "real"))
    options = parser.parse_args()
    inputs = simcert.load(options.original).graph.input.size
    outputs = None
    if options.outputs is not None:
        outputs = tuple(int(index) for index in options.outputs.split(","))
    claim = simcert.Claim(
        simcert.read_region(options.region, inputs),
        divergence=simcert.divergences.parse("linf", outputs),
        tolerance=options.tolerance,
        arithmetic=options.arithmetic,
    )
    pair, threads = (options.original, options.compressed), options.threads
    simcert.verify(*pair, claim, samples=0, max_boxes=_LOADS_ALL, threads=threads)
    limit, start, busy = options.time_limit, time.monotonic(), time.process_time()
    result = simcert.verify(*pair, claim, samples=0, time_limit=limit, threads=threads)
    spent = {"seconds": time.monotonic() - start, "cpu": time.process_time() - busy}
    print(json.dumps({"verdict": result.verdict, "boxes": result.proof.boxes, **spent}))


if __name__ == "__main__":
    main()
