"""Compressors: ONNX in, ONNX out.

>>> small = pruners.magnitude("network.onnx", sparsity=0.5, scope="global")
>>> print(small.report)
>>> small.save("network-sparse.onnx")

A new compressor is one file: a function under ``@compressor`` that reads a :class:`Network`,
replaces tensors and returns what ``finish`` gives; the import below enters it into ``METHODS``.
"""

from pruners.float16 import float16
from pruners.magnitude import magnitude
from pruners.onnx_edit import Network
from pruners.quantize import quantize
from pruners.registry import METHODS, compressor
from pruners.result import Compressed, Layer, Report, Size

__all__ = [
    "METHODS",
    "Compressed",
    "Layer",
    "Network",
    "Report",
    "Size",
    "compressor",
    "float16",
    "magnitude",
    "quantize",
]
