"""Static W8A8 in QDQ format, by ``onnxruntime.quantization``.

Weights become symmetric int8; activations are rounded to u8 with σ = (max(x, 0) − min(x, 0)) / 255
and z = round(−min / σ) over the calibration data.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime import quantization

from pruners.onnx_edit import Network
from pruners.sites import Site
from simcert.errors import ModelError


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands out the calibration rows one by one."""

    def __init__(self, network: Network, inputs: NDArray[np.float64]) -> None:
        entry = network.graph.input
        rows = inputs.astype(entry.dtype).reshape(len(inputs), *entry.sample)
        self._rows: Iterator[dict[str, object]] = iter([{entry.name: row} for row in rows])

    def get_next(self) -> dict[str, object] | None:
        return next(self._rows, None)


def quantise_statically(
    network: Network,
    sites: tuple[Site, ...],
    inputs: NDArray[np.float64],
    *,
    per_channel: bool,
    exclude: tuple[str, ...],
) -> None:
    """Put QuantizeLinear and DequantizeLinear around weights and activations.

    Args:
        network: under edit, of opset 13 or later.
        sites: weights, to write down what became of them.
        inputs: (n, inputs), calibration data.
        per_channel: one scale for each output channel of a weight, or one for the tensor.
        exclude: labels of nodes that stay in floating point.

    Raises:
        ModelError: ONNX Runtime cannot quantise the file.
    """

    def convert(model: onnx.ModelProto) -> onnx.ModelProto:
        stored = {tensor.name for tensor in model.graph.initializer}
        for entry in [entry for entry in model.graph.input if entry.name in stored]:
            model.graph.input.remove(entry)
        del model.graph.value_info[:]
        for node in model.graph.node:
            node.name = node.name or node.output[0]
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "quantised.onnx"
            level = logging.getLogger().level
            logging.getLogger().setLevel(logging.ERROR)  # advice that does not apply here
            try:
                quantization.quantize_static(
                    model,
                    target,
                    _Reader(network, inputs),
                    quant_format=quantization.QuantFormat.QDQ,
                    per_channel=per_channel,
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                    nodes_to_exclude=list(exclude),
                )
            except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise ModelError(f"ONNX Runtime cannot quantise this network: {error}") from error
            finally:
                logging.getLogger().setLevel(level)
            return onnx.load(target)

    network.rewrite(convert)
    foreign = {node.domain for node in network.nodes} - {"", "ai.onnx"}
    if foreign:
        raise ModelError(f"ONNX Runtime wrote operators of its own ({', '.join(sorted(foreign))})")
    for site in sites:
        _note(network, site)


def _note(network: Network, site: Site) -> None:
    """Write down how a weight is stored now."""
    stored = network.initialisers
    names = f"{site.tensor}_quantized", f"{site.tensor}_scale"
    if not all(name in stored for name in names):  # ONNX Runtime left it alone
        network.note(site.tensor, site.nodes, site.weights, site.weights, site.weights.nbytes)
        return
    integers, scale = (numpy_helper.to_array(stored[name]) for name in names)
    if scale.size > 1:
        axis = next(
            field.i
            for node in network.nodes
            if names[0] in node.input
            for field in node.attribute
            if field.name == "axis"
        )
        scale = scale.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
    values = integers.astype(scale.dtype) * scale
    size = integers.nbytes + scale.nbytes + scale.size  # a zero point of one byte for each scale
    network.note(site.tensor, site.nodes, site.weights, values, size)
