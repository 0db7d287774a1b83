"""Magnitude pruning: exact counts, nested masks, stable ties, and torch's masks as the oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import prune

import pruners
from pruners.masks import by_groups, by_scope, lowest
from pruners.onnx_edit import Network
from pruners.sites import weight_sites
from simcert.errors import ModelError


def rows(model):
    return [site.rows for site in weight_sites(Network(model))]


def zeros(model):
    return [row == 0 for row in rows(model)]


@pytest.mark.parametrize("sparsity", [0.1, 0.33, 0.5, 0.95])
def test_the_layer_masks_are_those_of_torch(mlp, sparsity):
    expected = []
    for weights in rows(mlp()):
        module = torch.nn.Linear(*weights.shape[::-1])
        module.weight.data = _parameter(weights)
        prune.l1_unstructured(module, "weight", amount=sparsity)
        expected.append(module.weight_mask.numpy() == 0)
    for mask, oracle in zip(zeros(_layer(mlp(), sparsity)), expected, strict=True):
        np.testing.assert_array_equal(mask, oracle)


@pytest.mark.parametrize("sparsity", [0.1, 0.33, 0.5, 0.95])
def test_the_global_masks_are_those_of_torch(convnet, sparsity):
    modules = []
    for weights in rows(convnet):
        module = torch.nn.Linear(*weights.shape[::-1])
        module.weight.data = _parameter(weights)
        modules.append((module, "weight"))
    prune.global_unstructured(modules, prune.L1Unstructured, amount=sparsity)
    pruned = pruners.magnitude(convnet, sparsity=sparsity, scope="global").data
    for mask, (module, _) in zip(zeros(pruned), modules, strict=True):
        np.testing.assert_array_equal(mask, module.weight_mask.numpy() == 0)


def test_torch_and_the_file_agree_on_a_real_network(real):
    """Same counts; the same masks but where weights of equal size meet at the threshold."""
    for weights, pruned in zip(rows(real), rows(_layer(real, 0.4)), strict=True):
        module = torch.nn.Linear(*weights.shape[::-1])
        module.weight.data = _parameter(weights)
        prune.l1_unstructured(module, "weight", amount=0.4)
        oracle = module.weight_mask.numpy() == 0
        mine = (pruned == 0) & (weights != 0)
        sizes = np.abs(weights)
        threshold = sizes[oracle].max(initial=0)
        decided = (sizes != threshold) & (weights != 0)
        np.testing.assert_array_equal(mine[decided], oracle[decided])
        assert np.sum(pruned == 0) == max(oracle.sum(), np.sum(weights == 0))


@pytest.mark.parametrize(
    ("scope", "sparsity", "counts"),
    [
        ("row", 0.29, [12 * 2, 16 * 3, 4 * 4]),
        ("layer", 0.29, [28, 56, 19]),
        ("global", 0.29, [102]),
    ],
)
def test_counts_are_exact(mlp, scope, sparsity, counts):
    masks = zeros(pruners.magnitude(mlp(), sparsity=sparsity, scope=scope).data)
    found = [int(mask.sum()) for mask in masks]
    assert (found if scope != "global" else [sum(found)]) == counts
    if scope == "row":
        assert all(len(set(mask.sum(axis=1))) == 1 for mask in masks)


def test_a_row_share_is_the_decimal_number_that_was_written():
    """0.29 · 100 is 28.999… in floating point."""
    (mask,) = by_scope([np.arange(100.0)[None]], 0.29, "row")
    assert mask.sum() == 29


@pytest.mark.parametrize("scope", ["row", "layer", "global"])
def test_masks_of_growing_sparsity_are_nested(convnet, scope):
    earlier = zeros(convnet)
    for sparsity in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        later = zeros(pruners.magnitude(convnet, sparsity=sparsity, scope=scope).data)
        assert all(np.all(new[old]) for old, new in zip(earlier, later, strict=True))
        earlier = later


def test_of_equal_weights_the_lowest_flat_index_goes_first():
    masks = lowest([np.ones((2, 2)), np.ones((1, 3))], 5)
    np.testing.assert_array_equal(masks[0], [[True, True], [True, True]])
    np.testing.assert_array_equal(masks[1], [[True, False, False]])


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30).map(lambda x: np.array([x], float)),
    st.floats(0, 1, exclude_max=True),
)
def test_no_pruned_weight_is_larger_than_a_kept_one(weights, sparsity):
    score = np.abs(weights)
    count = round(sparsity * score.size)
    (mask,) = lowest([score], count)
    assert mask.sum() == count
    assert score[mask].max(initial=0) <= score[~mask].min(initial=np.inf)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (4, 4)])
def test_groups_keep_n_of_m(mlp, n, m):
    model = mlp()
    pruned = pruners.magnitude(model, nm=(n, m)).data
    for before, after in zip(rows(model), rows(pruned), strict=True):
        kept = (after != 0).reshape(-1, m)
        assert np.all(kept.sum(axis=1) == n)
        sizes = np.abs(before).reshape(-1, m)
        smallest_kept = np.where(kept, sizes, np.inf).min(axis=1)
        assert np.all(np.where(kept, 0, sizes).max(axis=1) <= smallest_kept)


def test_groups_that_do_not_divide_a_row_are_refused_by_name(data):
    network = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
    with pytest.raises(ModelError, match=r"'Operation_1_MatMul'.*5 weights.*exclude"):
        pruners.magnitude(network, nm=(2, 4))
    pruners.magnitude(network, nm=(2, 5))


def test_rows_of_the_stored_matrix_are_its_outputs(mlp, tensors):
    """Gemm without transB and MatMul keep their outputs in columns."""
    stored = tensors(pruners.magnitude(mlp(), sparsity=0.5, scope="row").data)
    assert set(np.sum(stored["w1"] == 0, axis=1)) == {4}
    assert set(np.sum(stored["w2"] == 0, axis=0)) == {6}
    assert set(np.sum(stored["w3"] == 0, axis=0)) == {8}


def test_pruning_twice_is_pruning_once(convnet):
    once = _layer(convnet, 0.3)
    assert _layer(once, 0.3) == once


def test_the_kept_weights_and_the_biases_stay_as_they_are(mlp, tensors):
    before, after = tensors(mlp()), tensors(_layer(mlp(), 0.5))
    assert before.keys() == after.keys()
    for name, values in before.items():
        kept = after[name] != 0
        np.testing.assert_array_equal(after[name][kept], values[kept])
        assert name.startswith("w") or kept.all()


def test_the_default_scope_spares_small_kernels(mlp, convnet):
    """All layers together where there are convolutions, each by itself elsewhere."""
    for model, scope in ((mlp(), "layer"), (convnet, "global")):
        default = pruners.magnitude(model, sparsity=0.5)
        assert default.report.parameters["scope"] == scope
        assert default.data == pruners.magnitude(model, sparsity=0.5, scope=scope).data


@pytest.mark.parametrize("options", [{"sparsity": 0.3}, {"sparsity": 0.3, "scope": "global"}])
def test_real_networks_load_and_run_afterwards(real, run, options):
    compressed = pruners.magnitude(real, **options)
    outputs = run(compressed.data)
    assert outputs.shape == run(real).shape
    assert np.isfinite(outputs).all()
    assert compressed.report.after.zeros >= round(0.3 * compressed.report.after.weights) - 40


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_a_sparsity_outside_its_range_is_refused(mlp, sparsity):
    with pytest.raises(ModelError, match="sparsity must be"):
        pruners.magnitude(mlp(), sparsity=sparsity)


def test_a_sparsity_that_removes_nothing_is_refused(mlp):
    with pytest.raises(ModelError, match="too small"):
        pruners.magnitude(mlp(), sparsity=1e-6)
    with pytest.raises(ModelError, match="too small"):
        pruners.magnitude(mlp(), sparsity=0.05, scope="row")


def test_the_options_must_fit_together(mlp):
    for options in ({}, {"sparsity": 0.5, "nm": (2, 4)}, {"nm": (2, 4), "scope": "row"}):
        with pytest.raises(ModelError, match="one of them"):
            pruners.magnitude(mlp(), **options)
    with pytest.raises(ModelError, match="scope"):
        pruners.magnitude(mlp(), sparsity=0.5, scope="column")
    with pytest.raises(ModelError, match="1 ≤ N ≤ M"):
        by_groups([np.ones((1, 4))], 0, 4, ["layer"])


def _layer(model, sparsity):
    return pruners.magnitude(model, sparsity=sparsity, scope="layer").data


def _parameter(weights):
    return torch.tensor(np.array(weights, order="C"))
