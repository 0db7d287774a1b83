"""The published pairs on their data sets, as a user's command line gives them.

    python benchmarks/real_inputs.py DATA [--pairs a,b] [--max-violation 0.05] [--time-limit 60]

DATA is the folder with ``pairs/`` and ``vision/``. For each pair of ``pairs.csv`` the claim is that
of the rows of its data set, each as likely, at most a share of ``--max-violation`` differs by more
than ε, and ε is half of the largest difference in ``pairs.csv``. What a file reads (units, NHWC or
NCHW) is said by input maps, so that codes and images of bytes are given as they are published;
where no data is published, 100 seeded uniform rows stand in. Writes a Markdown table.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from simcert.model import load

_KWS = ["scale=0.5847", "offset=-48.5301"]
_MNIST = ["scale=1/255"]
# (x/255 − mean)/0.225 of each channel.
_CIFAR = [
    "layout=nhwc-nchw",
    f"scale={1 / 255 / 0.225!r}",
    "offset=" + ";".join(repr(-mean / 0.225) for mean in (0.485, 0.456, 0.406)),
    "axis=1",
]
_STAND_IN = 100


def data_of(pair: str, data: Path, folder: Path, inputs: int) -> tuple[str, list[str], str]:
    """Return a pair's data for --inputs, its input map, and the data set in words."""
    cifar, mnist = (
        data / "vision/images" / name
        for name in ("cifar10_test_even.npz", "mnist_test_0000_4999.npz")
    )
    if "kws" in pair:
        return f"{data / 'pairs/inputs/kws01_mfcc_int8.npz'}:x_int8", _KWS, "MFCC codes, int8"
    if "resnet8" in pair:
        return str(cifar), [], "CIFAR-10 images, uint8, NHWC"
    if pair.startswith("equiv_cifar"):
        return str(cifar), _CIFAR, "CIFAR-10 images, uint8, NHWC → NCHW"
    if pair.startswith("tinymaix_mnist"):
        return str(mnist), _MNIST, "MNIST images, uint8"
    if pair.startswith("mlptiny_ad01"):
        windows = sorted((data / "pairs/inputs").glob("ad01*.bin"))
        rows = np.concatenate([np.fromfile(w, np.float32) for w in windows]).reshape(-1, inputs)
        words = "log-mel windows"
    else:
        rows = np.random.default_rng(0).random((_STAND_IN, inputs), np.float32)
        rows = rows * np.float32(2 * np.pi) if pair == "tflm_sine" else rows
        words = "uniform, seeded"
    path = folder / f"{pair}.npy"
    np.save(path, rows)
    return str(path), [], words


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", help="comma-separated; all of pairs.csv by default")
    parser.add_argument("--max-violation", type=float, default=0.05)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(
        "| pair | data | rows | ε | verdict | share above ε | largest difference | seconds |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    with (options.data / "pairs/pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    for pair in pairs:
        if options.pairs and pair["pair"] not in options.pairs.split(","):
            continue
        with tempfile.TemporaryDirectory() as name:
            print(row(pair, options, Path(name)), flush=True)


def row(pair: dict[str, str], options: argparse.Namespace, folder: Path) -> str:
    """Verify one pair and return its row of the table."""
    original, compressed = (options.data / pair[column] for column in ("original", "compressed"))
    inputs, made, words = data_of(
        pair["pair"], options.data, folder, load(original).graph.input.size
    )
    tolerance = float(pair["max_abs_diff"]) / 2
    maps = [f"--{which}-input-map={','.join(made)}" for which in ("original", "compressed")]
    report = folder / "report.json"
    command = [sys.executable, "-m", "simcert", "verify", str(original), str(compressed)]
    command += ["--inputs", inputs, *(maps if made else []), "--tolerance", repr(tolerance)]
    command += ["--max-violation", str(options.max_violation), "--threads", str(options.threads)]
    command += ["--time-limit", str(options.time_limit), "--format=json", "--output", str(report)]
    subprocess.run([*command, "--quiet", "--exit-zero"], check=True)
    result = json.loads(report.read_text())
    statistics, witness = result["statistics"], result["witness"]
    share = statistics["violation_upper"] if statistics else result["proof"]["violation_upper"]
    return (
        f"| {pair['pair']} | {words} | {result['claim']['region']['boxes']} | {tolerance:.3g} | "
        f"{result['verdict']} | {share:.3g} | {witness['divergence'] if witness else 0.0:.4g} | "
        f"{result['elapsed_seconds']:.0f} |"
    )


if __name__ == "__main__":
    main()
