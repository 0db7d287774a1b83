"""What ONNX Runtime computes otherwise than it is read here is run and sampled, never bounded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from simcert import Claim, verify
from simcert.checker.errors import CannotCheckError
from simcert.checker.network import read
from simcert.claim import Region
from simcert.errors import ModelError, UnsupportedOperatorError
from simcert.model import lowering
from simcert.model.agreement import check_agreement
from simcert.model.executor import Executor
from simcert.model.lowering import lower
from simcert.model.operators import OPERATORS
from simcert.model.runtime import Runtime
from simcert.result import Verdict


@dataclass(frozen=True)
class Case:
    """A node from s (1, 1, 4) to p that runtimes and the standard read in two ways."""

    node: str
    opset: int = 13
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


ONE = {"w": np.ones((1, 1, 1), np.float32)}
BACKWARDS = {"b": whole(3), "e": whole(2**31 - 1), "a": whole(2), "t": whole(-1)}
CASES = {
    "transposed convolution, SAME with gaps": Case(
        'p = ConvTranspose<auto_pad = "SAME_UPPER", strides = [3]>(s, w)', 11, ONE
    ),
    "maximum, SAME with dilations": Case(
        'p = MaxPool<auto_pad = "SAME_LOWER", kernel_shape = [2], dilations = [2]>(s)'
    ),
    "maximum, SAME with dilations and ceil_mode": Case(
        'p = MaxPool<auto_pad = "SAME_UPPER", kernel_shape = [2], dilations = [2], strides = [3],'
        "ceil_mode = 1>(s)"
    ),
    "average, SAME with dilations": Case(
        'p = AveragePool<auto_pad = "SAME_UPPER", kernel_shape = [2], dilations = [2]>(s)', 19
    ),
    "average, SAME with gaps": Case(
        'p = AveragePool<auto_pad = "SAME_UPPER", kernel_shape = [1], strides = [4], ceil_mode = 1,'
        "count_include_pad = 1>(s)"
    ),
    "backwards to the greatest number": Case("p = Slice(s, b, e, a, t)", 13, BACKWARDS),
    "wrapped with a negative pad": Case(
        'p = Pad<mode = "wrap">(s, w)', 19, {"w": whole(0, 0, -1, 0, 0, 3)}
    ),
    "no axes at all": Case("p = ReduceSumSquare<noop_with_empty_axes = 1>(s)", 18),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_runtimes_read_otherwise_is_not_bounded(model, case: Case) -> None:
    network = model(
        f"s = Neg(x) {case.node} q = Abs(p) y = GlobalMaxPool(q)",
        (1, 1, 4),
        case.opset,
        **case.constants,
    )
    with pytest.raises(UnsupportedOperatorError, match=r"runtimes|ONNX Runtime"):
        check_agreement([network.graph])
    with pytest.raises(CannotCheckError):
        read(network.data)
    assert np.isfinite(Runtime(network).run_exact(np.ones((1, 4)))).all()


def test_a_signal_that_no_sample_shows_does_not_hide_a_reading(tmp_path, build) -> None:
    """A mean over 12 places in the standard and over 10 in ONNX Runtime, behind a narrow spike."""
    spike = "a = Mul(x, k) b = Sub(a, c) d = Abs(b) e = Sub(o, d) r = Relu(e) s = Mul(r, v)"
    numbers = {
        "k": np.float32(5e4),
        "c": np.float32(0.43211 * 5e4),
        "o": np.float32(1),
        "v": np.full((1, 1, 4), 50, np.float32),
        **ONE,
    }
    files = []
    for name, attribute in (("f", 'auto_pad = "SAME_UPPER"'), ("g", "output_padding = [2]")):
        node = f"p = ConvTranspose<{attribute}, strides = [3]>(s, w)"
        files.append(tmp_path / f"{name}.onnx")
        mean = "y = ReduceMean<axes = [2], keepdims = 0>(p)"
        files[-1].write_bytes(build(f"{spike} {node} {mean}", (1, 1, 1), 11, **numbers))
    claim = Claim(Region.from_boxes([[0.0]], [[1.0]], source="unit"), tolerance=1.0)
    result = verify(*files, claim, samples=100, time_limit=10)
    assert result.verdict is not Verdict.CERTIFIED
    assert result.proof.bound == np.inf
    assert "ConvTranspose" in result.proof.reason


def test_a_wrong_kernel_is_found_by_its_values_and_by_its_shape(model, monkeypatch) -> None:
    network = model("y = MaxPool<kernel_shape = [2]>(x)", (1, 1, 4))
    check_agreement([network.graph])
    right = OPERATORS["MaxPool"]
    monkeypatch.setitem(OPERATORS, "MaxPool", lambda n, x: (1.01 * right(n, x)[0],))
    with pytest.raises(UnsupportedOperatorError, match="computes something else"):
        check_agreement([network.graph])
    monkeypatch.setitem(OPERATORS, "MaxPool", lambda n, x: (right(n, x)[0][..., :2],))
    with pytest.raises(UnsupportedOperatorError, match=r"makes \(1, 1, 3\) of it where \(1, 1, 2"):
        check_agreement([network.graph])


def test_wrong_steps_are_found(model, monkeypatch) -> None:
    network = model("a = Relu(x) y = Add(a, x)", (1, 4))
    check_agreement([network.graph])
    other = lowering.LOWERINGS["Sub"]
    monkeypatch.setitem(lowering.LOWERINGS, "Add", other)
    with pytest.raises(UnsupportedOperatorError, match=r"'Add' .* computes something else"):
        check_agreement([network.graph])


def test_codes_are_run_as_the_bytes_that_they_are(model) -> None:
    network = model(
        "q = QuantizeLinear(x, s, z) a = Reshape(q, n) y = DequantizeLinear(a, s, z)",
        s=np.float32(0.1),
        z=np.int8(3),
        n=whole(2, 2),
    )
    check_agreement([network.graph])


ENDS = [(-9, -99, -1), (-1, -99, -2), (9, -9, -1), (2, 0, -1), (-9, 9, 1), (1, 9, 2)]


@pytest.mark.parametrize(("start", "end", "step"), ENDS)
def test_slices_are_clamped_as_onnx_says(model, start: int, end: int, step: int) -> None:
    network = model(
        "y = Slice(x, b, e, a, t)", b=whole(start), e=whole(end), a=whole(1), t=whole(step)
    )
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    expected = Runtime(network).run_exact(x)
    for own in (
        Executor(network.graph)(torch.as_tensor(x)).numpy(),
        lower(network.graph).run(torch.as_tensor(x)).numpy(),
        read(network.data).evaluate(x),
    ):
        np.testing.assert_array_equal(own, expected)


def test_a_sum_to_a_scalar_is_bounded(model) -> None:
    network = model("y = ReduceSum<keepdims = 0>(x)", (1, 2, 2))
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    assert lower(network.graph).run(x).item() == 10.0


def test_pools_whose_strides_leave_gaps_are_not_bounded(model) -> None:
    """Kernels of ONNX Runtime fail, or pad by the negative number."""
    node = 'y = MaxPool<auto_pad = "SAME_UPPER", kernel_shape = [1], strides = [3]>(x)'
    with pytest.raises(UnsupportedOperatorError, match="gaps"):
        check_agreement([model(node, (1, 1, 6), 13, dtype="double").graph])


def test_a_split_of_which_one_output_is_read_is_run_alone(model) -> None:
    """Without a name for the other one ONNX Runtime crashes."""
    check_agreement([model("a, y = Split<axis = 1>(x, s)", opset=17, s=whole(2, 2)).graph])


@pytest.mark.parametrize(
    "node",
    ['"", y = Split<axis = 1>(x)', 'y, "", "", "", "" = BatchNormalization(x, s, s, s, s)'],
)
def test_outputs_without_a_name_that_crash_onnx_runtime_are_refused(model, node: str) -> None:
    with pytest.raises(ModelError, match="an output without a name crashes"):
        model(node, (1, 4), 9, s=np.ones(4, np.float32))


def test_squeezing_no_named_axes_drops_all_of_size_1(model) -> None:
    network = model("y = Squeeze(x, a)", (1, 1, 3, 1), a=whole())
    assert Executor(network.graph).activations(torch.zeros(3))["y"].shape == (3,)


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        ("RNN", ["Softplus"]),
        ("GRU", ["Sigmoid", "Softplus"]),
        ("LSTM", ["Softplus", "Tanh", "Tanh"]),
    ],
)
def test_softplus_in_recurrences_overflows_and_is_not_bounded(model, operator, names) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[operator]
    written = ", ".join(f'"{name}"' for name in names)
    network = model(
        f"h, y = {operator}<hidden_size = 1, activations = [{written}]>(x, w, r)",
        (1, 1, 1),
        w=np.ones((1, gates, 1), np.float32),
        r=np.zeros((1, gates, 1), np.float32),
    )
    assert not np.isfinite(Runtime(network).run_exact(np.array([[89.0]]))).all()
    with pytest.raises(UnsupportedOperatorError, match="the activation Softplus"):
        lower(network.graph)
    with pytest.raises(CannotCheckError, match="activations"):
        read(network.data)


EXACT = {
    "Relu": lambda x: np.maximum(x, 0.0),
    "Sigmoid": lambda x: 0.5 + 0.5 * np.tanh(x / 2),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
}


@pytest.mark.parametrize("name", EXACT)
def test_activations_of_recurrences_are_as_accurate_as_is_assumed(model, name: str) -> None:
    """Off by 2^-20 of the value and 2^-21 at most, over all finite float32 numbers."""
    bits = np.arange(0, 2**32, 262_147, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([bits[np.isfinite(bits)], np.linspace(-100, 100, 4_096, dtype=np.float32)])
    x = x[: len(x) // 64 * 64]
    network = model(
        f'y = RNN<hidden_size = 64, activations = ["{name}"]>(x, w, r)',
        (len(x) // 64, 1, 64),
        w=np.eye(64, dtype=np.float32)[None],
        r=np.zeros((1, 64, 64), np.float32),
    )
    run = Runtime(network).run_exact(x[None].astype(np.float64))[0]
    exact = EXACT[name](x.astype(np.float64))
    assert (np.abs(run - exact) <= 2.0**-20 * np.abs(exact) + 2.0**-21).all()
