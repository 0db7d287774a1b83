"""The verifier aligns what the pruners make, and keeps its function."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import pruners
from simcert.model import load
from simcert.model.linear import Selection
from simcert.model.lowering import lower
from simcert.model.program import Affine, Input, Program
from simcert.pairing import align, spread
from simcert.pairing.biases import unmerged
from simcert.pairing.order import by_branch

REAL = [
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx",
    "vision/onnx/Convnet_avgpool.onnx",
    "vision/onnx/cifar_base_kw.onnx",
    "vision/onnx/mnist-net_256x2.onnx",
    "vision/onnx/resnet20_cifar10_akamaster.onnx",
    "vision/onnx/resnet_2b.onnx",
]
QUANTISED = [{"format": "qdq"}, {"format": "qdq", "per": "tensor"}, {"format": "qdq-weight"}]


def assert_aligned(original: Path, compressed: bytes, folder: Path, *, metadata=True) -> None:
    (folder / "small.onnx").write_bytes(compressed)
    small = load(folder / "small.onnx").graph
    f, g = lower(load(original).graph), lower(small)
    wide = spread(f, g, small.metadata if metadata else {})
    dual = align(f, wide)
    assert all(node.aligned for node in dual.nodes), dual.describe()
    x = torch.from_numpy(np.random.default_rng(0).random((5, f.inputs)))
    expected = g.run(x)
    torch.testing.assert_close(wide.run(x), expected, rtol=1e-9, atol=1e-9 * expected.abs().max())


def quantised(model, options, x):
    given = {"calibration": x} if options["format"] == "qdq" else {}
    return pruners.quantize(model, **options, **given).data


@pytest.mark.parametrize("method", sorted(pruners.METHODS))
def test_every_method(network, digits, tmp_path, options, method):
    given = options(method, digits["images"], digits["labels"])
    compressed = pruners.METHODS[method](network, **given).data
    assert_aligned(network, compressed, tmp_path)


@pytest.mark.parametrize("form", QUANTISED, ids=lambda form: "-".join(form.values()))
def test_every_format(network, digits, tmp_path, form):
    assert_aligned(network, quantised(network, form, digits["images"][:50]), tmp_path)


@pytest.mark.parametrize("sparsity", [0.1, 0.75, 0.95])
def test_structures_of_any_size(network, digits, tmp_path, sparsity):
    given = {"calibration": digits["images"][:50], "sparsity": sparsity}
    assert_aligned(network, pruners.agf(network, **given).data, tmp_path)


@pytest.mark.parametrize("name", ["mlp", "convnet", "residual"])
def test_structures_without_the_map(example, digits, tmp_path, name):
    """By the likeness of the weights alone."""
    given = {"calibration": digits["images"], "sparsity": 0.5}
    small = pruners.agf(example(name), **given).data
    assert_aligned(example(name), small, tmp_path, metadata=False)


@pytest.mark.parametrize("name", REAL)
def test_real_structures(data, tmp_path, name):
    """Fewer channels, and W8A8 of them and of the original."""
    original = data / name
    x = np.random.default_rng(0).random((4, load(original).graph.input.size))
    small = pruners.agf(original, sparsity=0.4, calibration=x, loss="norm").data
    assert_aligned(original, small, tmp_path)
    assert_aligned(original, quantised(original.read_bytes(), QUANTISED[0], x), tmp_path)
    assert_aligned(original, quantised(small, QUANTISED[0], x[:1]), tmp_path)


def test_a_structure_that_is_tuned_and_quantised_afterwards(network, digits, tmp_path):
    x, y = digits["images"][:50], digits["labels"][:50]
    small = pruners.agf(network, sparsity=0.5, calibration=x).data
    tuned = pruners.finetune(small, calibration=x, labels=y, epochs=1).data
    assert_aligned(network, pruners.quantize(tuned, bits=6).data, tmp_path)
    assert_aligned(network, quantised(tuned, QUANTISED[0], x[:10]), tmp_path)


@pytest.mark.parametrize(
    "graph",
    [
        'q = Pad<mode="constant">(c, pads)',
        'p = Pad<mode="reflect">(c, pads) q = Relu(p)',
        'p = Pad<mode="edge">(c, around) q = Conv<group=6, pads=[1, 1, 1, 1]>(p, depthwise)',
        "p = Slice(c, from, to, axes) q = Sigmoid(p)",
        "q = MaxPool<kernel_shape=[2, 2]>(c)",
        "p = BatchNormalization(c, s1, b, b, s1) q = LeakyRelu(p)",
        "q = Concat<axis=2>(c, row)",
        "p = Transpose<perm=[0, 2, 3, 1]>(c) r = Add(p, b) q = Transpose<perm=[0, 3, 1, 2]>(r)",
        "m = ReduceMean<axes=[2, 3]>(c) g = Sigmoid(m) q = Mul(c, g)",
        "g = Greater(c, s) r = Relu(c) q = Where(g, r, s)",
    ],
    ids=lambda graph: graph.split("(")[0].split("= ")[1],
)
def test_what_stands_on_a_path_with_fewer_channels(build, tmp_path, graph):
    random = np.random.default_rng(0)

    def w(*shape):
        return random.standard_normal(shape).astype(np.float32)

    model = build(
        f"c = Conv(x, k, b) {graph} d = Conv(q, l) z = GlobalAveragePool(d) f = Flatten(z)"
        "y = Gemm<transB=1>(f, v)",
        (1, 3, 8, 8),
        k=w(6, 3, 3, 3),
        b=w(6),
        l=w(4, 6, 2, 2),
        v=w(4, 4),
        s=w(6, 1, 1),
        s1=np.abs(w(6)) + 1,
        depthwise=w(6, 1, 3, 3),
        row=w(1, 6, 1, 6),
        pads=np.array([0, 0, 1, 0, 0, 0, 2, 1]),
        around=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        **{"from": np.array([1]), "to": np.array([5]), "axes": np.array([2])},
    )
    proto = onnx.ModelProto.FromString(model)
    used = {name for node in proto.graph.node for name in node.input}
    for tensor in [t for t in proto.graph.initializer if t.name not in used]:
        proto.graph.initializer.remove(tensor)
    (tmp_path / "original.onnx").write_bytes(proto.SerializeToString())
    x = random.standard_normal((4, 192))
    small = pruners.agf(tmp_path / "original.onnx", sparsity=0.5, calibration=x, loss="norm").data
    stored = {t.name: t.dims for t in onnx.ModelProto.FromString(small).graph.initializer}
    assert stored["k"] == [3, 3, 3, 3]
    assert_aligned(tmp_path / "original.onnx", small, tmp_path)


def test_branches_in_any_order():
    """A tool may write two branches one after the other, or in turn."""

    def move(operand, *index):
        return Affine((operand,), (Selection(torch.tensor(index), 2),), torch.zeros(2).double(), "")

    same = Selection(torch.arange(2), 2)
    total = Affine((2, 4), (same, same), torch.zeros(2).double(), "sum")
    first = Program((Input(2), move(0, 0, 0), move(1, 1, 0), move(0, 1, 1), move(3, 1, 0), total))
    total = Affine((3, 4), (same, same), torch.zeros(2).double(), "sum")
    second = Program((Input(2), move(0, 1, 1), move(0, 0, 0), move(2, 1, 0), move(1, 1, 0), total))
    x = torch.tensor([[1.0, 10.0]]).double()
    assert torch.equal(by_branch(first).run(x), first.run(x))
    assert torch.equal(by_branch(second).run(x), second.run(x))
    assert all(node.aligned for node in align(first, second).nodes)


def test_an_output_that_is_a_copy_stays_the_output(example, digits, tmp_path):
    """Steps that are equal become one, but the last step of a program is its output."""
    x = digits["images"][:20]
    (tmp_path / "q.onnx").write_bytes(quantised(example("spiking"), QUANTISED[0], x))
    other = lower(load(tmp_path / "q.onnx").graph)
    own = lower(load(example("spiking")).graph)
    copied = next(i for i, s in enumerate(own.steps) if isinstance(s, Affine) and i > 1)
    ended = Program((*own.steps, own.steps[copied]))
    x = torch.from_numpy(x).double()
    assert torch.equal(unmerged(ended, other).run(x), own_value(own, copied, x))


def own_value(program, number, x):
    return Program(program.steps[: number + 1]).run(x)
