"""AGF: structural pruning by activation times gradient. Tensors become smaller.

The utility of channel c of a layer with output Y, p over positions or tokens, is the mean over T
calibration batches of

    U_c = E_x [ Σ_p |Y_c,p · ∂L/∂Y_c,p| ],

the absolute value inside the sum: an upper bound of the first-order Taylor term |E Σ_p Y ∂L/∂Y|
that does not cancel. The k channels of highest utility stay in each group; channels that are added
to each other belong together (see :mod:`pruners.channels`) and their utilities add up. Follow with
``pruners.finetune``.

The source is second-hand notes on the method; L without labels, and the treatment of groups, are a
reconstruction. First-order Taylor pruning: Molchanov et al., "Importance estimation for neural
network pruning", CVPR 2019.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import NodeProto
from torch import Tensor
from torch.nn import functional

from pruners.calibration import DataSource, read_calibration, read_labels
from pruners.channels import ChannelGraph
from pruners.execution import Execution, float_array
from pruners.onnx_edit import ModelSource, Network, label
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import weight_sites
from simcert.errors import ModelError

Loss: TypeAlias = Literal["labels", "prediction", "norm"]

KEPT = "simcert.kept_channels"
"""Metadata key: label of a Gemm, MatMul or Conv → the original's output channels that stayed."""


@compressor
def agf(
    model: ModelSource,
    *,
    calibration: DataSource,
    sparsity: float | None = None,
    keep: float | None = None,
    labels: DataSource | None = None,
    loss: Loss | None = None,
    batches: int = 1,
    exclude: Iterable[str] = (),
) -> Compressed:
    """Remove the channels of lowest utility.

    Exactly one of ``sparsity`` and ``keep`` is given. Of a group of n channels, max(1, n −
    round(sparsity · n)) stay, or max(1, round(keep · n)).

    Args:
        model: bytes or path of an ONNX file.
        calibration: inputs, see :func:`pruners.calibration.read_calibration`.
        sparsity: share of channels to remove, 0 ≤ s < 1.
        keep: share of channels to keep, 0 < r ≤ 1.
        labels: what the network ought to answer, for the loss ``labels``.
        loss: L: ``labels`` (cross-entropy with classes, squared error of outputs; the default with
            labels), ``prediction`` (cross-entropy with the network's own answer; the default
            without), or ``norm`` (½‖f‖²).
        batches: T, into how many parts the calibration data is split, in its order and as evenly as
            can be.
        exclude: names of nodes whose channels all stay.

    Raises:
        SimcertError: no channel can be removed, a share out of range, unfit data, or a network
            that cannot be run.
    """
    if (sparsity is None) == (keep is None):
        raise ModelError("agf takes a sparsity or a share to keep, one of them")
    if sparsity is not None and not 0 <= sparsity < 1:
        raise ModelError(f"sparsity must be at least 0 and below 1, not {sparsity}")
    if keep is not None and not 0 < keep <= 1:
        raise ModelError(f"keep must be above 0 and at most 1, not {keep}")
    loss = loss or ("prediction" if labels is None else "labels")
    if loss not in ("labels", "prediction", "norm") or (loss == "labels") != (labels is not None):
        raise ModelError(f"the loss {loss!r} does not go with the labels that are given")
    exclude = tuple(exclude)
    network = Network(model)
    chosen = {site.tensor for site in weight_sites(network, exclude)}
    data = read_calibration(calibration, network.graph.input.size)
    if not 1 <= batches <= len(data.inputs):
        raise ModelError(f"batches must be 1 to {len(data.inputs)}, the rows, not {batches}")
    execution = Execution(network.original)
    wanted = None
    if labels is not None:
        wanted = read_labels(labels, len(data.inputs), execution.graph.output.size)
    channels = ChannelGraph.of(network.graph, network.stored.keys())
    for site in {site.tensor for site in weight_sites(network)} - chosen:
        channels.freeze_weight(site)
    groups = channels.groups()
    if not groups:
        found = f" (operators without a rule: {', '.join(sorted(channels.obstacles))})"
        raise ModelError(
            "no channel can be removed: all reach the output or an operator that needs them all"
            + (found if channels.obstacles else "")
        )
    utility = utilities(execution, channels, data.inputs, loss, wanted, batches=batches)
    gone: set[int] = set()
    for group in groups:
        count = len(group)
        left = count - round((sparsity or 0) * count) if keep is None else round(keep * count)
        gone |= lowest(channels, group, utility, count - max(1, left))
    if not gone and (sparsity or (keep is not None and keep < 1)):
        raise ModelError(
            f"{sparsity or keep} removes no channel: the largest group has"
            f" {max(map(len, groups))} channels"
        )
    cut(network, channels, gone)
    parameters = {
        "sparsity": sparsity,
        "keep": keep,
        "loss": loss,
        "batches": batches,
        "exclude": exclude,
    }
    return network.finish("agf", parameters, calibration=data.sha256)


def lowest(
    channels: ChannelGraph, group: NDArray[np.int64], utility: Mapping[int, float], count: int
) -> set[int]:
    """The ``count`` channels of a group with the lowest utility; each weight keeps its best one."""
    scores = {int(number): utility.get(int(number), 0.0) for number in group}
    kept: set[int] = set()
    for name, axis in channels.outputs.items():
        own = [n for n in channels.roots(channels.slices[name][axis]).tolist() if n in scores]
        if own:
            kept.add(max(own, key=lambda number: (scores[number], number)))
    free = sorted(scores.keys() - kept, key=lambda number: (scores[number], number))
    if count > len(free):
        raise ModelError(
            f"{count} of a group of {len(scores)} channels cannot be removed: {len(kept)} weights"
            " share them, and each keeps one"
        )
    return set(free[:count])


def utilities(
    execution: Execution,
    channels: ChannelGraph,
    inputs: NDArray[np.float64],
    loss: Loss,
    wanted: NDArray[np.generic] | None = None,
    *,
    batches: int = 1,
    signed: bool = False,
) -> Mapping[int, float]:
    """U_c of every channel, by the root of its number: the mean over batches of the mean over rows.

    Args:
        execution: the network.
        channels: of the same network.
        inputs: (n, inputs).
        loss: L.
        wanted: labels, for the loss ``labels``.
        batches: T.
        signed: the terms of the first-order Taylor expansion, E Σ_p Y ∂L/∂Y, instead.
    """
    taps = sorted({p.tensor for p in channels.producers if p.tensor in channels.tensors})
    total = {tap: np.zeros(len(channels.tensors[tap].ids)) for tap in taps}
    arrays = [inputs] if wanted is None else [inputs, wanted]
    output = execution.graph.output.name
    for rows in np.array_split(np.arange(len(inputs)), batches):
        for x, *labels in execution.chunks(*(array[rows] for array in arrays)):
            shifts = {
                tap: torch.zeros(len(x), *channels.shapes[tap], dtype=x.dtype, requires_grad=True)
                for tap in taps
            }
            tensors = execution.tensors(x, [*taps, output], shifts=shifts)
            value = objective(tensors[output].flatten(1), loss, labels[0] if labels else None)
            gradients = torch.autograd.grad(value, list(shifts.values()), materialize_grads=True)
            for tap, gradient in zip(taps, gradients, strict=True):
                product = tensors[tap] * gradient
                product = product if signed else product.abs()
                by_channel = product.movedim(channels.tensors[tap].axis + 1, 0).flatten(1)
                total[tap] += float_array(by_channel.sum(1)) / (len(rows) * batches)
    utility: dict[int, float] = {}
    for tap in taps:
        for number, amount in zip(
            channels.roots(channels.tensors[tap].ids).tolist(), total[tap].tolist(), strict=True
        ):
            utility[number] = utility.get(number, 0.0) + amount
    return utility


def objective(outputs: Tensor, loss: Loss, labels: Tensor | None) -> Tensor:
    """L, summed over a batch (n, outputs)."""
    if loss == "norm":
        return outputs.square().sum() / 2
    if labels is None:
        labels = outputs.detach().argmax(1)
    if labels.is_floating_point():
        return (outputs - labels).square().sum() / 2
    return functional.cross_entropy(outputs, labels, reduction="sum")


def cut(network: Network, channels: ChannelGraph, gone: set[int]) -> None:
    """Remove channels, given as roots, from every stored tensor that they run along."""
    kept = {
        name: {axis: ~np.isin(channels.roots(ids), list(gone)) for axis, ids in axes.items()}
        for name, axes in channels.slices.items()
    }
    made: dict[str, list[int]] = {}
    made_by: dict[str, int] = {}
    for node in network.nodes:
        weight = _weight(node, kept)
        if weight is not None:
            made_by[weight[0]] = weight[1]
        if weight is not None and not kept[weight[0]].get(weight[1], np.ones(1, bool)).all():
            made[label(node)] = np.flatnonzero(kept[weight[0]][weight[1]]).tolist()
        if node.op_type == "Conv" and weight is not None:
            _regroup(node, channels, gone)
        if node.op_type == "Reshape":
            _patch(network, node, channels, gone)
    for name in network.stored:
        axes = kept.get(name, {})
        if all(keep.all() for keep in axes.values()):
            continue
        values = network.values(name)
        outputs = made_by.get(name)
        before = None if outputs is None else values.shape[outputs]
        for axis, keep in axes.items():
            values = np.compress(keep, values, axis)
        sizes = None if before is None or outputs is None else (before, values.shape[outputs])
        network.resize(name, values, sizes)
    if made:
        network.annotate(KEPT, json.dumps(_composed(network, made)))


def _weight(node: NodeProto, kept: Mapping[str, object]) -> tuple[str, int] | None:
    """The weight of a node that makes channels and the axis that runs over them."""
    if node.op_type == "Conv" and node.input[1] in kept:
        return node.input[1], 0
    if node.op_type == "Gemm" and node.input[1] in kept:
        turned = any(field.name == "transB" and field.i for field in node.attribute)
        return node.input[1], 0 if turned else 1
    if node.op_type == "MatMul":
        for position, axis in ((1, 1), (0, 0)):
            if node.input[position] in kept:
                return node.input[position], axis
    return None


def _regroup(node: NodeProto, channels: ChannelGraph, gone: set[int]) -> None:
    """A depthwise Conv has as many groups as channels."""
    found = channels.tensors.get(node.input[0])
    for field in node.attribute:
        if field.name == "group" and field.i > 1 and found and field.i == len(found.ids):
            field.i = int(np.sum(~np.isin(channels.roots(found.ids), list(gone))))


def _patch(network: Network, node: NodeProto, channels: ChannelGraph, gone: set[int]) -> None:
    """A Reshape whose target counts channels counts those that stay."""
    found = channels.tensors.get(node.output[0])
    if found is None:
        return
    left = int(np.sum(~np.isin(channels.roots(found.ids), list(gone))))
    shape: Sequence[int] = channels.graph.constants[node.input[1]].tolist()
    if left != len(found.ids) and shape[found.axis] > 0:
        network.reshape(node, [*shape[: found.axis], left, *shape[found.axis + 1 :]])


def _composed(network: Network, made: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The channels that stay, as numbered in the original of the first structural pruning."""
    try:
        earlier = json.loads(network.graph.metadata.get(KEPT, "{}"))
        first = {node: [earlier[node][i] for i in made[node]] for node in made if node in earlier}
        composed: dict[str, list[int]] = {**earlier, **made, **first}
    except (ValueError, TypeError, LookupError) as error:
        raise ModelError(f"metadata {KEPT!r} is not a map of kept channels") from error
    return composed
