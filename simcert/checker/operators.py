"""What each ONNX operator says, in affine steps and rectifiers; one function an operator."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simcert.checker.builder import Builder, Quantised, Traced, Value, digest, shape_of, spread
from simcert.checker.curves import CURVES
from simcert.checker.errors import CannotCheckError
from simcert.checker.linear import Convolution, Dense, Gather, Index
from simcert.checker.movement import MOVEMENTS, axes, moved, padded
from simcert.checker.onnxfile import Constant, Node

Operands = list[Value | None]

LARGEST_WINDOWS = 2**26
"""Elements of all windows of a convolution or pool."""

_FLOAT_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}
_INTEGER_TYPES = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64}

_LEAKY = float(np.float32(0.01))
_EPSILON = float(np.float32(1e-5))


def apply(builder: Builder, node: Node, operands: Operands) -> list[Value]:
    """Return the outputs of a node; those that are constants are found without steps.

    Raises:
        CannotCheckError: the operator, or this use of it, is not known.
    """
    builder.name = node.name or (node.outputs[0] if node.outputs else "")
    known = node.operator in OPERATORS or node.operator in MOVEMENTS
    if node.domain not in ("", "ai.onnx") or not known:
        raise CannotCheckError(f"the checker does not know the operator {node.operator!r}")
    if node.operator != "DequantizeLinear" and any(isinstance(x, Quantised) for x in operands):
        raise node.refused("of quantised numbers")
    if node.operator in MOVEMENTS:
        outputs = _move(node, operands)
    else:
        outputs = [OPERATORS[node.operator](builder, node, operands)]
    node.check_attributes()
    return outputs


def _traced(node: Node, operands: Operands, position: int = 0) -> Traced:
    value = operands[position] if position < len(operands) else None
    if not isinstance(value, Traced):
        raise node.refused("of constants")
    return value


def _given(node: Node, operands: Operands, position: int) -> Constant | None:
    """Return a constant operand, None where it is left out."""
    value = operands[position] if position < len(operands) else None
    if isinstance(value, Traced):
        raise node.refused("of two tensors that depend on the input")
    return value


def _constant(node: Node, operands: Operands, position: int) -> Constant:
    value = _given(node, operands, position)
    if value is None:
        raise node.refused(f"without operand {position}")
    return value


def _weights(node: Node, operands: Operands, position: int) -> Constant:
    value = _constant(node, operands, position)
    if value.dtype != np.float64:
        raise node.refused("with weights that are whole numbers")
    return value


def _present(node: Node, operands: Operands) -> list[Value]:
    found = [value for value in operands if value is not None]
    if not any(isinstance(value, Traced) for value in found):
        raise node.refused("of constants")
    return found


# -- constants and movements -----------------------------------------------------------------


def _move(node: Node, operands: Operands) -> list[Value]:
    """Move a constant, or the numbers of a tensor's elements."""
    x = operands[0] if operands else None
    constants = [_given(node, operands, i) if i else None for i in range(len(operands))]
    if isinstance(x, Traced):
        return [x.moved(index) for index in moved(node, x.index, constants)]
    return list(moved(node, _constant(node, operands, 0), constants))


def _literal(_builder: Builder, node: Node, _operands: Operands) -> Value:
    return node.tensor("value")


def _filled(_builder: Builder, node: Node, operands: Operands) -> Value:
    shape = [int(size) for size in _constant(node, operands, 0).reshape(-1)]
    value = node.tensor("value") if node.has("value") else np.zeros(1)
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST_WINDOWS:
        raise node.refused(f"with shape {shape}")
    filled: Constant = value.reshape(-1)[np.zeros(shape, dtype=np.intp)]
    return filled


def _shape(_builder: Builder, node: Node, operands: Operands) -> Value:
    """The batch of the checker is one sample, as the files are run."""
    x = operands[0]
    if x is None:
        raise node.refused("of nothing")
    end = node.integer("end", x.index.ndim if isinstance(x, Traced) else x.ndim)
    return np.array(x.shape[node.integer("start", 0) : end], dtype=np.int64)


def _cast(_builder: Builder, node: Node, operands: Operands) -> Value:
    """Only where no number changes; of tensors float32 to float32."""
    x, kind = operands[0], node.integer("to", 0)
    node.integer("saturate", 1)
    if isinstance(x, Traced):
        if kind != 1:
            raise node.refused("to another type than float32")
        return x
    values = _constant(node, operands, 0)
    target = _FLOAT_TYPES.get(kind) or _INTEGER_TYPES.get(kind)
    if target is None:
        raise node.refused(f"to type {kind}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(target)
    if (cast.astype(values.dtype) != values).any():
        raise node.refused("where numbers change")
    return cast.astype(np.float64) if kind in _FLOAT_TYPES else cast.astype(np.int64)


def _concat(builder: Builder, node: Node, operands: Operands) -> Value:
    """Tensors beside each other: one operand for each step that elements come from."""
    parts, axis = [value for value in operands if value is not None], node.integer("axis", 1)
    try:
        if not any(isinstance(part, Traced) for part in parts):
            return np.concatenate([part for part in parts if not isinstance(part, Traced)], axis)
        blocks = []
        for number, part in enumerate(parts):
            index = part.index if isinstance(part, Traced) else np.full(part.shape, -1)
            own = [
                index if other == number else np.full(p.shape, -1) for other, p in enumerate(parts)
            ]
            blocks.append(np.concatenate(own, axis))
        constants = [
            np.zeros(part.shape)
            if isinstance(part, Traced)
            else spread(part, part.shape).reshape(part.shape)
            for part in parts
        ]
        bias = np.concatenate(constants, axis).reshape(-1)
    except (ValueError, IndexError) as error:
        raise node.refused(f"of shapes {[part.shape for part in parts]}") from error
    moves = [
        builder.move(part, block)
        for part, block in zip(parts, blocks, strict=True)
        if isinstance(part, Traced)
    ]
    if len({source for source, _ in moves}) == 1 and not bias.any():
        return Traced(moves[0][0], np.maximum.reduce(blocks))
    return builder.affine(moves, bias, blocks[0].shape, terms=None)


def _pad(builder: Builder, node: Node, operands: Operands) -> Value:
    constants = [_given(node, operands, i) if i else None for i in range(len(operands))]
    value = constants[2] if len(constants) > 2 else None
    fill = node.real("value", 0.0) if value is None else float(value.reshape(-1)[0])
    x = operands[0]
    if not isinstance(x, Traced):
        return padded(node, _constant(node, operands, 0), constants, fill)
    index = padded(node, x.index, constants, -1)
    if fill == 0 or node.text("mode", "constant") != "constant":
        return x.moved(index)
    outside = padded(node, np.zeros(x.shape), constants, fill)
    return builder.affine([builder.move(x, index)], outside.reshape(-1), index.shape, terms=None)


_CODES = {2: (0, 255), 3: (-128, 127), 4: (0, 65_535), 5: (-32_768, 32_767)}
"""The least and the greatest number of each type that QuantizeLinear may make."""


def _grid(
    node: Node, operands: Operands, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scale and zero point of a tensor's elements, in its shape."""
    scale, zero = _weights(node, operands, 1), _given(node, operands, 2)
    axis, rank = node.integer("axis", 1), len(shape)
    if node.integer("block_size", 0):
        raise node.refused("with blocks")
    along = [1] * rank
    if scale.ndim == 1 and scale.size > 1:
        if not -rank <= axis < rank or shape[axis] != scale.size:
            raise node.refused(f"along axis {axis}")
        along[axis] = scale.size
    elif scale.size != 1:
        raise node.refused("with blocks")
    if (scale.astype(np.float32) != scale).any() or not (scale > 0).all():
        raise node.refused("with a scale of type float64, or one that is not positive")
    zero = np.zeros(1, dtype=np.int64) if zero is None else zero
    if zero.size not in (1, scale.size) or zero.dtype != np.int64:
        raise node.refused("with another form of zero points")
    found = (
        np.broadcast_to(values.reshape(along if values.size > 1 else [1] * rank), shape)
        for values in (scale, zero)
    )
    return next(found).astype(np.float64), next(found).astype(np.int64)


def _dequantize(_builder: Builder, node: Node, operands: Operands) -> Value:
    """(x − zero point) · scale of a constant, exact in float64 up to 29 bits; of codes, as made."""
    x = operands[0]
    if isinstance(x, Quantised):
        scale, zero = _grid(node, operands, x.shape)
        if (scale != x.scale).any() or (zero != x.zero).any():
            raise node.refused("with other parameters than its quantiser")
        return x.moved(x.index)
    x = _constant(node, operands, 0)
    scale, zero = _grid(node, operands, x.shape)
    if x.dtype != np.int64:
        raise node.refused("of floats")
    shifted = x - zero
    if shifted.size and np.abs(shifted).max() >= 2**29:
        raise node.refused("of numbers that are too large to be exact")
    return shifted.astype(np.float64) * scale


def _quantize(builder: Builder, node: Node, operands: Operands) -> Value:
    """The multiple of scale that DequantizeLinear will make; its code is saturated."""
    x = _traced(node, operands)
    scale, zero = _grid(node, operands, x.shape)
    node.integer("saturate", 1)
    kind = (
        node.types[2] if _given(node, operands, 2) is not None else node.integer("output_dtype", 2)
    )
    if kind not in _CODES or node.integer("output_dtype", kind) not in (0, kind):
        raise node.refused(f"to type {kind}")
    lower, upper = (scale * (code - zero) for code in _CODES[kind])
    made = builder.quantise(x, scale, lower, upper)
    return Quantised(made.step, made.index, scale, zero)


# -- affine ----------------------------------------------------------------------------------


def _sum(builder: Builder, node: Node, operands: Operands) -> Value:
    terms = _present(node, operands)
    signs = [-1.0 if node.operator == "Sub" and i else 1.0 for i in range(len(terms))]
    if len(terms) == 1:
        return terms[0]
    return builder.combine(list(zip(signs, terms, strict=True)))


def _multiply(builder: Builder, node: Node, operands: Operands) -> Value:
    x, y = operands
    if isinstance(x, Traced) and isinstance(y, Traced):
        return builder.product(x, y)
    turned = isinstance(operands[1], Traced)
    x = _traced(node, operands, int(turned))
    return builder.scale(x, _weights(node, operands, int(not turned)))


def _divide(builder: Builder, node: Node, operands: Operands) -> Value:
    numerator, denominator = operands
    if isinstance(denominator, Traced):
        inverse = builder.smooth(denominator, CURVES["Reciprocal"])
        if isinstance(numerator, Traced):
            return builder.product(numerator, inverse)
        return builder.scale(inverse, _weights(node, operands, 0))
    x, divisor = _traced(node, operands), _weights(node, operands, 1)
    if not divisor.all():
        raise node.refused("by zero")
    return builder.scale(x, 1.0 / divisor, rounded=_inexact(divisor))


def _negate(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.combine([(-1.0, _traced(node, operands))])


def _gemm(builder: Builder, node: Node, operands: Operands) -> Value:
    x, weight = _traced(node, operands), _weights(node, operands, 1)
    x = x.moved(x.index.T) if node.integer("transA", 0) else x
    weight = weight if node.integer("transB", 0) else weight.T
    if weight.ndim != 2 or x.index.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    shape = (x.shape[0], len(weight))
    shift = _given(node, operands, 2)
    bias = np.zeros(math.prod(shape)) if shift is None else spread(shift, shape)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    rounded = "" if alpha == beta == 1 else digest(weight, bias, alpha, beta)
    dense = Dense(np.ascontiguousarray(alpha * weight), outer=shape[0])
    return builder.affine(
        [(builder.flat(x), dense)], beta * bias, shape, terms=dense.terms, rounded=rounded
    )


def _matmul(builder: Builder, node: Node, operands: Operands) -> Value:
    if isinstance(operands[0], Traced):
        return _product(builder, node, operands[0], _weights(node, operands, 1))
    weight, x = _weights(node, operands, 0), _traced(node, operands, 1)
    if weight.ndim != 2 or x.index.ndim != 2:
        raise node.refused(f"of shapes {weight.shape} and {x.shape}")
    product = _product(builder, node, x.moved(x.index.T), weight.T)
    return product.moved(product.index.T)


def _product(builder: Builder, node: Node, x: Traced, weight: Constant) -> Traced:
    """Return x W for x (…, k) and a constant W (k, m)."""
    lead = weight.shape[:-2] if weight.ndim > 2 else ()
    if math.prod(lead) != 1 or weight.ndim < 2 or x.index.ndim < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    x = x.moved(x.index.reshape((1,) * (len(lead) + 2 - x.index.ndim) + x.shape)) if lead else x
    weight = weight.reshape(weight.shape[-2:])
    if x.shape[-1] != len(weight):
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    dense = Dense(np.ascontiguousarray(weight.T), outer=math.prod(x.shape[:-1]))
    shape = (*x.shape[:-1], len(dense.weight))
    return builder.affine([(builder.flat(x), dense)], None, shape, terms=dense.terms)


def _convolve(builder: Builder, node: Node, operands: Operands) -> Value:
    x, weight = _traced(node, operands), _weights(node, operands, 1)
    groups = node.integer("group", 1)
    if x.index.ndim != weight.ndim or weight.ndim < 3 or x.shape[0] != 1 or groups < 1:
        raise node.refused(f"of shapes {x.shape} and {weight.shape}")
    if x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise node.refused(f"of shapes {x.shape} and {weight.shape} in {groups} groups")
    frame = _Frame(node, x.shape[2:], list(weight.shape[2:]))
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
    shift = _given(node, operands, 2)
    channels = np.zeros(len(weight)) if shift is None else spread(shift, (len(weight),))
    bias = np.repeat(channels, math.prod(linear.result[1:]))
    return builder.affine(
        [(builder.flat(x), linear)], bias, (1, *linear.result), terms=linear.terms
    )


def _normalise(builder: Builder, node: Node, operands: Operands) -> Value:
    """BatchNormalization: x · factor + (shift − mean · factor)."""
    x = _traced(node, operands)
    node.real("momentum", 0.9)
    if node.integer("training_mode", 0) or not node.integer("spatial", 1):
        raise node.refused("in training mode or without channels")
    scale, shift, mean, variance = (
        spread(_weights(node, operands, i), (x.shape[1],)) for i in range(1, 5)
    )
    epsilon = node.real("epsilon", _EPSILON)
    if not (variance + epsilon > 0).all():
        raise node.refused("with a variance that is not positive")
    factor = scale / np.sqrt(variance + epsilon)
    own = np.indices(x.shape)[1].reshape(-1)
    moved_by = mean * factor
    source, linear = builder.move(x, x.index)
    return builder.affine(
        [(source, linear.with_weight(factor[own]))],
        (shift - moved_by)[own],
        x.shape,
        terms=1,
        rounded=digest(scale, shift, mean, variance, epsilon),
        bias_size=(np.abs(shift) + np.abs(moved_by))[own],
    )


# -- pools and reductions --------------------------------------------------------------------


class _Frame:
    """Where windows stand, one entry for each spatial axis.

    ``after`` includes what a last, incomplete window reaches beyond the padding (``overhang``).
    """

    def __init__(self, node: Node, size: tuple[int, ...], kernel: list[int]) -> None:
        rank = len(size)
        self.size, self.kernel = size, node.integers("kernel_shape", kernel)
        self.strides = node.integers("strides", [1] * rank)
        self.dilations = node.integers("dilations", [1] * rank)
        pads, mode = node.integers("pads", [0] * (2 * rank)), node.text("auto_pad", "NOTSET")
        ceil = bool(node.integer("ceil_mode", 0)) if "Pool" in node.operator else False
        lengths = {len(self.kernel), len(self.strides), len(self.dilations), len(kernel)}
        numbers = (*self.kernel, *self.strides, *self.dilations)
        if lengths != {rank} or len(pads) != 2 * rank or min(numbers) < 1 or min(pads) < 0:
            raise node.refused(f"with windows of {self.kernel} over {size}")
        if self.kernel != kernel:
            raise node.refused("with another kernel_shape than the weight's")
        if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise node.refused(f"with auto_pad {mode}")
        self.before, self.after, self.overhang = [0] * rank, [0] * rank, [0] * rank
        for i, (length, stride) in enumerate(zip(size, self.strides, strict=True)):
            reach = self.dilations[i] * (self.kernel[i] - 1) + 1
            if mode == "NOTSET":
                self.before[i], self.after[i] = pads[i], pads[rank + i]
            elif mode != "VALID":
                total = max(0, (-(-length // stride) - 1) * stride + reach - length)
                small, large = total // 2, total - total // 2
                upper = mode == "SAME_UPPER"
                self.before[i], self.after[i] = (small, large) if upper else (large, small)
            room = length + self.before[i] + self.after[i] - reach
            if room < 0:
                raise node.refused(f"with windows of {self.kernel} over {size}")
            if ceil and room % stride:
                last = -(-room // stride) * stride
                # A window that would start behind the input is left out.
                if last < length + self.before[i]:
                    self.overhang[i] = last - room
            self.after[i] += self.overhang[i]

    def windows(self, outside: int) -> Index:
        """Return the elements of each window, (positions, kernel); −1 in the padding.

        Args:
            outside: stands for what is beyond the padding.
        """
        index = np.arange(math.prod(self.size)).reshape(self.size)
        ends = zip(self.before, self.after, self.overhang, strict=True)
        index = np.pad(index, [(b, a - o) for b, a, o in ends], constant_values=-1)
        index = np.pad(index, [(0, o) for o in self.overhang], constant_values=outside)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True)]
        view = np.lib.stride_tricks.sliding_window_view(index, reach)
        steps = [*(slice(None, None, s) for s in self.strides)]
        view = view[(*steps, *(slice(None, None, d) for d in self.dilations))]
        self.result = view.shape[: len(self.size)]
        return view.reshape(math.prod(self.result), -1)


def _chosen(x: Traced, windows: Index) -> Index:
    """Return elements of the step behind x (1, channels, …), (channels · windows, kernel)."""
    planes = x.index.reshape(x.shape[1], -1)
    planes = np.hstack([planes, np.full((len(planes), 1), -1)])
    return planes[:, np.maximum(windows, -1)].reshape(-1, windows.shape[1])


def _pool_frame(node: Node, x: Traced) -> _Frame:
    if x.index.ndim < 3 or x.shape[0] != 1 or node.integer("storage_order", 0):
        raise node.refused(f"of shape {x.shape}")
    return _Frame(node, x.shape[2:], node.integers("kernel_shape", []))


def _average_pool(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _traced(node, operands)
    frame = _pool_frame(node, x)
    windows = frame.windows(outside=-2)
    if windows.size * x.shape[1] > LARGEST_WINDOWS:
        raise node.refused("that is so large")
    least = -1 if node.integer("count_include_pad", 0) else 0
    count = np.tile((windows >= least).sum(axis=1), x.shape[1]).astype(np.float64)
    if not count.all():
        raise node.refused("with a window of padding alone")
    return _mean(builder, x, _chosen(x, windows), count, (1, x.shape[1], *frame.result))


def _mean(
    builder: Builder, x: Traced, groups: Index, count: Constant, shape: tuple[int, ...]
) -> Traced:
    """Append the sums of elements of the step behind x, divided by ``count``."""
    linear = Gather(1.0 / count, groups, builder.size(x))
    rounded = _inexact(count)
    return builder.affine([(x.step, linear)], None, shape, terms=groups.shape[1], rounded=rounded)


def _inexact(divisor: Constant) -> str:
    """Return a name of inverses that float64 does not hold; none for powers of two."""
    exact = np.abs(np.frexp(divisor)[0]) == 0.5
    return "" if exact.all() else digest(divisor)


def _reduced(node: Node, operands: Operands, x: Traced) -> tuple[Index, tuple[int, ...]]:
    """Return the elements that are reduced together, (outputs, k), and the shape of the result."""
    rank = x.index.ndim
    if node.operator.startswith("Global"):
        chosen, keep = list(range(2, rank)), True
    else:
        constants = [_given(node, operands, i) if i else None for i in range(len(operands))]
        chosen = axes(node, constants, 1, rank)
        if not chosen and node.integer("noop_with_empty_axes", 0):
            raise node.refused("of no axes")
        chosen, keep = chosen or list(range(rank)), bool(node.integer("keepdims", 1))
    rest = [axis for axis in range(rank) if axis not in chosen]
    groups = np.transpose(x.index, [*rest, *chosen])
    shape = [1 if axis in chosen else n for axis, n in enumerate(x.shape)]
    outputs = math.prod(x.shape[axis] for axis in rest)
    kept = shape if keep else [x.shape[axis] for axis in rest]
    return groups.reshape(outputs, -1), tuple(kept)


def _reduce_mean(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _traced(node, operands)
    groups, shape = _reduced(node, operands, x)
    size = 1 if node.operator == "ReduceSum" else groups.shape[1]
    return _mean(builder, x, groups, np.full(len(groups), float(size)), shape)


def _reduce_max(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _traced(node, operands)
    groups, shape = _reduced(node, operands, x)
    return _maximum_of(builder, x, groups, shape)


def _max_pool(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _traced(node, operands)
    frame = _pool_frame(node, x)
    windows = frame.windows(outside=-1)
    if (windows < 0).all(axis=1).any() or windows.size * x.shape[1] > LARGEST_WINDOWS:
        raise node.refused("with a window of padding alone, or so large")
    # Padding never wins: an element that the window has anyway stands in for it.
    windows = np.where(windows < 0, windows.max(axis=1, keepdims=True), windows)
    return _maximum_of(builder, x, _chosen(x, windows), (1, x.shape[1], *frame.result))


def _maximum_of(builder: Builder, x: Traced, groups: Index, shape: tuple[int, ...]) -> Traced:
    """Return the maximum of each row of ``groups``, pair by pair."""
    rest = [x.moved(column) for column in groups.T]
    while len(rest) > 1:
        pairs = zip(rest[::2], rest[1::2], strict=False)
        rest = [builder.maximum(a, b) for a, b in pairs] + rest[len(rest) - len(rest) % 2 :]
    return rest[0].moved(rest[0].index.reshape(shape))


# -- piecewise linear ------------------------------------------------------------------------


def _relu(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.relu(_traced(node, operands))


def _leaky(builder: Builder, node: Node, operands: Operands) -> Value:
    """LeakyRelu and PRelu: r + α (x − r), r = relu(x)."""
    x = _traced(node, operands)
    if node.operator == "PRelu":
        slope = _weights(node, operands, 1)
    else:
        slope = np.array(node.real("alpha", _LEAKY))
    if shape_of(x, slope) != x.shape:
        raise node.refused(f"with slopes of shape {slope.shape}")
    positive = builder.relu(x)
    negative = builder.combine([(1.0, x), (-1.0, positive)], computed=False)
    return builder.combine([(1.0, positive), (1.0, builder.scale(negative, slope))], computed=False)


def _clip(builder: Builder, node: Node, operands: Operands) -> Value:
    x = _traced(node, operands)
    low, high = (
        node.real(name, default) if value is None else float(value.reshape(-1)[0])
        for name, default, value in (
            ("min", -math.inf, _given(node, operands, 1)),
            ("max", math.inf, _given(node, operands, 2)),
        )
    )
    if not low <= high:
        raise node.refused(f"to [{low}, {high}]")
    result: Value = x
    if low > -math.inf:
        result = builder.maximum(x, np.array(low))
    if high < math.inf:
        over = builder.relu(builder.combine([(1.0, x), (-1.0, np.array(high))], computed=False))
        result = builder.combine([(1.0, result), (-1.0, over)], computed=False)
    return result


def _absolute(builder: Builder, node: Node, operands: Operands) -> Value:
    """|x| is relu(x) + relu(−x)."""
    x = _traced(node, operands)
    negated = builder.combine([(-1.0, x)])
    return builder.combine([(1.0, builder.relu(x)), (1.0, builder.relu(negated))], computed=False)


def _extremum(builder: Builder, node: Node, operands: Operands) -> Value:
    result, *rest = _present(node, operands)
    for value in rest:
        if not isinstance(result, Traced) and not isinstance(value, Traced):
            choose = np.maximum if node.operator == "Max" else np.minimum
            result = choose(result, value)
        else:
            choose_ = builder.maximum if node.operator == "Max" else builder.minimum
            result = choose_(result, value)
    return result


def _smooth(builder: Builder, node: Node, operands: Operands) -> Value:
    return builder.smooth(_traced(node, operands), CURVES[node.operator])


OPERATORS: dict[str, Callable[[Builder, Node, Operands], Value]] = {
    "Abs": _absolute,
    "Add": _sum,
    "AveragePool": _average_pool,
    "BatchNormalization": _normalise,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _literal,
    "ConstantOfShape": _filled,
    "Conv": _convolve,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Gemm": _gemm,
    "GlobalAveragePool": _reduce_mean,
    "GlobalMaxPool": _reduce_max,
    "LeakyRelu": _leaky,
    "MatMul": _matmul,
    "Max": _extremum,
    "MaxPool": _max_pool,
    "Min": _extremum,
    "Mul": _multiply,
    "Neg": _negate,
    "PRelu": _leaky,
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_mean,
    "Relu": _relu,
    "Shape": _shape,
    "Sub": _sum,
    "Sum": _sum,
    **dict.fromkeys(CURVES, _smooth),
}
"""How each operator is written, beside the movements."""
