"""Results and certificates as files, written by SimCert or by anybody."""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simcert.concentration import Concentration, Share
from simcert.integration import Integral
from simcert.report.reading import ReportError, load, of_result, parse
from simcert.result import Proof, Result, Verdict


def read(document: object) -> object:
    return parse(json.dumps(document).encode(), "file")


def test_a_file_says_what_the_live_object_says(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result.to_dict()))
    assert load(path) == of_result(result)


def test_compared_numbers_survive(result: Result) -> None:
    report = of_result(result)
    assert report.proof.bound == result.proof.bound
    assert report.proof.per_output == result.proof.per_output
    assert report.witness.input == result.witness.input
    assert report.claim.tolerance == 0.05


def test_all_text_is_printable(result: Result) -> None:
    report = of_result(result)
    assert report.original.name == r"net\x1b]0;owned\x07.onnx"
    assert report.claim.units == ("m/s", r"\u202erad", "")
    for text in (*report.explanation, *report.claim.names, report.claim.sentence, report.command):
        assert text.isprintable()


def test_missing_bounds_are_infinite(result: Result) -> None:
    without = replace(
        result, verdict=Verdict.INCONCLUSIVE, proof=Proof.unavailable(1, "no operator")
    )
    report = of_result(without)
    assert report.proof.bound == math.inf
    assert report.proof.per_output == (math.inf,)
    assert report.proof.reason == "no operator"


def test_shares_of_the_guarantees(result: Result, certified: Result) -> None:
    shares = of_result(result).shares
    assert (shares.proved, shares.violated) == (0.75, 0.125)
    assert shares.undecided == 0.125
    shares = of_result(certified).shares
    assert shares.proved == certified.proof.proved_mass
    assert shares.certified > 0.0
    upper = certified.statistics.violation_upper
    assert shares.proved + shares.certified == pytest.approx(1 - upper)
    question = replace(
        result, claim=replace(result.claim, tolerance=None, max_violation=None), witness=None
    )
    assert of_result(question).shares is None


def change(path: str, value: object) -> Callable[[dict], None]:
    def edit(document: dict) -> None:
        *folders, key = path.split(".")
        for folder in folders:
            document = document[folder]
        document[key] = value

    return edit


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", "simcert-result/9", "neither"),
        ("verdict", "fine", "no verdict"),
        ("verdict", 3, "text"),
        ("verdict", "proved", "passed contradicts"),
        ("passed", True, "passed contradicts"),
        ("proof.bound", 0.06, "bound_hex"),
        ("proof.bound_hex", "0x1p", "bound_hex"),
        ("proof.bound_hex", None, "bound_hex"),
        ("proof.per_output_hex", [], "per_output"),
        ("proof.proved_mass_hex", "0x1p+1", "proved_mass"),
        ("proof.complete", 1, "true or false"),
        ("proof.boxes", -1, "not negative"),
        ("proof.boxes", True, "whole number"),
        ("original.sha256", "xyz", "SHA-256"),
        ("witness", [], "object"),
        ("explanation", [3], "list of texts"),
        ("claim.region.names", ["one"], "names"),
        ("claim.tolerance", "0.05", "number"),
        ("claim", None, "object"),
    ],
)
def test_wrong_documents_are_refused(
    result: Result, path: str, value: object, message: str
) -> None:
    document = result.to_dict()
    change(path, value)(document)
    with pytest.raises(ReportError, match=message):
        read(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("proof.layers", [{"original": 1}], "original must be text"),
        ("proof.layers", [{"original": "a", "compressed": "a", "neurons": -1}], "neurons"),
        (
            "proof.layers",
            [
                {"original": "a", "compressed": "a", "neurons": 1, "magnitude": 1.0}
                | {"magnitude_hex": "0x1p+0", "difference": -1.0, "difference_hex": "-0x1p+0"}
            ],
            "difference must not be negative",
        ),
        ("proof.integral", {"boxes": 1}, "mass"),
        ("proof.concentration", {"eta": 2.0, "eta_hex": "0x1p+1"}, "eta"),
        ("compressed.interface", {"inputs": [{"name": "x", "type": "O"}]}, "element type"),
        ("compressed.interface", {"inputs": [], "selected": [1]}, "list of texts"),
    ],
)
def test_wrong_parts_are_refused(result: Result, path: str, value: object, message: str) -> None:
    document = result.to_dict()
    change(path, value)(document)
    with pytest.raises(ReportError, match=message):
        read(document)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", ["two"], "hexadecimal"),
        ("scale", [2.0], "hexadecimal"),
        ("scale", ["nan"], "finite"),
        ("scale", ["0x1p+0", "0x1p+1"], "axis"),
        ("layout", "nhwc", "same letters"),
        ("layout", "nhhc-nchw", "twice"),
    ],
)
def test_wrong_input_maps_are_refused(
    result: Result, key: str, value: object, message: str
) -> None:
    made = {"scale": ["0x1p+0"], "offset": ["0x0p+0"], "axis": None, "layout": None, key: value}
    document = result.to_dict()
    document["compressed"]["interface"] = {
        "inputs": [{"name": "x", "type": "float32", "map": made}],
        "outputs": [],
    }
    with pytest.raises(ReportError, match=message):
        read(document)


def test_a_bound_that_nothing_bears_out_is_refused(result: Result) -> None:
    integral = Integral(3, 0.125, 0.0625, curve=((0.05, 0.0625),), eta=0.03125)
    proof = replace(result.proof, violated_upper=0.125, integral=integral)
    document = replace(result, proof=proof).to_dict()
    assert read(document).proof.violation_upper == proof.violation_upper < 0.25
    assert read(document).proof.curve == ((0.05, proof.violation_upper),)
    below = math.nextafter(proof.violation_upper, 0.0)
    document["proof"] |= {"violation_upper": below, "violation_upper_hex": below.hex()}
    with pytest.raises(ReportError, match="bears out"):
        read(document)


@pytest.mark.parametrize(("bound", "upper"), [(0.05, 0.1), (0.06, 0.25)])
def test_a_bound_but_for_eta_counts_only_within_the_tolerance(
    result: Result, bound: float, upper: float
) -> None:
    shares = (Share("a", "original", 3, 0.1),)
    found = Concentration(0.2, bound, (), shares, tolerance=result.claim.tolerance)
    proof = replace(result.proof, violated_upper=0.125, concentration=found)
    report = read(replace(result, proof=proof).to_dict())
    assert report.proof.violation_upper == pytest.approx(upper)
    assert report.proof.concentration.ledger[0].eta == 0.1


@pytest.mark.parametrize(
    ("verdict", "passed"), [("proved", True), ("bounded", True), ("certified", True)]
)
def test_a_verdict_needs_its_numbers(result: Result, verdict: str, passed: bool) -> None:
    document = result.to_dict() | {"verdict": verdict, "passed": passed}
    with pytest.raises(ReportError, match="do not bear out"):
        read(document)


def test_a_refutation_needs_more_than_the_tolerance(result: Result) -> None:
    witness = replace(result.witness, divergence=0.05)
    claim = replace(result.claim, max_violation=None)
    with pytest.raises(ReportError, match="do not bear out"):
        read(replace(result, witness=witness, claim=claim).to_dict())
    above = replace(witness, divergence=math.nextafter(0.05, 1.0))
    assert read(replace(result, witness=above, claim=claim).to_dict()).passed is False


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 10**6),
        *(b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": -Infinity}'),
        b'{"payload": "*", "payloadType": "x"}',
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError):
        parse(data, "file")


def test_a_certificate_and_its_signed_form(certificate: dict, certified: Result) -> None:
    report = read(certificate)
    assert report.source == "certificate"
    assert report.verdict is Verdict.CERTIFIED
    assert report.compressed.sha256 == certified.compressed.sha256
    assert report.statistics.violation_upper == certified.statistics.violation_upper
    assert report.command.startswith("simcert check CERTIFICATE --original f.onnx")
    payload = base64.b64encode(json.dumps(certificate).encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": []}
    assert read(envelope) == report


def test_a_certificate_alone_has_the_divergences(certificate: dict, certified: Result) -> None:
    found, drawn = read(certificate).statistics, certified.statistics
    assert found.maximum == drawn.maximum
    assert found.histogram.counts == drawn.histogram.counts
    stated = [(q.level, q.upper) for q in drawn.curve if q.upper is not None]
    assert [(q.level, q.upper) for q in found.curve] == stated != []
    assert [output.output for output in found.per_output] == [0, 1, 2]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("predicate.sampling.divergences", None, "object"),
        (
            "predicate.sampling.divergences.histogram",
            {"upper": -1.0, "upper_hex": "-0x1p+0", "counts": [1], "infinite": 0},
            "below 0",
        ),
        (
            "predicate.sampling.divergences.curve",
            [{"level": 2.0, "upper": 1.0, "upper_hex": "0x1p+0"}],
            "level must be a probability",
        ),
        ("predicate.guarantee.kind", "refuted", "cannot have"),
        ("predicate.guarantee.kind", "proved", "must rest on"),
        ("predicate.claim.tolerance_hex", "0x1p+0", "tolerance_hex"),
        ("predicateType", "tag:other", "neither"),
        ("subject", [], "one subject"),
    ],
)
def test_wrong_certificates_are_refused(
    certificate: dict, path: str, value: object, message: str
) -> None:
    change(path, value)(certificate)
    with pytest.raises(ReportError, match=message):
        read(certificate)
