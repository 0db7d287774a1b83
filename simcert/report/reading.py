"""From the JSON of ``simcert verify`` and from certificates to the view that renderers share.

A report may be asked for a file that anybody wrote: every field is checked for its type, a number
that is stored twice must be the same number, and all text becomes printable.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

import numpy as np

from simcert.errors import ClaimError, SimcertError
from simcert.model.graph import TensorInfo
from simcert.model.input_map import InputMap
from simcert.model.interface import Interface
from simcert.regular import open_regular
from simcert.report import view
from simcert.report.printable import printable
from simcert.result import SCHEMA, Result, Verdict

MAX_BYTES = 256 << 20
"""Most bytes of a file that is read."""

_MAX_TEXT, _MAX_LABEL = 4000, 200
_ELEMENT_TYPES = frozenset(
    (
        *("float16", "float32", "float64", "bool"),
        *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)),
    )
)
_STATEMENT = "https://in-toto.io/Statement/v1"
_CERTIFICATE = "tag:simcert,2026:certificate/"


class ReportError(SimcertError):
    """A file is neither a result nor a certificate of SimCert, or contradicts itself."""


def load(path: Path) -> view.Report:
    """Reads a result or a certificate.

    Args:
        path: JSON of ``simcert verify --format json``, a certificate, or a signed one (the
            signature is not checked here).

    Raises:
        ReportError: see the class.
        OSError: the file cannot be read.
    """
    return parse(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that may be a result or a certificate.

    Raises:
        ReportError: more than `MAX_BYTES`.
        OSError: the file cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ReportError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
    return data


def parse(data: bytes, where: str) -> view.Report:
    """Reads the bytes of a result or a certificate; ``where`` names them in messages.

    Raises:
        ReportError: see the class.
    """
    document = _Fields(_json(data, where), where)
    if "payload" in document and "payloadType" in document:
        try:
            payload = base64.b64decode(document.text("payload", limit=MAX_BYTES), validate=True)
        except binascii.Error as error:
            raise ReportError(f"{where}: the payload is not base64: {error}") from error
        document = _Fields(_json(payload, where), where)
    if document.get("schema") == SCHEMA:
        return _result(document)
    kind = document.get("predicateType")
    if document.get("_type") == _STATEMENT and str(kind).startswith(_CERTIFICATE):
        return _certificate(document)
    raise ReportError(
        f"{where} is neither a result of `simcert verify --format json` ({SCHEMA}) nor a "
        f"certificate ({_CERTIFICATE}…)"
    )


def of_result(result: Result) -> view.Report:
    """The view of a live result: what a reader of its JSON form sees."""
    return _result(_Fields(result.to_dict(), "result"))


def _json(data: bytes, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ReportError(f"{where}: the key {twice[:80]!r} comes twice")
        return table

    def constant(text: str) -> NoReturn:
        raise ReportError(f"{where}: {text} is no number in JSON")

    try:
        document = json.loads(data, object_pairs_hook=unique, parse_constant=constant)
    except ValueError as error:
        raise ReportError(f"{where} is not JSON: {error}") from error
    except RecursionError:
        raise ReportError(f"{where} is nested too deeply") from None
    if not isinstance(document, dict):
        raise ReportError(f"{where} is not a JSON object")
    return document


class _Fields:
    """A JSON object whose fields are read with their types; a wrong type is a `ReportError`."""

    def __init__(self, table: object, where: str) -> None:
        if not isinstance(table, dict):
            raise ReportError(f"{where} must be an object")
        self._table: dict[str, Any] = table
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._table.get(key) is not None

    def get(self, key: str) -> Any:
        return self._table.get(key)

    def _wrong(self, key: str, wanted: str) -> NoReturn:
        raise ReportError(f"{self.where}: {key} must be {wanted}")

    def of(self, key: str) -> "_Fields":
        return _Fields(self.get(key), f"{self.where}: {key}")

    def all_of(self, key: str) -> list["_Fields"]:
        where = f"{self.where}: {key}"
        return [_Fields(item, f"{where}[{i}]") for i, item in enumerate(self.items(key))]

    def items(self, key: str) -> list[Any]:
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(key, "a list")
        return value

    def text(self, key: str, default: str | None = None, limit: int = _MAX_TEXT) -> str:
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            self._wrong(key, "text")
        return _clean(value, limit)

    def raw(self, key: str) -> str:
        """Text as it stands, which must not be written anywhere."""
        value = self.get(key)
        if not isinstance(value, str):
            self._wrong(key, "text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            self._wrong(key, "a list of texts")
        return tuple(_clean(value) for value in values)

    def whole(self, key: str) -> int | None:
        value = self.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            self._wrong(key, "a whole number")
        return value if isinstance(value, int) else None

    def count(self, key: str) -> int:
        value = self.whole(key)
        if value is None or value < 0:
            self._wrong(key, "a whole number, not negative")
        return value

    def true(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            self._wrong(key, "true or false")
        return value

    def plain(self, key: str) -> float | None:
        """A number that nothing is compared with."""
        return self._float(key, self.get(key))

    def number(self, key: str) -> float | None:
        """A number that stands in decimal and in hexadecimal; None where there is none."""
        return self._exact(key, self.get(key), self.get(f"{key}_hex"))

    def finite(self, key: str) -> float:
        value = self.number(key)
        if value is None:
            self._wrong(key, "a number")
        return value

    def bound(self, key: str) -> float:
        """An upper bound; infinite where there is none."""
        value = self.number(key)
        return math.inf if value is None else value

    def size(self, key: str) -> float:
        """An upper bound of what is not negative."""
        value = self.bound(key)
        if value < 0.0:
            raise ReportError(f"{self.where}: {key} must not be negative, but is {value!r}")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """Numbers with their hexadecimal forms; infinite where there is none."""
        values, texts = self.items(key), self.items(f"{key}_hex")
        if len(values) != len(texts):
            self._wrong(key, f"as long as {key}_hex")
        pairs = [self._exact(key, v, t) for v, t in zip(values, texts, strict=True)]
        return tuple(math.inf if value is None else value for value in pairs)

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(key, "an object")
        return value

    def _float(self, key: str, value: object) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(key, "a number")
        try:
            number = float(value)
        except OverflowError:
            self._wrong(key, "a finite number")
        if not math.isfinite(number):
            self._wrong(key, "a finite number")
        return number

    def _exact(self, key: str, value: object, text: object) -> float | None:
        decimal = self._float(key, value)
        if decimal is None and text is None:
            return None
        try:
            exact = float.fromhex(text) if isinstance(text, str) else math.nan
        except (ValueError, OverflowError):
            exact = math.nan
        if decimal != exact:
            self._wrong(key, f"the same number as {key}_hex")
        return decimal


def _clean(text: str, limit: int = _MAX_TEXT) -> str:
    return printable(text if len(text) <= limit else f"{text[:limit]}…")


# -- the two forms ---------------------------------------------------------------------------


def _borne_out(report: view.Report, where: str) -> view.Report:
    """Refuse a verdict that the document's own numbers contradict; comparisons are exact."""
    claim, proof, statistics = report.claim, report.proof, report.statistics
    tolerance, allowed = claim.tolerance, claim.max_violation
    if tolerance is None or report.verdict is Verdict.INCONCLUSIVE:
        return report
    upper = lower = None
    if statistics is not None and not statistics.range_exceeded:
        upper, lower = statistics.violation_upper, statistics.violation_lower
    borne_out = {
        Verdict.PROVED: proof.complete and proof.bound <= tolerance,
        Verdict.BOUNDED: allowed is not None and proof.violation_upper <= allowed,
        Verdict.CERTIFIED: allowed is not None and upper is not None and upper <= allowed,
        Verdict.REFUTED: report.witness is not None and report.witness.divergence > tolerance
        if allowed is None
        else max(proof.violated_mass, lower or 0.0) > allowed,
    }[report.verdict]
    if not borne_out:
        raise ReportError(f"{where}: its numbers do not bear out the verdict {report.verdict!s}")
    return report


def _consistent(proof: view.Proof, tolerance: float | None, where: str) -> view.Proof:
    """Refuse a certain bound of P(d > ε) below all that the document gives for it."""
    possible = 0.0 if proof.proved_mass == 1.0 else math.nextafter(1.0 - proof.proved_mass, 2.0)
    least, integral, found = min(1.0, possible), proof.integral, proof.concentration
    if integral is not None:
        parts = (proof.violated_upper, integral.upper, integral.eta)
        least = min(least, math.nextafter(math.fsum(parts), math.inf))
    if found is not None and tolerance is not None and found.bound <= tolerance:
        least = min(least, found.spent)
    if proof.violation_upper < least:
        raise ReportError(f"{where}: nothing in it bears out its violation_upper")
    return proof


def _result(fields: _Fields) -> view.Report:
    claim = _claim(fields.of("claim"))
    report = view.Report(
        source="result",
        verdict=_verdict(fields, "verdict"),
        claim=claim,
        original=_model(fields.of("original")),
        compressed=_model(fields.of("compressed")),
        proof=_consistent(_proof(fields.of("proof")), claim.tolerance, fields.where),
        statistics=_statistics(fields.of("statistics")) if "statistics" in fields else None,
        witness=_witness(fields.of("witness")) if "witness" in fields else None,
        explanation=fields.texts("explanation"),
        assumptions=fields.texts("assumptions"),
        **_run(fields),
    )
    if fields.get("passed") is not report.passed:
        raise ReportError(f"{fields.where}: passed contradicts the verdict")
    return _borne_out(report, fields.where)


def _certificate(fields: _Fields) -> view.Report:
    predicate = fields.of("predicate")
    subjects = fields.all_of("subject")
    if len(subjects) != 1:
        raise ReportError("a certificate has one subject, the compressed file")
    guarantee = predicate.of("guarantee")
    verdict = _verdict(guarantee, "kind")
    if not verdict.holds:
        raise ReportError(f"a certificate cannot have the verdict {verdict.value!r}")
    report = view.Report(
        source="certificate",
        verdict=verdict,
        claim=_claim(predicate.of("claim")),
        original=_resource(predicate.of("original"), predicate.of("original")),
        compressed=_resource(subjects[0], predicate.of("compressed")),
        proof=_proof_in(predicate, verdict),
        statistics=_sampling(predicate) if "sampling" in predicate else None,
        witness=_witness(predicate.of("witness")) if "witness" in predicate else None,
        explanation=guarantee.texts("explanation"),
        assumptions=predicate.texts("assumptions"),
        issued=predicate.of("run").text("issued", ""),
        **_run(predicate.of("run")),
    )
    if report.passed is None:
        raise ReportError(f"{fields.where}: a certificate without a tolerance claims nothing")
    return _borne_out(report, fields.where)


# -- their parts -----------------------------------------------------------------------------


def _verdict(fields: _Fields, key: str) -> Verdict:
    text = fields.text(key)
    if text not in {verdict.value for verdict in Verdict}:
        raise ReportError(f"{text[:80]!r} is no verdict; known: {', '.join(Verdict)}")
    return Verdict(text)


def _run(fields: _Fields) -> dict[str, Any]:
    versions = fields.table("versions")
    return {
        "seed": fields.whole("seed"),
        "threads": fields.whole("threads"),
        "elapsed_seconds": fields.plain("elapsed_seconds"),
        "versions": {_clean(name): _clean(str(value)) for name, value in versions.items()},
    }


def _model(fields: _Fields) -> view.Network:
    path = fields.raw("path")
    folders = PureWindowsPath if re.match(r"[A-Za-z]:\\", path) else PurePosixPath
    return _network(fields, folders(path).name or path, fields.text("sha256"))


def _resource(resource: _Fields, size: _Fields) -> view.Network:
    name = resource.text("name", "") or "unnamed"
    return _network(size, name, resource.of("digest").text("sha256"))


def _network(fields: _Fields, name: str, sha256: str) -> view.Network:
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ReportError(f"{sha256[:80]!r} is no SHA-256 digest")
    operators = {
        _clean(name): count
        for name, count in fields.table("operators").items()
        if isinstance(count, int)
    }
    return view.Network(
        name=_clean(name),
        sha256=sha256,
        bytes=fields.whole("bytes"),
        parameters=fields.whole("parameters"),
        operators=operators,
        compression=tuple(map(_step, fields.all_of("compression"))),
        connection=_connection(fields.of("interface")) if "interface" in fields else "",
    )


def _connection(fields: _Fields) -> str:
    """How the file's inputs and outputs are made, in the words of the interface itself."""
    inputs, outputs = fields.all_of("inputs"), fields.all_of("outputs")
    try:
        interface = Interface(
            tuple(map(_tensor, inputs)),
            tuple(map(_tensor, outputs)),
            tuple(_input_map(entry.of("map")) for entry in inputs),
            fields.texts("selected"),
        )
    except ClaimError as error:
        raise ReportError(f"{fields.where}: {_clean(str(error))}") from error
    return _clean(interface.describe())


def _tensor(fields: _Fields) -> TensorInfo:
    kind = fields.text("type", limit=_MAX_LABEL)
    if kind not in _ELEMENT_TYPES:
        raise ReportError(f"{fields.where}: {kind!r} is no element type of a tensor")
    # The words do not speak of the shape.
    return TensorInfo(fields.text("name", limit=_MAX_LABEL), (), np.dtype(kind))


def _input_map(fields: _Fields) -> InputMap:
    source, _, target = fields.text("layout", "", limit=_MAX_LABEL).partition("-")
    return InputMap(
        scale=_hexes(fields, "scale"),
        offset=_hexes(fields, "offset"),
        axis=fields.whole("axis"),
        source=source,
        target=target,
    )


def _hexes(fields: _Fields, key: str) -> tuple[float, ...]:
    try:
        return tuple(map(float.fromhex, fields.items(key)))
    except (TypeError, ValueError, OverflowError) as error:
        raise ReportError(f"{fields.where}: {key} must be hexadecimal numbers") from error


def _step(fields: _Fields) -> view.Step:
    parameters = {
        _clean(name, 80): _clean(str(value), 200)
        for name, value in fields.table("parameters").items()
        if value not in (None, "")
    }
    seed = fields.whole("seed")
    return view.Step(
        method=fields.text("method", "", limit=80),
        parameters=parameters,
        seed="" if seed is None else str(seed),
        original_sha256=fields.text("original_sha256", "", limit=80),
    )


def _claim(fields: _Fields) -> view.Claim:
    region = fields.of("region")
    names, units, inputs = region.texts("names"), region.texts("units"), region.count("inputs")
    for label, words in (("names", names), ("units", units)):
        if words and len(words) != inputs:
            raise ReportError(f"the region has {len(words)} {label} for {inputs} inputs")
    outputs = fields.items("outputs")
    if not all(isinstance(index, int) for index in outputs):
        raise ReportError("the outputs of a claim must be whole numbers")
    return view.Claim(
        sentence=fields.text("sentence"),
        region=region.text("source"),
        region_sha256=region.text("sha256"),
        boxes=region.count("boxes"),
        inputs=inputs,
        intervals=_intervals(region, names, units),
        names=names,
        units=units,
        distribution=fields.text("distribution"),
        divergence=fields.text("divergence"),
        decision=fields.text("decision", ""),
        outputs=tuple(outputs),
        unit=fields.text("unit"),
        tolerance=fields.number("tolerance"),
        max_violation=fields.number("max_violation"),
        confidence=fields.finite("confidence"),
        arithmetic=fields.text("arithmetic"),
    )


def _intervals(
    region: _Fields, names: tuple[str, ...], units: tuple[str, ...]
) -> tuple[view.Interval, ...]:
    boxes = region.all_of("bounds")
    if len(boxes) != 1:
        return ()
    lower, upper = boxes[0].numbers("lower"), boxes[0].numbers("upper")
    if len(lower) != len(upper) or (names and len(names) != len(lower)):
        raise ReportError("the bounds of the region do not fit together")
    return tuple(
        view.Interval(names[i] if names else f"input {i}", units[i] if units else "", low, high)
        for i, (low, high) in enumerate(zip(lower, upper, strict=True))
    )


def _proof(fields: _Fields) -> view.Proof:
    return view.Proof(
        bound=fields.bound("bound"),
        per_output=fields.numbers("per_output"),
        boxes=fields.count("boxes"),
        proved_mass=_share(fields, "proved_mass"),
        violated_mass=_share(fields, "violated_mass"),
        undecided_mass=_share(fields, "undecided_mass"),
        violation_upper=_share(fields, "violation_upper"),
        complete=fields.true("complete"),
        stopped=fields.text("stopped"),
        reason=fields.text("reason", ""),
        pairing=fields.text("pairing", ""),
        worst=tuple(
            view.Box(
                box.numbers("lower"), box.numbers("upper"), box.bound("bound"), box.finite("mass")
            )
            for box in fields.all_of("worst")
        ),
        violated_upper=_share(fields, "violated_upper"),
        integral=_integral(fields.of("integral"), "boxes") if "integral" in fields else None,
        concentration=_concentration(fields.of("concentration"))
        if "concentration" in fields
        else None,
        layers=tuple(map(_layer, fields.all_of("layers"))),
    )


def _layer(fields: _Fields) -> view.Layer:
    return view.Layer(
        original=fields.text("original", limit=_MAX_LABEL),
        compressed=fields.text("compressed", limit=_MAX_LABEL),
        neurons=fields.count("neurons"),
        magnitude=fields.size("magnitude"),
        difference=fields.size("difference"),
    )


def _integral(fields: _Fields, boxes: str) -> view.Integral:
    return view.Integral(
        boxes=fields.count(boxes),
        mass=fields.finite("mass"),
        upper=fields.finite("upper"),
        methods=tuple(
            (method.text("method", limit=_MAX_LABEL), method.finite("upper"))
            for method in fields.all_of("methods")
        ),
        eta=_share(fields, "eta"),
        curve=tuple(
            (point.finite("tolerance"), point.finite("upper")) for point in fields.all_of("curve")
        ),
    )


def _concentration(fields: _Fields, ledger: list[_Fields] | None = None) -> view.Concentration:
    """A bound but for η; a certificate has its ledger elsewhere."""
    entries = fields.all_of("ledger") if ledger is None else ledger
    return view.Concentration(
        eta=_share(fields, "eta"),
        bound=fields.bound("bound"),
        spent=_share(fields, "spent"),
        ledger=tuple(
            view.Spent(
                entry.text("layer", limit=_MAX_LABEL),
                entry.text("tensor", limit=_MAX_LABEL),
                entry.count("bounds"),
                _share(entry, "eta"),
            )
            for entry in entries
        ),
        reason=fields.text("reason", ""),
    )


def _proof_in(predicate: _Fields, verdict: Verdict) -> view.Proof:
    """What a certificate says of the proof: the number that it rests on, and the shares."""
    guarantee, search = predicate.of("guarantee"), predicate.of("search")
    shares, value = guarantee.of("shares"), guarantee.finite("value")
    wanted = _QUANTITIES.get(verdict)
    if guarantee.text("quantity") != wanted:
        raise ReportError(f"{guarantee.where}: what is {verdict.value} must rest on {wanted}")
    proved, undecided = _share(shares, "proved"), _share(shares, "undecided")
    certain = proved + _share(shares, "bounded")
    possible = 0.0 if certain >= 1.0 else min(1.0, math.nextafter(1.0 - certain, math.inf))
    return view.Proof(
        bound=value if verdict is Verdict.PROVED else guarantee.bound("worst_case"),
        per_output=(),
        boxes=search.count("boxes"),
        proved_mass=proved,
        violated_mass=_share(shares, "violated"),
        undecided_mass=undecided,
        violation_upper=value if verdict is Verdict.BOUNDED else possible,
        complete=undecided == 0.0,
        stopped=search.text("stopped"),
        reason=search.text("reason", "") or "not part of this certificate",
        pairing=search.text("pairing", ""),
        worst=(),
        integral=_integral(predicate.of("integration"), "leaves")
        if "integration" in predicate
        else None,
        concentration=_concentration(
            predicate.of("concentration"), predicate.of("ledger").all_of("eta")
        )
        if "concentration" in predicate
        else None,
    )


_QUANTITIES = {
    Verdict.PROVED: "proof.bound",
    Verdict.BOUNDED: "proof.violation_upper",
    Verdict.CERTIFIED: "statistics.violation_upper",
}


def _sampling(predicate: _Fields) -> view.Statistics:
    """What a certificate says of the draws: all that P(d > ε) follows from, and no more."""
    fields, shares = predicate.of("sampling"), predicate.of("guarantee").of("shares")
    plan, spread = fields.of("plan"), fields.of("divergences")
    integration = predicate.of("integration") if "integration" in predicate else None
    integrated = 0.0 if integration is None else integration.finite("mass")
    curve = _quantiles(spread, "curve")
    return view.Statistics(
        method=plan.text("method"),
        stopped=fields.text("stopped"),
        drawn=fields.count("drawn"),
        samples=fields.count("samples"),
        violations=fields.whole("violations"),
        violation_upper=fields.number("violation_upper"),
        violation_lower=None,
        mean_upper=None,
        mean_method="",
        mean_reason="not part of a certificate",
        maximum=spread.bound("maximum"),
        quantiles=curve,
        range=None,
        range_source="",
        range_exceeded=False,
        sampled_mass=max(0.0, _share(shares, "undecided") - integrated),
        confidence=_share(plan, "confidence"),
        family=plan.count("family"),
        ledger=_ledger(plan),
        seed=plan.whole("seed"),
        plan_sha256=fields.text("plan_sha256", ""),
        histogram=_histogram(spread.of("histogram")),
        curve=curve,
        per_output=_per_output(spread),
        integrated_mass=integrated,
        integrated_upper=0.0 if integration is None else integration.finite("upper"),
    )


def _ledger(plan: _Fields) -> tuple[tuple[str, float], ...]:
    return tuple(
        (entry.text("statement"), entry.finite("alpha")) for entry in plan.all_of("alpha_ledger")
    )


def _share(fields: _Fields, key: str) -> float:
    value = fields.finite(key)
    if not 0.0 <= value <= 1.0:
        raise ReportError(f"{key} must be a probability, not {value!r}")
    return value


def _probability(fields: _Fields, key: str) -> float:
    """A probability that was chosen, and stands in decimal alone."""
    value = fields.plain(key)
    if value is None or not 0.0 <= value <= 1.0:
        raise ReportError(f"{fields.where}: {key} must be a probability, not {value!r}")
    return value


def _statistics(fields: _Fields) -> view.Statistics:
    plan, remainder = fields.of("plan"), fields.of("remainder")
    return view.Statistics(
        method=fields.text("method"),
        stopped=fields.text("stopped"),
        drawn=fields.count("drawn"),
        samples=fields.count("samples"),
        violations=fields.whole("violations"),
        violation_upper=fields.number("violation_upper"),
        violation_lower=fields.number("violation_lower"),
        mean_upper=fields.number("mean_upper"),
        mean_method=fields.text("mean_method", ""),
        mean_reason=fields.text("mean_reason", ""),
        maximum=fields.bound("maximum"),
        quantiles=_quantiles(fields, "quantiles"),
        range=remainder.bound("range"),
        range_source=remainder.text("range_source", ""),
        range_exceeded=fields.true("range_exceeded"),
        sampled_mass=_share(remainder, "mass_upper"),
        confidence=_share(fields, "confidence"),
        family=plan.count("family"),
        ledger=_ledger(plan),
        seed=plan.whole("seed"),
        plan_sha256=fields.text("plan_sha256", ""),
        histogram=_histogram(fields.of("histogram")) if "histogram" in fields else None,
        curve=_quantiles(fields, "curve"),
        per_output=_per_output(fields),
        integrated_mass=remainder.number("integrated_mass") or 0.0,
        integrated_upper=remainder.number("integrated_upper") or 0.0,
    )


def _quantiles(fields: _Fields, key: str) -> tuple[view.Quantile, ...]:
    """The quantiles that have a bound, with growing levels."""
    found = [
        view.Quantile(_probability(quantile, "level"), upper)
        for quantile in fields.all_of(key)
        if (upper := quantile.number("upper")) is not None
    ]
    return tuple(sorted(found, key=lambda quantile: quantile.level))


def _per_output(fields: _Fields) -> tuple[view.OutputStatistics, ...]:
    return tuple(
        view.OutputStatistics(
            output.count("output"), output.bound("maximum"), _quantiles(output, "quantiles")
        )
        for output in fields.all_of("per_output")
    )


def _histogram(fields: _Fields) -> view.Histogram | None:
    counts = fields.items("counts")
    if not all(isinstance(count, int) and 0 <= count < 2**53 for count in counts):
        raise ReportError("the counts of a histogram must be whole numbers, not negative")
    if not 1 <= len(counts) <= 1000:
        raise ReportError("a histogram has between 1 and 1,000 bins")
    upper = fields.finite("upper")
    if upper < 0.0:
        raise ReportError("a histogram of what is not negative cannot end below 0")
    return view.Histogram(upper, tuple(counts), fields.count("infinite"))


def _witness(fields: _Fields) -> view.Witness:
    return view.Witness(
        input=fields.numbers("input"),
        box=fields.count("box"),
        original_output=fields.numbers("original_output"),
        compressed_output=fields.numbers("compressed_output"),
        divergence=fields.bound("divergence"),
        runtime=fields.text("runtime"),
    )
