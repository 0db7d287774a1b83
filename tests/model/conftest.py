"""Small networks written in ONNX's textual syntax."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray

from simcert.model import Model, load

Build = Callable[..., bytes]


def _build(
    nodes: str,
    shape: Sequence[int | str] = (1, 4),
    opset: int = 17,
    ir: int = 8,
    dtype: str = "float",
    **constants: NDArray[np.generic],
) -> bytes:
    """A model from ``x`` of ``shape`` to ``y``; keyword arguments become initialisers."""
    sizes = ",".join(str(size) for size in shape)
    model = onnx.parser.parse_model(
        f'<ir_version: {ir}, opset_import: ["" : {opset}]> g ({dtype}[{sizes}] x) => ({dtype} y) '
        f"{{ {nodes} }}"
    )
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    if not model.graph.output[0].type.tensor_type.HasField("shape"):  # nodes that do not fit
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "unknown"
    return model.SerializeToString()


@pytest.fixture(scope="session")
def build() -> Build:
    return _build


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Model]:
    def make(nodes: str, *arguments: object, **keywords: object) -> Model:
        path = tmp_path / "model.onnx"
        path.write_bytes(_build(nodes, *arguments, **keywords))
        return load(path)

    return make
