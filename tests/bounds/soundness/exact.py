"""An ONNX interpreter in exact arithmetic, independent of `simcert.model.lowering`.

Numbers are integers times 2^-e, so that sums, products and maxima have no error at all. A division
or a square root is carried to 400 bits beyond the operands; `Exact.rounded` remembers it.

The leading axis of every tensor is the batch: points of one network are evaluated together.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from simcert.model.graph import Graph, Node

_DIGITS = 400


@dataclass(frozen=True)
class Exact:
    """A tensor of values n · 2^-e."""

    n: np.ndarray
    e: int
    rounded: bool = False

    @staticmethod
    def of(values: np.ndarray) -> Exact:
        values = np.asarray(values, dtype=np.float64)
        mantissa, exponent = np.frexp(values)
        used = exponent[mantissa != 0]
        e = max(0, 53 - int(used.min())) if used.size else 0
        n = np.empty(values.shape, dtype=object)
        for at in np.ndindex(values.shape):
            m, shift = int(math.ldexp(float(mantissa[at]), 53)), int(exponent[at]) - 53 + e
            n[at] = m << shift if m else 0
        return Exact(n, e)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.n.shape

    def at(self, e: int) -> np.ndarray:
        return np.asarray(self.n * (1 << (e - self.e)), dtype=object)

    def like(self, n: np.ndarray) -> Exact:
        return Exact(np.asarray(n, dtype=object), self.e, self.rounded)

    def __neg__(self) -> Exact:
        return self.like(-self.n)

    def __add__(self, other: Exact) -> Exact:
        return joint(np.add, self, other)

    def __sub__(self, other: Exact) -> Exact:
        return joint(np.subtract, self, other)

    def __mul__(self, other: Exact) -> Exact:
        rounded = self.rounded or other.rounded
        return Exact(np.asarray(self.n * other.n, dtype=object), self.e + other.e, rounded)

    def __matmul__(self, other: Exact) -> Exact:
        rounded = self.rounded or other.rounded
        product = np.asarray(np.matmul(self.n, other.n), dtype=object)
        return Exact(product, self.e + other.e, rounded)

    def __truediv__(self, other: Exact) -> Exact:
        scaled = self.n * (1 << (_DIGITS + other.e)) // other.n
        return Exact(np.asarray(scaled, dtype=object), self.e + _DIGITS, rounded=True)

    def sqrt(self) -> Exact:
        root = np.vectorize(math.isqrt, otypes=[object])
        return Exact(root(self.n * (1 << (self.e + 2 * _DIGITS))), self.e + _DIGITS, rounded=True)

    def fractions(self) -> list[Fraction]:
        return [Fraction(int(n), 1 << self.e) for n in self.n.ravel()]


def joint(function: np.ufunc, a: Exact, b: Exact) -> Exact:
    """Apply a function that commutes with scaling."""
    e = max(a.e, b.e)
    n = np.asarray(function(a.at(e), b.at(e)), dtype=object)
    return Exact(n, e, a.rounded or b.rounded)


def concatenate(tensors: list[Exact], axis: int) -> Exact:
    """Join; what has one sample only, a constant, is repeated for the batch."""
    e, batch = max(t.e for t in tensors), max(len(t.n) for t in tensors)
    parts = [t.at(e) for t in tensors]
    if axis:
        parts = [np.broadcast_to(part, (batch, *part.shape[1:])) for part in parts]
    n = np.concatenate(parts, axis)
    return Exact(n, e, any(t.rounded for t in tensors))


Value = Exact | np.ndarray


def constants(graph: Graph) -> dict[str, Value]:
    """The constants, floats as exact numbers."""
    return {
        name: Exact.of(a) if np.asarray(a).dtype.kind == "f" else np.asarray(a)
        for name, a in graph.constants.items()
    }


def evaluate(graph: Graph, x: np.ndarray, known: dict[str, Value] | None = None) -> Exact:
    """Run points x (n, inputs) through the graph; the outputs are (n, outputs)."""
    known = constants(graph) if known is None else known
    if any(_mixes_samples(node) for node in graph.nodes):
        return concatenate([_evaluate(graph, point[None], known) for point in x], 0)
    return _evaluate(graph, x, known)


def _evaluate(graph: Graph, x: np.ndarray, known: dict[str, Value]) -> Exact:
    values = {**known, graph.input.name: Exact.of(x.reshape(-1, *graph.input.sample[1:]))}
    for node in graph.nodes:
        results = run(node, [values[name] if name else None for name in node.inputs], len(x))
        values.update(zip(node.outputs, results, strict=False))
    output = values[graph.output.name]
    assert isinstance(output, Exact)
    return output.like(output.n.reshape(len(x), -1))


def _mixes_samples(node: Node) -> bool:
    """Whether an operator moves the batch, so that samples have to be run one by one."""
    moved = node.operator == "Transpose" and node.integers("perm")[0] != 0
    return moved or node.operator in ("GRU", "LSTM", "RNN")


def run(node: Node, inputs: list[Value | None], batch: int = 1) -> list[Exact]:
    """Run one node on a batch, by the text of the ONNX specification for one sample."""
    x = inputs[0]
    assert isinstance(x, Exact)
    rest = inputs[1:]
    rank = len(x.shape)
    zero = x.like(np.zeros((), dtype=object))
    match node.operator:
        case "Identity" | "Dropout":
            return [x]
        case "Add" | "Sum":
            for other in rest:
                x = x + other
            return [x]
        case "Sub":
            return [x - rest[0]]
        case "Mul":
            return [x * rest[0]]
        case "Div":
            return [x / rest[0]]
        case "Neg":
            return [-x]
        case "Abs":
            return [x.like(np.abs(x.n))]
        case "Relu":
            return [joint(np.maximum, x, zero)]
        case "LeakyRelu":
            slope = Exact.of(np.array(node.real("alpha", float(np.float32(0.01)))))
            return [joint(np.maximum, x, zero) + joint(np.minimum, x, zero) * slope]
        case "PRelu":
            return [joint(np.maximum, x, zero) + joint(np.minimum, x, zero) * rest[0]]
        case "Max" | "Min":
            function = np.maximum if node.operator == "Max" else np.minimum
            for other in rest:
                x = joint(function, x, other)
            return [x]
        case "Clip":
            low, high = (*rest, None, None)[:2]
            if "min" in node.attributes:
                low = Exact.of(np.array(node.real("min", 0.0)))
            if "max" in node.attributes:
                high = Exact.of(np.array(node.real("max", 0.0)))
            x = x if low is None else joint(np.maximum, x, low)
            return [x if high is None else joint(np.minimum, x, high)]
        case "Gemm":
            a = x.like(x.n.T) if node.integer("transA", 0) else x
            b = rest[0].like(rest[0].n.T) if node.integer("transB", 0) else rest[0]
            y = a @ b * Exact.of(np.array(node.real("alpha", 1.0)))
            if len(rest) > 1 and rest[1] is not None:
                y = y + rest[1] * Exact.of(np.array(node.real("beta", 1.0)))
            return [y]
        case "MatMul":
            return [x @ rest[0]]
        case "Conv":
            return [_convolve(node, x, *rest)]
        case "BatchNormalization":
            scale, shift, mean, variance = (
                p.like(p.n.reshape(1, -1, *(1,) * (rank - 2))) for p in rest
            )
            epsilon = Exact.of(np.array(node.real("epsilon", float(np.float32(1e-5)))))
            return [(x - mean) * scale / (variance + epsilon).sqrt() + shift]
        case "AveragePool" | "MaxPool":
            return [_pool(node, x)]
        case "GlobalAveragePool":
            return [_mean(x, tuple(range(2, rank)), keep=True)]
        case "GlobalMaxPool":
            return [x.like(np.max(x.n, axis=tuple(range(2, rank)), keepdims=True))]
        case "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin":
            axes = node.integers("axes")
            if rest and rest[0] is not None:
                axes = tuple(rest[0].tolist())
            if not axes and node.integer("noop_with_empty_axes", 0):
                return [x]
            axes = tuple(a % rank for a in axes) or tuple(range(rank))
            keep = bool(node.integer("keepdims", 1))
            if node.operator == "ReduceMean":
                return [_mean(x, axes, keep=keep)]
            function = {"ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min}
            return [x.like(function[node.operator](x.n, axis=axes, keepdims=keep))]
        case "Concat":
            return [concatenate([x, *rest], node.integer("axis", 0))]
        case "Pad":
            amounts, value = rest[0].tolist(), rest[1] if len(rest) > 1 else None
            width = list(zip(amounts[:rank], amounts[rank:], strict=True))
            mode = node.text("mode", "constant")
            if mode != "constant":
                return [x.like(np.pad(x.n, width, mode=mode))]
            fill = Exact.of(np.zeros(())) if value is None else value
            e = max(x.e, fill.e)
            n = np.full([b + s + a for s, (b, a) in zip(x.shape, width, strict=True)], None)
            n[...] = fill.at(e).item()
            n[tuple(slice(b, b + s) for s, (b, _) in zip(x.shape, width, strict=True))] = x.at(e)
            return [Exact(n, e, x.rounded)]
        case "QuantizeLinear" | "DequantizeLinear":
            return [_quantised(node, x, *rest)]
        case "ConvTranspose":
            return [_transposed(node, x, *rest)]
        case _:
            from soundness import elementary  # which is made of this module

            known = elementary.run(node, x, rest)
            return known or [x.like(n) for n in _move(node, x.n, rest, batch)]


def _move(node: Node, n: np.ndarray, rest: list[np.ndarray], batch: int) -> list[np.ndarray]:
    axis = node.integer("axis", 0)
    match node.operator:
        case "Flatten":
            axis = node.integer("axis", 1)
            return [n.reshape(math.prod(n.shape[:axis]), -1)]
        case "Reshape":
            sizes = [s or n.shape[i] for i, s in enumerate(rest[0].tolist())]
            if sizes[0] == 1:
                sizes[0] = batch
            return [n.reshape(sizes)]
        case "Transpose":
            return [n.transpose(node.integers("perm"))]
        case "Squeeze":
            return [np.squeeze(n, tuple(rest[0].tolist()))]
        case "Unsqueeze":
            return [np.expand_dims(n, tuple(rest[0].tolist()))]
        case "Expand":
            return [np.broadcast_to(n, np.broadcast_shapes(n.shape, tuple(rest[0].tolist())))]
        case "Tile":
            return [np.tile(n, rest[0].tolist())]
        case "Resize" | "Upsample":
            scales = [int(f) for f in rest[-1].fractions()]
            for a, scale in enumerate(scales):
                n = np.repeat(n, scale, a)
            return [n]
        case "DepthToSpace":
            b, (_, c, h, w) = node.integer("blocksize", 1), n.shape
            n = n.reshape(batch, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
            return [n.reshape(batch, c // b**2, h * b, w * b)]
        case "SpaceToDepth":
            b, (_, c, h, w) = node.integer("blocksize", 1), n.shape
            n = n.reshape(batch, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
            return [n.reshape(batch, c * b**2, h // b, w // b)]
        case "Gather":
            return [np.take(n, rest[0], axis)]
        case "Split":
            return np.split(n, np.cumsum(rest[0])[:-1].tolist(), axis)
        case "Slice":
            index = [slice(None)] * n.ndim
            for start, end, a, step in zip(*(r.tolist() for r in rest), strict=True):
                index[a] = slice(start, None if end < -n.shape[a] else end, step)
            return [n[tuple(index)]]
    raise NotImplementedError(node.operator)


def _quantised(node: Node, x: Exact, scale: Exact, zero: np.ndarray) -> Exact:
    """Codes, or the numbers that codes stand for; one scale for the whole tensor."""
    shift = Exact.of(np.array(float(zero)))
    if node.operator == "DequantizeLinear":
        return (x - shift) * scale
    info = np.iinfo(zero.dtype)
    codes = []
    (size,) = scale.fractions()
    for value in x.fractions():
        code = round(value / size) + int(zero)  # half to even
        codes.append(min(max(code, info.min), info.max))
    n = np.empty(len(codes), dtype=object)
    n[:] = codes
    return Exact(n.reshape(x.shape), 0, x.rounded)


def _transposed(node: Node, x: Exact, weight: Exact) -> Exact:
    """Each element adds its kernel to the result; no padding, one group."""
    (s, t), (h, w), (_, outputs, k, m) = node.integers("strides"), x.shape[2:], weight.shape
    n = np.zeros((len(x.n), outputs, s * (h - 1) + k, t * (w - 1) + m), dtype=object)
    for i, j, c in itertools.product(range(h), range(w), range(x.shape[1])):
        part = x.n[:, c, i, j, None, None, None] * weight.n[c]
        n[:, :, s * i : s * i + k, t * j : t * j + m] += part
    return Exact(n, x.e + weight.e, x.rounded)


def _mean(x: Exact, axes: tuple[int, ...], *, keep: bool) -> Exact:
    count = math.prod(x.shape[a] for a in axes)
    return x.like(np.sum(x.n, axis=axes, keepdims=keep)) / Exact.of(np.array(float(count)))


def _places(node: Node, size: tuple[int, ...], kernel: tuple[int, ...]) -> list[list[list[int]]]:
    """For each axis, for each output, the elements that its window covers (None-free, may be < 0).

    Only explicit pads and whole windows.
    """
    axes = len(size)
    strides = node.integers("strides", (1,) * axes)
    dilations = node.integers("dilations", (1,) * axes)
    pads = node.integers("pads", (0,) * (2 * axes))
    places = []
    for a in range(axes):
        reach = dilations[a] * (kernel[a] - 1) + 1
        count = (size[a] + pads[a] + pads[axes + a] - reach) // strides[a] + 1
        places.append(
            [
                [o * strides[a] - pads[a] + k * dilations[a] for k in range(kernel[a])]
                for o in range(count)
            ]
        )
    return places


def _convolve(node: Node, x: Exact, weight: Exact, bias: Exact | None = None) -> Exact:
    size, kernel = x.shape[2:], weight.shape[2:]
    groups, channels = node.integer("group", 1), weight.shape[0]
    places = _places(node, size, kernel)
    n = np.zeros((len(x.n), channels, *map(len, places)), dtype=object)
    own = weight.shape[1]
    for at in itertools.product(*(range(len(p)) for p in places)):
        for offset in np.ndindex(*kernel):
            source = tuple(places[a][at[a]][offset[a]] for a in range(len(size)))
            if any(not 0 <= s < limit for s, limit in zip(source, size, strict=True)):
                continue
            column = x.n[(slice(None), slice(None), *source)]
            for o in range(channels):
                first = o // (channels // groups) * own
                kernel_row = weight.n[(o, slice(None), *offset)]
                n[(slice(None), o, *at)] += column[:, first : first + own] @ kernel_row
    y = Exact(n, x.e + weight.e, x.rounded)
    if bias is None:
        return y
    return y + bias.like(bias.n.reshape(1, -1, *(1,) * len(size)))


def _pool(node: Node, x: Exact) -> Exact:
    size = x.shape[2:]
    places = _places(node, size, node.integers("kernel_shape"))
    kernel = math.prod(node.integers("kernel_shape"))
    result = []
    for at in itertools.product(*(range(len(p)) for p in places)):
        inside = [[s for s in places[a][at[a]] if 0 <= s < size[a]] for a in range(len(size))]
        covered = x.n[(slice(None), slice(None), *np.ix_(*inside))]
        axes = tuple(range(2, covered.ndim))
        if node.operator == "MaxPool":
            result.append(x.like(covered.max(axis=axes)))
        else:
            count = kernel if node.integer("count_include_pad", 0) else math.prod(covered.shape[2:])
            result.append(x.like(covered.sum(axis=axes)) / Exact.of(np.array(float(count))))
    e = result[0].e
    n = np.stack([r.n for r in result], -1).reshape(*x.shape[:2], *map(len, places))
    return Exact(n, e, rounded=any(r.rounded for r in result))
