"""Running the claims of a configuration, one after the other, and keeping what was found.

What is kept is found again by the identity of the question (both files' digests, the claim with
its region, the run's options, how many claims share the confidence, all versions). A kept result
counts only if its digests and its claim are those asked for and its own numbers bear out its
verdict. One that passed also needs a certificate of the same claim that the independent checker
accepts for the two files as they are now: whoever can write the folder can make a gate fail, but
not pass. What was inconclusive is never kept: another run may get further.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simcert.atomic import write_atomically
from simcert.claim import Claim
from simcert.errors import SimcertError
from simcert.gate.claims import claim_of, files, identity, models_of
from simcert.gate.configuration import Configuration, Job
from simcert.model import Model
from simcert.progress import Progress
from simcert.report import json as json_report
from simcert.report import reading
from simcert.report.printable import printable
from simcert.report.view import Entry, Report
from simcert.result import Result, Verdict

Check = Callable[[Path, Path, Path], str]
"""From a certificate, an original and a compressed file to the guarantee that is re-established:
"proved", "bounded", "certified", or nothing."""


def run(
    configuration: Configuration,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    check: Check | None = None,
) -> Iterator[Entry]:
    """Runs the claims in their order; an error in one does not keep the others from running.

    Args:
        configuration: the claims.
        cache: folder of kept results; the configuration's by default.
        progress: is told how far the run of each claim is.
        check: of kept certificates; by default ``simcert.checker``.

    Yields:
        One entry for each claim.

    Raises:
        KeyboardInterrupt: a run was interrupted; what it had found is not passed on.
    """
    folder = cache if cache is not None else configuration.cache
    for job in configuration.jobs:
        yield _entry(job, configuration, folder, progress, check or checked)


def _entry(
    job: Job,
    configuration: Configuration,
    folder: Path | None,
    progress: Progress | None,
    check: Check,
) -> Entry:
    try:
        report, cached = _judged(job, configuration, folder, progress, check)
    except (SimcertError, OSError) as error:
        folder_name = f"{configuration.path.resolve().parent}{os.sep}"
        message = printable(_said(error).replace(folder_name, ""))
        return Entry(job.name, None, error=message, location=job.location)
    return Entry(job.name, report, location=job.location, cached=cached)


def _said(error: Exception) -> str:
    """What went wrong, without the number of the system's error."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _judged(
    job: Job,
    configuration: Configuration,
    folder: Path | None,
    progress: Progress | None,
    check: Check,
) -> tuple[Report, bool]:
    """The report of a claim, and whether it was kept from an earlier run."""
    models = models_of(job)
    claim = claim_of(job.options, models[0])
    family = configuration.family if job.statistical else 1
    digests = models[0].sha256, models[1].sha256
    key = identity(*digests, claim, job.options, family)
    if folder is not None:
        wanted = _Wanted(job, _rounded(claim, models[0]), digests, _stated(models), family)
        kept = _kept(wanted, files(folder, key), check)
        if kept is not None:
            return kept, True
    result = _verified(job, models, claim, configuration.threads, family, progress)
    if result.proof.stopped == "interrupted":
        raise KeyboardInterrupt
    if folder is not None:
        _keep(result, files(folder, key))
    return reading.of_result(result), False


def judge(job: Job, *, threads: int = 2, family: int = 1) -> Result:
    """Runs one claim.

    Args:
        job: the claim.
        threads: of the run.
        family: how many claims share the confidence.

    Raises:
        SimcertError: the models or the claim are rejected.
    """
    models = models_of(job)
    return _verified(job, models, claim_of(job.options, models[0]), threads, family, None)


def _verified(
    job: Job,
    models: tuple[Model, Model],
    claim: Claim,
    threads: int,
    family: int,
    progress: Progress | None,
) -> Result:
    from simcert.verification import verify

    return verify(
        *models,
        claim,
        samples=job.options.get("samples"),
        early_stopping=job.statistical and job.options.get("early_stopping", False),
        time_limit=job.options.get("time_limit", 60.0),
        max_boxes=job.options.get("boxes"),
        threads=threads,
        seed=job.options.get("seed", 0),
        family=family,
        progress=progress,
    )


@dataclass(frozen=True)
class _Wanted:
    """What a kept result must be about: the claim, both digests, and how the files are read."""

    job: Job
    claim: dict[str, Any]
    digests: tuple[str, str]
    interfaces: tuple[Any, Any]
    family: int


def _rounded(claim: Claim, original: Model) -> dict[str, Any]:
    """The claim as results state it: its region rounded outward to the networks' input type."""
    region = claim.region.rounded_outward(original.graph.input.dtype)
    return replace(claim, region=region).to_dict()


def _stated(models: tuple[Model, Model]) -> tuple[Any, Any]:
    """How the files are read, as results state it."""
    first, second = (json.loads(json.dumps(model.interface.to_dict())) for model in models)
    return first, second


def _kept(wanted: _Wanted, paths: tuple[Path, Path], check: Check) -> Report | None:
    """What was found before, if it can be relied upon; damaged files are as good as none."""
    path, certificate = paths
    try:
        data = path.read_bytes()
        report = reading.parse(data, str(path))
        if (report.original.sha256, report.compressed.sha256) != wanted.digests:
            return None
        stated = json.loads(data)
        if report.source != "result" or stated["claim"] != wanted.claim:
            return None
        if _interfaces(stated) != wanted.interfaces:
            return None
        if report.verdict.holds and not _confirmed(wanted, report, certificate, check):
            return None
    except (SimcertError, OSError):
        return None
    return None if report.verdict is Verdict.INCONCLUSIVE else report


def _interfaces(stated: Mapping[str, Any]) -> tuple[Any, Any]:
    """How a result or a certificate says that both files were read."""
    return stated["original"].get("interface"), stated["compressed"].get("interface")


def _confirmed(wanted: _Wanted, report: Report, certificate: Path, check: Check) -> bool:
    """Whether the certificate is about this claim, shares its confidence, and checks."""
    stated = reading.load(certificate)
    predicate = json.loads(certificate.read_bytes()).get("predicate", {})
    statistics = stated.statistics
    certain = statistics is None or statistics.confidence == 1.0
    shared = certain or (statistics is not None and statistics.family >= wanted.family)
    if predicate.get("claim") != wanted.claim or not shared:
        return False
    if _interfaces(predicate) != wanted.interfaces:
        return False
    guarantee = check(certificate, wanted.job.original, wanted.job.compressed)
    return guarantee == stated.verdict == report.verdict


def _keep(result: Result, paths: tuple[Path, Path]) -> None:
    from simcert.certificate import build, write

    if result.verdict is Verdict.INCONCLUSIVE:
        return
    path, certificate = paths
    path.parent.mkdir(parents=True, exist_ok=True)
    if result.verdict.holds:
        write(build(result, datetime.now(UTC)), certificate)
    write_atomically(path, json_report.render(result).encode("ascii"))


def checked(certificate: Path, original: Path, compressed: Path) -> str:
    """The guarantee that ``simcert.checker`` re-establishes; nothing if it does not."""
    from simcert.checker import check

    report = check(certificate, original, compressed)
    return report.kind if report.holds else ""
