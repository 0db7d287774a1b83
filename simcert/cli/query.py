"""``simcert verify QUERY.vnnlib``: a query in VNN-LIB 2.0, answered as the standard says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simcert.cli.progress import progress_line
from simcert.cli.status import Status

if TYPE_CHECKING:
    from simcert.claim.vnnlib2 import Query
    from simcert.verification.query import Answer

SUFFIXES = (".vnnlib", ".vnnlib.gz")

_ALLOWED = {
    "original",
    "networks",
    "arithmetic",
    "time_limit",
    "boxes",
    "threads",
    "seed",
    "exit_zero",
    "quiet",
}
"""Options of ``verify`` that mean something for a query; the query itself says all others."""

_STATUS = {"unsat": Status.HOLDS, "sat": Status.REFUTED}


class NetworkFile(click.ParamType[tuple[str, Path]]):
    """``NAME=FILE``."""

    name = "name=file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Reads the text of the option."""
        name, equals, file = str(value).partition("=")
        if not (name and equals and file):
            self.fail(f"{value!r}: write NAME=FILE, like f=original.onnx", param, ctx)
        return name, Path(file)


def is_query(path: Path) -> bool:
    """Whether a file is a query, by its name."""
    return path.name.endswith(SUFFIXES)


def answer(
    path: Path,
    networks: tuple[tuple[str, Path], ...],
    *,
    arithmetic: str,
    time_limit: float,
    boxes: int | None,
    threads: int,
    seed: int,
    quiet: bool,
    exit_zero: bool,
) -> Status:
    """Decides a query and prints the answer: one word, and an assignment if it is ``sat``.

    Raises:
        click.UsageError: options of a pair of files, or a network with two files.
        SimcertError: the query or a file is rejected.
    """
    _refuse_other_options(click.get_current_context())
    files: dict[str, Path] = {}
    for name, file in networks:
        if name in files:
            raise click.UsageError(f"--network {name} is given twice")
        files[name] = file

    from simcert.claim.vnnlib2 import read_query
    from simcert.verification.query import decide

    query = read_query(path)
    with progress_line(quiet=quiet) as progress:
        answered = decide(
            query,
            files,
            arithmetic=arithmetic if _is_given("arithmetic") else None,
            time_limit=time_limit,
            max_boxes=boxes,
            threads=threads,
            seed=seed,
            progress=progress,
        )
    _print(query, answered, quiet=quiet)
    return Status.HOLDS if exit_zero else _STATUS.get(answered.status, Status.INCONCLUSIVE)


def _refuse_other_options(context: click.Context) -> None:
    for name in context.params:
        if name not in _ALLOWED and _is_given(name):
            raise click.UsageError(
                f"a query says where and what; --{name.replace('_', '-')} is for two networks"
            )


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source not in (click.core.ParameterSource.DEFAULT, None)


def _print(query: Query, answered: Answer, *, quiet: bool) -> None:
    import numpy as np

    click.echo(answered.status)
    if answered.assignment is not None:
        for network, outputs in zip(query.networks, answered.assignment.outputs, strict=True):
            for tensors, values in (
                (network.inputs, answered.assignment.input),
                (network.outputs, outputs),
            ):
                start = 0
                for tensor in tensors:
                    sizes = ",".join(map(str, tensor.shape))
                    click.echo(f"{tensor.name} {tensor.element} [{sizes}]")
                    for value in values[start : start + tensor.size]:
                        # Exact, and without an exponent, which the standard's numbers do not have.
                        click.echo(np.format_float_positional(value, trim="0"))
                    start += tensor.size
    if not quiet:
        for note in answered.notes:
            click.echo(f"simcert: {note}", err=True)
