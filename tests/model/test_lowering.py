"""A lowered program computes what the graph computes, or the operator is named as unsupported."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import group_norm

from simcert.checker import network as check
from simcert.checker.errors import CannotCheckError
from simcert.errors import ModelError, UnsupportedOperatorError
from simcert.model import Model, load
from simcert.model.executor import Executor
from simcert.model.graph import DYNAMIC, Graph, Node, TensorInfo
from simcert.model.lowering import LOWERINGS, lower
from simcert.model.lowering.wholes import INTEGERS
from simcert.model.passes.constants import fold_constants
from simcert.model.program import Affine, Input, Product, Program, Relu, Univariate
from simcert.model.reader import read

Build = Callable[..., bytes]


def _sibling(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES: list[tuple[str, dict[str, Any]]] = _sibling("test_operators").CASES
NOT_LOWERED = (
    ("y = MatMul(x, w)", (1, 2, 3, 4)),  # a weight for each batch entry
    ("a = Cast<to = 7>(x) y = Cast<to = 1>(a)", None),  # cuts digits off
    ("a = Cast<to = 10>(x) y = Cast<to = 1>(a)", None),
)


ROWS = np.array([1, 3, 2])
COLUMN = np.array([[-0.5], [2.0], [1.0]], dtype=np.float32)
SQUARE = np.array([[1.0, -2.0], [0.5, 3.0]], dtype=np.float32)


def scalar(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


def one(shape: tuple[int, ...], *nodes: Node, **constants: np.ndarray) -> Graph:
    """A graph from x of `shape` to y, made without ONNX."""
    kind = np.dtype(np.float32)
    arrays = {
        k: np.asarray(v, kind) if np.asarray(v).dtype.kind == "f" else v
        for k, v in constants.items()
    }
    info = TensorInfo("x", shape, kind)
    return Graph(info, TensorInfo("y", shape, kind), nodes, arrays, 18)


def assert_same(graph: Graph, rows: int = 20) -> Program:
    """Program and Executor agree in float64 on inputs around zero, small and large."""
    program = lower(graph)
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.standard_normal((rows, graph.input.size)))
    x[rows // 2 :] *= 100
    expected, actual = Executor(graph)(x), program.run(x)
    assert actual.shape == expected.shape
    rounds = any(node.operator == "Cast" for node in graph.nodes)  # to float32, over the reals not
    tolerance = 1e-7 if rounds else 1e-12
    assert (actual - expected).abs().max() <= tolerance * (1 + expected.abs().max())
    for index, step in enumerate(program.steps):
        if isinstance(step, Affine):
            assert all(operand < index for operand in step.operands)
            assert all(m.outputs == step.size for m in step.maps)
            sizes = [program.steps[o].size for o in step.operands]
            assert [m.inputs for m in step.maps] == sizes
        elif isinstance(step, Relu | Univariate | Product):
            assert all(program.steps[operand].size == step.size for operand in step.operands)
        else:
            assert isinstance(step, Input)
            assert index == 0
    return program


@pytest.mark.parametrize(("nodes", "settings"), CASES, ids=[nodes for nodes, _ in CASES])
def test_variants(build: Build, nodes: str, settings: dict[str, Any]) -> None:
    graph = read(build(nodes, **settings))
    made = {"Constant", "ConstantOfShape"}  # allowed where they do not see the input
    unknown = {node.operator for node in graph.nodes} - set(LOWERINGS) - made
    if not unknown and (nodes, settings.get("shape")) not in NOT_LOWERED:
        assert_same(graph)
        return
    with pytest.raises(UnsupportedOperatorError) as caught:
        lower(graph)
    operators = {node.operator for node in graph.nodes}
    assert caught.value.operator in (unknown or operators)
    assert f"'{caught.value.operator}'" in str(caught.value)


def test_every_lowering_is_among_the_variants() -> None:
    text = " ".join(nodes for nodes, _ in CASES)
    assert set(LOWERINGS) - set(re.findall(r"= (\w+)", text)) <= {
        "BatchNormalization",
        "DequantizeLinear",
        "Dropout",
        "GroupNormalization",
        "QuantizeLinear",
        DYNAMIC,
    }  # of these there are tests of their own


@pytest.mark.parametrize(
    ("nodes", "settings"),
    [
        ("t = Neg(x) y = PRelu(t, w)", {"shape": (1, 3, 2), "w": COLUMN}),
        ("y = LeakyRelu<alpha = -1.5>(x)", {}),
        ("y = LeakyRelu<alpha = 1.0>(x)", {}),
        ("y = Clip(x, w, v)", {"w": scalar(0.5), "v": scalar(0.5)}),
        ("y = Sub(w, x)", {"w": scalar(2.0)}),
        ("y = Sub(x, x)", {}),
        ("t = Relu(x) y = Sub(t, x)", {}),
        ("y = Sum(x, x, x)", {}),
        ("y = Sum(w, x, v, x)", {"w": scalar(1.0), "v": scalar(0.25)}),
        ("y = Max(x, x)", {}),
        ("t = Neg(x) y = Min(x, w, t, v)", {"w": scalar(1.0), "v": scalar(-1.0)}),
        ("t = Max(w, v) y = Min(x, t)", {"w": scalar(1.0), "v": scalar(-1.0)}),
        ("y = MatMul(w, x)", {"shape": (2, 3), "w": np.ones((4, 2), "f")}),
        ("t = Relu(x) y = Concat<axis = 0>(t, x)", {"shape": (1, 3)}),
        ("a, b = Split<axis = 1>(x) y = Sub(b, a)", {"shape": (1, 4), "opset": 11}),
        ("a = Relu(x) b = Relu(a) y = Relu(b)", {}),
        ("a = Expand(x, w) y = MatMul(a, v)", {"shape": (1, 1, 2), "w": ROWS, "v": SQUARE}),
        ("y = Dropout(x)", {}),
        ("y, m = Dropout(x)", {}),
        ("y = Dropout(x, w, v)", {"w": scalar(0.5), "v": np.array(False)}),
        ("y = Add(w, v)", {"w": scalar(0.5), "v": np.ones(4, "f")}),
    ],
)  # fmt: skip
def test_more_variants(build: Build, nodes: str, settings: dict[str, Any]) -> None:
    graph = read(build(nodes, **settings))
    assert_same(fold_constants(graph))


def test_batch_normalisation(build: Build) -> None:
    random = np.random.default_rng(5)
    for shape in ((1, 3), (1, 3, 5), (1, 3, 2, 4)):
        w, v, m = random.standard_normal((3, 3)).astype(np.float32)
        settings = {"shape": shape, "w": w, "v": v, "m": m, "s": np.array([0.0, 1e-3, 9], "f")}
        for epsilon in ("", "<epsilon = 0.1>"):
            nodes = f"y = BatchNormalization{epsilon}(x, w, v, m, s)"
            program = assert_same(read(build(nodes, **settings)))
            assert [bool(s.computed) for s in program.steps[1:]] == [False, True]


def test_batch_normalisation_in_training_is_refused(build: Build) -> None:
    w = np.ones(4, dtype=np.float32)
    nodes = "y, a, b = BatchNormalization<training_mode = 1>(x, w, w, w, w)"
    with pytest.raises(UnsupportedOperatorError, match="training mode"):
        lower(read(build(nodes, w=w)))


def test_dropout_in_training_is_refused() -> None:
    dropout = Node("Dropout", "d", ("x", "w", "v"), ("y",))
    with pytest.raises(UnsupportedOperatorError, match="training mode"):
        lower(one((1, 4), dropout, w=scalar(0.5), v=np.array(True)))


def test_constants_that_float64_cannot_add_stay_apart() -> None:
    """x + 2^60 + 1 − 2^60 is x + 1; adding the constants in float64 would make it x."""
    constants = {"a": np.float32(2.0**60), "b": np.float32(1.0), "c": np.float32(-(2.0**60))}
    program = lower(one((1, 1), Node("Sum", "s", ("x", "a", "b", "c"), ("y",)), **constants))
    biases = [step.bias.item() for step in program.steps if isinstance(step, Affine)]
    assert sorted(biases) == [-(2.0**60), 1.0, 2.0**60]


@pytest.mark.parametrize("operator", ["Exp", "Sum", "Softmax", "MatMul", "Add"])
def test_a_constant_that_rounding_decides_is_refused(operator: str) -> None:
    constants = {"a": np.ones((1, 1)), "b": np.ones((1, 1))}
    inputs = ("a",) if operator in ("Exp", "Softmax") else ("a", "b")
    made, read_ = Node(operator, "c", inputs, ("t",)), Node("Add", "s", ("x", "t"), ("y",))
    graph = one((1, 1), made, read_, **constants)
    with pytest.raises(UnsupportedOperatorError, match="rounding") as caught:
        lower(graph)
    assert caught.value.operator == operator


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Div", ("x", "huge"), {}),
        ("Gemm", ("x", "tiny"), {"alpha": 0.3}),
        ("Gemm", ("x", "one", "tiny"), {"beta": 0.3}),
        ("Gemm", ("x", "huge"), {"alpha": 10.0}),
        ("BatchNormalization", ("x", "tiny", "one", "one", "one"), {}),
    ],
)
def test_a_computed_constant_outside_the_range_of_float64_is_refused(
    operator: str, inputs: tuple[str, ...], attributes: dict[str, Any]
) -> None:
    """0.3 times the least denormal is off by more than half: no relative error covers that."""
    ones = np.ones(1) if operator == "BatchNormalization" else np.ones((1, 1))
    values = {"tiny": ones * 5e-324, "one": ones, "huge": ones * 1.7e308}
    graph = one((1, 1), Node(operator, "n", inputs, ("y",), attributes))
    graph = replace(graph, constants=values)
    with pytest.raises(UnsupportedOperatorError, match="range of float64"):
        lower(graph)


@pytest.mark.parametrize("factors", ["alpha = 0.0", "alpha = 1e-39", "beta = 1e-39"])
def test_a_product_times_nothing_is_refused(build: Build, factors: str) -> None:
    """0 · ∞ is NaN in a runtime; what is subnormal may be flushed to zero."""
    constants = {"w": np.full((1, 1), 3e38, np.float32), "c": np.ones(1, np.float32)}
    data = build(f"y = Gemm<{factors}>(x, w, c)", (1, 1), **constants)
    with pytest.raises(UnsupportedOperatorError, match="subnormal"):
        lower(read(data))
    with pytest.raises(CannotCheckError, match="subnormal"):
        check.read(data)


def test_constants_that_are_only_moved_are_read() -> None:
    graph = one(
        (1, 4),
        Node("Reshape", "r", ("a", "s"), ("t",)),
        Node("Add", "s", ("x", "t"), ("y",)),
        a=np.arange(4.0),
        s=np.array([1, 4]),
    )
    assert lower(graph).steps[-1].bias.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scales", [[0.25], [0.25, 0.5, 0.125]])
@pytest.mark.parametrize("own", [True, False])
def test_codes_that_are_moved_stand_for_moved_numbers(
    build: Build, scales: list[float], own: bool
) -> None:
    parameters = {"s": np.array(scales, np.float32), "z": np.arange(len(scales), dtype=np.uint8)}
    parameters["r"] = parameters["s"] if own else 2 * parameters["s"]
    nodes = """c = QuantizeLinear<axis = 2>(x, s, z) t = Transpose<perm = [0, 2, 1]>(c)
        y = DequantizeLinear<axis = 1>(t, r, z)"""
    program = assert_same(read(build(nodes, shape=(1, 2, 3), **parameters)))
    kinds = [type(step) for step in program.steps]
    assert (kinds == [Input, Univariate, Affine]) == own  # then without codes in between


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_normalization(groups: int) -> None:
    """ONNX cannot tell the shape of its result, so that it does not get in by a file."""
    random = np.random.default_rng(groups)
    scale, bias = random.standard_normal((2, 6))
    node = Node("GroupNormalization", "n", ("x", "a", "b"), ("y",), {"num_groups": groups})
    graph = one((1, 6, 2, 3), node, a=scale, b=bias)
    assert_same(graph)
    x = torch.from_numpy(random.standard_normal((5, 36)))
    constants = [torch.from_numpy(graph.constants[name]).double() for name in "ab"]
    expected = group_norm(x.reshape(5, 6, 2, 3), groups, *constants, eps=float(np.float32(1e-5)))
    torch.testing.assert_close(Executor(graph)(x), expected.flatten(1))


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (Node("MatMul", "n", ("x", "x"), ("y",)), {}),
        (Node("Pow", "n", ("x", "w"), ("y",)), {"w": np.arange(4.0)}),
        (Node("Cast", "n", ("x",), ("y",), {"to": 10}), {}),
        (Node("Celu", "n", ("x",), ("y",), {"alpha": -1.0}), {}),
        (Node("Div", "n", ("x", "w"), ("y",)), {"w": np.zeros((1, 4))}),
        (Node("Gemm", "n", ("w", "x"), ("y",)), {"w": np.ones((1, 1))}),
        (Node("Gemm", "n", ("x", "w", "x"), ("y",)), {"w": np.eye(4)}),
        (Node("Clip", "n", ("x", "w", "v"), ("y",)), {"w": np.ones(()), "v": np.zeros(())}),
        (Node("PRelu", "n", ("x", "x"), ("y",)), {}),
        (Node("Gather", "n", ("w", "x"), ("y",)), {"w": np.arange(100.0)}),
        (Node("Expand", "n", ("w", "x"), ("y",)), {"w": np.ones((1, 1))}),
        (Node("com.example::Relu", "n", ("x",), ("y",)), {}),
    ],
)
def test_what_cannot_be_written_is_named(node: Node, constants: dict[str, np.ndarray]) -> None:
    with pytest.raises(UnsupportedOperatorError) as caught:
        lower(one((1, 4), node, **constants))
    assert caught.value.operator == node.operator
    assert caught.value.node == "n"
    assert f"'{node.operator}'" in str(caught.value)


def test_an_output_that_nothing_makes_is_named() -> None:
    pool = Node("MaxPool", "pool", ("x",), ("t", "indices"), {"kernel_shape": (1,)})
    tail = Node("Identity", "tail", ("indices",), ("y",))
    with pytest.raises(UnsupportedOperatorError, match="output 'indices'"):
        lower(one((1, 1, 4), pool, tail))


def test_a_window_of_padding_alone_is_refused() -> None:
    settings = {"kernel_shape": (1,), "pads": (1, 0)}
    pool = Node("MaxPool", "pool", ("x",), ("y",), settings)
    with pytest.raises(UnsupportedOperatorError, match="padding alone"):
        lower(one((1, 1, 4), pool))


def test_real_networks(data: Path) -> None:
    lowered, refused = 0, []
    for path in sorted(data.rglob("*.onnx")):
        graph = load(path).graph
        try:
            program = lower(graph)
        except UnsupportedOperatorError as error:
            refused.append((path.name, error.operator in {node.operator for node in graph.nodes}))
            continue
        lowered += 1
        if lowered % 4 and "acasxu" in str(path):  # all alike
            continue
        random = torch.Generator().manual_seed(0)
        x = torch.rand(2, graph.input.size, generator=random, dtype=torch.float64)
        expected = Executor(graph)(x)
        error = (program.run(x) - expected).abs().max()
        assert error <= 1e-11 * (1 + expected.abs().max()), path
    assert lowered >= 50, refused
    assert all(named for _, named in refused), refused


def test_a_program_is_never_empty(model: Callable[..., Model]) -> None:
    program = lower(model("y = Identity(x)").graph)
    assert len(program.steps) == 2
    x = torch.ones(1, 4, dtype=torch.float64)
    assert torch.equal(program.run(x), x)


def test_what_the_output_does_not_need_is_dropped(build: Build) -> None:
    program = lower(read(build("a = Relu(x) b = Neg(a) y = Abs(x)")))
    assert not any(getattr(step, "label", "") == "b" for step in program.steps)
    assert sum(isinstance(step, Relu) for step in program.steps) == 2


@pytest.mark.parametrize("kind", sorted(INTEGERS))
def test_truth_is_kept_by_integers_of_every_type(build: Build, kind: int) -> None:
    data = build(f"c = Greater(x, w) i = Cast<to = {kind}>(c) y = Cast<to = 1>(i)", opset=21, ir=10,
                 w=scalar(0.5))  # fmt: skip
    x = np.array([[-3.0, 0.25, 0.75, 300.0]], dtype=np.float32)
    (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": x})
    np.testing.assert_array_equal(expected, [[0, 0, 1, 1]])
    np.testing.assert_array_equal(lower(read(data)).run(torch.tensor(x).double()), expected)


def test_errors_are_model_errors() -> None:
    assert issubclass(UnsupportedOperatorError, ModelError)
