"""What every compressor shares: sites, the record in the metadata, the report, the file."""

import hashlib
import json

import numpy as np
import onnx
import pytest

import pruners
from pruners.onnx_edit import RECORD, Network
from pruners.sites import weight_sites
from simcert.errors import ModelError


def record(model):
    properties = onnx.ModelProto.FromString(model).metadata_props
    return json.loads({prop.key: prop.value for prop in properties}[RECORD])


def test_sparsity_zero_gives_the_file_byte_for_byte(real):
    for scope in ("row", "layer", "global"):
        compressed = pruners.magnitude(real, sparsity=0, scope=scope)
        assert compressed.data == real
    assert "byte for byte" in str(compressed.report)


@pytest.mark.parametrize("method", ["wanda", "lamp", "slamp", "agf"])
def test_sparsity_zero_changes_nothing_with_any_method(network, digits, options, method):
    given = options(method, digits["images"][:20], digits["labels"][:20]) | {"sparsity": 0}
    assert pruners.METHODS[method](network, **given).data == network.read_bytes()


def test_everything_but_the_weights_survives(real):
    before = onnx.ModelProto.FromString(real)
    after = onnx.ModelProto.FromString(pruners.magnitude(real, sparsity=0.5).data)
    del after.metadata_props[-1]
    old, new = ({t.name: t for t in m.graph.initializer} for m in (before, after))
    assert list(old) == list(new)
    for name, tensor in new.items():
        assert (tensor.data_type, tensor.dims) == (old[name].data_type, old[name].dims)
        tensor.CopyFrom(old[name])
    for node, original in zip(after.graph.node, before.graph.node, strict=True):
        if node.op_type == "Constant":
            node.CopyFrom(original)
    assert after == before


def test_the_sites_of_each_layout(convnet):
    sites = weight_sites(Network(convnet))
    assert [(site.tensor, site.nodes, site.rows.shape) for site in sites] == [
        ("k", ("conv_0",), (6, 18)),
        ("w", ("matmul_2", "matmul_3"), (4, 4)),
        ("v", ("gemm_5",), (5, 96)),
    ]
    for site in sites:
        np.testing.assert_array_equal(site.restored(site.rows), site.weights)
    np.testing.assert_array_equal(sites[1].rows, sites[1].weights.T)


def test_batched_and_vector_operands(build):
    model = build(
        "a = MatMul(x, w) b = MatMul(a, v) c = ReduceSum(b) y = Reshape(c, s)",
        w=np.arange(48, dtype=np.float32).reshape(2, 8, 3),
        v=np.arange(3, dtype=np.float32),
        s=np.array([1, 1]),
    )
    batched, vector = weight_sites(Network(model))
    np.testing.assert_array_equal(batched.rows[1, :8], batched.weights[0, :, 1])
    assert batched.rows.shape == (3, 16)
    assert vector.rows.shape == (1, 3)
    for site in (batched, vector):
        np.testing.assert_array_equal(site.restored(site.rows), site.weights)


def test_a_shared_weight_is_one_site_and_goes_by_any_of_its_nodes(convnet, tensors):
    pruned = pruners.magnitude(convnet, sparsity=0.5, exclude=["matmul_3"])
    np.testing.assert_array_equal(tensors(pruned.data)["w"], tensors(convnet)["w"])
    assert [layer.tensor for layer in pruned.report.layers] == ["k", "v"]


def test_the_record_names_what_was_done(mlp):
    model = mlp()
    pruned = pruners.magnitude(model, sparsity=0.5, exclude=["gemm_0"]).data
    assert record(pruned) == [
        {
            "method": "magnitude",
            "parameters": {
                "sparsity": 0.5,
                "scope": "layer",
                "nm": None,
                "exclude": ["gemm_0"],
            },
            "seed": None,
            "original_sha256": hashlib.sha256(model).hexdigest(),
            "calibration_sha256": None,
        }
    ]


@pytest.mark.parametrize("opset", [11, 17])
def test_the_record_of_a_second_compression_is_appended(mlp, opset):
    pruned = pruners.magnitude(mlp(opset=opset), sparsity=0.5).data
    chain = record(pruners.quantize(pruned, format="qdq-weight").data)
    assert [entry["method"] for entry in chain] == ["magnitude", "quantize"]
    assert chain[1]["original_sha256"] == hashlib.sha256(pruned).hexdigest()


@pytest.mark.parametrize("value", ["{", "{}"])
def test_a_damaged_record_is_refused(mlp, value):
    model = onnx.ModelProto.FromString(mlp())
    model.metadata_props.add(key=RECORD, value=value)
    with pytest.raises(ModelError, match=RECORD):
        pruners.float16(model.SerializeToString())


@pytest.mark.parametrize("method", sorted(pruners.METHODS))
def test_a_network_without_weights_is_refused(build, method, options):
    given = options(method, np.zeros((3, 8)), np.zeros(3, int))
    with pytest.raises(ModelError, match="nothing to compress"):
        pruners.METHODS[method](build("y = Relu(x)"), **given)


def test_exclusions_must_exist_and_leave_something(mlp):
    with pytest.raises(ModelError, match=r"cannot exclude 'gemm'.*'gemm_0', 'gemm_2', 'matmul_4'"):
        pruners.magnitude(mlp(), sparsity=0.5, exclude=["gemm"])
    with pytest.raises(ModelError, match="left by the exclusions"):
        pruners.magnitude(mlp(), sparsity=0.5, exclude=["gemm_0", "gemm_2", "matmul_4"])


@pytest.mark.parametrize("method", sorted(pruners.METHODS))
def test_nan_weights_are_refused(build, method, options):
    given = options(method, np.zeros((3, 8)), np.zeros(3, int))
    weights = np.ones((8, 2), np.float32)
    weights[3, 1] = np.nan
    with pytest.raises(ModelError, match="'w' holds NaN"):
        pruners.METHODS[method](build("y = MatMul(x, w)", w=weights), **given)


def test_what_is_not_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="not an ONNX file"):
        pruners.float16(b"\x00\x01not a model")
    with pytest.raises(ModelError, match="no such file"):
        pruners.float16(tmp_path / "missing.onnx")


def test_a_file_is_saved_whole(mlp, tmp_path):
    source, target = tmp_path / "model.onnx", tmp_path / "small.onnx"
    source.write_bytes(mlp())
    compressed = pruners.magnitude(source, sparsity=0.5)
    compressed.save(target)
    assert target.read_bytes() == compressed.data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "small.onnx"]


def test_the_report_counts(mlp):
    report = pruners.magnitude(mlp(), sparsity=0.25).report
    assert [layer.after.zeros for layer in report.layers] == [24, 48, 16]
    assert report.before == pruners.Size(352, 0, 1408)
    assert report.after == pruners.Size(352, 88, 1408)
    stored = pruners.quantize(mlp(), format="qdq-weight").report
    assert stored.after.bytes == 352 + 4 * (12 + 16 + 4)


def test_the_report_reads_well_at_80_columns(real):
    for compressed in (
        pruners.magnitude(real, sparsity=0.5),
        pruners.quantize(real, format="qdq-weight"),
    ):
        lines = str(compressed.report).splitlines()
        assert max(map(len, lines)) <= 80
        total = next(line for line in lines if line.startswith("total"))
        assert f"{compressed.report.after.weights:,}" in total
        assert "…" not in total


def test_node_names_cannot_command_the_terminal(build):
    model = onnx.ModelProto.FromString(build("y = MatMul(x, w)", w=np.ones((8, 2), np.float32)))
    model.graph.node[0].name = "\x1b[31m[red]evil[/red]"
    with pytest.raises(ModelError, match=r"control characters: '\\x1b\[31m\[red\]evil"):
        pruners.magnitude(model.SerializeToString(), sparsity=0.5)
