"""``simcert verify``: one pair, one claim, one verdict."""

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from simcert.atomic import resolved
from simcert.cli import query
from simcert.cli.claim import claim_of
from simcert.cli.parameters import Indices, Numbers, Size, Tolerance
from simcert.cli.progress import progress_line
from simcert.cli.query import NetworkFile
from simcert.cli.status import status_of
from simcert.result import Result, Verdict
from simcert.threads import MOST_THREADS

_COLOURS = {Verdict.REFUTED: "red", Verdict.INCONCLUSIVE: "yellow"}

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command
@click.argument("original", metavar="ORIGINAL", type=_FILE)
@click.argument("compressed", metavar="COMPRESSED", type=_FILE, required=False)
@click.option(
    "--network",
    "networks",
    type=NetworkFile(),
    multiple=True,
    help="The file of a network that a VNN-LIB 2.0 query declares.",
)
@click.option(
    "--original-input-map",
    "original_maps",
    multiple=True,
    metavar="MAP",
    help="How ORIGINAL's input is made of the common one, like scale=1/255,layout=nhwc-nchw.",
)
@click.option(
    "--compressed-input-map", "compressed_maps", multiple=True, metavar="MAP", help="Likewise."
)
@click.option(
    "--original-outputs",
    multiple=True,
    metavar="NAME",
    help="Compare this tensor instead; before-softmax and before-argmax are names too.",
)
@click.option("--compressed-outputs", multiple=True, metavar="NAME", help="Likewise.")
@click.option("--region", type=_FILE, help="VNN-LIB, .npz with lower and upper, or JSON.")
@click.option("--around", type=_FILE, help="Balls around the rows of an .npy or .npz file.")
@click.option("--radius", type=float, help="Radius of the balls, in the L-infinity norm.")
@click.option("--lower", type=Numbers(), help="Clip the balls: one number, or one per input.")
@click.option("--upper", type=Numbers(), help="Clip the balls: one number, or one per input.")
@click.option("--inputs", type=_FILE, help="The rows of a data set, equally likely.")
@click.option("--rows", type=Indices(), help="Use these rows only, like 0,3,10-19.")
@click.option("--distribution", default="uniform", show_default=True, help="On the region.")
@click.option("--divergence", default="linf", show_default=True, help="linf, l1, l2, top1, ...")
@click.option(
    "--decision", type=click.Choice(["argmax", "argmin"]), help="For top1: which is best."
)
@click.option("--outputs", type=Indices(), help="Compare these outputs only, like 0,3.")
@click.option(
    "--tolerance", type=Tolerance(), metavar="EPS", help="Divergence that may be reached, or auto."
)
@click.option(
    "--tolerances", help="One for each output, or like 0-3=0.1,rest=0.02; instead of --tolerance."
)
@click.option("--max-violation", type=float, metavar="P", help="Allowed probability of more.")
@click.option("--confidence", type=float, default=0.999, show_default=True)
@click.option(
    "--eta",
    type=float,
    metavar="P",
    help="Bound d but for this probability over the inputs; --max-violation by default.",
)
@click.option("--samples", type=click.IntRange(min=0), help="Draws at most; 100,000 by default.")
@click.option(
    "--early-stopping",
    is_flag=True,
    help="Stop drawing as soon as --max-violation is decided, with bounds that hold at any time.",
)
@click.option(
    "--arithmetic", type=click.Choice(["float32", "real"]), default="float32", show_default=True
)
@click.option(
    "--time-limit", "--timeout", type=float, default=60.0, show_default=True, metavar="SECONDS"
)
@click.option("--boxes", type=click.IntRange(min=1), help="Bound at most so many boxes.")
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), default=2, show_default=True)
@click.option(
    "--memory-limit",
    type=Size(),
    metavar="SIZE",
    help="Of the boxes that wait, like 2GiB; half of the machine's memory by default. More are "
    "kept on disk, in $SIMCERT_CACHE.",
)
@click.option(
    "--executor",
    type=click.Choice(["threads", "processes", "dask"]),
    default="threads",
    show_default=True,
    help="Who bounds the boxes; the result does not depend on it.",
)
@click.option(
    "--workers", type=click.IntRange(1, MOST_THREADS), help="How many; --threads by default."
)
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster, for --executor dask.")
@click.option(
    "--resume",
    type=_FILE,
    help="Go on from this file if it exists; a search that ends early is kept there.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--output", type=_FILE, help="Write the report to a file instead of stdout.")
@click.option("--certificate", type=_FILE, help="Write a certificate, if the claim holds.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 also when refuted or inconclusive.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notes on stderr.")
def verify(
    original: Path,
    compressed: Path | None,
    networks: tuple[tuple[str, Path], ...],
    original_maps: tuple[str, ...],
    compressed_maps: tuple[str, ...],
    original_outputs: tuple[str, ...],
    compressed_outputs: tuple[str, ...],
    eta: float | None,
    samples: int | None,
    early_stopping: bool,
    time_limit: float,
    boxes: int | None,
    threads: int,
    memory_limit: int | None,
    executor: Literal["threads", "processes", "dask"],
    workers: int | None,
    scheduler: str | None,
    resume: Path | None,
    seed: int,
    form: Literal["text", "json"],
    output: Path | None,
    certificate: Path | None,
    exit_zero: bool,
    quiet: bool,
    **claim: Any,
) -> None:
    """Verify that COMPRESSED behaves like ORIGINAL, two ONNX files.

    The claim is that the divergence of the outputs is at most EPS: everywhere in the region, or,
    with --max-violation, with probability at least 1 - P. Without --tolerance (or with auto)
    nothing is claimed, and the report says what can be shown. Without a region, the one in the
    metadata of ORIGINAL (simcert.region) is used.

    Instead of the two files a query in VNN-LIB 2.0 can be given, with one --network NAME=FILE for
    each network that it declares: `simcert verify query.vnnlib --network f=a.onnx --network
    g=b.onnx`. The first line of the answer is sat, unsat, unknown or timeout.
    """
    if query.is_query(original):
        status = query.answer(
            original,
            networks,
            arithmetic=claim["arithmetic"],
            time_limit=time_limit,
            boxes=boxes,
            threads=threads,
            seed=seed,
            quiet=quiet,
            exit_zero=exit_zero,
        )
        sys.exit(status)
    if compressed is None:
        raise click.UsageError("give two ONNX files, or one query that ends in .vnnlib")
    if networks:
        raise click.UsageError("--network names the networks of a query; give a .vnnlib file")
    from simcert import verification
    from simcert.model import load
    from simcert.search import Resources

    read = [original, compressed, *(claim[name] for name in ("region", "around", "inputs"))]
    _check_targets(read, output, certificate, resume)
    resources = Resources(executor, workers, scheduler, resume=resume)
    if memory_limit is not None:
        resources.memory = memory_limit
    with progress_line(quiet=quiet) as progress:
        f = load(original, original_maps, original_outputs)
        result = verification.verify(
            f,
            load(compressed, compressed_maps, compressed_outputs),
            claim_of(f, **claim),
            eta=eta,
            samples=samples,
            early_stopping=early_stopping,
            time_limit=time_limit,
            max_boxes=boxes,
            threads=threads,
            seed=seed,
            progress=progress,
            resources=resources,
        )
    if certificate is not None:
        _certify(result, certificate, quiet=quiet)
    _report(result, form, output)
    sys.exit(status_of(result, exit_zero=exit_zero))


def _check_targets(read: list[Path | None], *targets: Path | None) -> None:
    """Refuses, before the work, targets that cannot be written or would destroy what is read."""
    taken = {resolved(path) for path in read if path is not None}
    for target in targets:
        if target is None:
            continue
        if not resolved(target).parent.is_dir():
            raise click.UsageError(f"the folder of {target} does not exist")
        if resolved(target) in taken:
            raise click.UsageError(f"{target} is given twice: writing it would lose a file")
        taken.add(resolved(target))


def _certify(result: Result, path: Path, *, quiet: bool) -> None:
    from simcert.certificate import CertificateError, build, write

    try:
        statement = build(result, datetime.now(UTC), ["simcert", *sys.argv[1:]])
    except CertificateError as error:
        if not quiet:
            click.echo(f"simcert: {error}; {path} is not written", err=True)
        return
    write(statement, path)


def _report(result: Result, form: Literal["text", "json"], output: Path | None) -> None:
    from simcert.atomic import write_atomically
    from simcert.report import json, text

    if form == "json":
        report = json.render(result)
    else:
        report = text.render(result, 80 if output else shutil.get_terminal_size().columns)
    if output is not None:
        write_atomically(output, report.encode())
    elif form == "text" and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        headline, _, rest = report.partition("\n")
        click.secho(headline, bold=True, fg=_COLOURS.get(result.verdict, "green"))
        click.echo(rest, nl=False)
    else:
        click.echo(report, nl=False)
