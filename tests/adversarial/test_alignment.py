"""Pairs that differ where only the geometry tells: an alignment must not swap one for the other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from simcert import Verdict, verify
from simcert.claim import Claim, Region
from simcert.model import load
from simcert.model.lowering import lower
from simcert.pairing import spread
from simcert.pairing.channels import METADATA_KEY

KEPT = [0, 1, 2]
STEP = 2.0**-14


def _unit(inputs: int) -> Region:
    return Region.from_boxes([[0.0] * inputs], [[1.0] * inputs], source="unit box")


def _tail(constants: dict, kept: list[int], weight: np.ndarray, first: str) -> list:
    """Two dense layers with four neurons, of which some are kept; the fourth is dead."""
    generator = np.random.default_rng(0)
    constants["w1"], constants["b1"] = weight[:, kept], np.array([0.1, 0.2, -0.1, -1.0])[kept]
    constants["w2"] = generator.normal(size=(4, 1))[kept]
    return [
        helper.make_node("Gemm", [first, "w1", "b1"], ["z"], name="hidden"),
        helper.make_node("Relu", ["z"], ["a"]),
        helper.make_node("Gemm", ["a", "w2"], ["y"], name="last"),
    ]


def _gathering(write, name: str, order: list[int], kept: list[int]) -> Path:
    weight = np.array([[1.0, -2.0, 0.5, 0], [0.3, 1.0, -1.0, 0], [-1.0, 0.2, 1.5, 0]])
    constants = {"order": np.array(order)}
    nodes = [helper.make_node("Gather", ["x", "order"], ["h"], axis=1)]
    nodes += _tail(constants, kept, weight, "h")
    return write(name, nodes, constants, 3, 1)


def _convolving(write, name: str, rows: int, kept: list[int]) -> Path:
    weight = np.random.default_rng(1).normal(size=(4, 4))
    weight[:, 3] = 0.0
    constants = {
        "shape": np.array([-1, 1, rows, 20 // rows]),
        "flat": np.array([-1, 4]),
        "kernel": np.ones((1, 1, 1, 1)),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["h"]),
        helper.make_node("Conv", ["h", "kernel"], ["c"], strides=[3, 3]),
        helper.make_node("Reshape", ["c", "flat"], ["d"]),
    ]
    nodes += _tail(constants, kept, weight, "d")
    return write(name, nodes, constants, 20, 1)


def _pair(write, kind: str) -> tuple[Path, Path]:
    if kind == "gather":
        return (
            _gathering(write, "f.onnx", [1, 2, 0], [0, 1, 2, 3]),
            _gathering(write, "g.onnx", [2, 1, 0], KEPT),
        )
    return (
        _convolving(write, "f.onnx", 4, [0, 1, 2, 3]),
        _convolving(write, "g.onnx", 5, KEPT),
    )


@pytest.mark.parametrize("kind", ["gather", "conv"])
def test_a_network_that_is_spread_computes_the_same(write, kind: str) -> None:
    f, g = (load(path).graph for path in _pair(write, kind))
    original, compressed = lower(f), lower(g)
    x = torch.as_tensor(np.random.default_rng(0).random((8, original.inputs)))
    found = spread(original, compressed, g.metadata).run(x)
    torch.testing.assert_close(found, compressed.run(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["gather", "conv"])
def test_no_bound_is_below_a_difference(write, kind: str) -> None:
    f, g = _pair(write, kind)
    region = _unit(load(f).graph.input.size)
    result = verify(f, g, Claim(region), samples=0, max_boxes=50, threads=1)
    assert result.verdict is Verdict.PROVED
    assert result.witness is not None
    assert result.proof.bound >= result.witness.divergence * (1 - 1e-6)


def test_a_spike_behind_another_gather_is_not_proved_away(write) -> None:
    """The difference is 1 on a slab of width 2^-14 that no draw of the attack meets."""
    weight = np.zeros((3, 4))
    weight[0, :3] = 1.0
    bias = np.array([-0.3, -0.3 - STEP, -0.3 - 2 * STEP, -1.0])
    last = np.array([[1.0], [-2.0], [1.0], [0.0]]) / STEP
    paths = []
    for name, order, kept in (("f", [1, 2, 0], [0, 1, 2, 3]), ("g", [2, 1, 0], KEPT)):
        constants = {
            "order": np.array(order),
            "w1": weight[:, kept],
            "b1": bias[kept],
            "w2": last[kept],
        }
        nodes = [
            helper.make_node("Gather", ["x", "order"], ["h"], axis=1),
            helper.make_node("Gemm", ["h", "w1", "b1"], ["z"], name="hidden"),
            helper.make_node("Relu", ["z"], ["a"]),
            helper.make_node("Gemm", ["a", "w2"], ["y"], name="last"),
        ]
        paths.append(write(f"{name}.onnx", nodes, constants, 3, 1))
    claim = Claim(_unit(3), tolerance=0.5)
    result = verify(*paths, claim, samples=0, max_boxes=2000, seed=1, threads=1)
    assert result.verdict is not Verdict.PROVED


def test_a_wrong_alignment_that_shows_is_reported(write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last net: what was run is above what was proved, and nothing passes."""
    monkeypatch.setattr("simcert.verification.pair.spread", lambda f, *_: f)
    f, g = _pair(write, "gather")
    for tolerance in (None, 10.0):
        claim = Claim(_unit(3), tolerance=tolerance)
        result = verify(f, g, claim, samples=100, max_boxes=50, threads=1)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "contradict" in result.explanation[0]


@pytest.mark.parametrize(
    "kept",
    ["[2, 0, 1]", "[3, 1, 0]", "[0, 0, 1]", "[0, 1, 9]", "[-1, 0, 1]", '"0"', "{}", "[true]"],
)
def test_a_lying_map_of_kept_channels_changes_no_bound_for_the_worse(write, kept: str) -> None:
    """Whatever the map says, the bound stays above what was run."""
    f = _gathering(write, "f.onnx", [1, 2, 0], [0, 1, 2, 3])
    constants = {"order": np.array([1, 2, 0])}
    weight = np.array([[1.0, -2.0, 0.5, 0], [0.3, 1.0, -1.0, 0], [-1.0, 0.2, 1.5, 0]])
    nodes = [helper.make_node("Gather", ["x", "order"], ["h"], axis=1)]
    nodes += _tail(constants, [0, 2, 3], weight, "h")
    g = write("g.onnx", nodes, constants, 3, 1, **{METADATA_KEY: f'{{"hidden": {kept}}}'})
    result = verify(f, g, Claim(_unit(3)), samples=0, max_boxes=30, threads=1)
    assert result.verdict is Verdict.PROVED
    assert result.witness is not None
    assert result.proof.bound >= result.witness.divergence * (1 - 1e-6)
