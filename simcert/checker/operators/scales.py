"""Sums of integers and the scales that they are multiplied with afterwards."""

from __future__ import annotations

import numpy as np

from simcert.checker.builder import DynamicScale, IntegerSum, Traced, Value
from simcert.checker.onnxfile import Constant, Node

SMALLEST = 2.0**-126
"""The smallest normal number of float32."""

_LARGEST = 2.0**7
"""What a dynamic scale, at most 2^128/255, may be multiplied with so that it does not overflow."""


def is_normal(scale: Constant) -> bool:
    """Whether float32 holds a scale, and no runtime flushes it to zero."""
    size = np.abs(scale)
    return bool((np.isfinite(size) & (size >= SMALLEST)).all())


def scaled(node: Node, x: Value | None, y: Value | None) -> Value:
    """Multiply a sum of integers with the scale that it waits for, or that scale with a constant.

    Raises:
        CannotCheckError: they are other integers or scales.
    """
    for one, other in ((x, y), (y, x)):
        if other is None or not isinstance(one, Traced):
            continue
        match one:
            case DynamicScale() if not isinstance(other, Traced):
                if not is_normal(other) or np.abs(one.factor * other).max() > _LARGEST:
                    raise node.refused("of a dynamic scale that may overflow or be flushed")
                return DynamicScale(one.step, one.index, one.factor * other)
            case IntegerSum(scale=None) if isinstance(other, DynamicScale):
                if other.step == one.step:
                    return one.finish(other.factor.astype(np.float64))
            case IntegerSum(scale=float(scale)) if not isinstance(other, Traced):
                if not is_normal(other):
                    raise node.refused("of integers and a scale that may be flushed to zero")
                return one.finish(np.asarray(other / scale, dtype=np.float64))
    raise node.refused("of quantised numbers")
