"""Fine-tuning a file on data, under its mask: weights that are zero stay zero.

Training runs on the graph of the file: nothing is exported anew. It changes the weights of Gemm,
MatMul and Conv, their biases, and scale and shift of a BatchNormalization (its statistics stay).
Adam, with a rate that falls along a cosine; the file takes the weights after the last step.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pruners.agf import objective
from pruners.calibration import DataSource, read_calibration, read_labels
from pruners.execution import Execution
from pruners.onnx_edit import ModelSource, Network
from pruners.quantize import Granularity, quantised, scales
from pruners.result import Compressed
from pruners.sites import weight_sites
from simcert.errors import ModelError

BATCH = 64
RATE = 1e-3


def finetune(
    model: ModelSource,
    *,
    calibration: DataSource,
    labels: DataSource,
    epochs: int,
    rate: float = RATE,
    bits: int | None = None,
    per: Granularity = "channel",
    seed: int = 0,
) -> Compressed:
    """Train the stored parameters of a network.

    Args:
        model: bytes or path of an ONNX file, usually a pruned one.
        calibration: inputs, see :func:`pruners.calibration.read_calibration`.
        labels: whole numbers for cross-entropy, or wanted outputs for the squared error.
        epochs: passes over the data, at least 1.
        rate: of Adam, at the first step.
        bits: train as if the weights were quantised to so many bits; quantise the result
            afterwards.
        per: one scale for each channel or tensor, with ``bits``.
        seed: of the order of the rows.

    Raises:
        SimcertError: no trainable weight, unfit data, a network that cannot be run, or a training
            that diverges.
    """
    if epochs < 1 or not 0 < rate < np.inf:
        raise ModelError(f"epochs must be at least 1 and the rate positive, not {epochs}, {rate}")
    network = Network(model)
    data = read_calibration(calibration, network.graph.input.size)
    execution = Execution(network.original, torch.float32)
    wanted = read_labels(labels, len(data.inputs), execution.graph.output.size)
    parameters = _parameters(network, execution)
    constraint = _Constraint(network, bits, per)
    _train(execution, parameters, constraint, data.inputs, wanted, epochs, rate, seed)
    for name, parameter in parameters.items():
        # With bits the caller quantises: a value on the grid now would move the grid.
        values = parameter if bits is not None else constraint(name, parameter)
        stored = network.values(name)
        network.replace(name, constraint.masked(name, values).numpy().astype(stored.dtype))
    options = {"epochs": epochs, "rate": rate, "bits": bits, "per": per if bits else None}
    return network.finish("finetune", options, seed=seed, calibration=data.sha256)


class _Constraint:
    """What a weight is seen as while it is trained."""

    def __init__(self, network: Network, bits: int | None, per: Granularity) -> None:
        sites = {site.tensor: site for site in weight_sites(network)}
        self._masks = {name: torch.from_numpy(site.weights != 0) for name, site in sites.items()}
        self._axes = {n: s.output_axis if per == "channel" else None for n, s in sites.items()}
        self._bits = bits

    def masked(self, name: str, value: Tensor) -> Tensor:
        """The zeros of a weight as they were."""
        value = value.detach()
        return value * self._masks[name] if name in self._masks else value

    def __call__(self, name: str, value: Tensor) -> Tensor:
        if name not in self._masks:
            return value
        value = value * self._masks[name]
        if self._bits is None:
            return value
        weights = value.detach().numpy()
        scale = scales(weights, self._bits, self._axes[name])
        rounded = torch.from_numpy(quantised(weights, scale, self._bits) * scale)
        return value + (rounded - value.detach())  # the gradient passes straight through


def _parameters(network: Network, execution: Execution) -> dict[str, Tensor]:
    """The stored tensors that may be trained, by name."""
    names = {site.tensor for site in weight_sites(network)}
    for node in execution.graph.nodes:
        if node.operator in ("Gemm", "Conv"):
            names.update(node.inputs[2:3])
        elif node.operator == "BatchNormalization":
            names.update(node.inputs[1:3])
        elif node.operator == "LayerNormalization":
            names.update(node.inputs[1:])
        elif node.operator == "Add":
            names.update(node.inputs)
    chosen = [n for n in network.stored if n in names and n in execution.constants]
    return {name: execution.constants[name].clone().requires_grad_() for name in chosen}


def _train(
    execution: Execution,
    parameters: Mapping[str, Tensor],
    constraint: _Constraint,
    inputs: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    epochs: int,
    rate: float,
    seed: int,
) -> None:
    order = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(parameters.values(), lr=rate)
    steps = epochs * -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        rows = order.permutation(len(inputs))
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            x = torch.from_numpy(inputs[chosen]).to(torch.float32)
            y = torch.from_numpy(wanted[chosen])
            seen = {name: constraint(name, value) for name, value in parameters.items()}
            outputs = execution.outputs(x, seen)
            y = y.to(outputs.dtype) if y.is_floating_point() else y
            loss = objective(outputs, "labels", y) / len(chosen)
            if not torch.isfinite(loss):
                raise ModelError("the training diverged; lower the rate")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
