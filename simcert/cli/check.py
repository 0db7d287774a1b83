"""``simcert check``: a certificate, independently re-established."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any, Literal

import click

from simcert.report.printable import printable

_FILE = click.Path(dir_okay=False, path_type=Path)

_FAILED, _CANNOT = 1, 3


class _Count(click.ParamType[int | Literal["all"]]):
    """A number of leaves, or all."""

    name = "N|all"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["all"]:
        if value == "all":
            return "all"
        if not str(value).isdecimal():
            self.fail(f"{value!r}: write a number of leaves, or all", param, ctx)
        return int(value)


class _Seed(click.ParamType[int]):
    """A whole number, or one that nobody knew before."""

    name = "N|random"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "random":
            return secrets.randbits(63)
        if not str(value).isdecimal() or len(str(value)) > 18:
            self.fail(f"{value!r}: write a whole number, or random", param, ctx)
        return int(value)


@click.command(epilog="Exit status: 0 confirmed, 1 a step fails, 2 error, 3 cannot be checked.")
@click.argument("certificate", type=_FILE)
@click.option("--original", type=_FILE, required=True, help="The original network.")
@click.option("--compressed", type=_FILE, required=True, help="The compressed network.")
@click.option("--key", type=_FILE, help="Ed25519 public key (PEM) that must have signed.")
@click.option("--resample", is_flag=True, help="Draw again from the seeds and run both files.")
@click.option(
    "--seed",
    type=_Seed(),
    help="Draw with this seed too, which the certificate's maker did not know.",
)
@click.option(
    "--exact", type=_Count(), default=0, help="Proved leaves to redo in exact arithmetic."
)
def check(
    certificate: Path,
    original: Path,
    compressed: Path,
    key: Path | None,
    resample: bool,
    seed: int | None,
    exact: int | Literal["all"],
) -> None:
    """Re-establish what CERTIFICATE says, from its evidence and the two files.

    The checker shares no code with the verifier. Every step must hold.
    """
    # As in simcert.cli, for builds of numpy with another matrix library.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from simcert.checker import Step
    from simcert.checker import check as run

    def told(step: Step) -> None:
        mark = "ok" if step.holds else "FAILS"
        click.echo(f"{step.number:2}. {mark:5} {step.name}: {printable(step.detail)}")

    report = run(
        certificate,
        original,
        compressed,
        key=key,
        resample=resample,
        seed=seed,
        exact=exact,
        told=told,
    )
    if report.holds:
        click.echo(f"confirmed, {report.kind}: {report.claim}")
        return
    click.echo("cannot be checked: not confirmed" if report.cannot else "not confirmed")
    sys.exit(_CANNOT if report.cannot else _FAILED)
