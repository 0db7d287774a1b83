"""Fixtures of the attacks: a writer of one-off ONNX files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes nodes and constants as a file with a symbolic batch."""

    def run(
        name: str,
        nodes: Sequence[NodeProto],
        constants: Mapping[str, np.ndarray],
        inputs: int,
        outputs: int,
        *,
        dtype: type = np.float32,
        **metadata: str,
    ) -> Path:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        initialisers = [
            numpy_helper.from_array(value.astype(dtype) if value.dtype.kind == "f" else value, key)
            for key, value in constants.items()
        ]
        graph = helper.make_graph(
            nodes,
            "attack",
            [helper.make_tensor_value_info("x", element, ["n", inputs])],
            [helper.make_tensor_value_info("y", element, ["n", outputs])],
            initialisers,
        )
        opsets = [helper.make_opsetid("", 15)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        helper.set_model_props(model, metadata)
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return run
