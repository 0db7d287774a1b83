"""A ViT and a ResNet with 20 layers on CIFAR-10: proved around an image, certified on images.

    python benchmarks/image_pairs.py DATA [--networks vit_ibp_3_3_8] [--steps 0.25]

DATA is the folder with ``vision/``. Each network is compressed three ways (float16, int8 weights,
the smallest 10 % of the weights set to zero) and each copy goes through `simcert verify` twice,
with two input maps, so that regions are in units of the image's bytes:

- ``--around`` the first image, radius ``--steps`` in 255ths of the brightness: the proved ε;
- ``--inputs``, all images: whether P(d > ε) ≤ 5 %, with ε twice the median of d on the first 50.

Seconds and peak memory are those of the command. Writes a Markdown table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pruners
from simcert.model import load
from simcert.model.runtime import Runtime

MEAN = {
    "vit_ibp_3_3_8": (0.4914, 0.4822, 0.4465),
    "resnet20_cifar10_akamaster": (0.485, 0.456, 0.406),
}
DEVIATION = {
    "vit_ibp_3_3_8": (0.2023, 0.1994, 0.2010),
    "resnet20_cifar10_akamaster": (0.229, 0.224, 0.225),
}
COPIES: dict[str, Callable[[Path], pruners.Compressed]] = {
    "float16": pruners.float16,
    "int8": lambda path: pruners.quantize(path, bits=8, format="qdq-weight"),
    "pruned 10 %": lambda path: pruners.magnitude(path, sparsity=0.1, scope="global"),
}
_ALLOWED = 0.05


def input_map(network: str) -> str:
    """Return the map from images of bytes, NHWC, to the network's input."""
    scales = ";".join(repr(1 / 255 / s) for s in DEVIATION[network])
    offsets = ";".join(repr(-m / s) for m, s in zip(MEAN[network], DEVIATION[network], strict=True))
    return f"layout=nhwc-nchw,scale={scales},offset={offsets},axis=1"


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command and return its seconds and its peak memory in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--networks", default=",".join(MEAN))
    parser.add_argument("--copies", default=",".join(COPIES))
    parser.add_argument("--steps", type=float, default=0.25)
    parser.add_argument("--time-limit", type=float, default=120.0, help="of each proof")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(
        "| network | copy | proved ε | largest run | seconds | MiB | ε on images | verdict | "
        "share above ε | seconds | MiB |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for network in options.networks.split(","):
        for copy in options.copies.split(","):
            with tempfile.TemporaryDirectory() as folder:
                print(row(network, copy, Path(folder), options), flush=True)


def row(network: str, copy: str, folder: Path, options: argparse.Namespace) -> str:
    """Compress, prove and certify; return the row of the table."""
    original = options.data / f"vision/onnx/{network}.onnx"
    compressed, report = folder / "compressed.onnx", folder / "report.json"
    compressed.write_bytes(COPIES[copy](original).data)
    images = options.data / "vision/images/cifar10_test_even.npz"
    made = input_map(network)
    command = [sys.executable, "-m", "simcert", "verify", str(original), str(compressed)]
    command += [f"--{which}-input-map={made}" for which in ("original", "compressed")]
    command += ["--threads", str(options.threads)]
    command += ["--format=json", "--output", str(report), "--quiet", "--exit-zero"]

    ball = ["--around", str(images), "--rows=0", "--radius", str(options.steps)]
    ball += ["--lower=0", "--upper=255", "--time-limit", str(options.time_limit)]
    seconds, memory = measured([*command, *ball])
    near = json.loads(report.read_text())
    largest = max(
        part["divergence"] if part is near["witness"] else part["maximum"]
        for part in (near["witness"], near["statistics"])
        if part
    )
    with np.load(images) as stored:
        first = stored["images"][:50].reshape(50, -1).astype(np.float64)
    f, g = (Runtime(load(path, (made,))).run(first) for path in (original, compressed))
    tolerance = 2 * float(np.median(np.abs(f - g).max(axis=1)))
    claim = ["--inputs", str(images), "--tolerance", repr(tolerance)]
    later = measured([*command, *claim, "--max-violation", str(_ALLOWED)])
    certified = json.loads(report.read_text())
    bound = "none" if near["proof"]["bound"] is None else f"{near['proof']['bound']:.3g}"
    share = certified["statistics"]["violation_upper"]
    return (
        f"| {network} | {copy} | {bound} | {largest:.3g} | {seconds:.0f} | "
        f"{memory:.0f} | {tolerance:.3g} | {certified['verdict']} | {share:.3g} | "
        f"{later[0]:.0f} | {later[1]:.0f} |"
    )


if __name__ == "__main__":
    main()
