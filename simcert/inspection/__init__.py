"""Looking at files: what a network contains, how a pair aligns, how it runs in other ways.

    inspect("original.onnx", "compressed.onnx").pair.layers

Nothing here claims anything: it says what could be claimed.
"""

from simcert.inspection.contents import Contents, OperatorUse, contents_of
from simcert.inspection.inspect import Inspection, inspect
from simcert.inspection.layers import Layer, PairContents
from simcert.inspection.running import Running
from simcert.inspection.support import Support, operators_page, support_of

__all__ = [
    "Contents",
    "Inspection",
    "Layer",
    "OperatorUse",
    "PairContents",
    "Running",
    "Support",
    "contents_of",
    "inspect",
    "operators_page",
    "support_of",
]
