"""Certainty against sampling: P(d > ε) by integrated linear bounds, and by draws of equal time.

    python benchmarks/bounded.py NETWORKS --output FOLDER [--copies int8,magnitude-10]
        [--factors 1.01,1.1] [--networks 1_1,3_3] [--arithmetic real] [--boxes 100000]

NETWORKS is a folder with the .onnx files (see ../acasxu/README.md). Each network is compared with
its compressed copies on property 1, all five outputs, within ε = factor × the largest difference
that is found: the smallest factor first, until d ≤ ε is proved. A search of a fifth of the boxes
looks for that difference; a witness against d ≤ ε replaces it, and raises ε. Where d ≤ ε is not
decided after so many boxes, the certain bound of P(d > ε) stands beside the bound of Clopper and
Pearson from draws on the whole region.

All runs on one thread. The draws take as many seconds of the processor as the certain bound took,
from reading the files on, so that other work on the machine favours neither. What is certain does
not depend on the machine.

Each claim is a row of FOLDER/bounded.csv: a rerun continues, also beside another one of other
networks. FOLDER/bounded.md holds the table and the share of undecided claims of which the certain
bound is the lower one.
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rows import Rows

import simcert
from acasxu import compressors, files
from acasxu.property import properties
from pruners.registry import METHODS
from simcert.atomic import write_atomically
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.numerals import format_upper
from simcert.sampling import clopper_pearson

CONFIDENCE = 0.999
ROWS = 8192
ENOUGH = 3600.0
"""Seconds that no search needs, on a loaded machine either."""

COPIES = "float16,int8,magnitude-10,magnitude-30,magnitude-50"
KEY = ("network", "copy", "factor", "arithmetic", "limit")
COLUMNS = (
    *KEY,
    "tolerance",
    "verdict",
    "boxes",
    "seconds",
    "undecided",
    "certain",
    "sampled",
    "violations",
    "draws",
)


@dataclass(frozen=True)
class Pair:
    """Two files, and what is asked of them.

    Attributes:
        files: original and compressed.
        region: one box.
        arithmetic: of the claim.
        limit: boxes to bound for a claim.
    """

    files: tuple[Path, Path]
    region: simcert.Region
    arithmetic: str
    limit: int

    def verify(self, tolerance: float | None, boxes: int) -> simcert.Result:
        """Search so many boxes, without draws."""
        claim = simcert.Claim(self.region, tolerance=tolerance, arithmetic=self.arithmetic)
        return simcert.verify(
            *self.files, claim, max_boxes=boxes, time_limit=ENOUGH, threads=1, samples=0
        )

    def draw(self, tolerance: float, seconds: float) -> tuple[int, int]:
        """Return violations and number of draws from the whole region in so many seconds."""
        end = time.process_time() + seconds
        f, g = (Runtime(load(path)) for path in self.files)
        generator = np.random.default_rng(0)
        lower, upper = self.region.lower[0], self.region.upper[0]
        violations = draws = 0
        while time.process_time() < end:
            x = lower + (upper - lower) * generator.random((ROWS, self.region.inputs))
            violations += int((np.abs(f.run(x) - g.run(x)).max(axis=1) > tolerance).sum())
            draws += ROWS
        return violations, draws


def measure(pair: Pair, factor: float, found: float) -> tuple[dict[str, object], float]:
    """Ask whether d ≤ ε; where that stays open, bound P(d > ε) in both ways.

    Returns:
        The row, and the largest difference found: where it exceeds ε, ε was raised.
    """
    while True:
        start = time.process_time()
        result = pair.verify(factor * found, pair.limit)
        seconds = time.process_time() - start
        if result.verdict is not simcert.Verdict.REFUTED or result.witness is None:
            break
        found = result.witness.divergence
    row = {
        "tolerance": factor * found,
        "verdict": result.verdict.value,
        "boxes": result.proof.boxes,
        "seconds": round(seconds, 2),
    }
    if result.verdict is not simcert.Verdict.INCONCLUSIVE:
        return row, found
    violations, draws = pair.draw(factor * found, seconds)
    return row | {
        "undecided": result.proof.undecided_mass,
        "certain": result.proof.violation_upper,
        "sampled": clopper_pearson.upper(violations, draws, 1 - CONFIDENCE),
        "violations": violations,
        "draws": draws,
    }, found


def climb(pair: Pair, keys: list[tuple[object, ...]], measured: Rows) -> None:
    """Measure one claim a factor, the smallest first, until d ≤ ε is proved."""
    found = None
    for key in keys:
        if key not in measured:
            if found is None:
                witness = pair.verify(None, pair.limit // 5).witness
                found = 0.0 if witness is None else witness.divergence
            cells = dict(zip(KEY, key, strict=True))
            row, found = measure(pair, cells["factor"], found)
            measured.append(cells | row)
            print(cells | row, flush=True)
        stored = (row for row in measured.stored if [row[k] for k in KEY] == [*map(str, key)])
        if next(stored)["verdict"] == "proved":
            return


def lower_share(rows: list[dict[str, str]]) -> str:
    """Return of how many undecided claims the certain bound is the lower one, in words."""
    both = [row for row in rows if row["certain"]]
    lower = sum(float(row["certain"]) < float(row["sampled"]) for row in both)
    share = f" ({lower / len(both):.0%})" if both else ""
    return f"{lower} of {len(both)}{share}"


def markdown(rows: list[dict[str, str]]) -> str:
    """Return all undecided claims, and the share for each kind of copy and for all."""
    head = "copy, network, ε | boxes | undecided mass | certain | draws | violations / draws"
    lines = [f"| {head} |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row["certain"]:
            name = f"{row['copy']}, {row['network']}, {row['factor']} × the largest found"
            bounds = [format_upper(float(row[k])) for k in ("undecided", "certain", "sampled")]
            counts = f"{int(row['violations']):,} / {int(row['draws']):,}"
            lines.append(f"| {name} | {int(row['boxes']):,} | {' | '.join(bounds)} | {counts} |")
    lines += [
        "",
        "| copies | claims | undecided claims with the lower bound certain |",
        "|---|---|---|",
    ]
    for copy in [*dict.fromkeys(row["copy"] for row in rows), "all"]:
        some = [row for row in rows if copy in (row["copy"], "all")]
        verdicts = Counter(row["verdict"] for row in some)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        lines.append(f"| {copy} | {counts} | {lower_share(some)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure, write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="NETWORKS")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--copies", default=COPIES)
    parser.add_argument("--factors", default="1.01,1.1")
    parser.add_argument("--networks", help="such as 1_1,3_3; all in the folder by default")
    parser.add_argument("--arithmetic", choices=("real", "float32"), default="float32")
    parser.add_argument("--boxes", type=int, default=100_000, help="of a claim")
    options = parser.parse_args()

    networks = options.networks.split(",") if options.networks else files.present(options.folder)
    factors = sorted(map(float, options.factors.split(",")))
    settings = options.arithmetic, options.boxes
    options.output.mkdir(parents=True, exist_ok=True)
    measured = Rows(options.output / "bounded.csv", COLUMNS, key=len(KEY))
    region = properties()[1].region
    with tempfile.TemporaryDirectory() as folder:
        for name in networks:
            original = files.find(name, options.folder)
            for copy in options.copies.split(","):
                compressed = Path(folder) / f"{name}_{copy}.onnx"
                method, arguments = compressors.settings(copy)
                METHODS[method](original, **arguments).save(compressed)
                pair = Pair((original, compressed), region, *settings)
                climb(pair, [(name, copy, factor, *settings) for factor in factors], measured)
                write_atomically(options.output / "bounded.md", markdown(measured.stored).encode())
    print(markdown(measured.stored), end="")


if __name__ == "__main__":
    main()
