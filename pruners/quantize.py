"""Weight quantisation: symmetric integers of 2 to 8 bits, one scale a channel or a tensor.

With Q = 2^(bits − 1) − 1:  σ = max |W| / Q  (1 where W is zero),
q = clip(round-half-even(W / σ), −Q, Q),  Ŵ = σ q.

Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018; per output channel: Krishnamoorthi, "Quantizing deep convolutional networks
for efficient inference", arXiv:1806.08342. Biases and activations stay as they are, except in the
format ``qdq``.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pruners.calibration import DataSource, read_calibration
from pruners.masks import FloatArray
from pruners.onnx_edit import ModelSource, Network
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import weight_sites
from pruners.static_quantization import quantise_statically
from simcert.errors import ModelError

Granularity: TypeAlias = Literal["channel", "tensor"]
Format: TypeAlias = Literal["fake", "qdq-weight", "qdq"]

QDQ_OPSET = 13
"""First opset whose DequantizeLinear takes one scale a channel."""


@compressor
def quantize(
    model: ModelSource,
    *,
    bits: int = 8,
    per: Granularity = "channel",
    format: Format = "fake",  # noqa: A002 (the word of the command line and of ONNX Runtime)
    calibration: DataSource | None = None,
    exclude: Iterable[str] = (),
) -> Compressed:
    """Round weights to the nearest of 2^bits − 1 equally spaced values.

    Args:
        model: bytes or path of an ONNX file.
        bits: 2 to 8.
        per: one scale for each output ``channel``, or one for the whole ``tensor``.
        format: ``fake`` stores Ŵ in the type of W; ``qdq-weight`` stores q as int8 with a
            DequantizeLinear node behind it, which computes the same Ŵ bit for bit (the sums that
            follow may be rounded in another order), and raises the opset to 13 where it is lower;
            ``qdq`` quantises the activations too, to u8 with ranges from the calibration data
            (8 bits, by ``onnxruntime.quantization``).
        calibration: inputs, for ``qdq``.
        exclude: names of nodes that are left as they are.

    Raises:
        ModelError: nothing to quantise, or an option out of range.
    """
    if bits not in range(2, 9):
        raise ModelError(f"bits must be 2 to 8, not {bits}")
    if per not in ("channel", "tensor"):
        raise ModelError(f"per must be channel or tensor, not {per!r}")
    if format not in ("fake", "qdq-weight", "qdq"):
        raise ModelError(f"format must be fake, qdq-weight or qdq, not {format!r}")
    if (format == "qdq") != (calibration is not None):
        raise ModelError("the format qdq needs calibration data, and no other format takes them")
    if format == "qdq" and bits != 8:
        raise ModelError(f"the format qdq has 8 bits, not {bits}")
    exclude = tuple(exclude)
    network = Network(model)
    if format != "fake":
        network.require_opset(QDQ_OPSET)
    parameters = {"bits": bits, "per": per, "format": format, "exclude": exclude}
    sites = weight_sites(network, exclude)
    if calibration is not None:
        data = read_calibration(calibration, network.graph.input.size)
        quantise_statically(
            network, sites, data.inputs, per_channel=per == "channel", exclude=exclude
        )
        return network.finish("quantize", parameters, calibration=data.sha256)
    for site in sites:
        axis = site.output_axis if per == "channel" else None
        scale = scales(site.weights, bits, axis)
        integers = quantised(site.weights, scale, bits)
        with np.errstate(over="ignore"):  # refused by the network
            values = integers.astype(scale.dtype) * scale
        if format == "fake":
            network.replace(site.tensor, values)
        else:
            flat = scale.reshape(()) if axis is None else scale.ravel()
            network.replace_quantised(site.tensor, values, integers, flat, axis)
    return network.finish("quantize", parameters)


def scales(weights: FloatArray, bits: int, axis: int | None) -> FloatArray:
    """σ, in the type of the weights, with all their axes: of length 1 but for ``axis``.

    Weights so small that σ would lose digits to underflow count as zero. For every σ that comes
    out, σ Q / Q = σ in floating point, so that quantising twice is quantising once.
    """
    others = tuple(index for index in range(weights.ndim) if index != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scale: FloatArray = largest / largest.dtype.type(_largest(bits))
    scale[scale < np.finfo(scale.dtype).tiny] = 1
    return scale


def quantised(weights: FloatArray, scale: FloatArray, bits: int) -> NDArray[np.int8]:
    """The integers q."""
    limit = _largest(bits)
    ratio = weights.astype(np.float64) / scale
    return np.clip(np.rint(ratio), -limit, limit).astype(np.int8)


def _largest(bits: int) -> int:
    return (1 << (bits - 1)) - 1
