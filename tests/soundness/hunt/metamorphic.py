"""Rewritings of a network that compute the same function over the reals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hunt.layers import Conv, Dense, Identity, Layer, Network, Norm, Relu, float32
from hunt.random_networks import Random

Rewriting = Callable[[Random, Network], Network]


def permuted(random: Random, network: Network) -> Network:
    """The hidden neurons of a dense network in another order."""
    layers = list(network.layers)
    for first, second in _hidden(layers):
        order = random.permutation(len(layers[first].weight))
        layers[first] = _reordered(layers[first], order)
        for i in range(first + 1, second):
            layers[i] = _norm_reordered(layers[i], order)
        layers[second] = replace(layers[second], weight=layers[second].weight[:, order])
    return replace(network, layers=tuple(layers))


def rescaled(random: Random, network: Network) -> Network:
    """Positive powers of two on hidden neurons, taken back by the next layer: exact in float32."""
    layers = list(network.layers)
    for first, second in _hidden(layers):
        if any(isinstance(layer, Norm) for layer in layers[first:second]):
            continue
        scale = 2.0 ** random.integers(-4, 5, len(layers[first].weight))
        weight, bias = layers[first].weight * scale[:, None], layers[first].bias * scale
        layers[first] = replace(layers[first], weight=weight, bias=bias)
        layers[second] = replace(layers[second], weight=layers[second].weight / scale)
    return replace(network, layers=tuple(layers))


def folded(_random: Random, network: Network) -> Network:
    """Every BatchNormalization folded into the layer before it; rounded to float32."""
    layers: list[Layer] = []
    for layer in network.layers:
        before = layers[-1] if layers else None
        if isinstance(layer, Norm) and isinstance(before, Dense | Conv):
            factor = layer.scale / np.sqrt(layer.variance + layer.epsilon)
            shape = (-1, *(1,) * (before.weight.ndim - 1))
            weight = float32(before.weight * factor.reshape(shape))
            bias = float32((before.bias - layer.mean) * factor + layer.shift)
            layers[-1] = replace(before, weight=weight, bias=bias)
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))


def with_identities(random: Random, network: Network) -> Network:
    """Identities of every kind between the layers; a second ReLU behind a ReLU."""
    layers: list[Layer] = []
    for layer in network.layers:
        layers.append(layer)
        if random.random() < 0.6:
            layers.append(Identity(str(random.choice(["Identity", "Add", "Mul", "Neg"]))))
        if isinstance(layer, Relu) and random.random() < 0.5:
            layers.append(Relu())
    return replace(network, layers=tuple(layers))


def split(_random: Random, network: Network) -> Network:
    """The last dense layer as two: by its own weight, and by a selection."""
    *body, last = network.layers
    assert isinstance(last, Dense)
    outputs = len(last.bias)
    two = replace(last, weight=np.tile(last.weight, (2, 1)), bias=np.tile(last.bias, 2))
    half = np.concatenate([np.eye(outputs), np.eye(outputs)], axis=1) / 2
    return replace(network, layers=(*body, two, Dense(half, np.zeros(outputs))))


def after_integers(_random: Random, network: Network) -> Network:
    """The network behind a dense layer of whole numbers."""
    first = network.layers[0]
    assert isinstance(first, Dense)
    matrix = _integers(first)
    return replace(network, layers=(Dense(matrix, np.zeros(len(matrix))), *network.layers))


def merged_with_integers(_random: Random, network: Network) -> Network:
    """The same with the two layers merged."""
    first, *rest = network.layers
    assert isinstance(first, Dense)
    weight = float32(first.weight @ _integers(first))
    return replace(network, layers=(replace(first, weight=weight), *rest))


def unchanged(_random: Random, network: Network) -> Network:
    """The network itself."""
    return network


REWRITINGS: dict[str, tuple[Rewriting, Rewriting]] = {
    "permuted neurons": (unchanged, permuted),
    "positive rescaling": (unchanged, rescaled),
    "folded BatchNormalization": (unchanged, folded),
    "inserted identities": (unchanged, with_identities),
    "split layer": (unchanged, split),
    "merged layers": (after_integers, merged_with_integers),
}
"""Two ways to write one function."""


def _integers(layer: Dense) -> np.ndarray:
    size = layer.weight.shape[1]
    return np.eye(size) + np.eye(size, k=1)


def _hidden(layers: list[Layer]) -> list[tuple[int, int]]:
    """Places of dense layers that follow each other with nothing but elementwise layers between."""
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    return list(pairwise(places))


def _reordered(layer: Dense, order: np.ndarray) -> Dense:
    return replace(layer, weight=layer.weight[order], bias=layer.bias[order])


def _norm_reordered(layer: Layer, order: np.ndarray) -> Layer:
    if not isinstance(layer, Norm):
        return layer
    arrays = layer.scale, layer.shift, layer.mean, layer.variance
    return Norm(*(array[order] for array in arrays), layer.epsilon)
