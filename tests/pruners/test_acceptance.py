"""Every method, on examples and on real networks: files that run, exact counts, a verdict.

The whole table is made by ``benchmarks/pruners_matrix.py``; here are parts of it.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import pruners
from simcert import Claim, Region, Verdict, divergences, verify

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "pruners_matrix.py"


def load_script():
    spec = importlib.util.spec_from_file_location("pruners_matrix", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MATRIX = load_script()
VARIANTS = list(MATRIX.VARIANTS)
EXAMPLES = [case.name for case in MATRIX.cases(None)]
REAL = ["ACAS Xu 1_1", "mnist-net_256x2", "cifar_base_kw", "resnet_2b"]


def row(name, variant, folder, data=None):
    (case,) = (case for case in MATRIX.cases(data) if case.name == name)
    return MATRIX.judged(case, variant, folder, seconds=1.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_method_on_two_examples(tmp_path, variant):
    first = VARIANTS.index(variant) % len(EXAMPLES)
    for name in (EXAMPLES[first], EXAMPLES[first - 2]):
        assert row(name, variant, tmp_path).faults == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_method_on_a_real_network(data, tmp_path, variant):
    name = REAL[VARIANTS.index(variant) % len(REAL)]
    assert row(name, variant, tmp_path, data).faults == []


def test_the_table_names_every_fault(example, digits):
    """What is judged is not taken on trust: a file that is not what was asked for is found."""
    original = example("mlp").read_bytes()
    for method, options in (
        ("magnitude", {"sparsity": 0.5}),
        ("wanda", {"sparsity": 0.5}),
        ("lamp", {"sparsity": 0.5}),
        ("quantize", {"bits": 4}),
        ("quantize", {"format": "qdq"}),
        ("float16", {}),
    ):
        assert MATRIX.counts(method, options, original, original)
    small = pruners.agf(original, sparsity=0.3, calibration=digits["images"]).data
    assert MATRIX.counts("agf", {"sparsity": 0.5}, original, small)


@pytest.mark.parametrize("method", ["magnitude", "wanda", "lamp", "slamp", "agf"])
def test_sparsity_0_gives_the_file_byte_for_byte(network, digits, method):
    given = {} if method in ("magnitude", "lamp") else {"calibration": digits["images"][:20]}
    compressed = pruners.METHODS[method](network, sparsity=0, **given)
    assert compressed.data == network.read_bytes()


def test_the_spiking_network_is_certified_statistically(example, digits, tmp_path):
    """Four steps in time, SLAMP, ONNX Runtime, and a certified probability."""
    pruned = pruners.slamp(example("spiking"), sparsity=0.2, calibration=digits["images"], leak=0.9)
    pruned.save(tmp_path / "slamp.onnx")
    rows = digits["test_images"][:20].astype(float)
    region = Region(rows - 0.01, rows + 0.01, np.full(len(rows), 1 / len(rows)), "balls")
    top1 = divergences.parse("top1", None, "argmax")
    claim = Claim(region, divergence=top1, tolerance=0.0, max_violation=0.25)
    limits = {"time_limit": 20.0, "samples": 20_000, "max_boxes": 20, "threads": 1}
    result = verify(example("spiking"), tmp_path / "slamp.onnx", claim, **limits)
    assert result.verdict is Verdict.CERTIFIED
    assert result.statistics is not None
    assert result.statistics.violation_upper <= 0.25
