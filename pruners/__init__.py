"""Compressors: ONNX in, ONNX out.

>>> small = pruners.magnitude("network.onnx", sparsity=0.5, scope="global")
>>> print(small.report)
>>> small.save("network-sparse.onnx")

Methods that look at data take ``calibration``, an array or a .npy or .npz file; ``finetune`` trains
what is left. A new compressor is one file: a function under ``@compressor`` that reads a
:class:`Network`, replaces tensors and returns what ``finish`` gives; the import below enters it
into ``METHODS``.
"""

from pruners.agf import agf
from pruners.calibration import Calibration, DataError
from pruners.chain import Training, compress
from pruners.finetune import finetune
from pruners.float16 import float16
from pruners.lamp import lamp
from pruners.magnitude import magnitude
from pruners.onnx_edit import Network
from pruners.quantize import quantize
from pruners.registry import METHODS, compressor
from pruners.result import Compressed, Layer, Report, Size
from pruners.slamp import slamp
from pruners.wanda import wanda

__all__ = [
    "METHODS",
    "Calibration",
    "Compressed",
    "DataError",
    "Layer",
    "Network",
    "Report",
    "Size",
    "Training",
    "agf",
    "compress",
    "compressor",
    "finetune",
    "float16",
    "lamp",
    "magnitude",
    "quantize",
    "slamp",
    "wanda",
]
