"""``simcert gate``: every claim of a project, and one exit status."""

import json
import sys
from pathlib import Path

import click

from simcert.cli.progress import progress_line
from simcert.cli.status import worst_status

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("gate")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="simcert.toml or pyproject.toml; by default the one in this folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github", "json"]),
    default="text",
    show_default=True,
)
@click.option("--junit", type=_FILE, help="Also write JUnit XML.")
@click.option("--sarif", type=_FILE, help="Also write SARIF 2.1.0.")
@click.option("--summary", type=_FILE, help="Also write Markdown, such as a job summary.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of kept results."
)
@click.option("--no-cache", is_flag=True, help="Run everything, and keep nothing.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def gate(
    config: Path | None,
    form: str,
    junit: Path | None,
    sarif: Path | None,
    summary: Path | None,
    cache: Path | None,
    no_cache: bool,
    quiet: bool,
) -> None:
    """Verify every claim that simcert.toml or pyproject.toml configures.

    The exit status is the worst one of the claims: 2 if any could not be judged, else 1 if any is
    refuted, else 3 if any is inconclusive, else 0.
    """
    from dataclasses import replace

    from simcert.atomic import resolved, write_atomically
    from simcert.gate import find, read, run
    from simcert.report import summary as lines
    from simcert.report.formats import OF_SEVERAL

    if cache is not None and no_cache:
        raise click.UsageError("--cache and --no-cache exclude each other")
    targets = {"junit": junit, "sarif": sarif, "markdown": summary}
    for target in targets.values():
        if target is not None and not resolved(target).parent.is_dir():
            raise click.UsageError(f"the folder of {target} does not exist")
    configuration = read(config or find(Path()))
    if no_cache:
        configuration = replace(configuration, cache=None)
    entries = []
    with progress_line(quiet=quiet) as progress:
        for entry in run(configuration, cache=cache, progress=progress):
            entries.append(entry)
            if form == "text":
                click.echo(lines.line(entry))
    for name, target in targets.items():
        if target is not None:
            write_atomically(target, OF_SEVERAL[name](entries).encode("utf-8"))
    if form == "text":
        click.echo("\n".join(lines.closing(entries)))
    elif form == "github":
        click.echo(OF_SEVERAL["github"](entries), nl=False)
    else:
        click.echo(json.dumps([entry.to_dict() for entry in entries], allow_nan=False, indent=2))
    sys.exit(worst_status(entries))
