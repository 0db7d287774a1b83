"""Wanda: the score, its invariances, exact counts, and both orders of propagation."""

import numpy as np
import onnx
import pytest
import torch

import pruners
from pruners.activations import energies
from pruners.execution import Execution
from pruners.masks import lowest_in_rows
from pruners.onnx_edit import Network
from pruners.sites import weight_sites
from simcert.errors import ModelError


def rows(model):
    return [site.rows for site in weight_sites(Network(model))]


def zeros(model):
    return [row == 0 for row in rows(model)]


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((40, 8))


@pytest.fixture
def linear(build):
    """One layer: what enters it is the calibration data."""
    weights = np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)
    return build("y = Gemm<transB=1>(x, w)", w=weights)


def test_the_score_is_weight_times_norm(linear, x):
    (mask,) = zeros(pruners.wanda(linear, sparsity=0.5, calibration=x).data)
    expected = np.abs(rows(linear)[0]) * np.sqrt((x**2).sum(axis=0))
    np.testing.assert_array_equal(mask, lowest_in_rows(expected, 4))


def test_equal_inputs_give_row_magnitude(linear):
    ones = np.ones((5, 8))
    pruned = pruners.wanda(linear, sparsity=0.5, calibration=ones).data
    expected = pruners.magnitude(linear, sparsity=0.5, scope="row").data
    assert_equal(zeros(pruned), zeros(expected))


@pytest.mark.parametrize("change", [lambda x: 3.7 * x, lambda x: x[::-1], lambda x: -x])
def test_scale_sign_and_order_of_the_data_do_not_matter(linear, x, change):
    masks = (zeros(pruners.wanda(linear, sparsity=0.5, calibration=d).data) for d in (x, change(x)))
    assert_equal(*masks)


def test_the_scale_of_a_row_does_not_matter(build, linear, x):
    (weights,) = rows(linear)
    scaled = weights * np.float32(2.0) ** np.arange(-3, 3, dtype=np.float32)[:, None]
    other = build("y = Gemm<transB=1>(x, w)", w=scaled)
    assert_equal(
        *(zeros(pruners.wanda(m, sparsity=0.5, calibration=x).data) for m in (linear, other))
    )


def test_an_input_that_is_always_zero_goes_first(linear, x):
    x[:, 3] = 0
    (mask,) = zeros(pruners.wanda(linear, sparsity=0.125, calibration=x).data)
    np.testing.assert_array_equal(mask, np.arange(8)[None].repeat(6, 0) == 3)


@pytest.mark.parametrize("propagate", ["pruned", "dense"])
@pytest.mark.parametrize("sparsity", [0.25, 0.29, 0.9])
def test_counts_are_exact_in_each_row(network, digits, propagate, sparsity):
    pruned = pruners.wanda(
        network, sparsity=sparsity, calibration=digits["images"], propagate=propagate
    )
    for mask in zeros(pruned.data):
        count = int(np.floor(sparsity * mask.shape[1] + 1e-9))
        np.testing.assert_array_equal(mask.sum(axis=1), count)


@pytest.mark.parametrize("propagate", ["pruned", "dense"])
def test_pruning_twice_is_pruning_once(network, digits, propagate):
    options = {"sparsity": 0.5, "calibration": digits["images"], "propagate": propagate}
    once = pruners.wanda(network, **options).data
    assert pruners.wanda(once, **options).data == once


def test_groups_keep_n_of_m(mlp, x):
    for mask in zeros(pruners.wanda(mlp(), nm=(2, 4), calibration=x).data):
        assert np.all(mask.reshape(-1, 4).sum(axis=1) == 2)


def test_pruned_propagation_measures_on_the_pruned_prefix(mlp, x):
    """Layer by layer, by hand: each input comes from the layers that are pruned already."""
    model = mlp()
    pruned = pruners.wanda(model, sparsity=0.5, calibration=x, propagate="pruned").data
    sites, final = weight_sites(Network(model)), Execution(pruned)
    for site, mask in zip(sites, zeros(pruned), strict=True):
        ((squares,),) = energies(final, [site], x)  # later layers do not change what enters
        scores = np.abs(site.rows) * np.sqrt(squares)
        np.testing.assert_array_equal(mask, lowest_in_rows(scores, mask.shape[1] // 2))
    dense = pruners.wanda(model, sparsity=0.5, calibration=x, propagate="dense").data
    assert any(np.any(a != b) for a, b in zip(zeros(dense), zeros(pruned), strict=True))


def test_the_patches_of_a_grouped_convolution(build):
    """Against torch's im2col, with stride, dilation, uneven padding and groups."""
    random = np.random.default_rng(0)
    model = build(
        "y = Conv<group=2, strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 2]>(x, k)",
        (1, 4, 7, 6),
        k=random.standard_normal((6, 2, 3, 2)).astype(np.float32),
    )
    x = random.standard_normal((5, 4, 7, 6))
    (site,) = weight_sites(Network(model))
    ((squares,),) = energies(Execution(model), [site], x.reshape(5, -1))
    padded = torch.nn.functional.pad(torch.from_numpy(x), (0, 2, 1, 0))
    patches = torch.nn.functional.unfold(padded, (3, 2), dilation=(1, 2), stride=(2, 1))
    norms = patches.square().sum((0, 2)).reshape(2, -1)
    np.testing.assert_allclose(squares, norms.repeat_interleave(3, 0).numpy(), rtol=1e-12)


def test_tokens_are_rows(example, digits):
    """All 16 tokens of all images enter the query layer."""
    execution = Execution(example("vit").read_bytes())
    site = next(s for s in weight_sites(Network(example("vit"))) if s.tensor == "query.weight")
    x = digits["images"][:10].astype(float)
    ((squares,),) = energies(execution, [site], x)
    tokens = execution.tensors(torch.from_numpy(x), ["norm_1"])["norm_1"].reshape(-1, 16)
    assert len(tokens) == 160
    np.testing.assert_allclose(squares[0], tokens.square().sum(0).numpy(), rtol=1e-12)


def test_the_layouts_of_a_product(build):
    random = np.random.default_rng(0)
    w = random.standard_normal((2, 5, 3)).astype(np.float32)
    left = random.standard_normal((7, 4)).astype(np.float32)
    model = build(
        "a = MatMul(x, w) b = MatMul(l, x) y = Concat<axis=1>(a, b)", (2, 4, 5), w=w, l=left
    )
    proto = onnx.ModelProto.FromString(model)
    del proto.graph.node[2:]
    proto.graph.output[0].name = "a"
    x = random.standard_normal((3, 2, 4, 5))
    execution = Execution(model_with_output(proto, "a"))
    site = weight_sites(Network(model_with_output(proto, "a")))[0]
    ((squares,),) = energies(execution, [site], x.reshape(3, -1))
    np.testing.assert_allclose(squares[0], (x**2).sum((0, 2)).reshape(-1))


def model_with_output(proto, name):
    kept = [node for node in proto.graph.node if name in node.output]
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()


def test_one_tensor_from_both_sides_is_refused(convnet):
    x = np.zeros((2, 4 * 36))
    with pytest.raises(ModelError, match="from the left in one node"):
        pruners.wanda(convnet, sparsity=0.5, calibration=x)
    pruners.wanda(convnet, sparsity=0.5, calibration=x, exclude=["matmul_2"])


def test_options_that_do_not_fit_are_refused(mlp, x):
    for options in ({}, {"sparsity": 0.5, "nm": (2, 4)}):
        with pytest.raises(ModelError, match="one of them"):
            pruners.wanda(mlp(), calibration=x, **options)
    with pytest.raises(ModelError, match="propagate"):
        pruners.wanda(mlp(), calibration=x, sparsity=0.5, propagate="both")
    with pytest.raises(ModelError, match="too small"):
        pruners.wanda(mlp(), calibration=x, sparsity=0.05)
    with pytest.raises(ModelError, match="do not divide"):
        pruners.wanda(mlp(), calibration=x, nm=(2, 5))
