"""What a check costs beside the proof, on ACAS Xu against float16 copies.

    python benchmarks/check.py NETWORKS [--networks 1_1,1_5] [--tolerance 0.05] [--repeat 3]

NETWORKS is a folder with the .onnx files (see ../acasxu/README.md). Property 1, all five outputs,
one thread for both. The proof is all of `simcert.verify` (attack and reading the files included),
the check all its steps; seconds of the processor, which other busy processes hardly change; of each
the least of some repetitions in one process, after a first one that is not counted. Writes Markdown
to standard output.
"""

import os

# Both sides compute in one thread; numpy reads these when it is loaded.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import argparse
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pruners
from acasxu import files
from acasxu.property import properties
from acasxu.study import claim_on
from simcert import verify
from simcert.certificate import build, write
from simcert.checker import check

NETWORKS = "1_1,1_5,1_9,2_1,3_3,5_3"


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="NETWORKS")
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--arithmetic", choices=("real", "float32"))
    options = parser.parse_args()
    claim = claim_on(properties()[1], options.tolerance, options.arithmetic)
    print("| network | leaves | boxes of the checker | proof | check | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.networks.split(",")):
            original = files.find(name, options.folder)
            compressed, certificate = Path(folder) / "float16.onnx", Path(folder) / "c.json"
            pruners.float16(original).save(compressed)
            proofs, checks, sizes = [], [], ""
            for _ in range(options.repeat + (number == 0)):
                start = time.process_time()
                result = verify(original, compressed, claim, samples=0, threads=1)
                proofs.append(time.process_time() - start)
                write(build(result, datetime.now(UTC)), certificate)
                start = time.process_time()
                report = check(certificate, original, compressed)
                checks.append(time.process_time() - start)
                if not report.holds:
                    raise SystemExit(f"{name}: {report.steps[-1].detail}")
                sizes = next(s.detail for s in report.steps if s.name.startswith("d ≤ ε on every"))
            leaves, boxes = re.findall(r"\d+", sizes)
            proof, checked = (min(times[number == 0 :]) for times in (proofs, checks))
            ratio = checked / proof
            row = name, leaves, boxes, f"{proof:.2f} s", f"{checked:.2f} s", f"{ratio:.2f}"
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
