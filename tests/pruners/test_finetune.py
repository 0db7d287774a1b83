"""Fine-tuning under a mask, through quantised weights, and chains of compressions."""

import json

import numpy as np
import onnx
import pytest

import pruners
from pruners.onnx_edit import RECORD, Network
from pruners.sites import weight_sites
from simcert.errors import ModelError, SimcertError


def rows(model):
    return [site.rows for site in weight_sites(Network(model))]


def accuracy(run_all, model, digits):
    return np.mean(run_all(model, digits["test_images"]).argmax(1) == digits["test_labels"])


@pytest.fixture(scope="session")
def run_all():
    import torch

    from pruners.execution import Execution

    def outputs(model, x):
        return Execution(model).outputs(torch.from_numpy(x).double()).numpy()

    return outputs


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("magnitude", "mlp"),
        ("wanda", "convnet"),
        ("lamp", "vit"),
        ("slamp", "spiking"),
        ("agf", "residual"),
        ("agf", "mlp"),
    ],
)
def test_it_helps_and_zeros_stay_zero(example, digits, run_all, options, method, name):
    x, y = digits["images"], digits["labels"]
    given = options(method, x, y) | {"sparsity": 0.8}
    pruned = pruners.METHODS[method](example(name), **given).data
    tuned = pruners.finetune(pruned, calibration=x, labels=y, epochs=8, rate=3e-3).data
    for before, after in zip(rows(pruned), rows(tuned), strict=True):
        assert not after[before == 0].any()
    assert accuracy(run_all, tuned, digits) > accuracy(run_all, pruned, digits)
    onnx.checker.check_model(tuned, full_check=True)


def test_it_trains_through_quantised_weights(example, digits, run_all):
    x, y = digits["images"], digits["labels"]
    plain = pruners.quantize(example("mlp"), bits=2).data
    trained = pruners.finetune(example("mlp"), calibration=x, labels=y, epochs=10, bits=2).data
    tuned = pruners.quantize(trained, bits=2).data
    assert accuracy(run_all, tuned, digits) > accuracy(run_all, plain, digits)
    for values in rows(tuned):
        assert all(len(np.unique(np.abs(row))) <= 2 for row in values)


def test_outputs_can_be_the_labels(example, digits, run_all):
    """Distillation: the pruned network learns what the original answers."""
    x = digits["images"]
    wanted = run_all(example("mlp").read_bytes(), x)
    pruned = pruners.lamp(example("mlp"), sparsity=0.8).data
    tuned = pruners.finetune(pruned, calibration=x, labels=wanted, epochs=30, rate=5e-3).data
    before, after = (np.mean((run_all(m, x) - wanted) ** 2) for m in (pruned, tuned))
    assert after < before / 2


def test_it_is_reproducible_and_depends_on_the_seed(example, digits):
    given = {"calibration": digits["images"], "labels": digits["labels"], "epochs": 1}
    first, again, other = (
        pruners.finetune(example("mlp"), **given, seed=seed).data for seed in (1, 1, 2)
    )
    assert first == again != other


def test_prune_then_quantise_keeps_the_zeros_and_the_chain(example, digits):
    x, y = digits["images"], digits["labels"]
    pruned = pruners.wanda(example("mlp"), sparsity=0.5, calibration=x).data
    tuned = pruners.finetune(pruned, calibration=x, labels=y, epochs=1).data
    final = pruners.quantize(tuned, bits=4, format="qdq-weight").data
    stored = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load_from_string(final).graph.initializer
    }
    for number, values in enumerate(rows(pruned), 1):
        assert not stored[f"layer_{number}.weight_int8"][values == 0].any()
    properties = {p.key: p.value for p in onnx.load_from_string(final).metadata_props}
    chain = json.loads(properties[RECORD])
    assert [entry["method"] for entry in chain] == ["wanda", "finetune", "quantize"]
    assert chain[1]["seed"] == 0
    assert chain[1]["parameters"]["epochs"] == 1


def test_static_quantisation_keeps_zeros_too(example, digits):
    x = digits["images"]
    pruned = pruners.lamp(example("convnet"), sparsity=0.5).data
    final = onnx.load_from_string(pruners.quantize(pruned, format="qdq", calibration=x).data)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in final.graph.initializer}
    for site in weight_sites(Network(pruned)):
        assert not stored[f"{site.tensor}_quantized"][site.weights == 0].any()


def test_what_is_refused(example, digits):
    x, y = digits["images"], digits["labels"]
    for options, message in (
        ({"epochs": 0}, "epochs must be"),
        ({"epochs": 1, "rate": 0.0}, "rate"),
        ({"epochs": 3, "rate": 1e30}, "diverged|overflow"),
    ):
        with pytest.raises(ModelError, match=message):
            pruners.finetune(example("mlp"), calibration=x, labels=y, **options)
    with pytest.raises(SimcertError, match="whole numbers"):
        pruners.finetune(example("mlp"), calibration=x, labels=y[:-1], epochs=1)
