"""One network quantises, the other does not: the difference goes through the quantisers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import random_mlp
from onnx import helper, numpy_helper

from simcert.checker.bounds import Pair
from simcert.checker.exact import ExactPair
from simcert.checker.network import Network, read

_BOXES = 30


def quantised(original: Path, folder: Path, kind: str) -> Path:
    """Write a copy in which the input and every rectifier's result are quantised.

    Args:
        original: Gemm and Relu in turn.
        folder: for the copy.
        kind: "int8" saturates at −1 and about 1; "uint8" makes rectifiers of the quantisers, by
            limits of 0; "dynamic" takes the range of the tensor.
    """
    model = onnx.load(original)
    graph, made, renamed = model.graph, [], {}

    def rounded(name: str, signed: bool) -> None:
        codes, scale, zero, back = (f"{name}_{part}" for part in ("q", "s", "z", "r"))
        if kind == "dynamic":
            made.append(helper.make_node("DynamicQuantizeLinear", [name], [codes, scale, zero]))
        else:
            number = np.float32(1 / 128 if signed else 1 / 64)
            graph.initializer.append(numpy_helper.from_array(number, scale))
            whole = np.zeros((), dtype=np.int8 if signed else np.uint8)
            graph.initializer.append(numpy_helper.from_array(whole, zero))
            made.append(helper.make_node("QuantizeLinear", [name, scale, zero], [codes]))
        made.append(helper.make_node("DequantizeLinear", [codes, scale, zero], [back]))
        renamed[name] = back

    rounded(graph.input[0].name, signed=True)
    for node in list(graph.node):
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type == "Relu" and kind == "uint8":
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
            rounded(renamed[node.output[0]], signed=False)
            renamed[node.output[0]] = made[-1].output[0]
            continue
        made.append(node)
        if node.op_type == "Relu":
            rounded(node.output[0], signed=True)
    del graph.node[:]
    graph.node.extend(made)
    model.opset_import[0].version = max(13, model.opset_import[0].version)
    onnx.checker.check_model(model)
    path = folder / f"{kind}.onnx"
    onnx.save(model, path)
    return path


def pair_of(folder: Path, kind: str, seed: int = 0) -> tuple[Network, Network]:
    original = random_mlp(folder / "float.onnx", [4, 12, 12, 3], seed=seed)
    f, g = original.read_bytes(), quantised(original, folder, kind).read_bytes()
    return read(f), read(g)


def boxes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes from a thousandth of a code to several, some beyond the limits."""
    generator = np.random.default_rng(seed)
    centre = generator.uniform(-1.2, 1.2, (_BOXES, 4))
    radius = 2.0 ** generator.uniform(-17, -3, (_BOXES, 1)) * generator.random((_BOXES, 4))
    return centre - radius, centre + radius


@pytest.mark.parametrize("kind", ["int8", "uint8", "dynamic"])
@pytest.mark.parametrize("original_first", [True, False])
def test_every_step_corresponds_and_no_sample_is_outside(
    tmp_path: Path, kind: str, original_first: bool
) -> None:
    for seed in range(3):
        pair = pair_of(tmp_path, kind, seed)
        f, g = pair if original_first else pair[::-1]
        joint = Pair(f, g)
        assert all(node.f is not None and node.g is not None for node in joint.nodes)
        lower, upper = boxes(seed)
        eye, zero = np.eye(3), np.zeros((3, 3))
        coefficients = [np.vstack(rows) for rows in ((eye, zero), (zero, zero), (zero, eye))]
        bounds = joint.bound(lower, upper, *coefficients)
        generator = np.random.default_rng(seed)
        for _ in range(100):
            t = generator.choice([0.0, 1.0, generator.random()], size=lower.shape)
            x = lower + t * (upper - lower)
            a, b = f.evaluate(x), g.evaluate(x)
            values = np.hstack([a, a - b])
            assert (bounds.lower <= values + 1e-12).all()
            assert (values <= bounds.upper + 1e-12).all()


def test_the_identity_changes_nothing(tmp_path: Path) -> None:
    f, g = pair_of(tmp_path, "int8")
    x = np.random.default_rng(0).uniform(-2, 2, (50, 4))
    values: list[np.ndarray] = []
    for node in Pair(f, g).nodes:
        if node.f is None:
            raise AssertionError("a step of the compressed network stands alone")
        operands = [values[operand] for operand in node.f_operands]
        values.append(node.f.evaluate(operands) if operands else x)  # type: ignore[union-attr]
    assert np.allclose(values[-1], f.evaluate(x), rtol=0, atol=1e-12)


def test_the_difference_is_carried_through(tmp_path: Path) -> None:
    """Small against what two networks side by side could differ by."""
    f, g = pair_of(tmp_path, "int8")
    eye, zero = np.eye(3), np.zeros((3, 3))
    lower, upper = np.full((1, 4), -0.25), np.full((1, 4), 0.25)
    together = Pair(f, g).bound(lower, upper, zero, zero, eye)
    alone = Pair(f, g).bound(
        lower, upper, np.vstack([eye, zero]), np.vstack([zero, eye]), np.zeros((6, 3))
    )
    apart = (alone.upper - alone.lower).reshape(2, 3).sum(axis=0)
    assert (together.upper - together.lower < 0.25 * apart).all()


def test_code_by_code(tmp_path: Path) -> None:
    """Bounds of the inputs with certain codes hold for all that round to these, and for no more."""
    f, g = pair_of(tmp_path, "int8")
    pair = Pair(f, g)
    assert pair.coded.tolist() == [0, 1, 2, 3]
    generator = np.random.default_rng(0)
    lower = generator.uniform(-1.2, 1.2, (200, 4))
    upper = lower + generator.uniform(0, 2 / 128, lower.shape)
    x = lower + generator.random(lower.shape) * (upper - lower)
    codes = np.rint(np.clip(x * 128, -128, 127))
    asked = np.where(generator.random(codes.shape) < 0.5, np.nan, codes)
    eye, zero = np.eye(3), np.zeros((3, 3))
    whole = pair.bound(lower, upper, zero, zero, eye)
    bounds = pair.bound(lower, upper, zero, zero, eye, only=asked)
    difference = f.evaluate(x) - g.evaluate(x)
    if bounds.empty is None or whole.codes is None:
        raise AssertionError("there are no codes")
    assert not bounds.empty.any()
    assert (bounds.lower - 1e-12 <= difference).all()
    assert (difference <= bounds.upper + 1e-12).all()
    assert (whole.codes.lower <= codes).all()
    assert (codes <= whole.codes.upper).all()
    assert (bounds.upper - bounds.lower).mean() < 0.8 * (whole.upper - whole.lower).mean()
    others = np.full_like(codes, np.nan)
    others[:, 0] = whole.codes.upper[:, 0] + 1
    elsewhere = pair.bound(lower, upper, zero, zero, eye, only=others).empty
    assert elsewhere is not None
    assert elsewhere.all()


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_exact_arithmetic(tmp_path: Path, kind: str) -> None:
    f, g = pair_of(tmp_path, kind)
    lower, upper = (ends[:6] for ends in boxes(1))
    eye, zero = np.eye(3), np.zeros((3, 3))
    exact = ExactPair(f, g).bound(lower, upper, zero, zero, eye)
    near = Pair(f, g).bound(lower, upper, zero, zero, eye)
    for t in (0.0, 0.3, 1.0):
        x = lower + t * (upper - lower)
        difference = f.evaluate(x) - g.evaluate(x)
        assert (exact.lower <= difference + 1e-12).all()
        assert (difference <= exact.upper + 1e-12).all()
    assert (near.upper - near.lower <= 1.5 * (exact.upper - exact.lower) + 1e-9).all()
