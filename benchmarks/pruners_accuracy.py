"""All compressors on real networks: sizes, multiplications, accuracy before and after.

    python benchmarks/pruners_accuracy.py DATA [--output pruners.md] [--sparsity 0.5] [--finetune 3]

DATA is a folder with the networks and images of the study (vision/onnx, vision/images, acasxu).
Of MNIST the even images calibrate and train, the odd ones measure; of CIFAR-10 the 150 that nobody
selected by a network's answer measure, the others calibrate and train. Of ACAS Xu, which has no
labels, the accuracy is the share of inputs whose advisory stays what it was. Writes a Markdown
table, and the same as JSON beside it. Sizes, masks and accuracies do not depend on the machine
beyond the last bits of a sum; seconds do.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import pruners
from pruners.execution import Execution
from pruners.frontier import cost_of
from simcert.atomic import write_atomically
from simcert.errors import SimcertError

Array = NDArray[Any]

CIFAR = "cifar10_test_even.npz"
CIFAR_SCALES = {
    "cifar_base_kw": ([0.485, 0.456, 0.406], [0.225] * 3),
    "cifar_deep_kw": ([0.485, 0.456, 0.406], [0.225] * 3),
    "resnet_2b": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "resnet20_cifar10_akamaster": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
MNIST = ("mnist-net_256x2", "mnist-net_256x6", "Convnet_avgpool")
CALIBRATION = 100


class Case(NamedTuple):
    """A network with its inputs: half to calibrate and train on, half to measure."""

    name: str
    path: Path
    x: Array
    y: Array
    test_x: Array
    test_y: Array
    least: bool


def cases(data: Path) -> Iterator[Case]:
    """Read the networks and their data."""
    path = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 5))
    y = Execution(path.read_bytes()).outputs(torch.from_numpy(x)).argmin(1).numpy()
    yield Case("ACAS Xu 1_1", path, x[::2], y[::2], x[1::2], y[1::2], True)
    with np.load(data / "vision/images/mnist_test_0000_4999.npz") as archive:
        x, y = archive["images"].reshape(-1, 784) / 255.0, archive["labels"].astype(np.int64)
    for name in MNIST:
        path = data / f"vision/onnx/{name}.onnx"
        yield Case(name, path, x[::2], y[::2], x[1::2], y[1::2], False)
    with np.load(data / "vision/images" / CIFAR) as archive:
        images, y = archive["images"] / 255.0, archive["labels"].astype(np.int64)
        sources = archive["source"].tolist()
    unselected = np.array(["eran" in source or "sdp" in source for source in sources])
    for name, (mean, deviation) in CIFAR_SCALES.items():
        x = np.moveaxis((images - mean) / deviation, -1, 1).reshape(len(images), -1)
        path = data / f"vision/onnx/{name}.onnx"
        yield Case(name, path, x[~unselected], y[~unselected], x[unselected], y[unselected], False)


def variants(case: Case, sparsity: float) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every method, by what to call it: its name in ``pruners.METHODS`` and its options."""
    x, y = case.x[:CALIBRATION], case.y[:CALIBRATION]
    share = {"sparsity": sparsity}
    agf = {"calibration": x, **({"loss": "norm"} if case.least else {"labels": y})}
    return {
        "magnitude, layer": ("magnitude", share | {"scope": "layer"}),
        "magnitude, global": ("magnitude", share | {"scope": "global"}),
        "wanda, pruned": ("wanda", share | {"calibration": x}),
        "wanda, dense": ("wanda", share | {"calibration": x, "propagate": "dense"}),
        "lamp": ("lamp", share),
        "slamp (one step: lamp)": ("slamp", share | {"calibration": x}),
        "agf": ("agf", share | agf),
        "quantize 8": ("quantize", {"bits": 8}),
        "quantize 4": ("quantize", {"bits": 4}),
        "quantize W8A8": ("quantize", {"format": "qdq", "calibration": x}),
        "float16": ("float16", {}),
    }


def accuracy(case: Case, data: bytes) -> float:
    """The share of right answers on the inputs that measure."""
    execution, answers = Execution(data, torch.float32), []
    with torch.no_grad():
        for (rows,) in execution.chunks(case.test_x):
            outputs = execution.outputs(rows)
            answers.append(outputs.argmin(1) if case.least else outputs.argmax(1))
    return float(np.mean(torch.cat(answers).numpy() == case.test_y))


def measured(case: Case, sparsity: float, epochs: int) -> Iterator[dict[str, Any]]:
    """One row for each method."""
    original = case.path.read_bytes()
    before = accuracy(case, original)
    for title, (method, options) in variants(case, sparsity).items():
        start = time.perf_counter()
        row: dict[str, Any] = {"network": case.name, "method": title, "before": before}
        try:
            small = pruners.METHODS[method](original, **options)
        except SimcertError as error:
            yield row | {"error": str(error)}
            continue
        row["seconds"] = time.perf_counter() - start
        row["after"] = accuracy(case, small.data)
        row["file_bytes"] = small.report.file_bytes
        row["macs"] = small.report.macs
        if options.get("format") != "qdq":  # its weights are no longer floats
            cost = cost_of(small.data)
            row["zeros"], row["nonzero_macs"] = cost.sparsity, cost.macs
        if epochs and not case.least and method not in ("quantize", "float16"):
            tuned = pruners.finetune(small.data, calibration=case.x, labels=case.y, epochs=epochs)
            row["tuned"] = accuracy(case, tuned.data)
        yield row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| network | method | zeros | multiplications | file | accuracy | after | fine-tuned |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['network']} | {row['method']} | {row['error']} ||||||")
            continue
        zeros = f"{row['zeros']:.1%}" if "zeros" in row else ""
        tuned = f"{row['tuned']:.1%}" if "tuned" in row else ""
        macs = f"{row['macs'][1] / max(1, row['macs'][0]):.1%}"
        size = f"{row['file_bytes'][1] / row['file_bytes'][0]:.1%}"
        lines.append(
            f"| {row['network']} | {row['method']} | {zeros} | {macs} | {size}"
            f" | {row['before']:.1%} | {row['after']:.1%} | {tuned} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("pruners.md"))
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--finetune", type=int, default=3, help="epochs; 0 for none")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for case in cases(options.data):
        for row in measured(case, options.sparsity, options.finetune):
            rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)
    write_atomically(options.output, table(rows).encode())
    write_atomically(options.output.with_suffix(".json"), json.dumps(rows, indent=2).encode())


if __name__ == "__main__":
    main()
