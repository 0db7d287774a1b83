"""Resize and Upsample against ONNX Runtime: the same elements, or a refusal."""

import numpy as np
import onnxruntime
import pytest
import torch

from simcert.errors import UnsupportedOperatorError
from simcert.model.operators import apply
from simcert.model.operators.kernel import tensor
from simcert.model.reader import read

FACTORS = (2.0, 3.0, 5.0, 0.5, 1.5, 0.75, 0.6, 1.1, 1.2, 0.7, 3.3, 2.3, 1 / 3, 2 / 3, 7 / 3, 0.9)
DRAWN = tuple(np.random.default_rng(3).uniform(0.2, 4, 20).round(2).tolist())
TRANSFORMS = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def elements(data: bytes, length: int) -> np.ndarray | None:
    """What the kernel makes of 0, 1, 2, …, after a look at ONNX Runtime; None where it refuses."""
    x = np.arange(length, dtype=np.float32)[None]
    graph = read(data)
    values = {name: tensor(array) for name, array in graph.constants.items()} | {
        "x": torch.tensor(x)
    }
    (node,) = graph.nodes
    try:
        (found,) = apply(node, [values[name] if name else None for name in node.inputs])
    except UnsupportedOperatorError:
        return None
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(found.numpy(), session.run(None, {"x": x})[0])
    return found.numpy()


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_no_other_element_than_the_runtime_takes(build, transform, rounding):
    network = (
        f'y = Resize<coordinate_transformation_mode = "{transform}", '
        f'nearest_mode = "{rounding}">(x, , w)'
    )
    taken = 0
    for factor in FACTORS + DRAWN:
        for length in (1, 7, 60):
            w = np.array([1, factor], np.float32)
            if int(length * w[1]):
                data = build(network, shape=(1, length), opset=13, w=w)
                taken += elements(data, length) is not None
    assert taken > 30


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_whole_factors_and_multiples_are_taken(build, transform, rounding):
    network = (
        f'y = Resize<coordinate_transformation_mode = "{transform}", nearest_mode = "{rounding}">'
    )
    for factor in (2, 3, 4, 5, 7):
        w = np.array([1, factor], np.float32)
        data = build(network + "(x, , w)", shape=(1, 9), opset=13, w=w)
        assert elements(data, 9) is not None
        sizes = np.array([1, 9 * factor])
        data = build(network + "(x, , , w)", shape=(1, 9), opset=13, w=sizes)
        assert elements(data, 9) is not None


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_old_versions(build, opset):
    taken = 0
    for factor in FACTORS + DRAWN:
        w = np.array([1, factor], np.float32)
        network = {
            7: f"y = Upsample<scales = [1.0, {float(w[1])}]>(x)",
            9: "y = Upsample(x, w)",
            10: "y = Resize(x, w)",
        }[opset]
        if opset < 10 and factor < 1:
            continue
        data = build(network, shape=(1, 60), opset=opset, **({} if opset == 7 else {"w": w}))
        taken += elements(data, 60) is not None
    assert taken > 5


@pytest.mark.parametrize("factor", [1.1, 0.6, 1.2, 0.7, 3.3, 2.3, 1 / 3])
def test_a_place_next_to_an_edge_is_refused(build, factor):
    network = (
        'y = Resize<coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(x, , w)'
    )
    w = np.array([1, factor], np.float32)
    assert elements(build(network, shape=(1, 60), opset=13, w=w), 60) is None
