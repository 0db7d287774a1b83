"""Which files may run in batches: those in which no operator can act along the batch."""

from collections.abc import Callable

import numpy as np
import pytest

from simcert.model import Model
from simcert.model.runtime import Runtime

Make = Callable[..., Model]

ONES = {"zero": np.zeros((1, 1), np.float32), "one": np.ones((1, 1), np.float32)}
LIMIT = {**ONES, "axis": np.array([0]), "limit": np.array(9, np.float32)}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


COUNTING = (
    "z = Mul(x, zero) o = Add(z, one) n = ReduceSum<keepdims = 1>(o, axis) "
    "many = Greater(n, limit) c = Cast<to = 1>(many) y = Add(x, c)"
)
"""x for fewer than ten rows, x + 1 for more."""


def test_a_network_that_counts_its_rows_runs_row_by_row(model: Make) -> None:
    runtime = Runtime(model(COUNTING, shape=("N", 1), **LIMIT))
    x = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    assert not runtime.batched
    np.testing.assert_array_equal(runtime.run(x), x)


def test_a_longer_batch_is_compared_first(model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The net below the rule: without the rule, few rows agree and many do not."""
    monkeypatch.setattr("simcert.model.runtime.treats_rows_apart", lambda *_: True)
    runtime = Runtime(model(COUNTING, shape=("N", 1), **LIMIT))
    x = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    assert runtime.batched
    np.testing.assert_array_equal(runtime.run(x[:8]), x[:8])
    np.testing.assert_array_equal(runtime.run(x), x)
    assert not runtime.batched


@pytest.mark.parametrize(
    ("network", "keywords"),
    [
        ("y = ReduceSum<keepdims = 1>(x, axes)", {"axes": whole(-2)}),
        ("y = ReduceSum<keepdims = 1>(x)", {}),
        ("y = ReduceMax<axes = [0, 1]>(x)", {"opset": 13}),
        ("a = ArgMax(x) b = Cast<to = 1>(a) y = Add(x, b)", {}),
        ("y = CumSum(x, axes)", {"axes": np.array(0)}),
        ("y = LayerNormalization<axis = 0>(x, one)", {"one": np.ones((1, 4), np.float32)}),
        ("y = Softmax<axis = -2>(x)", {}),
        ("y = Add(x, c)", {"c": normal(3, 4)}),
        (
            "a = Shape(x) i = Constant<value = int64[1] {0}>() n = Gather(a, i) "
            "b = Cast<to = 1>(n) y = Mul(x, b)",
            {},
        ),
        ("a = Size(x) b = Cast<to = 1>(a) y = Add(x, b)", {}),
        ("a = Transpose(x) b = MatMul(x, a) c = ReduceSum(b, i) y = Mul(x, c)", {"i": whole(1)}),
        ("s = Shape(x) a = Reshape(x, f) y = Reshape(a, s)", {"f": whole(-1)}),
        (
            "a = Concat<axis = 0>(x, x) b = Slice(a, s, e) y = Relu(b)",
            {"s": whole(0), "e": whole(1)},
        ),
        ("y = Slice(x, s, e)", {"s": whole(-1), "e": whole(2**31)}),
        ("y = Gather<axis = 0>(x, i)", {"i": whole(0)}),
        ("y = Tile(x, r)", {"r": whole(2, 1)}),
        ("y = Pad(x, p)", {"p": whole(0, 0, 1, 0)}),
        ("y = Squeeze(x)", {}),
        ("a, b, c = DynamicQuantizeLinear(x) y = Cast<to = 1>(a)", {}),
        (
            "y, m, v = BatchNormalization<training_mode = 1>(x, o, z, z, o)",
            {"o": normal(4), "z": normal(4)},
        ),
        ('y = Einsum<equation = "ij->ij">(x)', {}),
        ("y = Resize(x, , f)", {"f": np.array([1.2, 1], np.float32)}),
    ],
)
@pytest.mark.parametrize("rows", ["N", 1])
def test_what_can_act_along_the_batch_runs_row_by_row(
    model: Make, monkeypatch: pytest.MonkeyPatch, network: str, keywords: dict, rows: str | int
) -> None:
    monkeypatch.setattr("simcert.model.runtime._same", lambda *_: True)  # only the rule decides
    assert not Runtime(model(network, shape=(rows, 4), **keywords)).batched


@pytest.mark.parametrize(
    ("network", "keywords"),
    [
        ("y = Gemm(x, w, b)", {"w": normal(4, 3), "b": normal(3)}),
        ("y = MatMul(x, w)", {"w": normal(4)}),
        ("a = Transpose(x) b = MatMul(w, a) y = Transpose(b)", {"w": normal(3, 4)}),
        ("y = Softmax(x)", {}),
        ("y = ReduceMean<axes = [-1]>(x)", {"opset": 13}),
        ("a = Concat<axis = 1>(x, x) b, c = Split<axis = 1>(a) y = Sub(b, c)", {"opset": 13}),
        ("y = Slice(x, s, e, a)", {"s": whole(1), "e": whole(3), "a": whole(-1)}),
        ("y = Gather<axis = 1>(x, i)", {"i": whole(0, 2)}),
        ("y = Pad(x, p)", {"p": whole(0, 1, 0, 1)}),
        ("a = Unsqueeze(x, i) b = Relu(a) y = Squeeze(b, i)", {"i": whole(1)}),
        (
            "s = Shape(x) n = Gather(s, i) t = Concat<axis = 0>(n, r) a = Reshape(x, t) "
            "b = ConstantOfShape(t) y = Add(a, b)",
            {"i": whole(0), "r": whole(2, 2)},
        ),
        (
            "a = Reshape(x, s) b = Transpose<perm = [0, 2, 1]>(a) c = MatMul(a, b) y = Flatten(c)",
            {"s": whole(-1, 2, 2)},
        ),
        (
            "a = Reshape(x, s) t = Transpose<perm = [1, 0, 2]>(a) h, y3 = GRU<hidden_size = 3>"
            "(t, w, r) y = Squeeze(y3, i)",
            {"s": whole(-1, 2, 2), "w": normal(1, 9, 2), "r": normal(1, 9, 3), "i": whole(0)},
        ),
        (
            "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
            {"s": np.array(0.1, np.float32), "z": np.array(128, np.uint8)},
        ),
        ("y = Resize(x, , f)", {"f": np.array([1, 2], np.float32)}),
        ("y = LayerNormalization(x, o)", {"o": normal(4)}),
    ],
)
@pytest.mark.parametrize("rows", ["N", 1])
def test_what_treats_rows_apart_runs_in_batches(
    model: Make, network: str, keywords: dict, rows: str | int
) -> None:
    runtime = Runtime(model(network, shape=(rows, 4), **keywords))
    assert runtime.batched
    x = np.random.default_rng(1).standard_normal((40, 4))
    np.testing.assert_allclose(runtime.run(x), runtime.run_exact(x), atol=1e-5)
