"""Trains the example network: advisories that keep two aircraft apart, in ACAS Xu's shape.

A small stand-in for a collision-avoidance table. Two aircraft fly at one altitude; the intruder
keeps its course, the own ship follows one of five advisories. The network learns, for each
advisory, what following it costs:

    cost = max over t of  closeness(t) · exp(−t / 40 s)  +  the advisory's own price
    closeness(t) = 1 / (1 + exp((distance(t) − 4000 ft) / 1500 ft))

for t up to 60 s, the first 20 s of them in the turn. A conflict at once costs 1, one in 40 s costs
1/e; strong turns cost more than weak ones. The advisory to follow is the one of *least* cost.

    python examples/train_advisory.py            # writes advisory.onnx beside this file

The run is seeded and single-threaded. With numpy 2.4, torch 2.13 and onnx 1.23, on the same kind
of processor, it writes the committed file byte for byte; elsewhere the sums inside a matrix product
may be rounded in another order, and the weights differ.
"""

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float64]

INPUTS = ("rho", "theta", "psi", "v_own", "v_int")
"""Distance, bearing and relative heading of the intruder (counter-clockwise), both speeds."""
UNITS = ("ft", "rad", "rad", "ft/s", "ft/s")
LOWER = np.array([0.0, -math.pi, -math.pi, 100.0, 0.0])
UPPER = np.array([60_000.0, math.pi, math.pi, 1_200.0, 1_200.0])

ADVISORIES = ("COC", "WL", "WR", "SL", "SR")
"""Clear of conflict; weak left, weak right; strong left, strong right."""
TURN_RATES = np.deg2rad([0.0, 1.5, -1.5, 3.0, -3.0])
PRICES = np.array([0.0, 0.02, 0.02, 0.05, 0.05])
TURN_SECONDS, HORIZON_SECONDS = 20, 60

REGION = (
    np.array([54_000.0, -math.pi, -math.pi, 1_100.0, 0.0]),
    np.array([60_000.0, math.pi, math.pi, 1_200.0, 60.0]),
)
"""A slow intruder far away and a fast own ship, any bearing: where nothing urgent can be."""

WIDTHS = (5, 40, 40, 40, 40, 40, 5)
SEED = 2024
STEPS, BATCH, POOL = 24_000, 1_024, 1 << 20


def normalised(raw: Array) -> Array:
    """What the network reads: the middle of each range is 0, its ends are ∓1/2."""
    inputs: Array = (raw - (LOWER + UPPER) / 2) / (UPPER - LOWER)
    return inputs


def costs(raw: Array) -> Array:
    """The cost table.

    Args:
        raw: (n, 5) encounters in :data:`UNITS`.

    Returns:
        (n, 5), the cost of each advisory.
    """
    rho, theta, psi, v_own, v_int = raw.T
    headings = TURN_RATES * np.minimum(np.arange(HORIZON_SECONDS), TURN_SECONDS)[:, None]
    own_x = np.vstack([np.zeros(5), np.cumsum(np.cos(headings), axis=0)])
    own_y = np.vstack([np.zeros(5), np.cumsum(np.sin(headings), axis=0)])
    worst = np.zeros((len(raw), len(ADVISORIES)))
    for second in range(HORIZON_SECONDS + 1):
        x = rho * np.cos(theta) + second * v_int * np.cos(psi)
        y = rho * np.sin(theta) + second * v_int * np.sin(psi)
        distance = np.hypot(
            x[:, None] - v_own[:, None] * own_x[second], y[:, None] - v_own[:, None] * own_y[second]
        )
        closeness = 1 / (1 + np.exp((distance - 4_000) / 1_500))
        np.maximum(worst, closeness * math.exp(-second / 40), out=worst)
    worst += PRICES
    return worst


def encounters(generator: np.random.Generator, count: int) -> Array:
    """Draw encounters uniformly, and half of them nearer: (count, 5) in :data:`UNITS`."""
    unit = generator.random((count, 5))
    unit[::2, 0] **= 2
    return stretched(unit)


def stretched(unit: Array) -> Array:
    """From the unit cube to the ranges of the inputs."""
    raw: Array = LOWER + unit * (UPPER - LOWER)
    return raw


def train(steps: int, pool: int = POOL) -> torch.nn.Sequential:
    """Fit the cost table on ``pool`` encounters by least squares: Adam, cosine schedule."""
    torch.manual_seed(SEED)
    layers: list[torch.nn.Module] = []
    for wide, narrow in pairwise(WIDTHS):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    raw = encounters(np.random.default_rng(SEED), pool)
    inputs = torch.from_numpy(normalised(raw)).float()
    targets = torch.from_numpy(costs(raw)).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(pool, (BATCH,))
        loss = torch.nn.functional.mse_loss(network(inputs[rows]), targets[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network


def exported(network: torch.nn.Sequential) -> onnx.ModelProto:
    """Write the network as ONNX, node by node, with its region and its outputs as metadata."""
    nodes, tensors = [], []
    value = "encounter"
    for index, layer in enumerate(network):
        result = "costs" if index == len(network) - 1 else f"value_{index + 1}"
        if isinstance(layer, torch.nn.Linear):
            name = f"layer_{index // 2 + 1}"
            operands = [value, f"{name}.weight", f"{name}.bias"]
            for operand, tensor in zip(operands[1:], (layer.weight, layer.bias), strict=True):
                tensors.append(numpy_helper.from_array(tensor.detach().numpy(), operand))
            nodes.append(helper.make_node("Gemm", operands, [result], name, transB=1))
        else:
            nodes.append(helper.make_node("Relu", [value], [result], f"relu_{index // 2 + 1}"))
        value = result
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "advisory",
            [helper.make_tensor_value_info("encounter", TensorProto.FLOAT, ["batch", 5])],
            [helper.make_tensor_value_info("costs", TensorProto.FLOAT, ["batch", 5])],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="simcert examples/train_advisory.py",
    )
    lower, upper = (normalised(corner) for corner in REGION)
    spans = [f"{UPPER[0]:.0f} ft", "2π rad", "2π rad", "1100 ft/s", "1200 ft/s"]
    region = {
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "names": INPUTS,
        "units": spans,
    }
    outputs = {"names": ADVISORIES, "unit": "cost"}
    helper.set_model_props(
        model,
        {
            "simcert.region": json.dumps(region, ensure_ascii=False),
            "simcert.outputs": json.dumps(outputs),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def fit(network: torch.nn.Sequential, count: int = 200_000) -> dict[str, float]:
    """How well the table is met on fresh uniform encounters."""
    unit = np.random.default_rng(SEED + 1).random((count, 5))
    raw = stretched(unit)
    wanted = costs(raw)
    with torch.no_grad():
        got = network(torch.from_numpy(normalised(raw)).float()).double().numpy()
    followed = wanted[np.arange(count), got.argmin(axis=1)]
    return {
        "root mean square error": float(np.sqrt(np.mean((got - wanted) ** 2))),
        "largest error": float(np.abs(got - wanted).max()),
        "same advisory": float(np.mean(got.argmin(axis=1) == wanted.argmin(axis=1))),
        "mean excess cost of the advisory": float(np.mean(followed - wanted.min(axis=1))),
    }


def main() -> None:
    """Train, write, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("advisory.onnx"))
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = train(arguments.steps)
    arguments.output.write_bytes(exported(network).SerializeToString())
    for name, value in fit(network).items():
        print(f"{name}: {value:.4f}")  # noqa: T201


if __name__ == "__main__":
    main()
