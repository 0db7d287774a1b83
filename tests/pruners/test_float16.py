"""Rounding to float16: what is rounded, what is not, and a published pair as the oracle."""

import numpy as np
import pytest

import pruners
from simcert.errors import ModelError


@pytest.mark.parametrize("name", ["mnist_relu_3_100", "HAR"])
def test_a_published_float16_network_is_met(data, tensors, name):
    """The ReluDiff study's copies, which went through decimals: only exact ties may differ."""
    original = (data / "differential" / f"{name}.onnx").read_bytes()
    published = (data / "differential" / f"{name}_16bit.onnx").read_bytes()
    stored = [tensors(file) for file in (original, pruners.float16(original).data, published)]
    for before, mine, theirs in zip(*(s.values() for s in stored), strict=True):
        theirs = theirs.astype(np.float16).astype(before.dtype)
        differ = mine != theirs
        assert differ.mean() < 1e-3
        np.testing.assert_array_equal(
            np.abs(mine - before)[differ], np.abs(theirs - before)[differ]
        )


def test_every_weight_and_bias_is_a_float16_number(real, tensors, run):
    rounded = pruners.float16(real).data
    for name, values in tensors(rounded).items():
        if values.dtype == np.float32 and values.ndim:
            before = tensors(real)[name]
            if not np.array_equal(values, before):
                np.testing.assert_array_equal(values, before.astype(np.float16).astype(np.float32))
    outputs = run(real)
    np.testing.assert_allclose(run(rounded), outputs, atol=0.05 * np.abs(outputs).max())
    assert pruners.float16(rounded).data == rounded


def test_biases_are_rounded_and_scalars_are_not(build, tensors):
    third = np.float32(1 / 3)
    model = build(
        "a = MatMul(x, w) b = Add(a, v) y = Add(b, s)",
        w=np.full((8, 2), third),
        v=np.full(2, third),
        s=np.array(third),
    )
    stored = tensors(pruners.float16(model).data)
    assert stored["w"][0, 0] == stored["v"][0] == np.float16(third) != third
    assert stored["s"] == third


def test_quantisers_keep_their_scales(mlp, tensors):
    stored = pruners.quantize(mlp(), format="qdq-weight").data
    rounded = tensors(pruners.float16(stored).data)
    np.testing.assert_array_equal(rounded["w1_scale"], tensors(stored)["w1_scale"])
    assert not np.array_equal(rounded["b1"], tensors(stored)["b1"])


def test_overflow_is_refused(build):
    model = build("y = MatMul(x, w)", w=np.full((8, 2), np.float32(70_000)))
    with pytest.raises(ModelError, match="'w' holds 70000: float16 ends at 65504"):
        pruners.float16(model)


def test_an_excluded_node_keeps_its_tensors(mlp, tensors):
    before, after = tensors(mlp()), tensors(pruners.float16(mlp(), exclude=["gemm_0"]).data)
    assert np.array_equal(before["w1"], after["w1"])
    assert np.array_equal(before["b1"], after["b1"])
    assert not np.array_equal(before["w2"], after["w2"])
    with pytest.raises(ModelError, match="cannot exclude 'nobody'"):
        pruners.float16(mlp(), exclude=["nobody"])


def test_nothing_to_round(build):
    with pytest.raises(ModelError, match="nothing to compress"):
        pruners.float16(build("y = Relu(x)"))
