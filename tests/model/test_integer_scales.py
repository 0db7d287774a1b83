"""What integer sums are multiplied with: each operand's own scale, refused where it overflows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simcert.checker import network as check
from simcert.checker.errors import CannotCheckError
from simcert.errors import UnsupportedOperatorError
from simcert.functions import DynamicQuantizer
from simcert.model.lowering import lower
from simcert.model.passes import normalise
from simcert.model.reader import read
from simcert.model.runtime import Runtime

SCALARS = {"s": np.float32(1), "t": np.float32(0.4), "u": np.uint8(0), "z": np.uint8(7)}
CONVOLUTION = """
    q = QuantizeLinear(x, s, u) c = QLinearConv<kernel_shape = [1, 1]>(q, s, u, w, ws, i, ys, z)
    y = DequantizeLinear(c, s, z)"""
DYNAMIC = """
    q, a, b = DynamicQuantizeLinear(x) p = MatMulInteger(q, w, b) r = Cast<to = 1>(p)
    c = Mul(a, f) y = Mul(r, c)"""
QUANTISED = """
    q = QuantizeLinear(x, s, u) p = MatMulInteger(q, w, u) r = Cast<to = 1>(p) y = Mul(r, f)"""
FOUR = torch.full((1, 1), 4.0, dtype=torch.float64)
WEIGHTS = np.zeros((1, 1, 1, 1), np.int8)


@pytest.mark.parametrize(("scale", "target"), [(1e20, 1e-20), (1e-20, 1e20), (1e-39, 1e-39)])
def test_a_scale_that_float32_does_not_hold_is_refused(model, scale, target):
    """The runtime has 0 · ∞ where weights are zero, and answers with −7 for 0."""
    own = {"w": WEIGHTS, "i": np.int8(0), **SCALARS}
    network = model(CONVOLUTION, (1, 1, 1, 1), **own, ws=np.float32(0.5), ys=np.float32(0.5))
    x = FOUR.numpy()
    assert Runtime(network).run_exact(x) == lower(network.graph).run(FOUR) == 0.0
    scales = {"ws": np.float32(scale), "ys": np.float32(target)}
    network = model(CONVOLUTION, (1, 1, 1, 1), **own, **scales)
    if target < scale:
        assert Runtime(network).run_exact(x) == -7.0
    with pytest.raises(UnsupportedOperatorError, match="QLinearConv"):
        lower(network.graph)
    with pytest.raises(CannotCheckError, match="float32 does not hold"):
        check.read(network.data)


@pytest.mark.parametrize(
    ("text", "factor"), [(DYNAMIC, 2e38), (DYNAMIC, 1e-39), (QUANTISED, 1e-39)]
)
def test_a_factor_that_may_overflow_or_be_flushed_is_refused(model, text, factor):
    own = {"w": WEIGHTS[0, 0], **SCALARS}
    fits = model(text, (1, 1), **own, f=np.float32(0.1))
    lower(fits.graph)
    check.read(fits.data)
    network = model(text, (1, 1), **own, f=np.float32(factor))
    if factor > 1:
        assert np.isnan(Runtime(network).run_exact([[1000.0]]))
    with pytest.raises(UnsupportedOperatorError, match=r"QuantizeLinear|MatMulInteger"):
        lower(network.graph)
    with pytest.raises(CannotCheckError, match="flushed"):
        check.read(network.data)


def test_a_dynamic_scale_that_overflows_has_no_bound():
    lower, upper = torch.tensor([[-(2.0**127), 0.0]], dtype=torch.float64), torch.zeros(1, 2)
    assert DynamicQuantizer().roundoff(lower, upper)[1].isinf().all()
    assert DynamicQuantizer().roundoff(lower / 2, upper)[1].isfinite().all()


def test_each_factor_is_read_with_its_own_scale(model):
    """One tensor of codes twice, once as tenths and once as units."""
    text = """
        q = QuantizeLinear(x, t, u) p = QLinearMatMul(q, s, u, q, t, u, s, u)
        y = DequantizeLinear(p, s, u)"""
    network = model(text, (1, 1), **SCALARS)
    found = Runtime(network).run_exact(FOUR.numpy())
    assert found == 40.0
    assert lower(network.graph).run(FOUR) == 40.0


def test_a_file_may_name_tensors_as_the_expansion_does(build):
    text = """
        q = QuantizeLinear(x, s, u) p = QLinearMatMul(q, s, u, w, s, u, s, u)
        d = DequantizeLinear(p, s, u) y = Add(d, k)"""
    arrays = {"w": np.full((1, 1), 2, np.uint8), "k": np.full((1, 1), 100, np.float32)}
    graph = read(build(text, (1, 1), **SCALARS, **arrays))
    for taken in ("p/weight -1", "p/real", "p/q/read"):
        add = replace(graph.nodes[-1], inputs=("d", taken))
        own = {**graph.constants, taken: graph.constants["k"]}
        named = normalise(replace(graph, nodes=(*graph.nodes[:-1], add), constants=own))
        assert lower(named).run(FOUR) == 108.0
