"""AGF: utilities, channel groups over every kind of graph, and files that really shrink."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import pruners
from pruners.agf import KEPT, utilities
from pruners.channels import ChannelGraph
from pruners.execution import Execution
from pruners.onnx_edit import Network
from simcert.errors import ModelError

REAL = {
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx": 0.5,
    "pairs/onnx/mlptiny_ic_resnet8_fp32.onnx": 1.0,
    "pairs/onnx/tinymaix_mnist_dw_fp32.onnx": 1.0,
    "vision/onnx/cifar_base_kw.onnx": 1.0,
    "vision/onnx/mnist-net_256x2.onnx": 1.0,
    "vision/onnx/resnet20_cifar10_akamaster.onnx": 1.0,
    "vision/onnx/resnet_2b.onnx": 1.0,
    "vision/onnx/self-attention-mnist-pgd-medium-sim.onnx": 1.0,
    "vision/onnx/tansig_200_50_onnx.onnx": 255.0,
    "vision/onnx/vit_ibp_3_3_8.onnx": 1.0,
}


def traced(model):
    network = Network(model)
    return network, ChannelGraph.of(network.graph, network.stored.keys())


def removed(original, compressed):
    """The original with zeros where the smaller file has nothing: found by the values that stay."""
    _, channels = traced(original)
    model, small = onnx.ModelProto.FromString(original), _tensors(compressed)
    kept = _kept_roots(channels, compressed)
    for holder in _holders(model):
        values = numpy_helper.to_array(holder).copy()
        for axis, ids in channels.slices.get(holder.name, {}).items():
            stays = np.isin(channels.roots(ids), list(kept))
            shape = [1] * values.ndim
            shape[axis] = -1
            values = np.where(stays.reshape(shape), values, values.dtype.type(0))
        if holder.name in small:
            assert np.count_nonzero(values) <= small[holder.name].size
        holder.CopyFrom(numpy_helper.from_array(values, holder.name))
    return model.SerializeToString()


def _kept_roots(channels, compressed):
    """The roots that stay, by the map in the metadata."""
    stay = {channels.root(number) for number in range(len(channels._parent))}
    kept = _metadata(compressed).get(KEPT, {})
    for producer in channels.producers:
        if producer.node in kept:
            ids = channels.tensors[producer.tensor].ids
            gone = np.setdiff1d(np.arange(len(ids)), kept[producer.node])
            stay -= set(channels.roots(ids[gone]).tolist())
    return stay


def _metadata(model):
    properties = onnx.ModelProto.FromString(model).metadata_props
    return {
        item.key: json.loads(item.value) for item in properties if item.key.startswith("simcert")
    }


def _holders(model):
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    constants = [attribute.t for node in nodes for attribute in node.attribute]
    for node, tensor in zip(nodes, constants, strict=True):
        tensor.name = node.output[0]
    return [t for t in (*model.graph.initializer, *constants) if t.data_type == 1]


def _tensors(model):
    return {
        t.name: numpy_helper.to_array(t)
        for t in onnx.ModelProto.FromString(model).graph.initializer
    }


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_the_shrunk_network_is_the_masked_one(network, digits, run, sparsity):
    original = network.read_bytes()
    small = pruners.agf(original, sparsity=sparsity, calibration=digits["images"]).data
    onnx.checker.check_model(small, full_check=True)
    masked = removed(original, small)
    scale = np.abs(run(masked)).max()
    np.testing.assert_allclose(run(small), run(masked), atol=1e-5 * max(1.0, scale))
    assert len(small) < len(original)


@pytest.mark.parametrize("name", REAL)
def test_real_networks_shrink_to_the_masked_ones(data, run, name):
    original = (data / name).read_bytes()
    inputs = Network(original).graph.input.size
    x = REAL[name] * np.random.default_rng(0).random((6, inputs))
    compressed = pruners.agf(original, sparsity=0.5, calibration=x, loss="norm")
    masked = removed(original, compressed.data)
    scale = np.abs(run(masked)).max()
    np.testing.assert_allclose(run(compressed.data), run(masked), atol=1e-5 * max(1.0, scale))
    for layer in compressed.report.layers:
        if layer.channels and layer.channels[0] != layer.channels[1]:
            assert layer.channels[1] == layer.channels[0] - round(0.5 * layer.channels[0])
    assert compressed.report.macs[1] < compressed.report.macs[0]


@pytest.mark.parametrize(
    ("options", "left"),
    [({"sparsity": 0.29}, (28, 17)), ({"keep": 0.3}, (12, 7)), ({"sparsity": 0.99}, (1, 1))],
)
def test_the_number_of_channels_is_what_was_asked_for(example, digits, options, left):
    small = pruners.agf(example("mlp"), calibration=digits["images"], **options)
    stored = _tensors(small.data)
    assert stored["layer_1.weight"].shape == (left[0], 64)
    assert stored["layer_1.bias"].shape == (left[0],)
    assert stored["layer_2.weight"].shape == (left[1], left[0])
    assert stored["layer_3.weight"].shape == (10, left[1])
    kept = _metadata(small.data)[KEPT]
    assert {name: len(channels) for name, channels in kept.items()} == {
        "layer_1": left[0],
        "layer_2": left[1],
    }
    weights = {layer.tensor: layer for layer in small.report.layers}
    assert weights["layer_1.weight"].channels == (40, left[0])
    assert weights["layer_2.weight"].macs == (960, left[0] * left[1])


def test_the_groups_of_the_residual_network(example):
    """The stem and the block's end are added; a group convolution loses the same places."""
    _, channels = traced(example("residual"))
    by_weight = {
        name: channels.roots(channels.slices[name][axis]) for name, axis in channels.outputs.items()
    }
    np.testing.assert_array_equal(by_weight["stem.weight"], by_weight["block_2.weight"])
    np.testing.assert_array_equal(
        channels.roots(channels.slices["depthwise.weight"][0]), by_weight["stem.weight"]
    )
    halves = by_weight["grouped.weight"].reshape(2, -1)
    np.testing.assert_array_equal(halves[0], halves[1])
    assert len(set(by_weight["stem.weight"])) == 4  # the group convolution reads pairs
    assert not by_weight["head.weight"].any()
    sizes = sorted(len(group) for group in channels.groups())
    assert sizes == [4, 6, 8, 16]


def test_a_reshape_that_counts_channels_is_patched(example, digits):
    small = pruners.agf(example("convnet"), sparsity=0.5, calibration=digits["images"]).data
    model = onnx.ModelProto.FromString(small)
    (node,) = (node for node in model.graph.node if node.op_type == "Reshape")
    assert _tensors(small)[node.input[1]].tolist() == [-1, 128]


def test_attention_keeps_its_tokens_and_its_sum(example):
    """Of the block only what is not in the residual stream goes: queries, values, the MLP."""
    _, channels = traced(example("vit"))
    frozen = {
        name
        for name, axis in channels.outputs.items()
        if not channels.roots(channels.slices[name][axis]).any()
    }
    assert frozen == {"patch.weight", "project.weight", "narrow.weight", "head.weight"}
    query, key = (channels.roots(channels.slices[f"{n}.weight"][1]) for n in ("query", "key"))
    np.testing.assert_array_equal(query, key)


def test_weights_shared_over_time_lose_the_same_channels(example, digits):
    small = pruners.agf(example("spiking"), sparsity=0.5, calibration=digits["images"]).data
    stored = _tensors(small)
    assert stored["hidden.weight"].shape == (16, 24)
    assert stored["readout.weight"].shape == (10, 16)
    kept = _metadata(small)[KEPT]
    assert kept["hidden_0"] == kept["hidden_3"]


def test_graphs_by_hand(build, run):
    """Concat, Pad, Slice, Split, Gather, Transpose, pools, PRelu, Where, broadcasting."""
    random = np.random.default_rng(0)

    def w(*shape):
        return random.standard_normal(shape).astype(np.float32)

    tail = "z = GlobalAveragePool(q) f = Flatten(z) y = Gemm<transB=1>(f, v)"
    graphs = [
        "p = PRelu(c, s) q = AveragePool<kernel_shape=[2, 2]>(p)",
        "p = MaxPool<kernel_shape=[2, 2]>(c) q = Mul(p, s)",
        "p = Pad<mode='reflect'>(c, pads) q = Relu(p)",
        "p = Slice(c, from, to, axes) q = Sigmoid(p)",
        "p, r = Split<axis=2>(c, halves) q = Add(p, r)",
        "p = Transpose<perm=[0, 2, 3, 1]>(c) r = Add(p, t) q = Transpose<perm=[0, 3, 1, 2]>(r)",
        "m = ReduceMean<axes=[2, 3]>(c) g = Sigmoid(m) q = Mul(c, g)",
        "p = Concat<axis=2>(c, row) q = Relu(p)",
        "g = Greater(c, s) r = Relu(c) q = Where(g, r, s)",
        "q = BatchNormalization(c, s1, b, b, s1)",
        "p = Conv<group=6, pads=[1, 1, 1, 1]>(c, depthwise) q = Add(p, c)",
    ]
    for graph in graphs:
        model = build(
            f"c = Conv(x, k, b) {graph} {tail}".replace("mode='reflect'", 'mode="reflect"'),
            (1, 3, 8, 8),
            k=w(6, 3, 3, 3),
            b=w(6),
            s=w(6, 1, 1),
            s1=np.abs(w(6)) + 1,
            depthwise=w(6, 1, 3, 3),
            t=w(6),
            v=w(4, 6),
            row=w(1, 6, 1, 6),
            pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
            **{"from": np.array([1]), "to": np.array([5]), "axes": np.array([2])},
            halves=np.array([3, 3]),
        )
        x = random.standard_normal((4, 192))
        small = pruners.agf(model, sparsity=0.5, calibration=x, loss="norm")
        assert _tensors(small.data)["k"].shape == (3, 3, 3, 3)
        np.testing.assert_allclose(run(small.data), run(removed(model, small.data)), atol=1e-5)


def test_groups_and_joined_channels(build, run):
    """A group convolution, Concat of channels, and Flatten with positions."""
    random = np.random.default_rng(0)
    model = build(
        "c = Conv(x, k) r = Relu(c) g = Conv<group=2>(r, h) s = Conv(r, l)"
        "j = Concat<axis=1>(g, s) f = Flatten(j) y = Gemm<transB=1>(f, v)",
        (1, 3, 6, 6),
        **{
            name: random.standard_normal(shape).astype(np.float32)
            for name, shape in {
                "k": (8, 3, 3, 3),
                "h": (12, 4, 2, 2),
                "l": (4, 8, 2, 2),
                "v": (5, 16 * 9),
            }.items()
        },
    )
    x = random.standard_normal((6, 108))
    small = pruners.agf(model, sparsity=0.5, calibration=x, loss="norm").data
    shapes = {name: values.shape for name, values in _tensors(small).items()}
    assert shapes == {"k": (4, 3, 3, 3), "h": (6, 2, 2, 2), "l": (2, 4, 2, 2), "v": (5, 8 * 9)}
    np.testing.assert_allclose(run(small), run(removed(model, small)), atol=1e-5)


def test_what_needs_all_channels_keeps_them(build):
    """Softmax and LayerNormalization over channels, heads, slices of channels, the output."""
    random = np.random.default_rng(0)
    x = random.standard_normal((4, 8))
    for graph in (
        "p = Softmax<axis=1>(a)",
        "p = LayerNormalization(a, ones, ones)",
        "p = Slice(a, from, to, axes)",
        "p = Gather<axis=1>(a, all)",
        "p = CumSum(a, axis)",
        "h = Reshape(a, heads) t = ReduceMax<axes=[2], keepdims=0>(h) p = Relu(t)",
        "p = Identity(a)",
    ):
        end = "y = Identity(p)" if "Identity" in graph else "y = MatMul(p, v)"
        model = build(
            f"a = MatMul(x, w) {graph} {end}",
            w=random.standard_normal((8, 6)).astype(np.float32),
            v=random.standard_normal(({"h = Re": 3, "p = Sl": 5}.get(graph[:6], 6), 4)).astype(
                np.float32
            ),
            ones=np.ones(6, np.float32),
            heads=np.array([1, 3, 2]),
            axis=np.array(1),
            **{"from": np.array([0]), "to": np.array([5]), "axes": np.array([1])},
            all=np.arange(6),
        )
        with pytest.raises(ModelError, match=r"no channel can be removed|not supported"):
            pruners.agf(model, sparsity=0.5, calibration=x)


def test_nothing_to_remove_gives_the_file_byte_for_byte(network, digits):
    for options in ({"sparsity": 0}, {"keep": 1}):
        small = pruners.agf(network, calibration=digits["images"], **options)
        assert small.data == network.read_bytes()


def test_a_second_pruning_numbers_channels_as_the_original(example, digits):
    options = {"sparsity": 0.5, "calibration": digits["images"]}
    first = pruners.agf(example("mlp"), **options).data
    second = pruners.agf(first, **options).data
    before, after = _metadata(first)[KEPT], _metadata(second)[KEPT]
    assert len(after["layer_1"]) == 10
    assert set(after["layer_1"]) < set(before["layer_1"])
    original, small = _tensors(example("mlp").read_bytes()), _tensors(second)
    rows = original["layer_1.weight"][after["layer_1"]]
    np.testing.assert_array_equal(small["layer_1.weight"], rows)


def test_an_excluded_node_keeps_its_channels(example, digits):
    options = {"sparsity": 0.5, "calibration": digits["images"], "exclude": ["layer_1"]}
    stored = _tensors(pruners.agf(example("mlp"), **options).data)
    assert stored["layer_1.weight"].shape == (40, 64)
    assert stored["layer_2.weight"].shape == (12, 40)


# -- utilities ---------------------------------------------------------------------------------


def utility(model, x, **options):
    _, channels = traced(model)
    found = utilities(Execution(model), channels, x, "norm", **options)
    return {
        name: np.array([found[n] for n in channels.roots(channels.slices[name][axis]).tolist()])
        for name, axis in channels.outputs.items()
    }


@pytest.fixture
def relu_net(build):
    random = np.random.default_rng(0)
    weights = [
        random.standard_normal(shape).astype(np.float32) for shape in ((10, 8), (6, 10), (4, 6))
    ]

    def make(*, bias=True, scale=1.0, before=False):
        w1, w2, w3 = weights
        b1, b2 = (np.linspace(-1, 1, n).astype(np.float32) * bias for n in (10, 6))
        return build(
            "a = Gemm<transB=1>(x, w1, b1) r = Relu(a) b = Gemm<transB=1>(r, w2, b2) s = Relu(b)"
            "y = Gemm<transB=1>(s, w3)",
            w1=w1 * np.float32(scale),
            b1=b1 * np.float32(scale),
            w2=w2 / np.float32(scale),
            b2=b2,
            w3=w3,
        )

    return make


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((30, 8))


def test_the_utility_bounds_the_taylor_term(relu_net, x):
    plain, signed = utility(relu_net(), x), utility(relu_net(), x, signed=True)
    for name, values in plain.items():
        assert np.all(values >= np.abs(signed[name]) - 1e-12)


def test_the_utility_is_the_mean_over_the_batches(relu_net, x):
    """Batches of 8, 8, 7 and 7 rows, each of which counts the same."""
    model = relu_net()
    parts = [utility(model, rows) for rows in np.array_split(x, 4)]
    for name, values in utility(model, x, batches=4).items():
        expected = np.mean([part[name] for part in parts], axis=0)
        np.testing.assert_allclose(values, expected, rtol=1e-12)
    equal, once = utility(model, x, batches=5), utility(model, x)
    for name, values in equal.items():
        np.testing.assert_allclose(values, once[name], rtol=1e-12)  # 6 rows each
        assert np.any(utility(model, x, batches=4)[name] != values)


def test_by_hand(relu_net, x):
    """Y ∂L/∂Y of the first layer, with L = ½‖f‖², from torch's own layers."""
    model = relu_net()
    stored = {k: torch.from_numpy(v.astype(float)) for k, v in _tensors(model).items()}
    y = (torch.from_numpy(x) @ stored["w1"].T + stored["b1"]).requires_grad_()
    hidden = torch.relu(torch.relu(y) @ stored["w2"].T + stored["b2"])
    ((hidden @ stored["w3"].T).square().sum() / 2).backward()
    expected = (y * y.grad).abs().mean(0)
    np.testing.assert_allclose(utility(model, x)["w1"], expected.detach().numpy(), rtol=1e-12)


def test_rescaling_a_rectifier_does_not_matter(relu_net, x):
    plain, scaled = utility(relu_net(), x), utility(relu_net(scale=3.0), x)
    for name, values in plain.items():
        np.testing.assert_allclose(scaled[name], values, rtol=2e-6)
    exact = utility(relu_net(scale=4.0), x)
    for name, values in plain.items():
        np.testing.assert_allclose(exact[name], values, rtol=2e-7)


def test_the_scores_before_and_after_a_rectifier_are_equal(relu_net, x):
    model = relu_net()
    execution = Execution(model)
    shifts = {
        name: torch.zeros(len(x), 1, 10, dtype=torch.float64, requires_grad=True)
        for name in ("a", "r")
    }
    tensors = execution.tensors(torch.from_numpy(x), ["a", "r", "y"], shifts=shifts)
    loss = tensors["y"].square().sum()
    before, after = torch.autograd.grad(loss, [shifts["a"], shifts["r"]])
    torch.testing.assert_close(tensors["a"] * before, tensors["r"] * after)


def test_without_biases_the_signed_sum_is_the_same_at_every_layer(relu_net, x):
    model = relu_net(bias=False)
    first, second, last = utility(model, x, signed=True).values()
    sums = [first.sum(), second.sum(), last[0]]  # frozen channels share one number
    np.testing.assert_allclose(sums, sums[0], rtol=1e-9)


def test_a_dead_channel_has_no_utility_and_goes_first(relu_net, x):
    model = onnx.ModelProto.FromString(relu_net())
    for tensor in model.graph.initializer:
        if tensor.name in ("w1", "b1"):
            values = numpy_helper.to_array(tensor).copy()
            values[4] = -1e-3 if tensor.name == "b1" else 0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    dead = model.SerializeToString()
    assert utility(dead, x)["w1"][4] == 0
    kept = _metadata(pruners.agf(dead, sparsity=0.1, calibration=x).data)[KEPT]
    assert 4 not in kept["gemm_0"]


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of them"),
        ({"sparsity": 0.5, "keep": 0.5}, "one of them"),
        ({"sparsity": 1.0}, "sparsity must be"),
        ({"sparsity": float("nan")}, "sparsity must be"),
        ({"keep": 0.0}, "keep must be"),
        ({"sparsity": 0.001}, "removes no channel"),
        ({"sparsity": 0.5, "loss": "labels"}, "does not go with"),
        ({"sparsity": 0.5, "loss": "other"}, "does not go with"),
        ({"sparsity": 0.5, "batches": 0}, "batches must be"),
        ({"sparsity": 0.5, "batches": 201}, "1 to 200"),
    ],
)
def test_options_that_do_not_fit_are_refused(example, digits, options, message):
    with pytest.raises(ModelError, match=message):
        pruners.agf(example("mlp"), calibration=digits["images"], **options)


def test_an_unknown_operator_is_refused_by_name(build):
    model = build("a = MatMul(x, w) b = Det(a) y = MatMul(b, w)", w=np.eye(8, dtype=np.float32))
    with pytest.raises(ModelError, match="Det"):
        pruners.agf(model, sparsity=0.5, calibration=np.zeros((2, 8)))


@pytest.mark.parametrize("value", ["{", "[1]", "3", '{"layer_1": [0]}', '{"layer_1": {"a": 1}}'])
def test_a_damaged_map_is_refused(example, digits, value):
    model = onnx.load(example("mlp"))
    model.metadata_props.add(key=KEPT, value=value)
    with pytest.raises(ModelError, match="map of kept channels"):
        pruners.agf(model.SerializeToString(), sparsity=0.5, calibration=digits["images"])
