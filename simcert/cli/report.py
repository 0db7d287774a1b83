"""``simcert report``: results and certificates for people and for other tools."""

from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("report")
@click.argument(
    "files", nargs=-1, required=True, type=_FILE, metavar="CERTIFICATE_OR_RESULT [MORE]..."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "json", "junit", "sarif", "github"]),
    default="html",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of stdout.",
)
def report(files: tuple[Path, ...], form: str, output: Path | None) -> None:
    """Write a report of a result (verify --format json) or of a certificate.

    html is one page that needs no network; markdown suits a pull request or a job summary; junit,
    sarif and github are for CI systems. The last four take several files. A report shows what the
    file says, provided that its numbers bear out its verdict; `simcert check` checks a certificate.
    """
    from simcert.atomic import resolved, write_atomically
    from simcert.report import json
    from simcert.report.formats import OF_ONE, OF_SEVERAL
    from simcert.report.reading import load
    from simcert.report.view import Entry

    if len(files) > 1 and form not in OF_SEVERAL:
        raise click.UsageError(f"--format {form} takes one file, not {len(files)}")
    if output is not None and resolved(output) in {resolved(path) for path in files}:
        raise click.UsageError(f"{output} would lose the file that is read")
    if form == "json":
        text = json.copy(files[0])
    elif form in OF_ONE:
        text = OF_ONE[form](load(files[0]))
    else:
        text = OF_SEVERAL[form]([Entry.of(load(path)) for path in files])
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode("utf-8"))
