"""Trains the example networks, most of them on scikit-learn's handwritten digits, 8 by 8 pixels.

    python examples/train.py            # writes all networks and digits.npz beside this file

- digits_mlp: three layers.
- digits_convnet: two convolutions with BatchNormalization, and a Reshape that counts channels.
- digits_residual: a residual block, a group and a depthwise convolution side by side (Concat).
- digits_vit: a vision transformer, one block with one head on 16 patches.
- digits_spiking: leaky integrate-and-fire neurons, unrolled over T = 4 steps. Its input is constant
  in time, so the first layer is computed once.
- advisory: see train_advisory.py.
- digits.npz: images and labels for calibration (from the training set), test_images and test_labels
  (held out), scaled as the networks expect them: pixel / 16.

The networks for digits are written as ONNX with random weights, and trained by
``pruners.finetune`` as any file is. The run is seeded and single-threaded; with the same versions
on the same kind of processor it writes the committed files byte for byte, in a minute or two.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

import pruners
from pruners.execution import Execution

Array = NDArray[np.float32]

SEED = 2025
TRAINING, CALIBRATION = 1_437, 200
STEPS, LEAK, THRESHOLD = 4, 0.9, 1.0
EPOCHS = 60


def digits() -> tuple[Array, NDArray[np.int64]]:
    """All 1,797 images, (n, 64) in [0, 1], and their digits, shuffled."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(images))
    return (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)


class Builder:
    """Writes a graph node by node; weights are random, of a variance that suits a rectifier."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name, self.shape = name, shape
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(SEED)

    def node(self, operator: str, *inputs: str, name: str, **attributes: object) -> str:
        """Append a node whose output is called as itself."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, values: object, dtype: type = np.float32) -> str:
        """Store a tensor."""
        self.tensors.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def weight(self, name: str, *shape: int, inputs: int, gain: float = 2.0) -> str:
        """Store a random tensor of variance ``gain / inputs``."""
        return self.constant(name, self._random.normal(0, (gain / inputs) ** 0.5, shape))

    def gemm(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Append a fully connected layer."""
        weight = self.weight(f"{name}.weight", outputs, inputs, inputs=inputs)
        bias = self.constant(f"{name}.bias", np.zeros(outputs))
        return self.node("Gemm", x, weight, bias, name=name, transB=1)

    def conv(self, x: str, name: str, inputs: int, outputs: int, **options: int) -> str:
        """Append a 3 by 3 convolution of the given stride and group."""
        stride, group = options.get("stride", 1), options.get("group", 1)
        wide = inputs // group
        weight = self.weight(f"{name}.weight", outputs, wide, 3, 3, inputs=9 * wide)
        bias = self.constant(f"{name}.bias", np.zeros(outputs))
        return self.node(
            "Conv",
            *(x, weight, bias),
            name=name,
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=[stride, stride],
            group=group,
        )

    def norm(self, x: str, name: str, channels: int) -> str:
        """Append a BatchNormalization that does nothing yet."""
        start = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}
        names = [self.constant(f"{name}.{k}", np.full(channels, v)) for k, v in start.items()]
        return self.node("BatchNormalization", x, *names, name=name)

    def layer_norm(self, x: str, name: str, size: int) -> str:
        """Append a LayerNormalization over the last axis."""
        scale = self.constant(f"{name}.scale", np.ones(size))
        shift = self.constant(f"{name}.shift", np.zeros(size))
        return self.node("LayerNormalization", x, scale, shift, name=name, axis=-1)

    def relu(self, x: str) -> str:
        """Append a rectifier."""
        return self.node("Relu", x, name=f"{x}.relu")

    def project(self, x: str, name: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        """Append a MatMul and an Add: the form of a linear layer on tokens."""
        weight = self.weight(f"{name}.weight", inputs, outputs, inputs=inputs, gain=gain)
        bias = self.constant(f"{name}.bias", np.zeros(outputs))
        return self.node("Add", self.node("MatMul", x, weight, name=name), bias, name=f"{name}.sum")

    def model(self) -> bytes:
        """The file, from ``image`` to what the last node makes: ten scores."""
        self.nodes[-1].output[0] = "scores"
        model = helper.make_model(
            helper.make_graph(
                self.nodes,
                self.name,
                [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *self.shape])],
                [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
                self.tensors,
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
            producer_name="simcert examples/train.py",
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def mlp() -> bytes:
    """64 → 40 → 24 → 10."""
    b = Builder("digits_mlp", [64])
    x = b.relu(b.gemm("image", "layer_1", 64, 40))
    x = b.relu(b.gemm(x, "layer_2", 40, 24))
    b.gemm(x, "layer_3", 24, 10)
    return b.model()


def convnet() -> bytes:
    """Two convolutions, each with BatchNormalization, and two layers."""
    b = Builder("digits_convnet", [1, 8, 8])
    x = b.relu(b.norm(b.conv("image", "conv_1", 1, 8), "norm_1", 8))
    x = b.relu(b.norm(b.conv(x, "conv_2", 8, 16, stride=2), "norm_2", 16))
    x = b.node("Reshape", x, b.constant("flat", [-1, 256], np.int64), name="reshape")
    x = b.relu(b.gemm(x, "layer_1", 256, 32))
    b.gemm(x, "layer_2", 32, 10)
    return b.model()


def residual() -> bytes:
    """A residual block; then a group and a depthwise convolution, one beside the other."""
    b = Builder("digits_residual", [1, 8, 8])
    stem = b.relu(b.norm(b.conv("image", "stem", 1, 8), "stem_norm", 8))
    x = b.relu(b.norm(b.conv(stem, "block_1", 8, 8), "block_norm_1", 8))
    x = b.norm(b.conv(x, "block_2", 8, 8), "block_norm_2", 8)
    x = b.relu(b.node("Add", x, stem, name="sum"))
    grouped = b.conv(x, "grouped", 8, 12, stride=2, group=2)
    depthwise = b.conv(x, "depthwise", 8, 8, stride=2, group=8)
    x = b.relu(b.node("Concat", grouped, depthwise, name="joined", axis=1))
    x = b.relu(b.conv(x, "mixed", 20, 16))
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="pool"), name="flat")
    b.gemm(x, "head", 16, 10)
    return b.model()


def vit() -> bytes:
    """16 patches of 2 by 2, one block of attention and a two-layer network, the mean token."""
    b = Builder("digits_vit", [1, 8, 8])
    patch = b.weight("patch.weight", 16, 1, 2, 2, inputs=4)
    x = b.node("Conv", "image", patch, name="patch", kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Reshape", x, b.constant("tokens", [-1, 16, 16], np.int64), name="reshape")
    x = b.node("Transpose", x, name="transpose", perm=[0, 2, 1])
    place = b.weight("place", 1, 16, 16, inputs=16, gain=0.1)
    x = b.node("Add", x, place, name="placed")
    y = b.layer_norm(x, "norm_1", 16)
    query, key, value = (b.project(y, name, 16, 16) for name in ("query", "key", "value"))
    turned = b.node("Transpose", key, name="turned", perm=[0, 2, 1])
    raw = b.node("MatMul", query, turned, name="raw")
    scaled = b.node("Mul", raw, b.constant("scale", 0.25), name="scaled")
    shares = b.node("Softmax", scaled, name="shares", axis=-1)
    mixed = b.node("MatMul", shares, value, name="mixed")
    x = b.node("Add", x, b.project(mixed, "project", 16, 16), name="attended")
    y = b.relu(b.project(b.layer_norm(x, "norm_2", 16), "wide", 16, 32, gain=2.0))
    x = b.node("Add", x, b.project(y, "narrow", 32, 16), name="processed")
    x = b.node("ReduceMean", x, name="mean", axes=[1], keepdims=0)
    b.gemm(x, "head", 16, 10)
    return b.model()


def spiking() -> bytes:
    """64 → 48 → 32 → 10: two layers of LIF neurons, scores summed over the steps.

    Membrane: v(t) = λ v(t − 1) + input − θ spike(t − 1); spike(t) = 1 where v(t) > θ.
    """
    b = Builder("digits_spiking", [64])
    leak, threshold = b.constant("leak", LEAK), b.constant("threshold", THRESHOLD)

    def fire(layer: int, step: int, current: str, before: tuple[str, str] | None) -> str:
        tag = f"{layer}_{step}"
        membrane = current
        if before is not None:
            left = b.node("Mul", before[0], leak, name=f"left_{tag}")
            reset = b.node("Mul", before[1], threshold, name=f"reset_{tag}")
            kept = b.node("Sub", left, reset, name=f"kept_{tag}")
            membrane = b.node("Add", kept, current, name=f"membrane_{tag}")
        above = b.node("Greater", membrane, threshold, name=f"above_{tag}")
        spike = b.node("Cast", above, name=f"spike_{tag}", to=TensorProto.FLOAT)
        states[layer] = (membrane, spike)
        return spike

    states: dict[int, tuple[str, str]] = {}
    current = b.gemm("image", "input", 64, 48)
    shared = {
        name: (
            b.weight(f"{name}.weight", outputs, inputs, inputs=inputs, gain=4.0),
            b.constant(f"{name}.bias", np.zeros(outputs)),
        )
        for name, inputs, outputs in (("hidden", 48, 32), ("readout", 32, 10))
    }
    total = ""
    for step in range(STEPS):
        spikes = fire(1, step, current, states.get(1))
        inner = b.node("Gemm", spikes, *shared["hidden"], name=f"hidden_{step}", transB=1)
        spikes = fire(2, step, inner, states.get(2))
        scores = b.node("Gemm", spikes, *shared["readout"], name=f"readout_{step}", transB=1)
        total = b.node("Add", total, scores, name=f"total_{step}") if total else scores
    return b.model()


NETWORKS: dict[str, Callable[[], bytes]] = {
    "mlp": mlp,
    "convnet": convnet,
    "residual": residual,
    "vit": vit,
    "spiking": spiking,
}


def normalised(data: bytes, images: Array) -> bytes:
    """Give every BatchNormalization the mean and variance of what enters it, first to last."""
    model = onnx.ModelProto.FromString(data)
    for node in model.graph.node:
        if node.op_type != "BatchNormalization":
            continue
        execution = Execution(model.SerializeToString())
        entering = execution.tensors(torch.from_numpy(images).double(), [node.input[0]])
        values = entering[node.input[0]].movedim(2, 0).flatten(1)
        for name, statistic in ((node.input[3], values.mean(1)), (node.input[4], values.var(1))):
            tensor = next(t for t in model.graph.initializer if t.name == name)
            tensor.CopyFrom(numpy_helper.from_array(statistic.float().numpy(), name))
    return model.SerializeToString()


def trained(name: str, epochs: int = EPOCHS) -> bytes:
    """One network, trained."""
    images, labels = digits()
    images, labels = images[:TRAINING], labels[:TRAINING]
    start = normalised(NETWORKS[name](), images[:CALIBRATION])
    result = pruners.finetune(
        start, calibration=images, labels=labels, epochs=epochs, rate=4e-3, seed=SEED
    )
    model = onnx.ModelProto.FromString(result.data)
    del model.metadata_props[:]  # a training from scratch compresses nothing
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def accuracy(data: bytes) -> float:
    """The share of the held-out digits that a network gets right."""
    images, labels = digits()
    outputs = Execution(data).outputs(torch.from_numpy(images[TRAINING:]).double())
    return float(np.mean(outputs.argmax(1).numpy() == labels[TRAINING:]))


def data_file() -> bytes:
    """Images and labels: for calibration, and held out."""
    images, labels = digits()
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=images[:CALIBRATION],
        labels=labels[:CALIBRATION],
        test_images=images[TRAINING:],
        test_labels=labels[TRAINING:],
    )
    return buffer.getvalue()


def main() -> None:
    """Train, write, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[], help="networks; all by default")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = arguments.names or [*NETWORKS, "advisory"]
    if "advisory" in names:
        import train_advisory

        network = train_advisory.train(train_advisory.STEPS)
        data = train_advisory.exported(network).SerializeToString()
        (arguments.folder / "advisory.onnx").write_bytes(data)
    (arguments.folder / "digits.npz").write_bytes(data_file())
    for name in [name for name in names if name != "advisory"]:
        data = trained(name)
        (arguments.folder / f"digits_{name}.onnx").write_bytes(data)
        print(f"{name}: {accuracy(data):.4f} of the held-out digits")  # noqa: T201


if __name__ == "__main__":
    main()
