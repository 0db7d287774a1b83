"""Every published pair around the first of its real inputs, as a user's command line gives it.

    python benchmarks/around_inputs.py DATA --output FILE.csv [--pairs a,b] [--time-limit 60]

DATA is the folder with ``pairs/`` and ``vision/``. The radius is one step of the compressed
network's input quantiser, 1/255 where there is none; data and input maps are those of
``real_inputs.py``. A rerun continues FILE.csv.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pairs
import real_inputs
from rows import Rows

from simcert.model import load

COLUMNS = ("pair", "radius", "verdict", "proved", "largest run", "boxes", "seconds")


def main() -> None:
    """Parse the command line and measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pairs", help="comma-separated; all of pairs.csv by default")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    done = Rows(options.output, COLUMNS, key=1)
    with (options.data / "pairs/pairs.csv").open() as file:
        wanted = [row for row in csv.DictReader(file) if (row["pair"],) not in done]
    for pair in wanted:
        if not options.pairs or pair["pair"] in options.pairs.split(","):
            with tempfile.TemporaryDirectory() as folder:
                done.append(measured(pair, options, Path(folder)))


def measured(pair: dict[str, str], options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Verify one pair around its first input and return its row."""
    name = pair["pair"]
    original, compressed = (options.data / pair[column] for column in ("original", "compressed"))
    size = load(original).graph.input.size
    inputs, made, _ = real_inputs.data_of(name, options.data, folder, size)
    in_codes = bool(made) or "resnet8" in name
    radius = 1.0 if in_codes else pairs.input_step(load(compressed).graph) or 1 / 255
    report = folder / "report.json"
    command = [sys.executable, "-m", "simcert", "verify", str(original), str(compressed)]
    command += ["--around", inputs, "--rows=0", "--radius", repr(radius)]
    if made:
        command += [f"--{which}-input-map={','.join(made)}" for which in ("original", "compressed")]
    command += ["--threads", str(options.threads), "--time-limit", str(options.time_limit)]
    command += ["--format=json", "--output", str(report), "--quiet", "--exit-zero"]
    start = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    result = json.loads(report.read_text())
    witness, statistics = result["witness"], result["statistics"]
    seen = [witness["divergence"]] if witness else []
    seen += [statistics["maximum"]] if statistics else []
    return {
        "pair": name,
        "radius": radius,
        "verdict": result["verdict"],
        "proved": result["proof"]["bound"],
        "largest run": max(seen, default=float("nan")),
        "boxes": result["proof"]["boxes"],
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    main()
