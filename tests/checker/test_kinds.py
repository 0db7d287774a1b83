"""Certificates of every kind pass, on the example and on the real networks."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from certificates import EXAMPLE, Certified, certify
from networks import random_mlp, write_mlp

import pruners
from simcert.checker.network import read
from simcert.claim import Claim, Region, TruncatedNormal, data_rows, divergences, read_region
from simcert.result import Verdict

KINDS = {
    "violated": "bounded",
    "integrated": "bounded",
    "mixed": "certified",
    "early": "certified",
}


@pytest.mark.parametrize("kind", ["proved", "bounded", "certified", *KINDS])
def test_passes(kind: str, request: pytest.FixtureRequest) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    report = certificate.check()
    assert report.holds, report.steps[-1]
    assert report.kind == KINDS.get(kind, kind)
    assert [step.number for step in report.steps] == list(range(1, len(report.steps) + 1))
    sentence = certificate.statement["predicate"]["claim"]["sentence"]
    added = report.claim.removeprefix(sentence)
    presumed = ", if seed 0 was not chosen for what it draws and the counts are as stated"
    assert added in ("", presumed)
    assert bool(added) == (kind in ("certified", "mixed", "early"))


def test_leaves_that_violate_are_re_established(violated: Certified) -> None:
    step = next(s for s in violated.check().steps if s.name.startswith("d > ε"))
    assert "leaves" in step.detail


def test_bets_stop_early(early: Certified) -> None:
    sampling = early.statement["predicate"]["sampling"]
    assert (sampling["plan"]["method"], sampling["plan"]["stopping"]) == ("betting", "early")
    assert sampling["stopped"] == "early"
    assert sampling["drawn"] < sampling["plan"]["samples"]


@pytest.mark.parametrize("kind", ["certified", "mixed", "early"])
def test_draws_are_made_and_run_again(kind: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(kind).check(resample=True)
    assert report.holds
    assert any("drawn again" in step.detail for step in report.steps)


def test_exact_arithmetic_agrees(proved: Certified) -> None:
    report = proved.check(exact=2)
    assert report.holds
    assert any(step.detail.startswith("2 of") for step in report.steps)


def test_evidence_may_lie_beside(folder: Path, example_region: Region, quantised: Path) -> None:
    claim = Claim(example_region, tolerance=0.1)
    certificate = certify(
        folder, "apart", EXAMPLE, quantised, claim, Verdict.PROVED, largest_inside=100
    )
    beside = folder / "apart.json.evidence.json"
    assert beside.is_file()
    assert certificate.check().holds
    data = beside.read_bytes()
    for changed in (data[:-1], data + b" ", data.replace(b'"int64"', b'"float64"', 1), b"{}"):
        beside.write_bytes(changed)
        assert not certificate.check().holds
    beside.unlink()
    assert not certificate.check().holds


@pytest.mark.parametrize(
    "name",
    [
        *("linf", "l1", "l2", "top1", "topk:k=2", "top1-confident:delta=0.05", "kl", "js"),
        *("per-output:0-1=1.5,3=0.4", "groups:0+2=l2/1.0,1+3=l1/2.0", "relative:share=0.01"),
    ],
)
def test_every_divergence(folder: Path, name: str) -> None:
    region = Region.from_boxes([[-1.0] * 2], [[1.0] * 2], source="square")
    f = random_mlp(folder / "f.onnx", [2, 16, 16, 4], seed=2)
    g = random_mlp(folder / "g.onnx", [2, 16, 16, 4], seed=2, noise=0.003)
    ranking = name.startswith("top")
    claim = Claim(
        region,
        divergence=divergences.parse(name, decision="argmin"),
        tolerance=0.5 if ranking else 0.05,
        max_violation=0.05 if ranking else None,
    )
    certificate = certify(folder, name.partition(":")[0], f, g, claim, None, samples=0)
    assert certificate.check().holds


def test_some_outputs_only(folder: Path) -> None:
    region = Region.from_boxes([[-1.0] * 2], [[1.0] * 2], source="square")
    f = random_mlp(folder / "some_f.onnx", [2, 16, 4], seed=2)
    g = random_mlp(folder / "some_g.onnx", [2, 16, 4], seed=2, noise=0.003)
    claim = Claim(region, divergence=divergences.parse("linf", (1, 3)), tolerance=0.05)
    certificate = certify(folder, "some", f, g, claim, Verdict.PROVED)
    assert certificate.check().holds
    assert "[1, 3]" in certificate.check().claim


def test_a_truncated_normal(folder: Path, bump: tuple[Path, Path]) -> None:
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    claim = Claim(region, TruncatedNormal(0.4), tolerance=0.03, max_violation=0.02)
    certificate = certify(folder, "normal", *bump, claim, Verdict.BOUNDED, samples=0)
    assert certificate.check().holds


@pytest.mark.parametrize("weights", [None, [8.0, 1.0, 1.0, 2.0]])
def test_an_enumeration(folder: Path, weights: list[float] | None) -> None:
    """Of four points one violates; which one it is only a run of the files can tell."""
    one, zero = np.ones((1, 1)), np.zeros(1)
    flat, ramp = (
        write_mlp(folder / f"atan_{name}.onnx", [(one, zero), (one * scale, zero)])
        for name, scale in (("flat", 0.0), ("ramp", 1.0))
    )
    for path in (flat, ramp):
        model = onnx.load(path)
        model.graph.node[1].op_type = "Atan"
        onnx.save(model, path)
    points = np.array([[-0.0625], [0.03125], [1.0], [-0.03125]])
    region = Region.from_boxes(points, points, source="points", weights=weights)
    claim = Claim(region, tolerance=0.1, max_violation=0.4)
    certificate = certify(folder, "points", flat, ramp, claim, Verdict.CERTIFIED)
    stated = certificate.check()
    assert stated.holds is (weights is None)
    assert stated.claim.endswith(", if the counts are as stated" if stated.holds else "")
    for again in (certificate.check(resample=True), certificate.check(seed=1)):
        assert again.holds
        assert "if" not in again.claim.split()


def test_networks_that_only_run_are_certified_by_draws(folder: Path) -> None:
    one, zero = np.ones((1, 1)), np.zeros(1)
    paths = []
    for name, scale in (("s1", 1.0), ("s2", 1.01)):
        path = write_mlp(folder / f"{name}.onnx", [(one * scale, zero), (one, zero)])
        model = onnx.load(path)
        model.graph.node[1].op_type = "Atan"
        onnx.save(model, path)
        paths.append(path)
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    claim = Claim(region, tolerance=0.01, max_violation=0.01)
    certificate = certify(
        folder, "atan", paths[0], paths[1], claim, Verdict.CERTIFIED, samples=20_000
    )
    assert certificate.check().holds
    assert certificate.check(resample=True).holds


def test_what_the_checker_cannot_read_is_no_pass(proved: Certified, tmp_path: Path) -> None:
    """The certificate of networks with an operator that is not known, all digests made anew."""
    files = []
    for name, path in (("f", proved.original), ("g", proved.compressed)):
        model = onnx.load(path)
        next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sinh"
        onnx.save(model, tmp_path / f"{name}.onnx")
        files.append((tmp_path / f"{name}.onnx").read_bytes())
    changed = Certified(proved.path, tmp_path / "f.onnx", tmp_path / "g.onnx")

    def rename(statement: dict[str, Any]) -> None:
        predicate = statement["predicate"]
        for owner, size, data in (
            (predicate["original"], predicate["original"], files[0]),
            (statement["subject"][0], predicate["compressed"], files[1]),
        ):
            owner["digest"]["sha256"] = hashlib.sha256(data).hexdigest()
            size["bytes"] = len(data)

    report = changed.changed(rename, tmp_path / "sinh.json")
    assert not report.holds
    assert report.cannot
    assert "Sinh" in report.steps[-1].detail


@pytest.mark.parametrize(
    ("name", "arithmetic"),
    [
        ("digits_mlp", "real"),
        ("digits_mlp", "float32"),
        ("digits_convnet", "float32"),
        ("digits_residual", "float32"),
    ],
)
def test_the_other_examples(
    folder: Path, name: str, arithmetic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch normalisation, residual sums, concatenation, pools: around a digit."""
    original, compressed = EXAMPLE.with_name(f"{name}.onnx"), folder / f"{name}.onnx"
    compressed.write_bytes(pruners.quantize(original, format="qdq-weight").data)
    with np.load(EXAMPLE.with_name("digits.npz")) as digits:
        image = digits["images"][:1].astype(np.float64)
    region = Region.from_boxes(image - 2.0**-12, image + 2.0**-12, source="around a digit")
    claim = Claim(region, tolerance=1.0, arithmetic=arithmetic)
    certificate = certify(
        folder, f"{name}_{arithmetic}", original, compressed, claim, Verdict.PROVED
    )
    assert certificate.check().holds
    monkeypatch.setattr("simcert.checker.leaves.LEAST_SPLITS", 10)
    networks = [read(path.read_bytes()) for path in (original, compressed)]
    f, g = (network.evaluate(image) for network in networks)
    largest = float(np.abs(f - g).max())
    assert not certificate.changed(stated(0.9 * largest), folder / "smaller.json").holds


def stated(bound: float) -> Callable[[dict[str, Any]], None]:
    """State another bound of d."""

    def change(statement: dict[str, Any]) -> None:
        for name in ("value", "worst_case"):
            statement["predicate"]["guarantee"] |= {name: bound, f"{name}_hex": bound.hex()}

    return change


def smaller(factor: float) -> Callable[[dict[str, Any]], None]:
    """State ``factor`` times what was proved, of which the geometric mean with ε was stated."""

    def change(statement: dict[str, Any]) -> None:
        guarantee = statement["predicate"]["guarantee"]
        stated(factor * guarantee["value"] ** 2 / guarantee["limit"])(statement)

    return change


def test_removed_channels(folder: Path) -> None:
    """A network that lost channels is bounded in the original's shape."""
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in ((12, 3), (12, 12), (2, 12))]
    biases = [generator.normal(size=len(w)) for w in weights]
    kept = [0, 1, 2, 4, 5, 6, 8, 9, 11]
    weights[2][:, [c for c in range(12) if c not in kept]] *= 1e-3
    f = write_mlp(folder / "whole.onnx", list(zip(weights, biases, strict=True)))
    narrow = [weights[0], weights[1][kept], weights[2][:, kept]]
    g = write_mlp(
        folder / "fewer.onnx",
        list(zip(narrow, [biases[0], biases[1][kept], biases[2]], strict=True)),
    )
    region = Region.from_boxes([[-1.0] * 3], [[1.0] * 3], source="cube")
    certificate = certify(folder, "fewer", f, g, Claim(region, tolerance=0.05), Verdict.PROVED)
    assert certificate.check().holds


def test_truncated_normal_draws_are_made_again(
    folder: Path, example_region: Region, pruned: Path
) -> None:
    claim = Claim(example_region, TruncatedNormal(0.4), tolerance=0.1, max_violation=0.002)
    certificate = certify(
        folder,
        "normal_draws",
        EXAMPLE,
        pruned,
        claim,
        Verdict.CERTIFIED,
        max_boxes=100,
        samples=20_000,
    )
    assert certificate.check(resample=True).holds


@pytest.mark.parametrize("name", ["1_1", "1_5", "1_9", "2_1", "3_3", "5_3"])
def test_the_main_job(data: Path, folder: Path, name: str) -> None:
    """ACAS Xu against float16 copies: confirmed, with less than three boxes a leaf."""
    original = data / f"acasxu/onnx/ACASXU_run2a_{name}_batch_2000.onnx"
    compressed = folder / f"{name}_float16.onnx"
    compressed.write_bytes(pruners.float16(original).data)
    region = read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)
    certificate = certify(
        folder, name, original, compressed, Claim(region, tolerance=0.05), Verdict.PROVED
    )
    report = certificate.check()
    assert report.holds
    detail = next(step.detail for step in report.steps if "boxes" in step.detail)
    counts = re.findall(r"\d[\d,]*(?= (?:leaves|boxes))", detail)
    leaves, boxes = (int(count.replace(",", "")) for count in counts)
    assert leaves <= boxes < 3 * leaves


@pytest.mark.parametrize("kind", ["bounded", "certified"])
def test_probabilities_on_a_real_network(data: Path, folder: Path, kind: str) -> None:
    original = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
    compressed = folder / "acasxu_pruned.onnx"
    compressed.write_bytes(pruners.magnitude(original, sparsity=0.1, scope="global").data)
    region = read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)
    allowed, samples = (0.3, 0) if kind == "bounded" else (1e-2, 20_000)
    claim = Claim(region, tolerance=0.0055, max_violation=allowed)
    certificate = certify(
        folder,
        f"acasxu_{kind}",
        original,
        compressed,
        claim,
        Verdict(kind),
        max_boxes=400,
        samples=samples,
    )
    assert certificate.check().holds


def test_a_data_set(folder: Path, quantised: Path, example_region: Region, tmp_path: Path) -> None:
    draws = np.random.default_rng(0).random((20, 5))
    rows = example_region.lower + draws * (example_region.upper - example_region.lower)
    np.save(tmp_path / "rows.npy", rows.astype(np.float32))
    region = data_rows(tmp_path / "rows.npy", 5)
    certificate = certify(
        folder, "rows", EXAMPLE, quantised, Claim(region, tolerance=0.1), Verdict.PROVED
    )
    assert certificate.check().holds


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid", "Erf"])
def test_smooth_networks(folder: Path, activation: str) -> None:
    paths = []
    for name, noise in (("exactly", 0.0), ("nearly", 0.003)):
        path = random_mlp(folder / f"{name}_{activation}.onnx", [2, 8, 8, 3], seed=2, noise=noise)
        model = onnx.load(path)
        for node in model.graph.node:
            if node.op_type == "Relu":
                node.op_type = activation
        onnx.save(model, path)
        paths.append(path)
    region = Region.from_boxes([[-1.0] * 2], [[1.0] * 2], source="square")
    claim = Claim(region, tolerance=0.1)
    certificate = certify(folder, activation, *paths, claim, Verdict.PROVED, samples=0)
    assert certificate.check().holds
    assert not certificate.changed(smaller(0.1), folder / "smaller.json").holds


def test_quantised_activations(
    folder: Path, example_region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saturation, codes that are decided on a leaf, and half a step elsewhere."""
    draws = np.random.default_rng(0).random((64, 5))
    rows = example_region.lower + draws * (example_region.upper - example_region.lower)
    compressed = folder / "qdq.onnx"
    made = pruners.quantize(EXAMPLE, format="qdq", calibration=rows.astype(np.float32))
    compressed.write_bytes(made.data)
    claim = Claim(example_region, tolerance=1.0)
    certificate = certify(folder, "qdq", EXAMPLE, compressed, claim, Verdict.PROVED, samples=0)
    assert certificate.check(exact=1).holds
    monkeypatch.setattr("simcert.checker.leaves.LEAST_SPLITS", 10)
    monkeypatch.setattr("simcert.checker.leaves.SPLITS", 1)
    assert not certificate.changed(smaller(0.05), folder / "smaller.json").holds


def test_codes_of_one_input_cover_all_of_its_range(folder: Path, data: Path) -> None:
    """A published sine and its int8 copy: between two codes no splitting comes to an end."""
    paths = [data / f"pairs/onnx/tflm_sine_{name}.onnx" for name in ("fp32", "int8_fio")]
    region = Region.from_boxes([[0.0]], [[2 * np.pi]], source="[0, 2π]").rounded_outward(np.float32)
    claim = Claim(region, tolerance=0.1153)
    certificate = certify(folder, "sine", *paths, claim, Verdict.PROVED, samples=0)
    assert certificate.check().holds
    f, g = (read(path.read_bytes()) for path in paths)
    x = np.linspace(0, 2 * np.pi, 20_001)[:, None]
    largest = float(np.abs(f.evaluate(x) - g.evaluate(x)).max())
    assert 0.1 < largest < 0.1153
    assert not certificate.changed(stated(0.999 * largest), folder / "smaller.json").holds
