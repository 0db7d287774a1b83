"""Univariate functions: how each runs, and all that is known of it in order to bound it.

One function a file. ``smooth`` turns a description (value, derivative, inflections) into bounds.
"""

from simcert.functions.exponential import Exponential
from simcert.functions.function import Function
from simcert.functions.identity import Identity
from simcert.functions.quantizer import Quantizer
from simcert.functions.reciprocal import Reciprocal
from simcert.functions.rectifier import Rectifier
from simcert.functions.sigmoid import Sigmoid

__all__ = ["Exponential", "Function", "Identity", "Quantizer", "Reciprocal", "Rectifier", "Sigmoid"]
