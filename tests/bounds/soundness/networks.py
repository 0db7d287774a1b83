"""Random small networks over every operator that can be lowered, their compressed copies, boxes.

Weights come in styles that hurt: eight orders of magnitude in one matrix, powers of two that absorb
what is added to them, denormals, and numbers whose products overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from simcert.model.graph import Attribute, Graph, Node, TensorInfo
from soundness.exact import Exact, run

Random = np.random.Generator

MODERATE = ("plain", "plain", "integer", "wide", "absorbing")
STYLES = ("plain", "plain", "integer", "wide", "absorbing", "tiny", "huge", "denormal")
COMPRESSIONS = (
    "same",
    "float16",
    "int8",
    "pruned",
    "noise",
    "ulp",
    "one",
    "unrelated",
    "architecture",
)
BOXES = ("unit", "small", "ulp", "point", "mixed", "offset", "large", "origin", "positive", "atom")


def numbers(random: Random, style: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of one style, mostly such as float32 holds."""
    sign = random.choice([-1.0, 1.0], shape)
    match style:
        case "integer":
            values = random.integers(-4, 5, shape).astype(np.float64)
        case "wide":
            values = sign * 10.0 ** random.uniform(-8, 8, shape)
        case "absorbing":
            pool = [2.0**24, 1.0, 1.0, 0.5, 2.0**53, 2.0**-30, 1 / 3]
            values = sign * random.choice(pool, shape)
        case "tiny":
            values = sign * 10.0 ** random.uniform(-44, -30, shape)
        case "huge":
            values = sign * 10.0 ** random.uniform(25, 38, shape)
        case "denormal":
            values = sign * random.choice([5e-324, 1e-310, 1e-160, 1e160, 1.0, 1e300], shape)
            return np.where(random.random(shape) < 0.1, 0.0, values)
        case _:
            values = random.standard_normal(shape)
    values = np.where(random.random(shape) < 0.05, 0.0, values)
    return values.astype(np.float32).astype(np.float64) if random.random() < 0.8 else values


@dataclass
class Net:
    """A graph under construction; `top` is the tensor that the next operator reads."""

    random: Random
    style: str
    shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    top: str = "x"

    def __post_init__(self) -> None:
        self.values: dict[str, Exact | np.ndarray] = {"x": Exact.of(np.zeros(self.shape))}
        self.input_shape = self.shape

    def constant(self, array: np.ndarray, kind: str) -> str:
        """`kind`: weight (a compression changes it), positive (it stays positive), fixed."""
        name = f"{kind}{len(self.constants)}"
        self.constants[name] = array
        self.values[name] = Exact.of(array) if array.dtype.kind == "f" else array
        return name

    def weight(self, *shape: int) -> str:
        style = self.style if self.random.random() < 0.7 else "plain"
        return self.constant(numbers(self.random, style, shape), "weight")

    def positive(self, *shape: int) -> str:
        return self.constant(self.random.uniform(0.1, 3.0, shape), "positive")

    def whole(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64), "fixed")

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Attribute) -> str:
        """Append a node; its (first) output becomes the top."""
        count = len(self.nodes)
        names = tuple(f"t{count}_{i}" for i in range(outputs))
        node = Node(operator, f"n{count}", inputs, names, attributes, 18)
        self.nodes.append(node)
        results = run(node, [self.values[name] if name else None for name in inputs])
        self.values.update(zip(names, results, strict=True))
        self.top = names[0]
        self.shape = results[0].shape
        return names[0]

    @property
    def rank(self) -> int:
        return len(self.shape)

    def spatial(self) -> None:
        """Make the top an image, (1, channels, height, width)."""
        if self.rank != 4:
            size = math.prod(self.shape)
            self.add("Reshape", self.top, self.whole(1, 1, 1, size))

    def flat(self) -> None:
        """Make the top a row, (1, n)."""
        if self.rank != 2 or self.shape[0] != 1:
            size = math.prod(self.shape)
            self.add("Reshape", self.top, self.whole(1, size))

    def dense(self, outputs: int | None = None) -> None:
        outputs = int(self.random.integers(1, 7)) if outputs is None else outputs
        self.flat()
        self.add(
            "Gemm",
            self.top,
            self.weight(outputs, self.shape[1]),
            self.weight(outputs),
            transB=1,
        )

    def graph(self) -> Graph:
        kind = np.dtype(np.float64)
        return Graph(
            TensorInfo("x", self.input_shape, kind),
            TensorInfo(self.top, self.shape, kind),
            tuple(self.nodes),
            dict(self.constants),
            18,
        )


def _gemm(net: Net) -> None:
    net.flat()
    random, outputs = net.random, int(net.random.integers(1, 6))
    variant = random.integers(4)
    if variant == 0:
        net.add("Gemm", net.top, net.weight(net.shape[1], outputs))
    elif variant == 1:
        weight, bias = net.weight(outputs, net.shape[1]), net.weight(1, outputs)
        net.add("Gemm", net.top, weight, bias, transB=1, alpha=0.3, beta=float(random.normal()))
    elif variant == 2:
        size = net.shape[1]
        net.add("Transpose", net.top, perm=(1, 0))
        net.add("Gemm", net.top, net.weight(size, outputs), net.weight(outputs), transA=1)
    else:
        net.dense()


def _matmul(net: Net) -> None:
    weight = net.weight(net.shape[-1], int(net.random.integers(1, 5)))
    net.add("MatMul", net.top, weight)
    if net.random.random() < 0.5:
        net.add("Add", net.top, net.weight(net.shape[-1]))


def _binary(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        random, before = net.random, net.top
        variant = random.integers(4)
        if operator in ("Mul", "Div") or variant == 0:
            own = net.positive if operator == "Div" else net.weight
            net.add(operator, before, own(*net.shape[1:] if random.random() < 0.5 else ()))
        elif variant == 1 and operator != "Sum":
            other = net.weight(*net.shape)
            net.add("Relu", before)
            net.add("Sub" if operator == "Sub" else operator, before, other)
        elif variant == 2:
            net.add("Relu", before)
            net.add(operator, net.top, before)  # a residual connection
        else:
            net.add("Mul", before, net.weight(net.shape[-1]))
            net.add("Relu", net.top)
            net.add(operator, before, net.top)

    return apply


def _sum(net: Net) -> None:
    before = net.top
    net.add("Relu", before)
    others = [net.weight(net.shape[-1]) for _ in range(net.random.integers(1, 4))]
    net.add("Sum", before, *others, net.top)


def _extremum(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        before = net.top
        net.add("Mul", before, net.weight(net.shape[-1]))
        others = [net.weight(net.shape[-1])] if net.random.random() < 0.5 else []
        net.add(operator, before, net.top, *others)

    return apply


def _unary(operator: str) -> Callable[[Net], None]:
    return lambda net: void(net.add(operator, net.top))


def void(_: object) -> None:
    """Drop a value."""


def _leaky(net: Net) -> None:
    if net.random.random() < 0.5:
        net.add("LeakyRelu", net.top)
    else:
        net.add("LeakyRelu", net.top, alpha=float(net.random.choice([0.3, -0.7, 1.5, 1.0, 1e-30])))


def _prelu(net: Net) -> None:
    shape = (net.shape[1], *(1,) * (net.rank - 2)) if net.random.random() < 0.5 else (1,)
    net.add("PRelu", net.top, net.weight(*shape))


def _clip(net: Net) -> None:
    low, high = np.sort(numbers(net.random, net.style, (2,)))
    variant = net.random.integers(4)
    if variant == 0:
        net.add("Clip", net.top, min=float(low), max=float(high))
    else:
        names = [net.constant(np.array(v), "fixed") for v in (low, high)]
        net.add("Clip", net.top, names[0] if variant != 1 else "", names[1] if variant != 2 else "")


def _convolution(net: Net) -> None:
    net.spatial()
    random, channels = net.random, net.shape[1]
    groups = int(random.choice([k for k in range(1, channels + 1) if channels % k == 0]))
    outputs = groups * int(random.integers(1, 3))
    kernel, strides, dilations, pads = [], [], [], [[], []]
    for size in net.shape[2:]:
        k = int(random.integers(1, min(3, size) + 1))
        d = int(random.integers(1, 3)) if size >= 2 * (k - 1) + 1 else 1
        kernel.append(k)
        dilations.append(d)
        strides.append(int(random.integers(1, 3)))
        pads[0].append(int(random.integers(0, k)))
        pads[1].append(int(random.integers(0, k)))
    weight = net.weight(outputs, channels // groups, *kernel)
    bias = [net.weight(outputs)] if random.random() < 0.7 else []
    net.add(
        "Conv",
        net.top,
        weight,
        *bias,
        group=groups,
        strides=tuple(strides),
        dilations=tuple(dilations),
        pads=(*pads[0], *pads[1]),
    )


def _batch_normalization(net: Net) -> None:
    channels = net.shape[1]
    net.add(
        "BatchNormalization",
        net.top,
        net.weight(channels),
        net.weight(channels),
        net.weight(channels),
        net.positive(channels),
    )


def _pool(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        net.spatial()
        random, kernel, pads = net.random, [], [[], []]
        for size in net.shape[2:]:
            k = int(random.integers(1, min(3, size) + 1))
            kernel.append(k)
            pads[0].append(int(random.integers(0, k)))
            pads[1].append(int(random.integers(0, k)))
        strides = tuple(int(s) for s in random.integers(1, 3, len(kernel)))
        own = {"kernel_shape": tuple(kernel), "strides": strides, "pads": (*pads[0], *pads[1])}
        if operator == "AveragePool":
            own["count_include_pad"] = int(random.integers(2))
        net.add(operator, net.top, **own)

    return apply


def _global(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        net.spatial()
        net.add(operator, net.top)

    return apply


def _reduction(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        if net.rank == 2:
            net.add("Reshape", net.top, net.whole(1, -1, 1))
        axis = int(net.random.integers(1, net.rank))
        keep = int(net.random.integers(2))
        net.add(operator, net.top, net.whole(axis), keepdims=keep)

    return apply


def _pad(net: Net) -> None:
    pads = [int(p) for p in net.random.integers(0, 2, 2 * net.rank)]
    pads[0] = pads[net.rank] = 0
    if net.random.random() < 0.3:
        net.add("Pad", net.top, net.whole(*pads), mode="edge")
    elif net.random.random() < 0.5:
        net.add("Pad", net.top, net.whole(*pads), net.weight())
    else:
        net.add("Pad", net.top, net.whole(*pads))


def _reshape(net: Net) -> None:
    net.add("Reshape", net.top, net.whole(1, -1) if net.rank > 2 else net.whole(0, -1, 1))


def _transpose(net: Net) -> None:
    order = [0, *(1 + net.random.permutation(net.rank - 1))]
    net.add("Transpose", net.top, perm=tuple(int(a) for a in order))


def _squeeze(net: Net) -> None:
    net.add("Unsqueeze", net.top, net.whole(1))
    net.add("Relu", net.top)
    net.add("Squeeze", net.top, net.whole(1))


def _unsqueeze(net: Net) -> None:
    net.add("Unsqueeze", net.top, net.whole(int(net.random.integers(1, net.rank + 1))))


def _concat(net: Net) -> None:
    before = net.top
    net.add("Relu", before)
    parts = [net.top, before]
    if net.random.random() < 0.5:
        parts.insert(1, net.weight(*net.shape))
    net.add("Concat", *parts, axis=1)


def _slice(net: Net) -> None:
    axis = int(net.random.integers(1, net.rank))
    size = net.shape[axis]
    if net.random.random() < 0.5:
        start, end, step = 0, max(1, size - 1), 1
    else:
        start, end, step = size - 1, -size - 1, -int(net.random.integers(1, 3))
    net.add("Slice", net.top, *map(net.whole, (start, end, axis, step)))


def _gather(net: Net) -> None:
    axis = int(net.random.integers(1, net.rank))
    index = net.random.integers(-net.shape[axis], net.shape[axis], net.random.integers(1, 4))
    net.add("Gather", net.top, net.whole(*index.tolist()), axis=axis)


def _split(net: Net) -> None:
    axis = int(net.random.integers(1, net.rank))
    size = net.shape[axis]
    if size < 2:
        net.add("Concat", net.top, net.top, axis=axis)
        size = net.shape[axis]
    first = net.add("Split", net.top, net.whole(1, size - 1), outputs=2, axis=axis)
    second = first[:-1] + "1"
    net.add("Sub", second, first)


def _expand(net: Net) -> None:
    size = math.prod(net.shape)
    net.add("Reshape", net.top, net.whole(1, size, 1))
    net.add("Expand", net.top, net.whole(1, 1, 2))


def _calm(net: Net) -> None:
    """Bring the top to moderate size, so that a curved function has something to do."""
    if net.random.random() < 0.8:
        net.add("Clip", net.top, min=-6.0, max=6.0)


def _curved(operator: str, *, positive: bool = False) -> Callable[[Net], None]:
    """A function of each element; of positive ones, where it needs them."""

    def apply(net: Net) -> None:
        if positive or operator == "Exp":
            net.add("Clip", net.top, min=-6.0, max=6.0)
        else:
            _calm(net)
        if positive:
            net.add("Abs", net.top)
            net.add("Add", net.top, net.positive(1))
        own: dict[str, Attribute] = {}
        if operator in ("Elu", "Celu", "Selu") and net.random.random() < 0.6:
            own["alpha"] = float(net.random.choice([0.3, 1.0, 1.7]))
        if operator == "Gelu" and net.random.random() < 0.5:
            own["approximate"] = "tanh"
        if operator == "HardSigmoid" and net.random.random() < 0.5:
            own["alpha"] = float(net.random.choice([0.5, -0.25]))
        net.add(operator, net.top, **own)

    return apply


def _gated(operator: str) -> Callable[[Net], None]:
    """x times a gate of x, as exporters write activations out."""

    def apply(net: Net) -> None:
        _calm(net)
        x = net.top
        if operator == "Tanh" and net.random.random() < 0.5:
            net.add("Softplus", x)
        net.add(operator, net.top)
        if net.random.random() < 0.5:
            net.add("Mul", x, net.top)

    return apply


def _error_function(net: Net) -> None:
    """Erf, also as a part of Gelu."""
    _calm(net)
    x = net.top
    root = net.constant(np.array(float(np.float32(2**0.5))), "fixed")
    net.add("Erf", net.add("Div", x, root))
    if net.random.random() < 0.5:
        one = net.constant(np.array(1.0), "fixed")
        half = net.constant(np.array(0.5), "fixed")
        net.add("Mul", net.add("Mul", x, net.add("Add", net.top, one)), half)


def _exponent(net: Net) -> None:
    p = float(net.random.choice([2, 3, 4, -1, -2, 0.5, -0.5, 1.5, 1]))
    net.add("Clip", net.top, min=-6.0, max=6.0)
    if p < 0 or p != int(p):
        net.add("Abs", net.top)
        net.add("Add", net.top, net.positive(1))
    net.add("Pow", net.top, net.constant(np.array(p), "fixed"))


def _staircase(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        _calm(net)
        net.add(operator, net.top)

    return apply


def _compared(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        other = net.weight(net.shape[-1])
        if net.random.random() < 0.3:
            other = net.add("Relu", before := net.top)
            net.add(operator, before, other)
        else:
            net.add(operator, net.top, other)
        net.add("Cast", net.top, to=1)

    return apply


def _place(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        if net.random.random() < 0.5:
            net.add("Relu", net.top)  # zeros make ties
        axis = int(net.random.integers(1, len(net.shape)))
        net.add(operator, net.top, axis=axis, select_last_index=int(net.random.integers(2)))
        net.add("Cast", net.top, to=1)

    return apply


def _logic(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        x = net.top
        first = net.add("Greater", x, net.weight(net.shape[-1]))
        second = net.add("Less", x, net.weight(net.shape[-1]))
        if operator == "Not":
            net.add("Not", first)
        else:
            net.add(operator, first, second)
        net.add("Cast", net.top, to=1)

    return apply


def _where(net: Net) -> None:
    x = net.top
    condition = net.add("Greater", x, net.weight(net.shape[-1]))
    net.add("Relu", x)
    options = [x, net.top, net.weight(net.shape[-1]), net.weight(net.shape[-1])]
    first, second = net.random.permutation(4)[:2]
    net.add("Where", condition, options[first], options[second])


def _cast(net: Net) -> None:
    if net.random.random() < 0.5:
        net.add("Cast", net.top, to=1)
    else:
        net.add("Relu", net.top)
        net.add("Cast", net.top, to=9)
        net.add("Cast", net.top, to=1)


def _product(net: Net) -> None:
    """A product of two activations, or a square."""
    x = net.top
    if net.random.random() < 0.3:
        net.add("Mul", x, x)
    else:
        net.add("Relu", net.add("Mul", x, net.weight(net.shape[-1])))
        net.add("Mul", x, net.top)


def _quotient(net: Net) -> None:
    x = net.top
    net.add("Add", net.add("Abs", x), net.positive(1))
    net.add("Div", x if net.random.random() < 0.7 else net.weight(net.shape[-1]), net.top)


def _attention(net: Net) -> None:
    """A matrix product of two activations."""
    size = math.prod(net.shape)
    left = net.add("Reshape", net.top, net.whole(1, size, 1))
    net.add("Mul", left, net.weight(size, 1))
    right = net.add("Transpose", net.top, perm=(0, 2, 1))
    net.add("MatMul", right, left) if net.random.random() < 0.5 else net.add("MatMul", left, right)


def _norm(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        _calm(net)
        if net.rank <= 2:
            net.add("Reshape", net.top, net.whole(1, -1, 1))
        axis, keep = int(net.random.integers(1, net.rank)), int(net.random.integers(2))
        net.add(operator, net.top, net.whole(axis), keepdims=keep)

    return apply


def _softmax(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        _calm(net)
        if net.rank < 2:
            net.flat()
        net.add(operator, net.top, axis=int(net.random.integers(1, net.rank)))

    return apply


def _normalisation(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        _calm(net)
        if operator == "LayerNormalization":
            size = net.shape[-1]
            net.add(operator, net.top, net.weight(size), net.weight(size))
            return
        net.spatial()
        channels = net.shape[1]
        own: dict[str, Attribute] = {}
        if operator == "GroupNormalization":
            own["num_groups"] = channels if net.random.random() < 0.5 else 1
        net.add(operator, net.top, net.weight(channels), net.weight(channels), **own)

    return apply


_LONGEST = 4
"""Steps of a sequence."""


def _recurrent(operator: str, gates: int) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        _calm(net)
        if math.prod(net.shape) > _LONGEST:
            net.dense(_LONGEST)
        size, hidden = math.prod(net.shape), int(net.random.integers(1, 3))
        net.add("Reshape", net.top, net.whole(size, 1, 1))
        own: dict[str, Attribute] = {"hidden_size": hidden}
        if operator == "GRU":
            own["linear_before_reset"] = int(net.random.integers(2))
        rows = gates * hidden
        parameters = [(1, rows, 1), (1, rows, hidden), (1, 2 * rows)]
        net.add(operator, net.top, *(net.weight(*shape) for shape in parameters), **own)

    return apply


def _transposed(net: Net) -> None:
    net.spatial()
    strides = tuple(int(s) for s in net.random.integers(1, 3, 2))
    kernel = [int(k) for k in net.random.integers(1, 3, 2)]
    outputs = int(net.random.integers(1, 3))
    net.add("ConvTranspose", net.top, net.weight(net.shape[1], outputs, *kernel), strides=strides)


def _tile(net: Net) -> None:
    net.add(
        "Tile", net.top, net.whole(1, *(int(k) for k in net.random.integers(1, 3, net.rank - 1)))
    )


def _repeated(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        net.spatial()
        scales = net.constant(np.array([1.0, 1.0, 2.0, 1.0]), "fixed")
        if operator == "Resize":
            net.add("Resize", net.top, "", scales, coordinate_transformation_mode="asymmetric")
        else:
            net.add("Upsample", net.top, scales)

    return apply


def _shuffled(operator: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        shape = (1, 4, 1, -1) if operator == "DepthToSpace" else (1, -1, 2, 2)
        if math.prod(net.shape) % 4:
            net.dense(8)
        net.add("Reshape", net.top, net.whole(*shape))
        net.add(operator, net.top, blocksize=2)

    return apply


def _quantiser(net: Net) -> None:
    scale = net.constant(net.random.uniform(0.01, 0.5, ()), "positive")
    kind = [np.uint8, np.int8, np.int16][net.random.integers(3)]
    zero = net.constant(np.array(net.random.integers(0, 100), kind), "fixed")
    net.add("QuantizeLinear", net.top, scale, zero)
    net.add("DequantizeLinear", net.top, scale, zero)


OPERATORS: dict[str, Callable[[Net], None]] = {
    "Abs": _unary("Abs"),
    "Add": _binary("Add"),
    "AveragePool": _pool("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "Div": _binary("Div"),
    "Dropout": _unary("Dropout"),
    "Expand": _expand,
    "Flatten": _unary("Flatten"),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global("GlobalAveragePool"),
    "GlobalMaxPool": _global("GlobalMaxPool"),
    "Identity": _unary("Identity"),
    "LeakyRelu": _leaky,
    "MatMul": _matmul,
    "Max": _extremum("Max"),
    "MaxPool": _pool("MaxPool"),
    "Min": _extremum("Min"),
    "Mul": _binary("Mul"),
    "Neg": _unary("Neg"),
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMax": _reduction("ReduceMax"),
    "ReduceMean": _reduction("ReduceMean"),
    "ReduceMin": _reduction("ReduceMin"),
    "ReduceSum": _reduction("ReduceSum"),
    "Relu": _unary("Relu"),
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _binary("Sub"),
    "Sum": _sum,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
CURVED: dict[str, Callable[[Net], None]] = {
    "And": _logic("And"),
    "Cast": _cast,
    "Ceil": _staircase("Ceil"),
    "Celu": _curved("Celu"),
    "ConvTranspose": _transposed,
    "Cos": _curved("Cos"),
    "DepthToSpace": _shuffled("DepthToSpace"),
    "DequantizeLinear": _quantiser,
    "Div": _quotient,
    "Elu": _curved("Elu"),
    "Equal": _compared("Equal"),
    "Erf": _error_function,
    "Exp": _curved("Exp"),
    "Floor": _staircase("Floor"),
    "GRU": _recurrent("GRU", 3),
    "Gelu": _curved("Gelu"),
    "ArgMax": _place("ArgMax"),
    "ArgMin": _place("ArgMin"),
    "Greater": _compared("Greater"),
    "GreaterOrEqual": _compared("GreaterOrEqual"),
    "GroupNormalization": _normalisation("GroupNormalization"),
    "HardSigmoid": _curved("HardSigmoid"),
    "HardSwish": _curved("HardSwish"),
    "InstanceNormalization": _normalisation("InstanceNormalization"),
    "LSTM": _recurrent("LSTM", 4),
    "LayerNormalization": _normalisation("LayerNormalization"),
    "Less": _compared("Less"),
    "LessOrEqual": _compared("LessOrEqual"),
    "Log": _curved("Log", positive=True),
    "LogSoftmax": _softmax("LogSoftmax"),
    "MatMul": _attention,
    "Mish": _curved("Mish"),
    "Mul": _product,
    "Not": _logic("Not"),
    "Or": _logic("Or"),
    "Pow": _exponent,
    "QuantizeLinear": _quantiser,
    "RNN": _recurrent("RNN", 1),
    "Reciprocal": _curved("Reciprocal", positive=True),
    "ReduceL1": _norm("ReduceL1"),
    "ReduceL2": _norm("ReduceL2"),
    "ReduceSumSquare": _norm("ReduceSumSquare"),
    "Resize": _repeated("Resize"),
    "Round": _staircase("Round"),
    "Selu": _curved("Selu"),
    "Sigmoid": _gated("Sigmoid"),
    "Sign": _staircase("Sign"),
    "Sin": _curved("Sin"),
    "Softmax": _softmax("Softmax"),
    "Softplus": _curved("Softplus"),
    "Softsign": _curved("Softsign"),
    "SpaceToDepth": _shuffled("SpaceToDepth"),
    "Sqrt": _curved("Sqrt", positive=True),
    "Tan": _curved("Tan"),
    "Tanh": _gated("Tanh"),
    "Tile": _tile,
    "Upsample": _repeated("Upsample"),
    "Where": _where,
    "Xor": _logic("Xor"),
}
"""Operators that are more than affine steps and rectifiers; they meet moderate weights only."""

_IMAGES = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
}
_LARGEST = 24


def network(
    random: Random,
    operator: str | None = None,
    *,
    style: str = "plain",
    shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    curved: bool = False,
) -> Graph:
    """A random network in which `operator` occurs, one of `CURVED` if it is `curved`."""
    if shape is None:
        shape = (1, int(random.integers(1, 5)))
        if operator in _IMAGES or random.random() < 0.15:
            shape = (1, *(int(k) for k in random.integers(1, 4, 3)))
    net = Net(random, style, shape)
    if random.random() < 0.7:
        _convolution(net) if len(shape) == 4 and random.random() < 0.5 else net.dense()
    table = CURVED if curved else OPERATORS
    chosen = [table[operator]] if operator else []
    extra = list({**OPERATORS, **CURVED}.values() if curved else OPERATORS.values())
    chosen += [extra[i] for i in random.integers(0, len(extra), random.integers(0, 3))]
    for apply in chosen:
        if random.random() < 0.5:
            net.add("Relu", net.top)
        apply(net)
        if math.prod(net.shape) > _LARGEST:
            net.dense()
    if random.random() < 0.4:
        net.add("Relu", net.top)
    if outputs is not None or random.random() < 0.7:
        net.dense(outputs if outputs is not None else int(random.integers(1, 4)))
    if random.random() < 0.1:
        net.add("Relu", net.top)
    return net.graph()


def chain(random: Random, style: str, like: Graph | None = None) -> Graph:
    """Gemm and Relu in turn; `like` gives the shape of the input and of the output."""
    shape = (1, int(random.integers(1, 5))) if like is None else like.input.sample
    outputs = int(random.integers(1, 4)) if like is None else math.prod(like.output.sample)
    net = Net(random, style, shape)
    for _ in range(random.integers(0, 4)):
        net.dense()
        net.add("Relu", net.top)
    net.dense(outputs)
    return net.graph()


def compress(random: Random, graph: Graph, method: str, style: str = "plain") -> Graph:
    """A compressed copy: the graph with other constants, or another network of the same shape."""
    if method == "architecture":
        outputs = math.prod(graph.output.sample)
        return network(random, style=style, shape=graph.input.sample, outputs=outputs)
    changed = {}
    for name, array in graph.constants.items():
        if name.startswith("fixed"):
            changed[name] = array
            continue
        new = _changed(random, np.asarray(array), method)
        changed[name] = (
            np.abs(new) + 0.1 if name.startswith("positive") and method != "same" else new
        )
    return replace(graph, constants=changed)


def _changed(random: Random, array: np.ndarray, method: str) -> np.ndarray:
    match method:
        case "float16":
            return np.clip(array, -6e4, 6e4).astype(np.float16).astype(np.float64)
        case "int8":
            scale = np.abs(array).max() / 127
            return np.clip(np.round(array / scale), -127, 127) * scale if scale else array
        case "pruned":
            return np.where(np.abs(array) < np.quantile(np.abs(array), 0.4), 0.0, array)
        case "noise":
            return array * (1 + 1e-3 * random.standard_normal(array.shape))
        case "ulp":
            return np.nextafter(array, np.inf)
        case "one":
            new = array.copy()
            new.flat[random.integers(new.size)] += random.normal() * 10
            return new
        case "unrelated":
            return random.permutation(array.ravel()).reshape(array.shape) * random.normal()
        case _:
            return array.copy()


def box(random: Random, inputs: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner."""
    centre = random.standard_normal(inputs)
    radius = random.random(inputs)
    match kind:
        case "small":
            radius = radius * 1e-6
        case "ulp":
            return centre, np.nextafter(centre, np.inf)
        case "point":
            radius = radius * 0
        case "mixed":
            radius = np.where(random.random(inputs) < 0.5, 0.0, radius)
        case "offset":
            centre = centre * 1e6
        case "large":
            radius = radius * 1e10
        case "origin":
            centre, radius = centre * 0, radius * 0
        case "positive":
            return np.zeros(inputs), radius
        case "atom":
            centre, radius = centre * 0, np.full(inputs, 5e-324)
    return centre - radius, centre + radius
