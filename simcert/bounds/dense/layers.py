"""The layers of an aligned chain of small dense networks, as arrays that compiled loops take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from simcert.bounds.affine import AffineDualRule, AffineRule
from simcert.bounds.dense.lanes import WIDTH
from simcert.bounds.propagator import is_equal, keeps_inputs_apart
from simcert.bounds.rounding import gamma
from simcert.model.linear import Dense, Diagonal, Selection
from simcert.model.program import Affine, Input, Relu, Step
from simcert.pairing import DualNode, DualProgram

Float = NDArray[np.float64]

_CPU = torch.device("cpu")
_WIDEST = 128


class Layers(NamedTuple):
    """The dense layers of an aligned chain, padded to a width N of whole vectors with zeros.

    Attributes:
        sizes: (L + 1,) true sizes, the input first.
        weights: (3, L, N, N) of the original, of the compressed network, and their difference.
        biases: (3, L, N) likewise.
        bias_sizes: (L, N) what the rounding of δ's bias is relative to.
        gammas: (2, L) rounding of a layer alone, and of the difference.
        roundoff: (2, L) what a float32 runtime's rounding in either network is: γ of the absolute
            products; 0 over the reals.
        flushed: (2, L, 2, N) what flushing subnormals may lose, and what per unit of the largest
            operand.
        largest: (2, L, N) what sums of absolute products must stay below.
        exact: (L,) whether the differences are of the files' own numbers.
        relus: (L,) whether a rectifier follows.
        refined: (L,) where symbolic bounds may improve on intervals.
        columns: (L, N, 3, N) the weights by operand: of the original, the compressed network, and
            the difference.
        changed: (L,) whether the weights differ.
        equal: whether the two networks are the same: over the reals, or as files in float32.
        float32: whether to cover the rounding of a float32 runtime.
    """

    sizes: NDArray[np.int64]
    weights: Float
    biases: Float
    bias_sizes: Float
    gammas: Float
    roundoff: Float
    flushed: Float
    largest: Float
    exact: NDArray[np.bool_]
    relus: NDArray[np.bool_]
    refined: NDArray[np.bool_]
    columns: Float
    changed: NDArray[np.bool_]
    equal: bool
    float32: bool


def layers_of(dual: DualProgram, *, float32: bool = False) -> Layers | None:
    """Return the layers of a small aligned dense chain, None for any other pair.

    Args:
        dual: the aligned pair.
        float32: whether to cover the rounding of a float32 runtime.
    """
    nodes = dual.nodes
    if not isinstance(nodes[0].f, Input) or max(node.size for node in nodes) > _WIDEST:
        return None
    affine: list[DualNode] = []
    relus: list[bool] = []
    for index, node in enumerate(nodes[1:], start=1):
        if not node.aligned or node.f_operands != (index - 1,):
            return None
        if isinstance(node.f, Affine):
            affine.append(node)
            relus.append(False)
        elif isinstance(node.f, Relu) and affine and not relus[-1]:
            relus[-1] = True
        else:
            return None
    if not affine or relus[-1]:
        return None
    if not all(_is_dense(step) for node in affine for step in (node.f, node.g)):
        return None
    count, width = len(affine), -(-max(node.size for node in nodes) // WIDTH) * WIDTH
    weights, biases = np.zeros((3, count, width, width)), np.zeros((3, count, width))
    bias_sizes, gammas = np.zeros((count, width)), np.zeros((2, count))
    roundoff, flushed = np.zeros((2, count)), np.zeros((2, count, 2, width))
    largest = np.full((2, count, width), np.inf)
    exact = np.zeros(count, dtype=bool)
    for index, node in enumerate(affine):
        steps = [step for step in (node.f, node.g) if isinstance(step, Affine)]
        f, g = (AffineRule(step, len(nodes), _CPU, float32=float32) for step in steps)
        rule = AffineDualRule(node, f, g, len(nodes), same=dual.same)
        inputs = rule.f.maps[0].inputs
        unit = torch.eye(inputs, dtype=torch.float64)
        for part, linear in enumerate((rule.f.maps[0], rule.g.maps[0], rule.differences[0])):
            weights[part, index, : node.size, :inputs] = linear.forward(unit).T.numpy()
        for part, bias in enumerate((rule.f.bias, rule.g.bias, rule.bias)):
            biases[part, index, : node.size] = bias.numpy()
        bias_sizes[index, : node.size] = rule.bias_size.numpy()
        # Padding adds terms to a sum, all zero; the order of summation changes nothing else.
        gammas[:, index] = rule.f.gamma + gamma(width), rule.gamma + gamma(width)
        exact[index] = rule.exact
        for part, own in enumerate((f.roundoff, g.roundoff)):
            if own is not None:
                roundoff[part, index] = own.gamma
                for place, lost in enumerate((own.flushed, own.flushed_weight)):
                    flushed[part, index, place, : node.size] = lost.numpy()
                largest[part, index, : node.size] = own.largest.numpy()
    independent = [keeps_inputs_apart(node) for node in affine]
    refined = [relu and not all(independent[:index]) for index, relu in enumerate(relus)]
    return Layers(
        np.array([dual.inputs, *(node.size for node in affine)]),
        weights,
        biases,
        bias_sizes,
        gammas,
        roundoff,
        flushed,
        largest,
        exact,
        np.array(relus),
        np.array(refined),
        np.ascontiguousarray(weights.transpose(1, 3, 0, 2)),
        weights[2].any(axis=(1, 2)),
        dual.same if float32 else is_equal(dual),
        float32,
    )


def _is_dense(step: Step | None) -> bool:
    """Whether a step is one matrix, without noise of its own."""
    if not isinstance(step, Affine) or len(step.maps) != 1 or step.noise:
        return False
    linear = step.maps[0]
    return isinstance(linear, Diagonal | Selection) or (
        isinstance(linear, Dense) and linear.outer == 1
    )
