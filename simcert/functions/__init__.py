"""Univariate functions: how each runs, and all that is known of it in order to bound it.

One function a file. ``smooth`` turns a description (value, derivative, inflections) into bounds,
``piecewise`` joins such functions.
"""

from simcert.functions.clip import Clip
from simcert.functions.dynamic_quantizer import DynamicQuantizer
from simcert.functions.erf import Erf
from simcert.functions.exponential import Exponential
from simcert.functions.exponential_linear import ExponentialLinear
from simcert.functions.function import Function
from simcert.functions.gelu import Gelu
from simcert.functions.gelu_tanh import GeluTanh
from simcert.functions.hard_swish import HardSwish
from simcert.functions.identity import Identity
from simcert.functions.line import Line
from simcert.functions.logarithm import Logarithm
from simcert.functions.mish import Mish
from simcert.functions.periodic import Cosine, Sine, Tangent
from simcert.functions.power import Power
from simcert.functions.quantizer import Quantizer
from simcert.functions.rectifier import Rectifier
from simcert.functions.sigmoid import Sigmoid
from simcert.functions.softplus import Softplus
from simcert.functions.softsign import Softsign
from simcert.functions.staircase import Staircase
from simcert.functions.step import Step
from simcert.functions.swish import Swish
from simcert.functions.tanh import Tanh
from simcert.functions.zero_indicator import ZeroIndicator

__all__ = [
    "Clip",
    "Cosine",
    "DynamicQuantizer",
    "Erf",
    "Exponential",
    "ExponentialLinear",
    "Function",
    "Gelu",
    "GeluTanh",
    "HardSwish",
    "Identity",
    "Line",
    "Logarithm",
    "Mish",
    "Power",
    "Quantizer",
    "Rectifier",
    "Sigmoid",
    "Sine",
    "Softplus",
    "Softsign",
    "Staircase",
    "Step",
    "Swish",
    "Tangent",
    "Tanh",
    "ZeroIndicator",
]
