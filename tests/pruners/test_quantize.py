"""Weight quantisation: error bounds, idempotence, and the two formats bit for bit."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pruners
from pruners.onnx_edit import Network
from pruners.quantize import quantised, scales
from pruners.sites import weight_sites
from simcert.errors import ModelError

BITS = range(2, 9)


def sites(model):
    return weight_sites(Network(model))


@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_no_weight_moves_by_more_than_half_a_step(real, bits, per):
    after = sites(pruners.quantize(real, bits=bits, per=per).data)
    for old, new in zip(sites(real), after, strict=True):
        axis = old.output_axis if per == "channel" else None
        scale = scales(old.weights, bits, axis).astype(np.float64)
        error = np.abs(new.weights.astype(np.float64) - old.weights)
        ulp = np.spacing(np.abs(old.weights)).astype(np.float64)
        assert np.all(error <= scale / 2 + ulp)
        assert np.all(new.weights[old.weights == 0] == 0)


@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_quantising_twice_is_quantising_once(real, bits, per):
    once = pruners.quantize(real, bits=bits, per=per).data
    assert pruners.quantize(once, bits=bits, per=per).data == once


@pytest.mark.parametrize("bits", BITS)
def test_every_scale_survives_its_own_rounding(bits):
    """σ Q / Q = σ for every σ = m / Q, over all significands of float32 in [1, 2)."""
    limit = np.float32(2 ** (bits - 1) - 1)
    significands = (np.arange(2**23, dtype=np.uint32) + np.uint32(127 << 23)).view(np.float32)
    scale = significands / limit
    assert np.array_equal(scale * limit / limit, scale)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 6)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    ),
    st.sampled_from(BITS),
)
def test_the_definition(weights, bits):
    limit = 2 ** (bits - 1) - 1
    scale = scales(weights, bits, 0)
    integers = quantised(weights, scale, bits)
    restored = integers * scale
    assert integers.dtype == np.int8
    assert restored.dtype == np.float32
    assert np.abs(integers).max() <= limit
    assert np.all(np.abs(restored - weights.astype(float)) <= scale / 2 + np.spacing(weights))
    again = scales(restored, bits, 0)
    np.testing.assert_array_equal(quantised(restored, again, bits) * again, restored)


def test_halves_round_to_even():
    weights = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)
    scale = scales(weights, 8, 0)
    np.testing.assert_array_equal(quantised(weights, scale, 8), [[127, 0, 2, 2, 0, -2]])


def test_a_channel_of_zeros_has_scale_one(build, tensors):
    weights = np.zeros((4, 8), np.float32)
    weights[0] = np.arange(8)
    model = build("y = Gemm<transB=1>(x, w)", w=weights)
    stored = tensors(pruners.quantize(model, format="qdq-weight").data)
    np.testing.assert_array_equal(stored["w_scale"][1:], [1, 1, 1])


@pytest.mark.parametrize("per", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [4])
def test_both_formats_compute_the_same_bits(real, run, bits, per):
    fake = pruners.quantize(real, bits=bits, per=per)
    stored = pruners.quantize(real, bits=bits, per=per, format="qdq-weight")
    np.testing.assert_array_equal(run(stored.data), run(fake.data))
    assert stored.report.after.bytes < stored.report.before.bytes
    assert fake.report.after.bytes == fake.report.before.bytes
    onnx.checker.check_model(stored.data)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("opset", [8, 11, 17])
def test_old_files_are_raised_to_the_opset_of_dequantize_linear(mlp, run, opset, listed):
    model = mlp(opset=opset, listed=listed)
    fake = pruners.quantize(model).data
    stored = pruners.quantize(model, format="qdq-weight").data
    np.testing.assert_array_equal(run(stored), run(fake))
    proto = onnx.ModelProto.FromString(stored)
    assert proto.opset_import[0].version == max(opset, 13)
    assert "w1" not in {value.name for value in proto.graph.input}
    onnx.checker.check_model(stored)


def test_a_constant_node_becomes_an_initialiser(convnet, run, tensors):
    stored = pruners.quantize(convnet, format="qdq-weight").data
    np.testing.assert_array_equal(run(stored), run(pruners.quantize(convnet).data))
    assert tensors(stored)["w_int8"].dtype == np.int8
    assert "w" not in tensors(stored)


def test_the_output_error_does_not_grow_with_the_bits(real, run):
    exact = run(real)
    errors = [np.abs(run(pruners.quantize(real, bits=b).data) - exact).mean() for b in (4, 6, 8)]
    assert errors == sorted(errors, reverse=True)


def test_pruned_weights_stay_zero(mlp):
    pruned = pruners.magnitude(mlp(), sparsity=0.5).data
    quantised_too = pruners.quantize(pruned, bits=4).data
    for before, after in zip(sites(pruned), sites(quantised_too), strict=True):
        assert np.all(after.weights[before.weights == 0] == 0)


@pytest.mark.parametrize(
    "options", [{"bits": 1}, {"bits": 9}, {"per": "row"}, {"format": "qoperator"}]
)
def test_options_out_of_range_are_refused(mlp, options):
    with pytest.raises(ModelError, match=next(iter(options))):
        pruners.quantize(mlp(), **options)


def test_double_precision_cannot_be_stored_as_int8(build):
    model = build(
        "d = Cast<to=11>(x) e = MatMul(d, w) y = Cast<to=1>(e)", w=np.ones((8, 2), np.float64) / 3
    )
    pruners.quantize(model)
    with pytest.raises(ModelError, match="not float32"):
        pruners.quantize(model, format="qdq-weight")


def test_a_weight_that_would_overflow_is_refused(build):
    model = build("y = MatMul(x, w)", w=np.full((8, 2), np.finfo(np.float32).max))
    with pytest.raises(ModelError, match="overflow"):
        pruners.quantize(model)
