"""The long run: at least 100,000 triples (network pair, box, point) of every operator.

    python tests/bounds/long_run.py results.csv --seed 1

A row is written for each operator and arithmetic when it is through; rows that are there already
are not repeated, so that the run can be interrupted.
"""

import argparse
import csv
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from soundness.attack import ARITHMETICS, Count
from soundness.subjects import SUBJECTS, Subject

_BOXES, _POINTS = 24, 29
_SLOW = ("GRU", "LSTM")
_COLUMNS = ["operator", "arithmetic", "seed", "lies", *vars(Count()), "seconds"]


def main() -> None:
    """Attack every operator; exit with status 1 if a bound was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="a CSV file, continued if it is there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--triples", type=int, default=100_000, help="of each operator")
    parser.add_argument("--arithmetic", choices=ARITHMETICS, help="both, if it is left out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = _read(options.results)
    done = {(row["operator"], row["arithmetic"], int(row["seed"])) for row in rows}
    lies = sum(int(row["lies"]) for row in rows)
    subjects = sorted(SUBJECTS, key=lambda own: own.operator in _SLOW)
    with options.results.open("a", newline="") as file, tempfile.TemporaryDirectory() as folder:
        writer = csv.DictWriter(file, _COLUMNS)
        if not rows:
            writer.writeheader()
        for subject in subjects:
            name = str(subject).rpartition(",")[0]
            chosen = options.arithmetic in (None, subject.arithmetic)
            if not chosen or (name, subject.arithmetic, options.seed) in done:
                continue
            row = _attack(subject, options.seed, options.triples, Path(folder))
            lies += row["lies"]
            writer.writerow({"operator": name, "arithmetic": subject.arithmetic, **row})
            file.flush()
    sys.exit(lies > 0)


def _attack(subject: Subject, seed: int, triples: int, folder: Path) -> dict[str, int]:
    start, lies, count = time.perf_counter(), 0, Count()
    try:
        count = subject.attack(seed, triples, _BOXES, _POINTS, folder)
    except AssertionError:
        traceback.print_exc()
        lies = 1
    seconds = round(time.perf_counter() - start)
    return {"seed": seed, "lies": lies, **vars(count), "seconds": seconds}


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
