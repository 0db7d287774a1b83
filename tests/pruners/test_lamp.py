"""LAMP and SLAMP: the score, exact counts, and when one is the other."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pruners
from pruners.lamp import lamp_masks, scores
from pruners.onnx_edit import Network
from pruners.sites import weight_sites
from pruners.slamp import presynaptic_energy
from simcert.errors import ModelError


def rows(model):
    return [site.rows for site in weight_sites(Network(model))]


def zeros(model):
    return [row == 0 for row in rows(model)]


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


LAYERS = arrays.arrays(np.float32, st.integers(1, 12), elements=st.floats(-8, 8, width=16))


@given(LAYERS)
def test_the_definition_in_quadratic_time(weights):
    squares = weights.astype(float) ** 2
    order = np.argsort(squares, kind="stable")
    expected = np.zeros(len(weights))
    for position, index in enumerate(order):
        survivors = sum(squares[other] for other in order[position:])
        expected[index] = squares[index] / survivors if survivors else 0.0
    np.testing.assert_allclose(scores(weights), expected, rtol=1e-12, atol=0)


@given(LAYERS)
def test_the_largest_weight_scores_one(weights):
    assert scores(weights).max() == (1.0 if weights.any() else 0.0)


@given(LAYERS, st.floats(0, 0.99))
def test_within_a_layer_the_order_is_that_of_magnitude(weights, sparsity):
    keep = round(weights.size * (1 - sparsity))
    if keep < 1 or (sparsity > 0 and keep == weights.size):
        return
    (mask,) = lamp_masks([weights[None]], sparsity)
    order = np.argsort(np.abs(weights), kind="stable")
    expected = np.zeros(weights.size, bool)
    expected[order[: weights.size - keep]] = True
    np.testing.assert_array_equal(mask[0], expected)


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.77, 0.95])
def test_counts_are_exact_and_no_layer_dies(network, sparsity):
    masks = zeros(pruners.lamp(network, sparsity=sparsity).data)
    total = sum(mask.size for mask in masks)
    assert sum(int((~mask).sum()) for mask in masks) == round(total * (1 - sparsity))
    assert not any(mask.all() for mask in masks)


def test_the_scale_of_a_layer_does_not_matter():
    layers = [np.random.default_rng(i).standard_normal((5, 6)).astype(np.float32) for i in range(3)]
    scaled = [layers[0] * np.float32(1024), layers[1], layers[2] / np.float32(64)]
    assert_equal(lamp_masks(layers, 0.6), lamp_masks(scaled, 0.6))


def test_pruning_twice_is_pruning_once(network):
    once = pruners.lamp(network, sparsity=0.6).data
    assert pruners.lamp(once, sparsity=0.6).data == once


def test_a_layer_keeps_one_weight_or_the_sparsity_is_refused(mlp):
    masks = zeros(pruners.lamp(mlp(), sparsity=1 - 3 / 352).data)
    assert [int((~mask).sum()) for mask in masks] == [1, 1, 1]
    with pytest.raises(ModelError, match="each of 3 layers keeps"):
        pruners.lamp(mlp(), sparsity=1 - 2 / 352)
    with pytest.raises(ModelError, match="too small"):
        pruners.lamp(mlp(), sparsity=1e-4)
    for sparsity in (-0.1, 1.0, float("nan")):
        with pytest.raises(ModelError, match="sparsity must be"):
            pruners.lamp(mlp(), sparsity=sparsity)


# -- over time ---------------------------------------------------------------------------------


def test_one_step_is_lamp(example, digits):
    for name in ("mlp", "convnet", "vit"):
        x = digits["images"][:20]
        pruned = pruners.slamp(example(name), sparsity=0.6, calibration=x)
        assert_equal(zeros(pruned.data), zeros(pruners.lamp(example(name), sparsity=0.6).data))
        assert pruned.report.parameters["steps"] == 1


def test_equal_profiles_over_time_are_lamp(example, digits):
    """A layer that is read once stands for T equal steps; so must the others here."""
    equal = {
        "sparsity": 0.6,
        "calibration": digits["images"][:20],
        "alpha": lambda profile, leak: presynaptic_energy(np.ones_like(profile), leak),
    }
    pruned = pruners.slamp(example("spiking"), **equal).data
    assert_equal(zeros(pruned), zeros(pruners.lamp(example("spiking"), sparsity=0.6).data))


@given(
    arrays.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1e6)),
    st.floats(0, 1),
    st.floats(0.001, 1000),
)
def test_the_range_of_alpha(profile, leak, scale):
    steps = len(profile)
    alpha = presynaptic_energy(profile, leak)
    assert 1 <= alpha <= steps * (steps + 1) / 2 + 1e-9
    assert presynaptic_energy(scale * profile, leak) == pytest.approx(alpha, rel=1e-9)
    assert presynaptic_energy(profile[:1], leak) == 1


def test_alpha_counts_how_long_a_step_is_felt():
    """T = 3, λ = 1/2: κ = 1.75, 1.5, 1."""
    assert presynaptic_energy(np.array([2.0, 1.0, 0.0]), 0.5) == 1.75 + 0.75


@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_a_spiking_network_of_four_steps(example, digits, run, sparsity):
    pruned = pruners.slamp(
        example("spiking"), sparsity=sparsity, calibration=digits["images"], leak=0.9
    )
    masks = zeros(pruned.data)
    total = sum(mask.size for mask in masks)
    assert pruned.report.parameters["steps"] == 4
    assert sum(int((~mask).sum()) for mask in masks) == round(total * (1 - sparsity))
    assert pruned.report.layers[1].nodes == ("hidden_0", "hidden_1", "hidden_2", "hidden_3")
    onnx.checker.check_model(pruned.data, full_check=True)
    assert np.isfinite(run(pruned.data)).all()


def test_time_changes_the_mask(example, digits):
    """Without memory (λ = 0), a hidden layer's α still exceeds 1 by its later steps."""
    given = {"sparsity": 0.6, "calibration": digits["images"]}
    pruned = pruners.slamp(example("spiking"), **given).data
    plain = pruners.lamp(example("spiking"), sparsity=0.6).data
    differ = sum(int(np.sum(a != b)) for a, b in zip(zeros(pruned), zeros(plain), strict=True))
    assert differ > 0


def test_scaling_what_enters_a_layer_does_not_matter(example, digits):
    """α_l of the first layer is the same for images of any brightness: it is read once."""
    x = digits["images"]
    profiles = []

    def record(profile, leak):
        profiles.append(presynaptic_energy(profile, leak))
        return profiles[-1]

    for scale in (1.0, 0.5):
        pruners.slamp(example("spiking"), sparsity=0.6, calibration=scale * x, alpha=record)
    assert profiles[0] == profiles[3] == 10


def test_what_slamp_refuses(example, digits, build):
    x = digits["images"][:5]
    with pytest.raises(ModelError, match="leak"):
        pruners.slamp(example("spiking"), sparsity=0.5, calibration=x, leak=1.5)
    with pytest.raises(ModelError, match="positive and finite"):
        pruners.slamp(example("mlp"), sparsity=0.5, calibration=x, alpha=lambda *_: 0.0)
    model = build(
        "a = MatMul(x, w) b = MatMul(a, w) c = MatMul(b, v) d = MatMul(c, v) y = MatMul(d, v)",
        w=np.eye(8, dtype=np.float32),
        v=np.eye(8, dtype=np.float32),
    )
    with pytest.raises(ModelError, match="read 2 times, others 3 times"):
        pruners.slamp(model, sparsity=0.5, calibration=np.ones((2, 8)))
