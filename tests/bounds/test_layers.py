"""The bounds of single layers contain what the layers compute, and the first one is reached."""

import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import random_mlp

from simcert.bounds.layers import bound_layers
from simcert.model import load
from simcert.model.lowering import lower
from simcert.model.program import Affine, Program
from simcert.pairing import align


def programs(folder: Path) -> tuple[Program, Program]:
    sizes = [3, 12, 12, 2]
    paths = [random_mlp(folder / f"{n}.onnx", sizes, 1, noise) for n, noise in ((0, 0.0), (1, 0.1))]
    f, g = (lower(load(path).graph) for path in paths)
    return f, g


def layers(program: Program, x: torch.Tensor) -> list[torch.Tensor]:
    """What each affine step answers."""
    return [
        Program(program.steps[: index + 1]).run(x)
        for index, step in enumerate(program.steps)
        if isinstance(step, Affine)
    ]


def in_float32(path: Path, x: torch.Tensor) -> list[torch.Tensor]:
    """The same as ONNX Runtime answers it."""
    model = onnx.load(path)
    names = [node.output[0] for node in model.graph.node if node.op_type == "Gemm"]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = [session.run(names, {"x": row[None].numpy()}) for row in x]
    return [torch.tensor(np.concatenate(part)).double() for part in zip(*rows, strict=True)]


@pytest.mark.parametrize("float32", [False, True])
def test_every_layer_stays_within_its_bounds(tmp_path: Path, float32: bool) -> None:
    f, g = programs(tmp_path)
    boxes = torch.tensor([[-1.0] * 3, [0.25] * 3]), torch.tensor([[0.0] * 3, [1.0] * 3])
    corners = (box.double() for box in boxes)
    found = bound_layers(align(f, g), *corners, float32=float32)
    assert [layer.neurons for layer in found] == [12, 12, 2]
    assert all(layer.original == layer.compressed for layer in found)
    drawn = boxes[0][:, None] + (boxes[1] - boxes[0])[:, None] * torch.rand(2, 5000, 3)
    ends = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)))
    x = torch.cat([drawn.reshape(-1, 3), ends])
    if float32:
        both = (in_float32(tmp_path / f"{n}.onnx", x) for n in (0, 1))
    else:
        both = (layers(program, x.double()) for program in (f, g))
    differences = []
    for layer, a, b in zip(found, *both, strict=True):
        assert a.abs().max() <= layer.magnitude
        differences.append((a - b).abs().max().item())
        assert differences[-1] <= layer.difference
    assert found[0].difference == pytest.approx(differences[0], rel=1e-4)
    assert 0.0 < found[0].difference < found[-1].difference < 100.0


def test_there_is_no_bound_when_the_time_is_up(tmp_path: Path) -> None:
    dual = align(*programs(tmp_path))
    box = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
    assert bound_layers(dual, *box, float32=False, deadline=time.monotonic() - 1.0) == ()


def test_equal_networks_differ_nowhere(tmp_path: Path) -> None:
    f, _ = programs(tmp_path)
    box = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
    assert all(layer.difference == 0.0 for layer in bound_layers(align(f, f), *box, float32=False))
