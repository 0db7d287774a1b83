"""Running the claims of a configuration, one after the other, and keeping what was found.

What is kept is found again by the identity of the question (both files' digests, the claim with
its region, the run's options, how many claims share the confidence, all versions). Of a claim that
holds for certain a certificate is kept: it counts, and says what is reported, only if it is about
the same claim and the independent checker accepts it for the two files as they are now. Of one that
is refuted the result is kept. So whoever can write the folder can make a gate fail, but not pass.
What rests on draws is never kept: whoever writes such a certificate chooses them. Nor is what was
inconclusive: another run may get further.
"""

import json
import os
from collections.abc import Callable, Iterator
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
        message = _said(error)
    except Exception as error:  # noqa: BLE001 - a bug in one claim must not take the others away
        message = f"internal error: {type(error).__name__}: {error}; please report it"
    else:
        return Entry(job.name, report, location=job.location, cached=cached)
    folder_name = f"{configuration.path.resolve().parent}{os.sep}"
    error_message = printable(message.replace(folder_name, ""))
    return Entry(job.name, None, error=error_message, location=job.location)


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
        wanted = _Wanted(job, _rounded(claim, models[0]), digests, _stated(models))
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
    result, certificate = paths
    try:
        if result.is_file() and (report := _refuted(wanted, result)) is not None:
            return report
        return _confirmed(wanted, certificate, check) if certificate.is_file() else None
    except (SimcertError, OSError):
        return None


def _confirmed(wanted: _Wanted, path: Path, check: Check) -> Report | None:
    """What a certificate of this very claim says that holds for certain and checks."""
    report, stated = _about(wanted, path, "certificate")
    if report is None or report.verdict not in (Verdict.PROVED, Verdict.BOUNDED):
        return None
    guarantee = check(path, wanted.job.original, wanted.job.compressed)
    return report if guarantee == report.verdict == stated["guarantee"]["kind"] else None


def _refuted(wanted: _Wanted, path: Path) -> Report | None:
    report, _ = _about(wanted, path, "result")
    return report if report is not None and report.verdict is Verdict.REFUTED else None


def _about(wanted: _Wanted, path: Path, source: str) -> tuple[Report | None, dict[str, Any]]:
    """What a file says, if it is about this claim, these files and this way to read them."""
    data = reading.read_bytes(path)
    report = reading.parse(data, str(path))
    stated = json.loads(data)
    if source == "certificate":
        stated = stated.get("predicate", {})  # one that was not signed, as the gate writes it
    if report.source != source or not stated:
        return None, {}
    interfaces = stated["original"].get("interface"), stated["compressed"].get("interface")
    fits = (
        (report.original.sha256, report.compressed.sha256) == wanted.digests
        and stated["claim"] == wanted.claim
        and interfaces == wanted.interfaces
    )
    return (report if fits else None), stated


def _keep(result: Result, paths: tuple[Path, Path]) -> None:
    """Keeps what was found, unless a folder bears the name: that is not ours to remove."""
    from simcert.certificate import build, write

    path, certificate = paths
    if any(target.is_dir() for target in paths):
        return
    if result.verdict in (Verdict.PROVED, Verdict.BOUNDED):
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.unlink(missing_ok=True)  # a pipe would be written to, and waited for
        write(build(result, datetime.now(UTC)), certificate)
    elif result.verdict is Verdict.REFUTED:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write_atomically(path, json_report.render(result).encode("ascii"))


def checked(certificate: Path, original: Path, compressed: Path) -> str:
    """The guarantee that ``simcert.checker`` re-establishes; nothing if it does not."""
    from simcert.checker import check

    report = check(certificate, original, compressed)
    return report.kind if report.holds else ""
