"""Small networks in ONNX's textual syntax, real ones, and a way to run and read them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.generic]


def _build(
    nodes: str,
    shape: Sequence[int] = (1, 8),
    *,
    opset: int = 17,
    listed: bool = False,
    **tensors: Array,
) -> bytes:
    """A model from ``x`` to ``y``; ``listed`` puts the initialisers among the inputs, as IR 3."""
    sizes = ",".join(map(str, shape))
    model = onnx.parser.parse_model(
        f'<ir_version: {3 if listed else 8}, opset_import: ["" : {opset}]> '
        f"g (float[{sizes}] x) => (float[n,m] y) {{ {nodes} }}"
    )
    for name, values in tensors.items():
        tensor = numpy_helper.from_array(values, name)
        model.graph.initializer.append(tensor)
        if listed:
            model.graph.input.append(
                helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
            )
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{number}"
    return model.SerializeToString()


def normal(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _mlp(*, opset: int = 17, listed: bool = False) -> bytes:
    """Gemm in both layouts and MatMul with a constant on the right: 8 → 12 → 16 → 4."""
    return _build(
        "a = Gemm<transB=1>(x, w1, b1) b = Relu(a) c = Gemm(b, w2, b2) d = Relu(c)"
        "e = MatMul(d, w3) y = Add(e, b3)",
        opset=opset,
        listed=listed,
        w1=normal(1, 12, 8),
        b1=normal(2, 12),
        w2=normal(3, 12, 16),
        b2=normal(4, 16),
        w3=normal(5, 16, 4),
        b3=normal(6, 4),
    )


def _convnet() -> bytes:
    """A grouped Conv, and the weight of a Constant node on both sides of MatMul."""
    model = onnx.ModelProto.FromString(
        _build(
            "a = Conv<group=2, kernel_shape=[3, 3]>(x, k, b) c = Relu(a) d = MatMul(c, w)"
            "e = MatMul(w, d) f = Flatten(e) y = Gemm<transB=1>(f, v)",
            (1, 4, 6, 6),
            k=normal(1, 6, 2, 3, 3),
            b=normal(2, 6),
            v=normal(4, 5, 96),
        )
    )
    value = numpy_helper.from_array(normal(3, 4, 4))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], "constant", value=value))
    return model.SerializeToString()


def _tensors(model: bytes) -> dict[str, Array]:
    """All initialisers and the values of Constant nodes, by name."""
    graph = onnx.ModelProto.FromString(model).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return stored


def _run(model: bytes, samples: int = 3) -> Array:
    """Outputs for seeded random inputs, one row at a time, at ORT_DISABLE_ALL.

    Without prepacking: ONNX Runtime packs constant weights in advance, and multiplies them by
    another kernel than weights that a node restores; the two add up in another order.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    generator = np.random.default_rng(0)
    rows = [generator.random(shape).astype(np.float32) for _ in range(samples)]
    return np.stack([session.run(None, {entry.name: row})[0] for row in rows])


@pytest.fixture(scope="session")
def build() -> Callable[..., bytes]:
    return _build


@pytest.fixture(scope="session")
def mlp() -> Callable[..., bytes]:
    return _mlp


@pytest.fixture(scope="session")
def convnet() -> bytes:
    return _convnet()


@pytest.fixture(scope="session")
def tensors() -> Callable[[bytes], dict[str, Array]]:
    return _tensors


@pytest.fixture(scope="session")
def run() -> Callable[..., Array]:
    return _run


_REAL = [
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx",
    "control/onnx/cartpole.onnx",
    "control/onnx/ml4acopf_14_ieee.onnx",
    "pairs/onnx/mlptiny_ic_resnet8_fp32.onnx",
    "pairs/onnx/tinymaix_mnist_dw_fp32.onnx",
    "vision/onnx/KJ_TinyTaxiNet.onnx",
    "vision/onnx/Convnet_avgpool.onnx",
    "vision/onnx/cifar_base_kw.onnx",
    "vision/onnx/equiv_cifar_base_kw_2020.onnx",
    "vision/onnx/mnist-net_256x2.onnx",
    "vision/onnx/resnet20_cifar10_akamaster.onnx",
    "vision/onnx/self-attention-mnist-pgd-medium-sim.onnx",
    "vision/onnx/tansig_200_50_onnx.onnx",
    "vision/onnx/vit_ibp_3_3_8.onnx",
]


@pytest.fixture(params=_REAL, ids=lambda name: Path(name).stem)
def real(request: pytest.FixtureRequest, data: Path) -> bytes:
    """The bytes of one real network after another."""
    return (data / request.param).read_bytes()


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NETWORKS = ["mlp", "convnet", "residual", "vit", "spiking"]


@pytest.fixture(scope="session")
def digits() -> dict[str, Array]:
    """The calibration and test data of the example networks."""
    with np.load(EXAMPLES / "digits.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def example() -> Callable[[str], Path]:
    """The path of an example network."""
    return lambda name: EXAMPLES / f"digits_{name}.onnx"


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Path:
    """The path of one example network after another."""
    return EXAMPLES / f"digits_{request.param}.onnx"


@pytest.fixture(scope="session")
def options() -> Callable[..., dict[str, object]]:
    """What every method needs beside the model, to remove about half."""

    def of(method: str, x: Array, y: Array) -> dict[str, object]:
        return {
            "magnitude": {"sparsity": 0.5},
            "wanda": {"sparsity": 0.5, "calibration": x},
            "lamp": {"sparsity": 0.5},
            "slamp": {"sparsity": 0.5, "calibration": x},
            "agf": {"sparsity": 0.5, "calibration": x, "labels": y},
            "quantize": {"bits": 4},
            "float16": {},
        }[method]

    return of
