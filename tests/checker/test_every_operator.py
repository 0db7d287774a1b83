"""Every operator that the verifier bounds: read as ONNX Runtime runs it, and bounded around it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from certificates import certify
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from simcert.checker.bounds import Pair
from simcert.checker.errors import CannotCheckError
from simcert.checker.exact import ExactPair
from simcert.checker.network import Network, read
from simcert.checker.operators import OPERATORS
from simcert.claim import Claim, Region
from simcert.inspection.support import Support, _known, support_of
from simcert.result import Verdict

Float = NDArray[np.float64]
Node = tuple[str, list[str], list[str], dict[str, Any]]

REFUSED: dict[str, str] = {}
"""Operators that are bounded and that the checker does not read, with the reason."""


def node(operator: str, inputs: str, outputs: str = "o", **attributes: Any) -> Node:
    """Names are separated by blanks; a dot is an input that is left out."""
    return operator, [n.strip(".") for n in inputs.split()], outputs.split(), attributes


def numbers(*shape: int, seed: int = 1, scale: float = 1.0) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def codes(*shape: int, seed: int = 1) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-60, 60, shape).astype(np.int8)


@dataclass(frozen=True)
class Case:
    """Nodes from ``h`` (1, *shape) to ``o``.

    Attributes:
        shape: of one sample.
        nodes: in order.
        constants: by name.
        opset: of the operators.
        jumps: whether a value may be on the other side of a jump in another arithmetic.
    """

    shape: tuple[int, ...]
    nodes: list[Node]
    constants: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    jumps: bool = False


POSITIVE = [node("Abs", "h", "abs"), node("Add", "abs half", "p")]
QUANTISED = [node("QuantizeLinear", "h s z", "c")]
SCALES = {"s": np.float32(0.05), "z": np.uint8(120), "s2": np.float32(0.1), "z2": np.uint8(100)}
WEIGHT = {"w": codes(4, 3), "ws": np.float32(0.01), "wz": np.int8(0), "both": np.float32(0.0005)}
RESTORED = node("DequantizeLinear", "d s2 z2")
LSTM = {"w": numbers(1, 12, 2, scale=0.7), "r": numbers(1, 12, 3, seed=2, scale=0.7)}

CASES: dict[str, Case] = {
    **{
        name: Case((4,), [node(name, "h")])
        for name in ("Cos", "Gelu", "HardSwish", "Mish", "Selu", "Sin", "Softplus", "Softsign")
    },
    **{
        name: Case((4,), [node(name, "h"), node("Identity", "o", "i")], jumps=True)
        for name in ("Ceil", "Floor", "Round", "Sign")
    },
    **{
        name: Case(
            (4,), [node(name, "h t", "b"), node("Cast", "b", to=1)], {"t": numbers(4)}, jumps=True
        )
        for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    },
    **{
        name: Case(
            (4,),
            [
                node("Greater", "h t", "b1"),
                node("Less", "h half", "b2"),
                node(name, "b1 b2", "b"),
                node("Cast", "b", to=1),
            ],
            {"t": numbers(4)},
            jumps=True,
        )
        for name in ("And", "Or", "Xor")
    },
    **{
        name: Case(
            (2, 3), [node(name, "h", "b", axis=2), node("Cast", "b", to=1)], jumps=True
        )
        for name in ("ArgMax", "ArgMin")
    },
    "Not": Case(
        (4,), [node("Greater", "h t", "a"), node("Not", "a", "b"), node("Cast", "b", to=1)],
        {"t": numbers(4)}, jumps=True,
    ),
    "Where": Case(
        (4,), [node("Greater", "h t", "b"), node("Neg", "h", "n"), node("Where", "b h n")],
        {"t": numbers(4)}, jumps=True,
    ),
    "Where of constants": Case(
        (4,), [node("Greater", "h t", "b"), node("Where", "b half t")], {"t": numbers(4)},
        jumps=True,
    ),
    "a constant Where": Case(
        (4,), [node("Where", "b h t")],
        {"t": numbers(4), "b": np.array([True, False, True, True])},
    ),
    "GeluTanh": Case((4,), [node("Gelu", "h", approximate="tanh")], opset=20),
    "Celu": Case((4,), [node("Celu", "h", alpha=0.7)]),
    "Elu": Case((4,), [node("Elu", "h", alpha=1.3)]),
    "HardSigmoid": Case((4,), [node("HardSigmoid", "h", alpha=0.3)]),
    "Tan": Case((4,), [node("Tanh", "h", "t"), node("Tan", "t")]),
    "Pow 3": Case((4,), [node("Pow", "h e")], {"e": np.float32(3)}),
    "Pow": Case((4,), [*POSITIVE, node("Pow", "p e")], {"e": np.float32(1.5)}),
    "Pow -2": Case((4,), [*POSITIVE, node("Pow", "p e")], {"e": np.float32(-2)}),
    "ReduceL1": Case((2, 3), [node("ReduceL1", "h", axes=[2])]),
    "ReduceL2": Case((2, 3), [*POSITIVE, node("ReduceL2", "p", axes=[1], keepdims=0)]),
    "ReduceMin": Case((2, 3), [node("ReduceMin", "h", axes=[2])]),
    "ReduceSumSquare": Case((2, 3), [node("ReduceSumSquare", "h", axes=[2])]),
    "Softmax": Case((2, 3), [node("Softmax", "h", axis=-1)]),
    "Softmax of another axis": Case((2, 3), [node("Softmax", "h", axis=1)]),
    "Softmax as it was": Case((2, 3), [node("Softmax", "h", axis=1)], opset=11),
    "Softmax of what is the same": Case(
        (2, 3), [node("Expand", "h e", "twice"), node("Softmax", "twice", axis=2)],
        {"e": np.array([2, 2, 3])},
    ),
    "LogSoftmax": Case((2, 3), [node("LogSoftmax", "h", axis=-1)]),
    "LayerNormalization": Case(
        (2, 3), [node("LayerNormalization", "h g b", axis=-1, epsilon=0.01)],
        {"g": numbers(3), "b": numbers(3, seed=2)},
    ),
    "LayerNormalization of all": Case(
        (2, 3), [node("LayerNormalization", "h g", axis=1, epsilon=0.1)], {"g": numbers(2, 3)}
    ),
    "InstanceNormalization": Case(
        (2, 2, 2), [node("InstanceNormalization", "h g b", epsilon=0.01)],
        {"g": numbers(2), "b": numbers(2, seed=2)},
    ),
    "GroupNormalization": Case(
        (4, 2), [node("GroupNormalization", "h g b", num_groups=2, epsilon=0.01)],
        {"g": numbers(4), "b": numbers(4, seed=2)}, opset=21,
    ),
    "MatMul of two": Case(
        (2, 3), [node("Transpose", "h", "t", perm=[0, 2, 1]), node("MatMul", "h t")]
    ),
    "attention": Case(
        (3, 2),
        [
            node("MatMul", "h q", "hq"), node("MatMul", "h k", "hk"), node("MatMul", "h v", "hv"),
            node("Transpose", "hk", "t", perm=[0, 2, 1]), node("MatMul", "hq t", "l"),
            node("Softmax", "l", "s", axis=-1), node("MatMul", "s hv"),
        ],
        {"q": numbers(2, 2), "k": numbers(2, 2, seed=2), "v": numbers(2, 2, seed=3)},
    ),
    "LSTM": Case(
        (2, 2),
        [
            node("Transpose", "h", "x2", perm=[1, 0, 2]),
            node("LSTM", "x2 w r b", "all last cell", hidden_size=3),
            node("Concat", "all2 last cell", axis=0),
        ],
        {**LSTM, "b": numbers(1, 24, scale=0.3)},
    ),
    "LSTM of two directions": Case(
        (2, 2),
        [
            node("Transpose", "h", "x2", perm=[1, 0, 2]),
            node(
                "LSTM", "x2 w r . . s s p", hidden_size=2, direction="bidirectional", clip=0.8
            ),
        ],
        {
            "w": numbers(2, 8, 2), "r": numbers(2, 8, 2, seed=2, scale=0.7),
            "s": numbers(2, 1, 2), "p": numbers(2, 6, seed=3),
        },
    ),
    "GRU": Case(
        (2, 2),
        [
            node("Transpose", "h", "x2", perm=[1, 0, 2]),
            node("GRU", "x2 w r b", "all o", hidden_size=3, linear_before_reset=1),
        ],
        {"w": numbers(1, 9, 2), "r": numbers(1, 9, 3, seed=2), "b": numbers(1, 18, scale=0.3)},
    ),
    "GRU backwards": Case(
        (2, 2),
        [
            node("Transpose", "h", "x2", perm=[1, 0, 2]),
            node("GRU", "x2 w r", "all o", hidden_size=3, direction="reverse"),
        ],
        {"w": numbers(1, 9, 2), "r": numbers(1, 9, 3, seed=2)},
    ),
    "RNN": Case(
        (2, 2),
        [
            node("Transpose", "h", "x2", perm=[1, 0, 2]),
            node("RNN", "x2 w r", hidden_size=3, activations=["Softsign"]),
        ],
        {"w": numbers(1, 3, 2), "r": numbers(1, 3, 3, seed=2)},
    ),
    "ConvTranspose": Case(
        (2, 3, 2),
        [
            node(
                "ConvTranspose", "h w b", strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 1],
                output_padding=[1, 0], group=2,
            )
        ],
        {"w": numbers(2, 3, 2, 2), "b": numbers(6)},
    ),
    "ConvTranspose to a shape": Case(
        (2, 3, 2), [node("ConvTranspose", "h w", strides=[2, 2], auto_pad="SAME_UPPER")],
        {"w": numbers(2, 1, 3, 3)},
    ),
    "DepthToSpace": Case((8, 1, 2), [node("DepthToSpace", "h", blocksize=2, mode="CRD")]),
    "DepthToSpace, deep first": Case((8, 1, 2), [node("DepthToSpace", "h", blocksize=2)]),
    "SpaceToDepth": Case((1, 4, 2), [node("SpaceToDepth", "h", blocksize=2)]),
    "Tile": Case((2, 3), [node("Tile", "h n")], {"n": np.array([1, 2, 1])}),
    "Resize": Case(
        (1, 2, 3), [node("Resize", "h . f", mode="nearest")],
        {"f": np.array([1, 1, 2, 1.5], np.float32)},
    ),
    "Resize to a size": Case(
        (1, 2, 3),
        [
            node(
                "Resize", "h . . n", mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        ],
        {"n": np.array([1, 1, 3, 4])},
    ),
    "Upsample": Case(
        (1, 2, 2), [node("Upsample", "h f")], {"f": np.array([1, 1, 2, 2], np.float32)}, opset=9
    ),
    "QLinearMatMul": Case(
        (4,), [*QUANTISED, node("QLinearMatMul", "c s z w ws wz s2 z2", "d"), RESTORED],
        {**SCALES, **WEIGHT}, jumps=True,
    ),
    "codes read with other parameters": Case(
        (4,), [*QUANTISED, node("DequantizeLinear", "c s2 z2")], SCALES, jumps=True
    ),
    "codes as numbers": Case((4,), [*QUANTISED, node("Cast", "c", to=1)], SCALES, jumps=True),
    "QLinearMatMul with other parameters": Case(
        (4,), [*QUANTISED, node("QLinearMatMul", "c s2 z2 w ws wz s2 z2", "d"), RESTORED],
        {**SCALES, **WEIGHT}, jumps=True,
    ),
    "MatMulInteger with another zero point": Case(
        (4,),
        [
            *QUANTISED,
            node("MatMulInteger", "c w z2", "d"),
            node("Cast", "d", "r", to=1),
            node("Mul", "r both"),
        ],
        {**SCALES, **WEIGHT}, jumps=True,
    ),
    "QLinearMatMul of two": Case(
        (2, 3),
        [
            *QUANTISED, node("Transpose", "c", "t", perm=[0, 2, 1]),
            node("QLinearMatMul", "c s z t s z s2 z2", "d"), RESTORED,
        ],
        SCALES, jumps=True,
    ),
    "QLinearConv": Case(
        (2, 3, 2),
        [
            *QUANTISED,
            node("QLinearConv", "c s z w ws wz s2 z2 b", "d", pads=[1, 0, 0, 1]),
            node("MaxPool", "d", "m", kernel_shape=[2, 1]), node("DequantizeLinear", "m s2 z2"),
        ],
        {
            **SCALES, "w": codes(2, 2, 2, 2), "ws": np.array([0.01, 0.02], np.float32),
            "wz": np.zeros(2, np.int8), "b": np.array([300, -200], np.int32),
        },
        jumps=True,
    ),
    "MatMulInteger": Case(
        (4,),
        [
            *QUANTISED, node("MatMulInteger", "c w z wz", "i"), node("Cast", "i", "f", to=1),
            node("Mul", "f both"),
        ],
        {**SCALES, **WEIGHT}, jumps=True,
    ),
    "DynamicQuantizeLinear": Case(
        (4,),
        [
            node("DynamicQuantizeLinear", "h", "c ds dz"), node("Mul", "ds ws", "f2"),
            node("MatMulInteger", "c w dz wz", "i"), node("Cast", "i", "f", to=1),
            node("Mul", "f f2"),
        ],
        WEIGHT, jumps=True,
    ),
    "ConvInteger": Case(
        (2, 3, 2),
        [
            node("DynamicQuantizeLinear", "h", "c ds dz"), node("Mul", "ds ws", "f2"),
            node("ConvInteger", "c w dz", "i", pads=[0, 1, 1, 0]),
            node("Cast", "i", "f", to=1), node("Mul", "f f2"),
        ],
        {"w": codes(2, 2, 2, 2), "ws": np.float32(0.01)}, jumps=True,
    ),
}  # fmt: skip
CASES["LSTM"].nodes.insert(2, node("Squeeze", "all axis", "all2"))
CASES["LSTM"].constants["axis"] = np.array([1])
CASES["Gelu"] = Case((4,), [node("Gelu", "h")], opset=20)
CASES["Mish"] = Case((4,), [node("Mish", "h")], opset=18)


def write(path: Path, case: Case, noise: float) -> Path:
    """A product to ``h``, the nodes, and a product of what they make beside ``h``."""
    size = int(np.prod(case.shape))
    generator, other = np.random.default_rng(4), np.random.default_rng(5)
    first = generator.normal(size=(size, size)) + noise * other.normal(size=(size, size))
    values = {
        "first": first.astype(np.float32),
        "half": np.array([0.5], np.float32),
        "to_h": np.array([1, *case.shape]),
        **case.constants,
    }
    made = [
        node("MatMul", "x first", "flat"),
        node("Reshape", "flat to_h", "h"),
        *case.nodes,
        node("Flatten", "o", "o_flat", axis=0),
        node("Concat", "flat o_flat", "y", axis=1),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, reads, names, **more) for op, reads, names, more in made],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()],
    )
    opsets = [helper.make_opsetid("", case.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def run(path: Path, x: Float) -> Float:
    """Run a file in ONNX Runtime, row by row."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {"x": row[None]})[0].reshape(-1) for row in x.astype(np.float32)]
    return np.array(rows, dtype=np.float64)


def pair_of(folder: Path, name: str) -> tuple[list[Path], list[Network]]:
    paths = [
        write(folder / f"{side}.onnx", CASES[name], noise)
        for side, noise in (("f", 0.0), ("g", 0.003))
    ]
    return paths, [read(path.read_bytes()) for path in paths]


def boxes(inputs: int) -> tuple[Float, Float]:
    """Of radius 0 to 1/2, with ends that are float32."""
    centre = np.random.default_rng(0).uniform(-0.6, 0.6, (5, inputs))
    radius = np.array([[0.0], [2.0**-14], [2.0**-7], [0.05], [0.5]])
    return tuple((centre + s * radius).astype(np.float32).astype(np.float64) for s in (-1, 1))


def points(lower: Float, upper: Float, count: int) -> Float:
    """Rows (boxes · count, inputs): corners, and points inside."""
    generator = np.random.default_rng(7)
    t = generator.random((len(lower), count, lower.shape[1]))
    t = np.where(generator.random((len(lower), count, 1)) < 0.4, np.rint(t), t)
    x = (lower[:, None] + t * (upper - lower)[:, None]).astype(np.float32).astype(np.float64)
    return np.clip(x, lower[:, None], upper[:, None]).reshape(-1, lower.shape[1])


def test_all_that_is_bounded_is_read() -> None:
    bounded = {n for n in _known() if support_of(n) in (Support.PROVED, Support.BOUNDED)}
    assert bounded - OPERATORS.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", CASES)
def test_read_and_bounded(tmp_path: Path, name: str) -> None:
    """1,000 points of boxes of all sizes, over the reals and as ONNX Runtime computes."""
    paths, (f, g) = pair_of(tmp_path, name)
    lower, upper = boxes(f.inputs)
    x = points(lower, upper, 200)
    reals = [network.evaluate(x) for network in (f, g)]
    runs = [run(path, x) for path in paths]
    if not CASES[name].jumps:
        np.testing.assert_allclose(runs, reals, atol=3e-5, rtol=3e-5)
    else:
        assert (np.abs(np.array(runs) - reals) < 1e-4).mean() > 0.97
    nothing, each = np.zeros((f.outputs, f.outputs)), np.eye(f.outputs)
    for arithmetic, (a, b) in (("real", reals), ("float32", runs)):
        pair = Pair(f, g, arithmetic)
        zero = pair.bound(lower, upper, nothing, nothing, each)
        one = pair.bound(lower, upper, each, nothing, nothing)
        assert np.isfinite(zero.upper).all()
        rounding = 1e-13 * (1 + np.abs(a))
        for found, values in ((zero, a - b), (one, a)):
            low, high = (np.repeat(end, 200, axis=0) for end in (found.lower, found.upper))
            assert (low <= values + rounding).all()
            assert (values - rounding <= high).all()


@pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if not case.jumps and n not in ("Resize", "Tile")]
)
def test_differences_shrink_with_the_box(tmp_path: Path, name: str) -> None:
    """A bound of δ on a small box is close to what is seen: no two networks side by side."""
    _, (f, g) = pair_of(tmp_path, name)
    x = np.random.default_rng(3).uniform(-0.6, 0.6, (3, f.inputs))
    nothing, each = np.zeros((f.outputs, f.outputs)), np.eye(f.outputs)
    found = Pair(f, g).bound(x - 2.0**-12, x + 2.0**-12, nothing, nothing, each)
    seen = np.abs(f.evaluate(x) - g.evaluate(x))
    assert (np.maximum(found.upper, -found.lower) <= 1.3 * seen + 2e-4).all()


def test_exact_arithmetic_says_what_it_does_not_know(tmp_path: Path) -> None:
    for name, what in (("attention", "Softmax|products"), ("LSTM", "products|Sigmoid|Tanh")):
        _, (f, g) = pair_of(tmp_path, name)
        x = np.zeros((1, f.inputs))
        with pytest.raises(CannotCheckError, match=what):
            ExactPair(f, g).bound(x, x, *np.zeros((2, f.outputs, f.outputs)), np.eye(f.outputs))


CERTIFIED = ["attention", "LayerNormalization", "RNN", "QLinearMatMul", "MatMulInteger"]


@pytest.mark.parametrize("arithmetic", ["real", "float32"])
@pytest.mark.parametrize("name", CERTIFIED)
def test_confirmed_and_no_smaller_bound(tmp_path: Path, name: str, arithmetic: str) -> None:
    """What the verifier proves is confirmed; less than the truth is not."""
    f, g = (
        write(tmp_path / f"{side}.onnx", CASES[name], noise)
        for side, noise in (("f", 0.0), ("g", 0.003))
    )
    size = int(np.prod(CASES[name].shape))
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (1, size)).astype(np.float32)
    x = x.astype(np.float64)
    region = Region.from_boxes(x - 2.0**-10, x + 2.0**-10, source="around a point")
    claim = Claim(region, tolerance=1.0, arithmetic=arithmetic)
    certificate = certify(tmp_path, "c", f, g, claim, Verdict.PROVED, samples=0)
    report = certificate.check()
    assert report.holds, report.steps[-1]

    def shrink(statement: dict[str, Any]) -> None:
        guarantee = statement["predicate"]["guarantee"]
        value = guarantee["value"] ** 2 / guarantee["limit"] / 1000
        for key in ("value", "worst_case"):
            guarantee |= {key: value, f"{key}_hex": value.hex()}

    assert not certificate.changed(shrink, tmp_path / "smaller.json").holds
