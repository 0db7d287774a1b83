"""What SimCert promises on ACAS Xu, measured: boxes, bounds, seconds, network by network.

    python benchmarks/acasxu_pairs.py NETWORKS --output FOLDER [--criteria near,worst]

NETWORKS is a folder with the .onnx files (see ../acasxu/README.md). Criteria, all by default:

near        property 1, float16, tolerances 0.05, 0.01 and 0.001
properties  properties 2 to 10 where they are stated of a network, float16, tolerance 0.05
worst       property 1, float16, int8 per tensor, 10 % and 30 % magnitude-pruned, no tolerance:
            how near the proved worst case comes to the largest difference found
pruned      property 1, 5 % and 10 % magnitude-pruned, tolerance 0.05

Each makes a table NAME.md, .csv, .json in FOLDER, row by row: a rerun continues. summary.md and
.json have one line a table. Boxes do not depend on the machine where no time limit is reached.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from acasxu import files
from acasxu.study import Settings, pairs, study
from acasxu.table import Row
from simcert.atomic import write_atomically
from simcert.numerals import format_upper


@dataclass(frozen=True)
class Criterion:
    """One table."""

    name: str
    compressors: tuple[str, ...]
    properties: tuple[int, ...]
    tolerance: float | None


_WORST = ("float16", "int8", "magnitude-10", "magnitude-30")
CRITERIA = {
    "near": [Criterion(f"near_{e}", ("float16",), (1,), e) for e in (0.05, 0.01, 0.001)],
    "properties": [Criterion("properties", ("float16",), tuple(range(2, 11)), 0.05)],
    "worst": [Criterion(f"worst_{name}", (name,), (1,), None) for name in _WORST],
    "pruned": [Criterion(f"pruned_{p}", (f"magnitude-{p}",), (1,), 0.05) for p in (5, 10)],
}


def main() -> None:
    """Parse the command line, make the tables, sum them up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="NETWORKS")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--criteria", default=",".join(CRITERIA))
    parser.add_argument("--networks", help="such as 1_1,3_3; all in the folder by default")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds a pair")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arithmetic", choices=("real", "float32"))
    options = parser.parse_args()

    chosen = options.criteria.split(",")
    if unknown := set(chosen) - CRITERIA.keys():
        parser.error(f"no criteria {', '.join(sorted(unknown))}; there are {', '.join(CRITERIA)}")
    networks = (options.networks or ",".join(files.present(options.folder))).split(",")
    settings = Settings(
        time_limit=options.time_limit, threads=options.threads, arithmetic=options.arithmetic
    )
    lines = []
    for criterion in (each for name in chosen for each in CRITERIA[name]):
        print(f"\n{criterion.name}", flush=True)
        table = study(
            pairs(networks, criterion.compressors, criterion.properties),
            options.output,
            replace(settings, tolerance=criterion.tolerance),
            folder=options.folder,
            name=criterion.name,
            announce=lambda line: print(line, flush=True),
        )
        lines.append({"table": criterion.name} | summary(table.rows))
        write(lines, options.output)
    print("\n" + markdown(lines), end="")


def summary(rows: list[Row]) -> dict[str, int | float | str | None]:
    """One line about a table."""
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    undecided = [row["undecided"] for row in rows if row["undecided"] is not None]
    verdicts = Counter(row["verdict"] for row in rows)
    return {
        "pairs": len(rows),
        "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()),
        "boxes": sum(row["boxes"] or 0 for row in rows),
        "seconds": sum(row["seconds"] or 0.0 for row in rows),
        "slowest": max((row["seconds"] or 0.0 for row in rows), default=0.0),
        "most undecided": max(undecided, default=None),
        "within 5 %": sum(ratio <= 1.05 for ratio in ratios),
        "within 20 %": sum(ratio <= 1.2 for ratio in ratios),
    }


def write(lines: list[dict[str, int | float | str | None]], folder: Path) -> None:
    """Write the summary as it is now."""
    write_atomically(folder / "summary.json", json.dumps(lines, indent=1).encode())
    write_atomically(folder / "summary.md", markdown(lines).encode())


def markdown(lines: list[dict[str, int | float | str | None]]) -> str:
    """Return the summary as a table."""
    head = list(lines[0])
    body = [[_cell(name, line[name]) for name in head] for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *body])


def _cell(name: str, value: float | str | None) -> str:
    if isinstance(value, float):
        return format_upper(value) if name == "most undecided" else f"{value:.1f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    main()
