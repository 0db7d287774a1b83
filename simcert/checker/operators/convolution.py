"""Convolutions."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.builder import Builder, Value, spread
from simcert.checker.linear import Convolution
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import (
    LARGEST_WINDOWS,
    Operands,
    Reading,
    given,
    traced,
    weights,
)
from simcert.checker.operators.windows import Frame


def _convolve(builder: Builder, node: Node, operands: Operands) -> Value:
    x, weight = traced(node, operands), weights(node, operands, 1)
    groups = node.integer("group", 1)
    if x.index.ndim != weight.ndim or weight.ndim < 3 or x.shape[0] != 1 or groups < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    if x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise node.refused(f"of shapes {x.shape} and {weight.shape} in {groups} groups")
    frame = Frame(node, x.shape[2:], list(weight.shape[2:]))
    linear = Convolution(
        weight,
        x.shape[1:],
        tuple(frame.strides),
        tuple(frame.dilations),
        tuple(frame.before),
        tuple(frame.after),
        groups,
    )
    if x.shape[1] * math.prod(linear.result[1:]) * math.prod(frame.kernel) > LARGEST_WINDOWS:
        raise node.refused("that is so large")
    shift = given(node, operands, 2)
    channels = np.zeros(len(weight)) if shift is None else spread(shift, (len(weight),))
    bias = np.repeat(channels, math.prod(linear.result[1:]))
    return builder.affine(
        [(builder.flat(x), linear)], bias, (1, *linear.result), terms=linear.terms
    )


OPERATORS: dict[str, Reading] = {"Conv": _convolve}
