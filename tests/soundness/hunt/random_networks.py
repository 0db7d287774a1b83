"""Random whole networks of every family, their compressed copies, and boxes of every size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hunt.layers import (
    SMOOTH,
    Conv,
    Dense,
    Flatten,
    Global,
    Layer,
    Leaky,
    Network,
    Norm,
    Pool,
    Quantiser,
    Relu,
    Residual,
    Smooth,
    float32,
)

Random = np.random.Generator


def _size(random: Random) -> float:
    """Of a layer's weights: mostly ordinary; two of the others underflow or overflow float32."""
    return float(random.choice([1.0, 1e-3, 30.0, 1e-22, 1e15], p=[0.76, 0.09, 0.09, 0.03, 0.03]))


def _dense(random: Random, fan_in: int, fan_out: int) -> Dense:
    size = _size(random)
    weight = size * random.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
    bias = 0.3 * random.standard_normal(fan_out)
    if random.random() < 0.1:
        bias = bias + 2.0 ** random.integers(6, 26)  # float32 absorbs what is added to it
    return Dense(float32(weight), float32(bias), gemm=bool(random.random() < 0.7))


def _conv(random: Random, fan_in: int, fan_out: int, kernel: int, **attributes: int) -> Conv:
    shape = fan_out, fan_in, kernel, kernel
    weight = _size(random) * random.standard_normal(shape) / np.sqrt(fan_in * kernel**2)
    return Conv(float32(weight), float32(0.3 * random.standard_normal(fan_out)), **attributes)


def _norm(random: Random, channels: int) -> Norm:
    draw = random.standard_normal
    arrays = draw(channels), draw(channels), draw(channels), random.uniform(0.01, 4, channels)
    return Norm(*map(float32, arrays))


def mlp(random: Random, activation: Callable[[], Layer] = Relu, normed: bool = False) -> Network:
    """Dense layers and activations."""
    widths = [int(n) for n in random.integers(2, 25, random.integers(1, 4))]
    inputs = int(random.integers(1, 7))
    layers: list[Layer] = []
    fan_in = inputs
    for width in widths:
        layers.append(_dense(random, fan_in, width))
        layers += [_norm(random, width)] if normed else []
        layers.append(activation())
        fan_in = width
    layers.append(_dense(random, fan_in, int(random.integers(1, 6))))
    return Network(tuple(layers), (inputs,))


def small_mlp(random: Random, inputs: int, normed: bool = False) -> Network:
    """An MLP with few inputs and without biases that absorb."""
    network = mlp(random, normed=normed)
    while network.inputs > inputs:
        network = mlp(random, normed=normed)
    return network.changed(lambda a: np.clip(a, -100, 100))


def leaky(random: Random) -> Network:
    """Dense layers and LeakyRelu."""
    slope = float(random.choice([0.125, 0.0078125, 1.5, -0.25]))
    return mlp(random, lambda: Leaky(slope))


def normed(random: Random) -> Network:
    """Dense layers, BatchNormalization, ReLU."""
    return mlp(random, normed=True)


def smooth(random: Random) -> Network:
    """Dense layers and smooth functions."""
    operator = str(random.choice(list(SMOOTH)))
    return mlp(random, lambda: Smooth(operator))


def quantised(random: Random) -> Network:
    """Dense layers and ReLU, each followed by a quantiser of activations."""
    network, layers = mlp(random), []
    for layer in network.layers:
        layers.append(layer)
        if isinstance(layer, Relu):
            scale = float(np.float32(10.0 ** random.uniform(-3, 0)))
            layers.append(Quantiser(scale, int(random.choice([0, 0, 3, 128]))))
    return replace(network, layers=tuple(layers))


def convolutional(random: Random) -> Network:
    """One or two convolutions, perhaps with BatchNormalization, and a dense layer."""
    size, channels = int(random.integers(3, 7)), int(random.integers(1, 4))
    layers: list[Layer] = []
    fan_in, now = channels, size
    for _ in range(random.integers(1, 3)):
        fan_out, kernel = int(random.integers(1, 5)), int(random.integers(1, 3))
        stride, pad = int(random.integers(1, 3)), int(now == 1 or random.random() < 0.5)
        layers.append(_conv(random, fan_in, fan_out, kernel, stride=stride, pad=pad))
        layers += [_norm(random, fan_out)] if random.random() < 0.4 else []
        layers.append(Relu())
        fan_in, now = fan_out, (now + 2 * pad - kernel) // stride + 1
    return _headed(random, layers, (channels, size, size))


def residual(random: Random) -> Network:
    """Blocks x + conv(relu(conv(x))), or the same with dense layers."""
    layers: list[Layer] = []
    if random.random() < 0.5:
        inputs, width = int(random.integers(1, 5)), int(random.integers(2, 9))
        layers.append(_dense(random, inputs, width))
        for _ in range(random.integers(1, 3)):
            hidden = int(random.integers(2, 9))
            body = _dense(random, width, hidden), Relu(), _dense(random, hidden, width)
            layers += [Residual(body), Relu()]
        layers.append(_dense(random, width, int(random.integers(1, 4))))
        return Network(tuple(layers), (inputs,))
    size, channels = int(random.integers(2, 5)), int(random.integers(1, 4))
    hidden = int(random.integers(1, 4))
    first, second = (
        _conv(random, channels, hidden, 3, pad=1),
        _conv(random, hidden, channels, 3, pad=1),
    )
    normed = (_norm(random, hidden),) if random.random() < 0.5 else ()
    layers = [Residual((first, *normed, Relu(), second)), Relu()]
    return _headed(random, layers, (channels, size, size))


def pooling(random: Random) -> Network:
    """A convolution, a pool of some kind and a dense layer."""
    size, channels, hidden = 4, int(random.integers(1, 3)), int(random.integers(1, 4))
    kind = str(random.choice(["MaxPool", "AveragePool", "Global"]))
    pool = Global() if kind == "Global" else Pool(kind)
    layers: list[Layer] = [_conv(random, channels, hidden, 3, pad=1), Relu(), pool]
    return _headed(random, layers, (channels, size, size))


def _headed(random: Random, layers: list[Layer], shape: tuple[int, ...]) -> Network:
    """Add a flattening and a dense layer."""
    body = Network((*layers, Flatten()), shape)
    outputs = int(random.integers(1, 4))
    return replace(body, layers=(*body.layers, _dense(random, body.outputs, outputs)))


FAMILIES: dict[str, Callable[[Random], Network]] = {
    "mlp": mlp,
    "leaky": leaky,
    "batch-norm": normed,
    "convolutional": convolutional,
    "residual": residual,
    "pooling": pooling,
    "smooth": smooth,
    "quantised": quantised,
}


# -- compressed copies -----------------------------------------------------------------------


def compress(random: Random, network: Network) -> tuple[str, Network]:
    """A copy by a random method, and the method's name."""
    if any(isinstance(layer, Quantiser) for layer in network.layers) and random.random() < 0.4:
        kept = [layer for layer in network.layers if not isinstance(layer, Quantiser)]
        return "unquantised", replace(network, layers=tuple(kept))
    name = str(random.choice([*METHODS, "channels"]))
    if name == "channels":
        return name, without_channels(random, network)
    return name, network.changed(METHODS[name](random))


def _float16(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.clip(a, -6e4, 6e4).astype(np.float16).astype(np.float64)


def _integers(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    levels = 2 ** (int(random.integers(2, 9)) - 1) - 1

    def change(a: np.ndarray) -> np.ndarray:
        scale = float(np.float32(np.abs(a).max() / levels))
        return np.round(a / scale) * scale if scale > 0 else a

    return change


def _pruned(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    share = random.uniform(0.05, 0.95)
    return lambda a: np.where(np.abs(a) < np.quantile(np.abs(a), share), 0.0, a)


def _noise(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    size = 10.0 ** random.uniform(-7, -1)
    return lambda a: a * (1 + size * random.standard_normal(a.shape))


def _ulp(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.nextafter(a.astype(np.float32), np.float32(np.inf)).astype(np.float64)


def _one(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    def change(a: np.ndarray) -> np.ndarray:
        new = a.copy()
        if random.random() < 0.3:
            new.flat[random.integers(new.size)] += random.normal()
        return new

    return change


def _unrelated(random: Random) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: random.permutation(a.ravel()).reshape(a.shape)


METHODS: dict[str, Callable[[Random], Callable[[np.ndarray], np.ndarray]]] = {
    "float16": _float16,
    "integers": _integers,
    "pruned": _pruned,
    "noise": _noise,
    "ulp": _ulp,
    "one": _one,
    "unrelated": _unrelated,
}


def without_channels(random: Random, network: Network) -> Network:
    """A copy from which hidden channels were removed, so that its tensors are smaller."""
    layers = list(network.layers)
    weighted = [i for i, layer in enumerate(layers) if isinstance(layer, Dense | Conv)]
    for first, second in pairwise(weighted):
        between = layers[first + 1 : second]
        channels = layers[first].weight.shape[0]
        if channels < 2 or any(isinstance(layer, Residual) for layer in between):
            continue
        kept = np.sort(random.permutation(channels)[: random.integers(1, channels)])
        for i in range(first, second):
            layers[i] = _rows(layers[i], kept)
        layers[second] = _columns(layers[second], kept, channels)
    return replace(network, layers=tuple(layers))


def _rows(layer: Layer, kept: np.ndarray) -> Layer:
    if isinstance(layer, Dense | Conv):
        return replace(layer, weight=layer.weight[kept], bias=layer.bias[kept])
    if isinstance(layer, Norm):
        arrays = layer.scale, layer.shift, layer.mean, layer.variance
        return Norm(*(array[kept] for array in arrays), layer.epsilon)
    return layer


def _columns(layer: Layer, kept: np.ndarray, channels: int) -> Layer:
    """Remove what reads the removed channels; after Flatten a channel is a block of columns."""
    assert isinstance(layer, Dense | Conv)
    if isinstance(layer, Conv):
        return replace(layer, weight=layer.weight[:, kept])
    rows = len(layer.weight)
    blocks = layer.weight.reshape(rows, channels, -1)[:, kept]
    return replace(layer, weight=blocks.reshape(rows, -1))


# -- boxes and points ------------------------------------------------------------------------

BOXES = ("unit", "unit", "small", "ulp", "point", "mixed", "offset", "large", "positive")


def box(random: Random, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner (inputs,), float32 numbers: from points to 1e4 wide."""
    centre, radius = random.standard_normal(inputs), random.random(inputs)
    match str(random.choice(BOXES)):
        case "small":
            radius = radius * 1e-4
        case "ulp":
            low = centre.astype(np.float32)
            return low.astype(float), np.nextafter(low, np.float32(np.inf)).astype(float)
        case "point":
            radius = radius * 0
        case "mixed":
            radius = np.where(random.random(inputs) < 0.5, 0.0, radius)
        case "offset":
            centre = centre * 1e4
        case "large":
            radius = radius * 1e4
        case "positive":
            centre = radius
    low, high = float32(centre - radius), float32(centre + radius)
    return np.minimum(low, high), np.maximum(low, high)


def part(random: Random, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box inside a box: halves, faces, points."""
    shares = random.choice([0, 0, 0.25, 0.5, 1, 1], (2, len(low)))
    ends = np.clip(low + (high - low) * shares, low, high)
    return ends.min(axis=0), ends.max(axis=0)


def points(random: Random, low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
    """Float32 points of a box (n, inputs): corners, faces, the centre, random ones."""
    shares = random.random((count, len(low)))
    corners = random.random(shares.shape) < 0.5
    kind = random.integers(3, size=(count, 1))
    shares = np.where(kind == 0, corners, shares)
    shares = np.where((kind == 1) & corners, np.round(shares), shares)
    x = float32(low + (high - low) * shares)
    extra = np.stack([low, high, float32(low / 2 + high / 2)])
    return np.clip(np.concatenate([extra, x]), low, high)
