"""What is said of files: their contents, how pairs align, how they run in other ways."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from networks import random_mlp, write_mlp
from onnx import TensorProto, helper, numpy_helper

import pruners
from simcert.cli import main
from simcert.errors import SimcertError
from simcert.inspection import Support, inspect, operators_page, support_of
from simcert.model.lowering import LOWERINGS
from simcert.model.operators import OPERATORS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def run(*arguments: str, columns: int = 100) -> str:
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["inspect", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_contents_of_a_file(tmp_path: Path) -> None:
    weight = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    path = write_mlp(
        tmp_path / "f.onnx", [(weight, np.ones(2)), (np.array([[1.0, -1.0]]), np.zeros(1))]
    )
    found = inspect(path)
    [model] = found.models
    assert model.bytes == path.stat().st_size
    assert model.opset == 13
    assert [(i.name, i.shape) for i in model.inputs] == [("x", (None, 3))]
    assert [(use.operator, use.count, use.support) for use in model.operators] == [
        ("Gemm", 2, Support.PROVED),
        ("Relu", 1, Support.PROVED),
    ]
    assert model.parameters == 6 + 2 + 2 + 1
    assert model.stored == {32: 11}
    assert model.zeros == 3 / 8
    assert model.provable
    assert found.pair is None
    [own] = found.running
    assert own.default_agrees
    assert own.own_agrees
    assert inspect(path, samples=0).running == ()


def test_weights_that_a_caller_could_replace(tmp_path: Path) -> None:
    path = random_mlp(tmp_path / "f.onnx", [3, 4, 2], seed=0)
    assert inspect(path, samples=0).models[0].overridable == ()
    assert "overridable" not in run(str(path), "--samples", "0")
    model = onnx.load(path)
    stored = model.graph.initializer[0]
    entry = helper.make_tensor_value_info(stored.name, stored.data_type, stored.dims)
    model.graph.input.append(entry)
    onnx.save(model, path)
    assert inspect(path, samples=0).models[0].overridable == (stored.name,)
    said = run(str(path), "--samples", "0")
    assert "1 that a caller of the file could replace" in said
    assert stored.name in said


def test_layers_of_a_pair(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [3, 8, 8, 2], seed=0)
    pruners.magnitude(f, sparsity=0.25).save(tmp_path / "g.onnx")
    pair = inspect(f, tmp_path / "g.onnx").pair
    assert pair is not None
    assert pair.description
    assert [layer.aligned for layer in pair.layers] == [True] * 3
    for layer in pair.layers:
        assert layer.weights is not None
        assert layer.compressed_weights is not None
        assert layer.compressed_weights.zeros == layer.changed == 0.25
        assert layer.largest_change is not None
        assert layer.largest_change > 0


def test_quantised_and_narrower_layers(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [3, 32, 2], seed=0)
    pruners.quantize(f, bits=8, format="qdq-weight").save(tmp_path / "g.onnx")
    pair = inspect(f, tmp_path / "g.onnx").pair
    assert pair is not None
    for layer in pair.layers:
        assert layer.weights is not None
        assert layer.compressed_weights is not None
        assert (layer.weights.bits, layer.compressed_weights.bits) == (32, 8)
    narrow = random_mlp(tmp_path / "n.onnx", [3, 20, 2], seed=0)
    pair = inspect(f, narrow).pair
    assert pair is not None
    [first, _] = pair.layers
    assert first.weights is not None
    assert first.compressed_weights is not None
    assert (first.weights.shape, first.compressed_weights.shape) == ((32, 3), (20, 3))
    assert first.changed is None


def test_other_operators_and_missing_layers(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [3, 4, 4, 2], seed=0)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], "only"),
            helper.make_node("Det", ["square"], ["d"], "det"),
            helper.make_node("Add", ["h", "d"], ["y"]),
        ],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [
            numpy_helper.from_array(np.ones((3, 2), np.float32), "w"),
            numpy_helper.from_array(np.eye(2, dtype=np.float32), "square"),
        ],
    )
    g = tmp_path / "g.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), g
    )
    found = inspect(f, g)
    assert not found.models[1].provable
    assert "Det" in found.models[1].reason
    assert {use.operator: use.support for use in found.models[1].operators}["Det"] is Support.RUN
    assert found.running[1].own_gap is None
    assert found.pair is not None
    assert "Det" in found.pair.reason
    assert {layer.aligned for layer in found.pair.layers} == {None}
    named = [(layer.original, layer.compressed) for layer in found.pair.layers]
    assert ("", "only") in named or any(compressed == "only" for _, compressed in named)
    assert len([original for original, _ in named if original]) == 3


def test_published_pairs(data: Path) -> None:
    for name in ("tinymaix_mnist_valid", "mlptiny_ic_resnet8"):
        stem = data / "pairs" / "onnx" / name
        found = inspect(f"{stem}_fp32.onnx", f"{stem}_int8_fio.onnx", samples=16)
        assert found.pair is not None
        assert all(layer.original and layer.compressed for layer in found.pair.layers)
        bits = [
            (layer.weights.bits, layer.compressed_weights.bits)
            for layer in found.pair.layers
            if layer.weights and layer.compressed_weights
        ]
        assert bits == [(32, 8)] * len(found.pair.layers)
        assert found.running[0].default_agrees
        assert found.running[0].own_agrees
        # An int8 network answers in steps: both readings agree on nearly all inputs.
        assert found.running[1].own_share is not None
        assert found.running[1].own_share <= 0.2


def test_samples_come_from_the_region(tmp_path: Path) -> None:
    f = write_mlp(tmp_path / "f.onnx", [(np.ones((1, 1)), np.zeros(1))])
    region = tmp_path / "region.json"
    region.write_text('{"lower": [5], "upper": [6]}')
    [own] = inspect(f, region=region).running
    assert 5 < own.size <= 6
    assert inspect(f).running[0].size <= 1
    assert inspect(f, seed=1).running[0].size == inspect(f, seed=1).running[0].size


def test_the_command(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [3, 8, 2], seed=0)
    g = random_mlp(tmp_path / "g.onnx", [3, 8, 2], seed=0, noise=0.1)
    for columns in (40, 100):
        text = run(str(f), str(g), columns=columns)
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= columns
        assert "Gemm" in text
        assert "aligned" in text
    document = json.loads(run(str(f), str(g), "--format", "json"))
    assert [model["provable"] for model in document["models"]] == [True, True]
    assert document["pair"]["layers"][0]["changed"] == 1.0
    target = tmp_path / "page.txt"
    assert run(str(f), "--output", str(target)) == ""
    assert "f.onnx" in target.read_text()


def test_a_file_that_is_read_is_not_written(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [3, 8, 2], seed=0)
    done = CliRunner().invoke(main, ["inspect", str(f), "--output", str(f)])
    assert done.exit_code == 2
    with pytest.raises(SimcertError):
        inspect(tmp_path / "none.onnx")


def test_every_operator_is_listed_once() -> None:
    page = operators_page()
    for operator in {*LOWERINGS, *OPERATORS, "QLinearConv"}:
        if "::" in operator:
            continue
        assert page.count(f"| {operator} | {support_of(operator)} |") == 1
    assert support_of("Gemm") is Support.PROVED
    assert support_of("org.example::Gemm") is Support.RUN


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text() == operators_page(), (
        "write it again: simcert inspect --operators --output docs/operators.md"
    )
