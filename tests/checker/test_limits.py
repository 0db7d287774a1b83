"""Certificates and files that ask for too much are refused: no crash, no hour, no gigabytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import Certified
from onnx import TensorProto, helper, numpy_helper

from simcert.checker.errors import CannotCheckError
from simcert.checker.network import read
from simcert.checker.statistics import checkpoints


def _histogram(statement: dict[str, Any]) -> None:
    histogram = statement["predicate"]["sampling"]["divergences"]["histogram"]
    histogram["counts"][0] += 10**30


def _no_tolerance(statement: dict[str, Any]) -> None:
    plan = statement["predicate"]["sampling"]["plan"]
    plan["tolerance"] = plan["tolerance_hex"] = None


def _endless_shape(statement: dict[str, Any]) -> None:
    lower = statement["predicate"]["evidence"]["content"]["region"]["lower"]
    lower |= {"shape": [0, 2**63], "data": ""}


def _long_number(statement: dict[str, Any]) -> None:
    statement["predicate"]["claim"] |= {"divergence": "topk:k=" + "9" * 5000, "decision": "argmax"}


def _many_axes(statement: dict[str, Any]) -> None:
    one, nothing = "0x1.0000000000000p+0", "0x0.0p+0"
    shape: dict[str, Any] = {"scale": [one], "offset": [nothing], "axis": None, "layout": None}
    tensor = {"name": "x", "shape": [1, 5], "type": "float32", "map": shape | {"shape": [1] * 70}}
    output = {"name": "y", "shape": [1, 5], "type": "float32"}
    statement["predicate"]["original"]["interface"] = {
        "inputs": [tensor],
        "outputs": [output],
        "selected": None,
    }


@pytest.mark.parametrize(
    "change", [_histogram, _no_tolerance, _endless_shape, _long_number, _many_axes]
)
def test_numbers_beyond_all_bounds(
    change: Callable[[dict[str, Any]], None], certified: Certified, tmp_path: Path
) -> None:
    report = certified.changed(change, tmp_path / "odd.json")
    assert not report.holds
    assert "cannot follow" not in report.steps[-1].detail


def test_a_billion_draws_that_are_only_stated(certified: Certified, tmp_path: Path) -> None:
    """Ranks by the hundred million are checked as quickly as others; what is stated holds."""
    many = 10**9

    def change(statement: dict[str, Any]) -> None:
        sampling = statement["predicate"]["sampling"]
        plan, spread = sampling["plan"], sampling["divergences"]
        plan["samples"] = many
        plan["checkpoints"] = [
            {"samples": n, "share": share, "share_hex": share.hex()}
            for n, share in checkpoints(plan)
        ]
        spread["histogram"]["counts"][0] += many - sampling["drawn"]
        sampling["drawn"] = sampling["samples"] = many
        per_output = [item for output in spread["per_output"] for item in output["quantiles"]]
        for item in [*spread["curve"], *per_output]:
            if item["rank"] is not None:
                item |= {"samples": many, "rank": int(many * (item["level"] + 1e-3))}

    report = certified.changed(change, tmp_path / "many.json")
    assert "draws" in report.steps[-1].name or report.holds


def _file(nodes: list[Any], constants: dict[str, np.ndarray], inputs: list[int]) -> bytes:
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", inputs), ("y", None))
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


def test_a_mean_of_very_many() -> None:
    """Centring them would be a matrix of 29 GB."""
    node = helper.make_node("InstanceNormalization", ["x", "one", "one"], ["y"])
    with pytest.raises(CannotCheckError, match="60000"):
        read(_file([node], {"one": np.ones(1, np.float32)}, [1, 1, 60_000]))


def test_many_tensors_that_are_large_together() -> None:
    nodes, last = [], "x"
    for number in range(12):
        nodes.append(helper.make_node("Tile", ["x", "times"], [f"t{number}"]))
        nodes.append(helper.make_node("Add", [last, f"t{number}"], [f"s{number}"]))
        last = f"s{number}"
    nodes.append(helper.make_node("ReduceMean", [last], ["y"]))
    with pytest.raises(CannotCheckError, match="elements in all"):
        read(_file(nodes, {"times": np.array([1, 2**23])}, [1, 1]))


@pytest.mark.parametrize(
    ("operator", "operands", "attributes"),
    [
        ("MaxPool", ["x"], {"kernel_shape": [1024], "pads": [1023, 1023]}),
        ("MaxPool", ["x"], {"kernel_shape": [2], "pads": [2**40, 2**40]}),
        ("Gather", ["x", "many"], {"axis": 0}),
        ("Concat", ["x"] * 2000, {"axis": 2}),
        ("Resize", ["x", "", "none"], {}),
    ],
)
def test_results_that_are_large_or_empty(
    operator: str, operands: list[str], attributes: dict[str, Any]
) -> None:
    constants = {
        "many": np.zeros(2**14, np.int64),
        "none": np.array([1, 1, 1e-3], np.float32),
    }
    node = helper.make_node(operator, operands, ["y"], **attributes)
    size = 300 if operator == "Resize" else 2**17
    with pytest.raises(CannotCheckError, match="does not know"):
        read(_file([node], constants, [1, 1, size]))
