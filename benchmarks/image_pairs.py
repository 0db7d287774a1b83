"""A ViT and a ResNet with 20 layers on CIFAR-10: proved around an image, certified on images.

    python benchmarks/image_pairs.py DATA [--networks vit_ibp_3_3_8] [--rows 0,1]

DATA is the folder with ``vision/``. Each network is compressed three ways (float16, int8 weights,
the smallest 10 % of the weights set to zero) and each copy goes through `simcert verify` twice,
with two input maps, so that regions are in units of the image's bytes:

- ``--around`` each image of ``--rows``, radius ``--steps`` in 255ths of the brightness: the proved
  ε, in float32 arithmetic unless ``--arithmetic real`` is asked for;
- ``--inputs``, all images: whether P(d > ε) ≤ 5 %, with ε twice the median of d on the first 50.

Seconds and peak memory are those of the command. Writes a line for each.
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
RADII = {"vit_ibp_3_3_8": 0.25, "resnet20_cifar10_akamaster": 0.01}
TIME_LIMITS = {"vit_ibp_3_3_8": 60.0, "resnet20_cifar10_akamaster": 900.0}
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
    parser.add_argument("--rows", default="0", help="images to prove around")
    parser.add_argument("--steps", type=float, help="another radius than the network's own")
    parser.add_argument("--time-limit", type=float, help="of each proof, another than its own")
    parser.add_argument("--arithmetic", default="float32", choices=["float32", "real"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for network in options.networks.split(","):
        for copy in options.copies.split(","):
            with tempfile.TemporaryDirectory() as folder:
                Pair(network, copy, Path(folder), options).measure()


class Pair:
    """A network and a copy of it, and the command that verifies them."""

    def __init__(self, network: str, copy: str, folder: Path, options: argparse.Namespace) -> None:
        self.network, self.copy, self.options = network, copy, options
        self.original = options.data / f"vision/onnx/{network}.onnx"
        self.compressed, self.report = folder / "compressed.onnx", folder / "report.json"
        self.compressed.write_bytes(COPIES[copy](self.original).data)
        self.images = options.data / "vision/images/cifar10_test_even.npz"
        self.map = input_map(network)

    def measure(self) -> None:
        """Print what is proved around each image, and what is certified on all."""
        for row in self.options.rows.split(","):
            print(self.around(row), flush=True)
        print(self.on_all(), flush=True)

    def verify(self, *claim: str) -> tuple[dict, str]:
        """Verify the pair; return the result, and seconds and MiB as text."""
        command = [sys.executable, "-m", "simcert", "verify"]
        command += [str(self.original), str(self.compressed), *claim]
        command += [f"--{which}-input-map={self.map}" for which in ("original", "compressed")]
        command += ["--threads", str(self.options.threads), "--quiet", "--exit-zero"]
        command += ["--format=json", "--output", str(self.report)]
        seconds, memory = measured(command)
        return json.loads(self.report.read_text()), f"{seconds:.0f} s, {memory:.0f} MiB"

    def around(self, row: str) -> str:
        """Prove around an image."""
        radius = self.options.steps or RADII[self.network]
        limit = self.options.time_limit or TIME_LIMITS[self.network]
        ball = ["--around", str(self.images), f"--rows={row}", "--radius", str(radius)]
        ball += ["--lower=0", "--upper=255", "--time-limit", str(limit)]
        near, cost = self.verify(*ball, "--arithmetic", self.options.arithmetic)
        parts = [near["witness"] and near["witness"]["divergence"]]
        parts += [near["statistics"] and near["statistics"]["maximum"]]
        largest = max(part for part in parts if part is not None)
        bound = "none" if near["proof"]["bound"] is None else f"{near['proof']['bound']:.3g}"
        return (
            f"{self.network}, {self.copy}, image {row} ± {radius}: proved ε {bound}, "
            f"largest run {largest:.3g}, {cost}"
        )

    def on_all(self) -> str:
        """Certify on all images."""
        with np.load(self.images) as stored:
            first = stored["images"][:50].reshape(50, -1).astype(np.float64)
        paths = self.original, self.compressed
        f, g = (Runtime(load(path, (self.map,))).run(first) for path in paths)
        tolerance = 2 * float(np.median(np.abs(f - g).max(axis=1)))
        claim = ["--inputs", str(self.images), "--tolerance", repr(tolerance)]
        result, cost = self.verify(*claim, "--max-violation", str(_ALLOWED))
        share = result["statistics"]["violation_upper"]
        return (
            f"{self.network}, {self.copy}, all images: ε {tolerance:.3g}, {result['verdict']}, "
            f"share above ε {share:.3g}, {cost}"
        )


if __name__ == "__main__":
    main()
