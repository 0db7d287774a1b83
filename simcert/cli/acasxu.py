"""``simcert acasxu``: the networks, the study, and the maps."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from simcert.atomic import resolved
from simcert.cli.parameters import Indices
from simcert.cli.progress import progress_line
from simcert.threads import MOST_THREADS

if TYPE_CHECKING:
    from acasxu.advisory_map import Plane
    from simcert.progress import Progress

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group
def acasxu() -> None:
    """The ACAS Xu networks: fetch them, study compressed copies, map where advisories agree."""


class Names(click.ParamType[tuple[str, ...]]):
    """Comma-separated names."""

    name = "names"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Read the text of the option; a name that comes twice counts once."""
        return tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))


_NETWORKS = click.option("--networks", type=Names(), help="Like 1_1,3_3.")
_FROM = click.option(
    "--from",
    "folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="A folder with the .onnx files.",
)
_QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")

_Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _verification(seconds: float) -> _Decorator:
    """The options of a verification that are the same for the study and the map."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
            click.option(
                "--threads", type=click.IntRange(1, MOST_THREADS), default=2, show_default=True
            ),
            click.option(
                "--time-limit", type=float, default=seconds, show_default=True, metavar="SECONDS"
            ),
            click.option(
                "--arithmetic",
                type=click.Choice(["real", "float32"]),
                help="What the proofs speak of; as in simcert verify.",
            ),
        ):
            command = option(command)
        return command

    return decorate


@acasxu.command
@_NETWORKS
@_FROM
@click.option("--cache", type=_FOLDER, help="Instead of $SIMCERT_CACHE or the user's cache.")
@_QUIET
def fetch(
    networks: tuple[str, ...] | None, folder: Path | None, cache: Path | None, quiet: bool
) -> None:
    """Bring the networks into the cache and verify them.

    They come from their public repository over https, or, without any connection, from the folder
    of --from: all that it has, or those of --networks. A file that is not the published one is
    refused.
    """
    from acasxu import download, files
    from simcert.errors import ModelError

    if networks is None:
        networks = tuple(files.sources() if folder is None else files.present(folder))
        if not networks:
            raise ModelError(f"{folder}: none of the networks lies there")
        missing = len(files.sources()) - len(networks)
        if missing and not quiet:
            click.echo(f"{missing} of the networks are not in {folder}", err=True)
    announce = _silent if quiet else _to_stderr
    paths = download.fetch(networks, folder=folder, cache=cache, announce=announce)
    click.echo(f"{len(paths)} networks verified in {paths[0].parent}")


@acasxu.command
@_NETWORKS
@click.option("--compressors", type=Names(), help="Like float16,int8,magnitude-10.")
@click.option("--properties", type=Indices(), default="1", show_default=True, help="Like 1,3-4.")
@click.option(
    "--tolerance", type=float, metavar="EPS", help="Claim d <= EPS; else narrow the worst case."
)
@click.option(
    "--calibrate",
    type=click.Choice(["domain", "property"]),
    default="domain",
    show_default=True,
    help="Where data for wanda, agf, ... is drawn.",
)
@_verification(60.0)
@click.option("--output", type=_FOLDER, required=True, help="Folder for tables, files, maps.")
@_FROM
@click.option("--map", "maps", is_flag=True, help="Draw an advisory map of each compressed copy.")
@_QUIET
def study(
    networks: tuple[str, ...] | None,
    compressors: tuple[str, ...] | None,
    properties: tuple[int, ...],
    tolerance: float | None,
    calibrate: Literal["domain", "property"],
    output: Path,
    folder: Path | None,
    maps: bool,
    quiet: bool,
    time_limit: float,
    threads: int,
    seed: int,
    arithmetic: str | None,
) -> None:
    """Compress networks in several ways and verify each copy on properties' inputs.

    All networks that are in the folder, or in the cache, by default. Each finished pair is a row
    of study.csv, .md and .json in the output folder; a rerun makes the rows that are missing, also
    after Ctrl-C. A property is taken only for the networks that it is stated of.
    """
    from acasxu import compressors as known
    from acasxu import files
    from acasxu import study as studies
    from simcert.errors import ModelError

    networks = networks or tuple(files.present(folder))
    if not networks:
        raise ModelError(
            f"{folder or files.cache_folder()}: no networks there; `simcert acasxu fetch` brings "
            "them, --from FOLDER takes them from a folder"
        )
    settings = studies.Settings(
        tolerance=tolerance,
        time_limit=time_limit,
        seed=seed,
        threads=threads,
        arithmetic=arithmetic,
        calibrate=calibrate,
    )
    todo = studies.pairs(networks, compressors or known.USUAL, properties)
    with progress_line(quiet=quiet) as progress:
        table = studies.study(
            todo, output, settings, folder=folder, announce=click.echo, progress=progress
        )
    click.echo(f"Written: {', '.join(map(str, table.paths))}")
    if maps:
        _draw_maps(todo, output, settings, folder, quiet=quiet)


def _draw_maps(todo: Any, output: Path, settings: Any, folder: Path | None, *, quiet: bool) -> None:
    from acasxu import files
    from acasxu.advisory_map import Plane
    from acasxu.study import compress
    from simcert.errors import SimcertError

    firsts = {(pair.network, pair.compressor): pair for pair in reversed(todo)}
    for pair in reversed(firsts.values()):
        path = output / "maps" / f"{pair.network}_{pair.compressor}.svg"
        if path.exists():
            continue
        original = files.find(pair.network, folder)
        try:
            compressed = compress(pair, original, output / "compressed", settings)
        except SimcertError as error:
            click.echo(f"{pair.network} {pair.compressor}: no map: {error}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with progress_line(quiet=quiet) as progress:
            _draw(
                original,
                compressed,
                Plane(),
                path,
                progress,
                time_limit=settings.time_limit,
                threads=settings.threads,
                seed=settings.seed,
                arithmetic=settings.arithmetic,
            )


@acasxu.command("map")
@click.argument("original", type=_FILE)
@click.argument("compressed", type=_FILE)
@click.option(
    "--output",
    "-o",
    type=_FILE,
    default="map.svg",
    show_default=True,
    help="FILE.svg, beside it .csv and .json.",
)
@click.option(
    "--psi", type=float, default=math.pi, help="Intruder's heading, rad; head-on by default."
)
@click.option("--v-own", type=float, default=800.0, show_default=True, help="Own speed, ft/s.")
@click.option(
    "--v-int", type=float, default=800.0, show_default=True, help="Intruder's speed, ft/s."
)
@click.option("--reach", type=float, default=60760.0, show_default=True, help="Distance, ft.")
@click.option(
    "--tolerance", type=float, metavar="EPS", help="Map d <= EPS instead of equal advisories."
)
@click.option("--rings", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--sectors", type=click.IntRange(min=3), default=48, show_default=True)
@click.option(
    "--bounded",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.05,
    show_default=True,
    metavar="SHARE",
    help="A sector counts as bounded when all but this share is proved.",
)
@click.option(
    "--undecided",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.005,
    show_default=True,
    metavar="SHARE",
    help="Stop when no more of the area is undecided.",
)
@click.option("--boxes", type=click.IntRange(min=1), help="Bound at most so many boxes.")
@_verification(60.0)
@_FROM
@_QUIET
def advisory_map(
    original: Path,
    compressed: Path,
    output: Path,
    psi: float,
    v_own: float,
    v_int: float,
    reach: float,
    bounded: float,
    boxes: int | None,
    folder: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Draw where two networks are proved to advise the same.

    ORIGINAL is a file or the name of a network, like 1_1, in the cache or the folder of --from.
    The picture shows the advisories of both by the intruder's position, and beside them what is
    proved of each sector: the same advisory, different ones, or nothing yet.
    """
    from acasxu import files
    from acasxu.advisory_map import Plane

    if output.suffix != ".svg":
        raise click.UsageError(f"the picture is SVG: name it {output.with_suffix('.svg')}")
    if not resolved(output).parent.is_dir():
        raise click.UsageError(f"the folder of {output} does not exist")
    if not original.exists() and original.name in files.sources():
        original = files.find(original.name, folder)
    plane = Plane(psi, v_own, v_int, reach)
    with progress_line(quiet=quiet) as progress:
        _draw(
            original,
            compressed,
            plane,
            output,
            progress,
            allowed=bounded,
            max_boxes=boxes,
            **options,
        )


def _draw(
    original: Path,
    compressed: Path,
    plane: "Plane",
    output: Path,
    progress: "Progress",
    *,
    tolerance: float | None = None,
    **options: Any,
) -> None:
    from acasxu import numbers, picture
    from acasxu.advisory_map import Status, explore, files_runner
    from simcert.atomic import write_atomically
    from simcert.claim import divergences
    from simcert.numerals import percent_lower, percent_upper

    divergence = divergences.parse("top1" if tolerance is None else "linf", decision="argmin")
    found = explore(
        original,
        compressed,
        plane,
        divergence,
        tolerance=tolerance or 0.0,
        progress=progress,
        **options,
    )
    paths = [output.with_suffix(suffix) for suffix in (".svg", ".csv", ".json")]
    drawn = picture.svg(found, files_runner(original, compressed))
    for path, text in zip(
        paths, (drawn, numbers.csv_of(found), numbers.json_of(found)), strict=True
    ):
        write_atomically(path, text.encode())
    click.echo(
        f"{found.event} is excluded on {percent_lower(found.share(Status.PROVED))} of the area, "
        f"proved on {percent_lower(found.share(Status.VIOLATED))}, undecided on "
        f"{percent_upper(found.share(Status.UNDECIDED))}; {int(found.bounded.sum())} sectors of "
        f"{len(found.blocks)} bounded; {found.boxes:,} boxes, {found.seconds:.1f} s "
        f"({found.stopped})"
    )
    click.echo(f"Written: {', '.join(map(str, paths))}")


def _silent(_: str) -> None:
    pass


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
