"""Certificates of files that are read through input maps, with several tensors, or in part."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from certificates import Certified, certify
from onnx import TensorProto, helper, numpy_helper

from simcert.claim import Claim, Region
from simcert.model import Model, load
from simcert.result import Verdict

WEIGHT = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    **constants: np.ndarray,
) -> Path:
    tensors = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in each.items()]
        for each in (inputs, outputs)
    ]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "network", *tensors, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def two_layouts(folder: Path) -> tuple[Model, Model]:
    """One convolution as NCHW on [0, 1] and as NHWC on 1 to 256."""
    end = [
        helper.make_node("Conv", ["t", "w", "b"], ["h"], "conv"),
        helper.make_node("Relu", ["h"], ["y"], "relu"),
    ]
    zero = np.zeros(2, np.float32)
    nchw = save(
        folder / "nchw.onnx",
        [helper.make_node("Identity", ["x"], ["t"]), *end],
        {"x": [1, 3, 3, 3]},
        {"y": [1, 2, 2, 2]},
        w=WEIGHT,
        b=zero,
    )
    nhwc = save(
        folder / "nhwc.onnx",
        [helper.make_node("Transpose", ["x"], ["t"], "t", perm=[0, 3, 1, 2]), *end],
        {"x": ["n", 3, 3, 3]},
        {"y": ["n", 2, 2, 2]},
        w=WEIGHT / 255,
        b=-WEIGHT.sum(axis=(1, 2, 3)) / 255,
    )
    return load(nchw, ("layout=nhwc-nchw",)), load(nhwc, ("scale=255,offset=1",))


def two_headed(path: Path, gain: float) -> Path:
    """y = relu(a + gain Σ b), z = (2 a, −Σ b) of inputs a [n, 2] and b [n, 3]."""
    return save(
        path,
        [
            helper.make_node("MatMul", ["b", "sum"], ["s"], "sum"),
            helper.make_node("Mul", ["s", "gain"], ["g"], "gain"),
            helper.make_node("Add", ["a", "g"], ["h"], "add"),
            helper.make_node("Relu", ["h"], ["y"], "relu"),
            helper.make_node("Mul", ["a", "two"], ["d"], "double"),
            helper.make_node("Neg", ["s"], ["m"], "minus"),
            helper.make_node("Concat", ["d", "m"], ["z"], "join", axis=1),
        ],
        {"a": ["n", 2], "b": ["n", 3]},
        {"y": ["n", 2], "z": ["n", 3]},
        sum=np.ones((3, 1), np.float32),
        gain=np.array(gain, np.float32),
        two=np.array(2, np.float32),
    )


def several(folder: Path) -> tuple[Model, Model]:
    """Two inputs and two outputs; one input has three factors and an offset."""
    f, g = two_headed(folder / "several_f.onnx", 1.0), two_headed(folder / "several_g.onnx", 1.25)
    own = ("input=b,scale=1;2;4,axis=1,offset=0.5",)
    return load(f, own), load(g, own)


def inside(folder: Path) -> tuple[Model, Model]:
    """What Softmax reads, and a tensor by its name."""
    models = []
    for name, gain, chosen in (("f", 1.0, "before-softmax"), ("g", 1.25, "h")):
        path = two_headed(folder / f"inside_{name}.onnx", gain)
        model = onnx.load(path)
        model.graph.node.append(helper.make_node("Softmax", ["h"], ["p"], axis=1))
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2]))
        onnx.save(model, path)
        models.append(load(path, outputs=(chosen,)))
    return models[0], models[1]


def integers(folder: Path) -> tuple[Model, Model]:
    """Numbers from 0 to 1, and the integers from 0 to 250 that stand for them."""
    models = []
    for name, element, factor in (
        ("real", TensorProto.FLOAT, np.float32(1)),
        ("whole", TensorProto.UINT8, np.float32(250)),
    ):
        path = save(
            folder / f"{name}.onnx",
            [
                helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"], "dq")
                if element == TensorProto.UINT8
                else helper.make_node("Identity", ["q"], ["x"], "same"),
                helper.make_node("Gemm", ["x", "w", "b"], ["h"], "gemm"),
                helper.make_node("Relu", ["h"], ["y"], "relu"),
            ],
            {"q": ["n", 2]},
            {"y": ["n", 2]},
            scale=np.array(1.0, np.float32),
            zero=np.array(0, np.uint8),
            w=np.array([[1.0, -2.0], [0.5, 1.0]], np.float32) / factor,
            b=np.array([-0.25, 0.5], np.float32),
        )
        model = onnx.load(path)
        model.graph.input[0].type.tensor_type.elem_type = element
        onnx.save(model, path)
        maps = ("scale=250",) if element == TensorProto.UINT8 else ()
        models.append(load(path, maps))
    return models[0], models[1]


def cast(folder: Path) -> tuple[Model, Model]:
    """A network of reals from 0 to 1, and its copy that reads bytes as numbers."""
    end = [
        helper.make_node("MatMul", ["t", "w"], ["h"], "product"),
        helper.make_node("Relu", ["h"], ["y"], "relu"),
    ]
    weight = np.array([[1.0, -2.0], [0.5, 1.0]], np.float32)
    ends = {"x": ["n", 2]}, {"y": ["n", 2]}
    first = helper.make_node("Identity", ["x"], ["t"], "same")
    real = save(folder / "uncast.onnx", [first, *end], *ends, w=weight)
    first = [
        helper.make_node("Cast", ["x"], ["c"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["c", "most"], ["t"], "unit"),
    ]
    most = np.array(255.0, np.float32)
    codes = save(folder / "cast.onnx", [*first, *end], *ends, w=weight, most=most)
    model = onnx.load(codes)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, codes)
    return load(real), load(codes, ("scale=255",))


def deployed(folder: Path) -> tuple[Model, Model]:
    """A network of reals, and its copy from int8 to int8 with scales and zero points of its own."""
    real = save(
        folder / "undeployed.onnx",
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
            helper.make_node("Mul", ["h", "steps"], ["y"], "steps"),
        ],
        {"x": ["n", 2]},
        {"y": ["n", 2]},
        w=np.array([[1.0, -2.0], [0.5, 1.0]], np.float32),
        steps=np.array(25.0, np.float32),
    )
    codes = save(
        folder / "deployed.onnx",
        [
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["x"], "read"),
            helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
            helper.make_node("QuantizeLinear", ["h", "t", "o"], ["y"], "write"),
        ],
        {"q": ["n", 2]},
        {"y": ["n", 2]},
        s=np.array(0.004, np.float32),
        z=np.array(-128, np.int8),
        w=np.array([[1.0, -2.0], [0.5, 1.0]], np.float32),
        t=np.array(0.04, np.float32),
        o=np.array(0, np.int8),
    )
    model = onnx.load(codes)
    for tensor in (model.graph.input[0], model.graph.output[0]):
        tensor.type.tensor_type.elem_type = TensorProto.INT8
    onnx.save(model, codes)
    return load(real), load(codes, ("scale=250,offset=-128",))


KINDS = {
    "integers": integers,
    "deployed": deployed,
    "cast": cast,
    "two_layouts": two_layouts,
    "several": several,
    "inside": inside,
}
TOLERANCES = {
    "integers": 0.05,
    "deployed": 0.8,
    "cast": 0.01,
    "two_layouts": 1e-3,
    "several": 2.2,
    "inside": 0.8,
}


def made(folder: Path, kind: str, allowed: float | None) -> Certified:
    models = KINDS[kind](folder)
    inputs = models[0].graph.input.size
    arithmetic = "real" if kind == "two_layouts" else "float32"
    region = Region.from_boxes([[0.0] * inputs], [[1.0] * inputs], source="unit cube")
    claim = Claim(region, tolerance=TOLERANCES[kind], arithmetic=arithmetic)
    if allowed is None:
        return certify(folder, kind, *models, claim, Verdict.PROVED)
    claim = Claim(region, tolerance=0.6 * TOLERANCES[kind], max_violation=allowed)
    return certify(
        folder, f"{kind}_drawn", *models, claim, Verdict.CERTIFIED, max_boxes=1, samples=5000
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_composition_is_checked(folder: Path, kind: str) -> None:
    certificate = made(folder, kind, None)
    report = certificate.check()
    assert report.holds, report.steps[-1]
    files = next(step.detail for step in report.steps if "digests" in step.detail)
    assert {
        "two_layouts": "input map of x",
        "several": "inputs a, b",
        "integers": "q rounded to uint8",
        "deployed": "q rounded to int8",
        "cast": "x rounded to uint8",
        "inside": "outputs h",
    }[kind] in files
    assert certificate.check(exact=1).holds


@pytest.mark.parametrize("kind", ["several", "inside", "deployed"])
def test_draws_and_witness_are_run_through_it(folder: Path, kind: str) -> None:
    allowed = {"several": 0.5, "inside": 0.3, "deployed": 0.9}[kind]
    report = made(folder, kind, allowed).check(resample=True)
    assert report.holds, report.steps[-1]
    assert any("drawn again" in step.detail for step in report.steps)
    assert report.steps[-2].detail == "both files were run on it"


def edits(interface: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every interface with one field changed."""
    for which, entry in enumerate(interface["inputs"]):
        changes: list[tuple[str, Any]] = [
            ("name", entry["name"] + "x"),
            ("type", "float16"),
            ("type", "uint8"),
            ("shape", [*entry["shape"], 1]),
            ("shape", [2 if size == 3 else size for size in entry["shape"]]),
        ]
        number = float.fromhex(entry["map"]["scale"][0])
        maps: list[tuple[str, Any]] = [
            ("scale", [(8 * number).hex(), *entry["map"]["scale"][1:]]),
            ("scale", [(number * (1 + 2.0**-40)).hex(), *entry["map"]["scale"][1:]]),
            ("scale", [(0.0).hex(), *entry["map"]["scale"][1:]]),
            ("scale", []),
            ("scale", [number.hex()] * 7),
            ("offset", [(64.0).hex()]),
            ("offset", [(1e300).hex()]),
            ("offset", ["0x1p+0"]),
            ("layout", "nchw-nhwc"),
            ("layout", "nhcw-nchw"),
            ("layout", "n-nc"),
            ("layout", "nhwcc-nchw"),
            ("layout", ""),
            ("shape", [1, 5]),
            ("shape", [27, 27]),
        ]
        if len(entry["map"]["scale"]) > 1:
            maps += [("axis", None), ("axis", 0), ("axis", 9), ("axis", -1)]
        for key, value in changes:
            copied = copy.deepcopy(interface)
            copied["inputs"][which][key] = value
            yield copied
        for key, value in maps:
            copied = copy.deepcopy(interface)
            copied["inputs"][which]["map"][key] = value
            yield copied
        copied = copy.deepcopy(interface)
        del copied["inputs"][which]
        yield copied
    yield interface | {"inputs": interface["inputs"][::-1] + interface["inputs"][:1]}
    yield interface | {"outputs": interface["outputs"][:-1]}
    yield interface | {"outputs": [*interface["outputs"], interface["outputs"][0]]}
    yield interface | {"selected": ["before-argmax"]}
    yield interface | {"selected": ["nothing"]}
    yield interface | {"selected": [*(interface["selected"] or []), "s"]}
    for which in range(len(interface["outputs"])):
        for key, value in (("name", "s"), ("name", "t"), ("shape", [7]), ("type", "float64")):
            copied = copy.deepcopy(interface)
            copied["outputs"][which][key] = value
            yield copied
    yield {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["original", "compressed"])
def test_another_interface(folder: Path, kind: str, what: str, tmp_path: Path) -> None:
    certificate = made(folder, kind, None)
    own = certificate.statement["predicate"][what].get("interface")
    if own is None:
        assert what == "original"
        assert kind in ("integers", "deployed", "cast")
        return
    tried = 0
    for interface in edits(own):
        if interface == own:
            continue
        tried += 1

        def change(statement: dict[str, Any], to: dict[str, Any] = interface) -> None:
            statement["predicate"][what]["interface"] = to

        report = certificate.changed(change, tmp_path / "other.json")
        assert not report.holds, interface
    assert tried >= 30

    def taken_as_it_is(statement: dict[str, Any]) -> None:
        del statement["predicate"][what]["interface"]

    assert not certificate.changed(taken_as_it_is, tmp_path / "none.json").holds
