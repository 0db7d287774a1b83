"""The proofs of the main job, network by network: boxes, proved bound, seconds.

    python benchmarks/acasxu.py DATA [--networks 1_1,3_3] [--compress float16] [--tolerance 0.05]

DATA is a folder with the ACAS Xu networks and properties (see ../acasxu/README.md). Writes a
Markdown table to standard output. Boxes do not depend on the machine; seconds do.
"""

import argparse
import tempfile
from pathlib import Path

import pruners
import simcert

COMPRESSORS = {
    "float16": lambda path: pruners.float16(path),
    "int8": lambda path: pruners.quantize(path, bits=8, per="tensor", format="fake"),
    "pruned5": lambda path: pruners.magnitude(path, sparsity=0.05, scope="global"),
    "pruned10": lambda path: pruners.magnitude(path, sparsity=0.1, scope="global"),
}


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--networks", help="comma-separated, such as 1_1,3_3; all by default")
    parser.add_argument("--compress", choices=COMPRESSORS, default="float16")
    parser.add_argument("--property", default="1")
    parser.add_argument("--arithmetic", default="float32")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    region = simcert.read_region(options.data / f"vnnlib/prop_{options.property}.vnnlib", 5)
    claim = simcert.Claim(region, tolerance=options.tolerance, arithmetic=options.arithmetic)
    print("| network | verdict | boxes | proved bound | seconds |\n|---|---|---|---|---|")
    boxes, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for original in sorted((options.data / "onnx").glob("*.onnx")):
            name = original.name.removeprefix("ACASXU_run2a_")[:3]
            if options.networks and name not in options.networks.split(","):
                continue
            compressed = Path(folder) / f"{name}.onnx"
            COMPRESSORS[options.compress](original).save(compressed)
            result = simcert.verify(
                original,
                compressed,
                claim,
                samples=0,
                time_limit=options.time_limit,
                threads=options.threads,
            )
            boxes += result.proof.boxes
            seconds += result.elapsed_seconds
            print(
                f"| {name} | {result.verdict} | {result.proof.boxes:,} | {result.proof.bound:.5f} "
                f"| {result.elapsed_seconds:.1f} |",
                flush=True,
            )
    print(f"| all | | {boxes:,} | | {seconds:.1f} |")


if __name__ == "__main__":
    main()
