"""A certificate of every kind about ACAS Xu and about the example passes, drawn and run again too.

Rows are kinds of claims and of guarantees, columns are pairs. Budgets are small: what matters is
that each kind comes out of a real run and goes through the checker.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from certificates import EXAMPLE, Certified, certify
from networks import random_mlp
from onnx import numpy_helper

import pruners
from simcert import load, verify
from simcert.claim import (
    Claim,
    Region,
    TruncatedNormal,
    balls_around,
    data_rows,
    divergences,
    read_region,
    region_from_metadata,
)
from simcert.result import Verdict


@dataclass(frozen=True)
class Pair:
    """Two files, where they are compared, and tolerances that a pruned copy keeps or not."""

    original: Path
    quantised: Path
    pruned: Path
    region: Region
    holds: float
    mostly: float
    rarely: float


@pytest.fixture(scope="module", params=["example", "acasxu"])
def pair(request: pytest.FixtureRequest, folder: Path) -> Pair:
    if request.param == "example":
        original = EXAMPLE
        metadata = load(EXAMPLE).graph.metadata["simcert.region"]
        region = region_from_metadata(metadata, 5, EXAMPLE.name)
        tolerances = 0.1, 0.1, 0.07
    else:
        data: Path = request.getfixturevalue("data")
        original = data / "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
        region = read_region(data / "acasxu/vnnlib/prop_1.vnnlib", inputs=5)
        tolerances = 0.05, 0.0055, 0.0055
    quantised, pruned = (folder / f"matrix_{request.param}_{n}.onnx" for n in ("q", "p"))
    quantised.write_bytes(pruners.float16(original).data)
    pruned.write_bytes(pruners.magnitude(original, sparsity=0.1, scope="global").data)
    return Pair(original, quantised, pruned, region, *tolerances)


def inner(region: Region, share: float = 0.02) -> Region:
    """A small box in the middle."""
    centre, half = (region.lower + region.upper) / 2, (region.upper - region.lower) / 2
    return Region.from_boxes(centre - share * half, centre + share * half, source="middle")


def halved(region: Region) -> Region:
    """The region in other units."""
    return Region.from_boxes(region.lower / 2, region.upper / 2, source="in other units")


def rows(region: Region, folder: Path, count: int = 20) -> Path:
    draws = np.random.default_rng(0).random((count, region.inputs))
    path = folder / "rows.npy"
    np.save(path, (region.lower + draws * (region.upper - region.lower)).astype(np.float32))
    return path


@dataclass(frozen=True)
class Kind:
    """How a claim is made of a pair, and how it is tried."""

    claim: Callable[[Pair, Path], Claim]
    verdict: Verdict | None
    compressed: str = "pruned"
    maps: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


DRAWN = {"max_boxes": 40, "samples": 5_000}
FEW = {"samples": 0, "max_boxes": 200}


def rare(p: Pair, **changes: Any) -> Claim:
    return Claim(**{"region": p.region, "tolerance": p.mostly, "max_violation": 0.05} | changes)


KINDS: dict[str, Kind] = {
    "proved": Kind(
        lambda p, _: Claim(inner(p.region), tolerance=p.holds), Verdict.PROVED, "quantised"
    ),
    "proved over the reals": Kind(
        lambda p, _: Claim(inner(p.region), tolerance=p.holds, arithmetic="real"),
        Verdict.PROVED,
        "quantised",
    ),
    "top1": Kind(
        lambda p, _: Claim(
            inner(p.region),
            divergence=divergences.parse("top1", decision="argmin"),
            tolerance=0.0,
            max_violation=0.9,
        ),
        None,
        "quantised",
    ),
    "per output": Kind(
        lambda p, _: Claim(
            inner(p.region),
            divergence=divergences.parse(f"per-output:0-2={p.holds},3-4={2 * p.holds}"),
            tolerance=1.0,
        ),
        Verdict.PROVED,
        "quantised",
    ),
    "groups": Kind(
        lambda p, _: Claim(
            inner(p.region),
            divergence=divergences.parse(f"groups:0+2=l2/{p.holds},1+3-4=l1/{3 * p.holds}"),
            tolerance=1.0,
        ),
        Verdict.PROVED,
        "quantised",
    ),
    "relative": Kind(
        lambda p, _: Claim(
            inner(p.region),
            divergence=divergences.parse("relative:share=0.05"),
            tolerance=p.holds,
        ),
        Verdict.PROVED,
        "quantised",
    ),
    "balls around data": Kind(
        lambda p, folder: Claim(
            balls_around(rows(p.region, folder, 3), 5, 1e-3), tolerance=p.holds
        ),
        Verdict.PROVED,
        "quantised",
    ),
    "rows of a data set": Kind(
        lambda p, folder: Claim(data_rows(rows(p.region, folder), 5), tolerance=p.holds),
        Verdict.PROVED,
        "quantised",
    ),
    "input maps": Kind(
        lambda p, _: Claim(halved(inner(p.region)), tolerance=p.holds),
        Verdict.PROVED,
        "quantised",
        ("scale=2",),
    ),
    "certified through input maps": Kind(
        lambda p, _: rare(p, region=halved(p.region)),
        Verdict.CERTIFIED,
        "pruned",
        ("scale=2",),
        DRAWN,
    ),
    "bounded": Kind(
        lambda p, _: Claim(p.region, tolerance=p.rarely, max_violation=0.3),
        Verdict.BOUNDED,
        options=FEW,
    ),
    "certified": Kind(lambda p, _: rare(p), Verdict.CERTIFIED, options=DRAWN),
    "certified, stopped early": Kind(
        lambda p, _: rare(p), Verdict.CERTIFIED, options=DRAWN | {"early_stopping": True}
    ),
    "certified, truncated normal": Kind(
        lambda p, _: rare(p, distribution=TruncatedNormal(0.4)), Verdict.CERTIFIED, options=DRAWN
    ),
    "certified, several boxes": Kind(
        lambda p, folder: Claim(
            balls_around(rows(p.region, folder, 3), 5, 0.1),
            tolerance=p.mostly,
            max_violation=0.05,
        ),
        Verdict.CERTIFIED,
        options=DRAWN | {"max_boxes": 3},
    ),
    "certified, family of three": Kind(
        lambda p, _: rare(p), Verdict.CERTIFIED, options=DRAWN | {"family": 3}
    ),
    "certified, decisions": Kind(
        lambda p, _: rare(
            p,
            divergence=divergences.parse("top1", decision="argmin"),
            tolerance=0.0,
            max_violation=0.1,
        ),
        Verdict.CERTIFIED,
        options=DRAWN,
    ),
}


def made(pair: Pair, kind: Kind, folder: Path, name: str) -> Certified:
    files = pair.original, getattr(pair, kind.compressed)
    models = (load(path, kind.maps) for path in files)
    return certify(folder, name, *models, kind.claim(pair, folder), None, **kind.options)


@pytest.mark.parametrize("name", KINDS)
def test_passes(pair: Pair, name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    certificate = made(pair, kind, tmp_path, "certificate")
    report = certificate.check(resample=kind.verdict is Verdict.CERTIFIED)
    assert report.holds, report.steps[-1]
    predicate = certificate.statement["predicate"]
    assert report.kind == (kind.verdict or predicate["guarantee"]["kind"])
    shares = predicate["guarantee"]["shares"]
    assert shares["proved"] + shares["bounded"] + shares["certified"] <= 1
    assert predicate["guarantee"]["worst_case"] is not None
    if kind.verdict is not Verdict.CERTIFIED:
        return
    assert shares["certified"] > 0
    assert any("drawn again" in step.detail for step in report.steps)
    sampling = predicate["sampling"]
    assert sampling["divergences"]["maximum"] <= predicate["guarantee"]["worst_case"]
    # Statements about quantiles, the curve and single outputs are in it and were checked.
    assert len(sampling["divergences"]["curve"]) >= 4
    norm = predicate["claim"]["divergence"] == "linf"
    assert len(sampling["divergences"]["per_output"]) == (5 if norm else 0)


def test_but_for_eta_on_the_digits(tmp_path: Path) -> None:
    """Noise on the pixels of a digit, about a copy with fewer bits."""
    name = "digits_mlp"
    original, compressed = EXAMPLE.with_name(f"{name}.onnx"), tmp_path / "int8.onnx"
    compressed.write_bytes(pruners.quantize(original, format="qdq-weight").data)
    with np.load(EXAMPLE.with_name("digits.npz")) as digits:
        image = digits["images"][:1].reshape(1, -1).astype(np.float64)
    region = Region.from_boxes(image - 0.1, image + 0.1, source="noise on a digit")
    options = {"samples": 0, "max_boxes": 1, "threads": 1}
    proof = verify(original, compressed, Claim(region), eta=1e-3, **options).proof
    assert proof.concentration is not None
    tolerance = (proof.concentration.bound + proof.bound) / 2
    claim = Claim(region, tolerance=tolerance, max_violation=1e-3)
    certificate = certify(tmp_path, name, original, compressed, claim, None, samples=0, max_boxes=1)
    report = certificate.check()
    assert report.holds, report.steps[-1]
    assert report.kind == "bounded"
    assert "concentration" in certificate.statement["predicate"]


def test_draws_from_the_rows_of_a_data_set(tmp_path: Path) -> None:
    """More rows than draws, of networks that can only be run."""
    files = []
    for name, factor in (("f", 1.0), ("g", 1.001)):
        path = random_mlp(tmp_path / f"{name}.onnx", [2, 4, 2], seed=0)
        model = onnx.load(path)
        for node in model.graph.node:
            if node.op_type == "Relu":
                node.op_type = "Sinh"
        weight = model.graph.initializer[0]
        array = numpy_helper.to_array(weight) * np.float32(factor)
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        onnx.save(model, path)
        files.append(path)
    np.save(tmp_path / "data.npy", np.random.default_rng(0).random((300, 2)).astype(np.float32))
    claim = Claim(data_rows(tmp_path / "data.npy", 2), tolerance=0.5, max_violation=0.5)
    certificate = certify(tmp_path, "data", *files, claim, Verdict.CERTIFIED, samples=100)
    plan = certificate.statement["predicate"]["sampling"]["plan"]
    assert (plan["method"], plan["samples"]) == ("clopper-pearson", 100)
    report = certificate.check(resample=True)
    assert report.holds, report.steps[-1]
