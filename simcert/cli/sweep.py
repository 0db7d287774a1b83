"""``simcert sweep``: how small can a network be and still meet a claim?"""

import inspect
import json
import math
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

import pruners
from simcert.atomic import write_atomically
from simcert.cli.claim import claim_of
from simcert.cli.prune import VERIFICATION
from simcert.cli.status import Status
from simcert.numerals import format_upper

if TYPE_CHECKING:
    from pruners.chain import Training
    from pruners.frontier import Frontier, Labelled, Variant

_FILE = click.Path(dir_okay=False, path_type=Path)
_EFFORT = ("samples", "time_limit", "boxes", "threads")
_CLAIM = [
    option
    for option in VERIFICATION
    if option.name in _EFFORT or option.name in inspect.signature(claim_of).parameters
]
"""The options of ``simcert verify`` that make sense for many variants."""

_MOST = 1000


class Shares(click.ParamType[tuple[float, ...]]):
    """Sparsities: ``0.1,0.5`` or ``0.1:0.9:0.1``, both ends included."""

    name = "shares"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Read the text of the option, in decimal arithmetic."""
        try:
            parts = [Decimal(part) for part in str(value).replace(":", ",").split(",")]
        except InvalidOperation:
            self.fail(f"{value!r}: write numbers like 0.1,0.5 or a range 0.1:0.9:0.1", param, ctx)
        if ":" in str(value):
            if len(parts) != 3 or not parts[2] > 0 or (parts[1] - parts[0]) / parts[2] > _MOST:
                self.fail(f"{value!r} is not a range FIRST:LAST:STEP", param, ctx)
            steps = int((parts[1] - parts[0]) / parts[2])
            parts = [parts[0] + step * parts[2] for step in range(steps + 1)]
        if not parts or not all(0 <= part < 1 for part in parts):
            self.fail(f"{value!r}: sparsities are at least 0 and below 1", param, ctx)
        return tuple(map(float, parts))


class Bits(click.ParamType[tuple[int, ...]]):
    """Bits of a weight: ``8,4``."""

    name = "bits"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read the text of the option."""
        parts = str(value).split(",")
        if not all(part.isdecimal() and 2 <= int(part) <= 8 for part in parts):
            self.fail(f"{value!r}: write whole numbers from 2 to 8, like 8,4", param, ctx)
        return tuple(map(int, parts))


@click.command("sweep")
@click.argument("original", type=_FILE)
@click.option("--methods", required=True, metavar="NAME,...", help="What to try.")
@click.option(
    "--sparsities", type=Shares(), default="0.1:0.9:0.1", show_default=True, help="For pruning."
)
@click.option("--bits", type=Bits(), default="8,6,4", show_default=True, help="For quantize.")
@click.option("--calibration", metavar="DATA", help="Inputs, .npy or .npz, for wanda, slamp, agf.")
@click.option("--labels", metavar="DATA", help="Their classes.")
@click.option(
    "--finetune",
    type=click.IntRange(min=1),
    metavar="EPOCHS",
    help="Train each variant on the calibration data and labels.",
)
@click.option("--rate", type=float, help="Learning rate of --finetune (default 0.001).")
@click.option("--test", metavar="DATA", help="Inputs to measure the accuracy on.")
@click.option("--test-labels", metavar="DATA", help="Their classes.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="sweep",
    show_default=True,
    help="For the variants, sweep.json and sweep.svg.",
)
@click.option(
    "--x-axis",
    type=click.Choice(["bytes", "sparsity", "macs", "file"]),
    default="bytes",
    show_default=True,
    help="Of the plot.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    original: Path,
    methods: str,
    sparsities: tuple[float, ...],
    bits: tuple[int, ...],
    calibration: str | None,
    labels: str | None,
    finetune: int | None,
    rate: float | None,
    test: str | None,
    test_labels: str | None,
    folder: Path,
    x_axis: str,
    seed: int,
    quiet: bool,
    samples: int | None,
    time_limit: float,
    boxes: int | None,
    threads: int,
    **claim: Any,
) -> None:
    """Compress ORIGINAL in many ways, verify each, and name the smallest that meets the claim.

    The confidence is shared: with K variants each may spend 1/K of what is allowed. --time-limit
    and --boxes are for each variant. The size that counts is that of the weights without their
    zeros, at the bits they have. The accuracy is measured on --test, else on --calibration, where
    there are labels. Exit status 0 if a variant meets the claim, 3 if none does.
    """
    from pruners import frontier, plot

    settings = _settings(methods, sparsities, bits)
    if (test is None) != (test_labels is None):
        raise click.UsageError("--test and --test-labels go together")
    if rate is not None and finetune is None:
        raise click.UsageError("--rate belongs to --finetune")
    found = frontier.sweep(
        original,
        folder,
        settings,
        claim_of(original, **claim),
        data=_data(original, [method for method, _ in settings], calibration, labels),
        training=_training(calibration, labels, finetune, rate, seed),
        labelled=_labelled(original, test or calibration, test_labels or labels, claim["decision"]),
        seed=seed,
        announce=(lambda _: None) if quiet else (lambda line: click.echo(line, err=True)),
        samples=samples,
        time_limit=time_limit,
        max_boxes=boxes,
        threads=threads,
    )
    write_atomically(folder / "sweep.json", json.dumps(found.to_dict(), indent=2).encode())
    picture = plot.svg(found, original.name, x_axis)
    write_atomically(folder / "sweep.svg", picture.encode())
    _print(found, folder)
    if found.chosen is None or found.chosen.path is None:
        click.echo("No variant meets the claim.")
        sys.exit(Status.INCONCLUSIVE)
    click.echo(f"Smallest that meets the claim: {found.chosen.name}. Alone:")
    files = [str(original), str(found.chosen.path), "--seed", str(found.chosen.seed)]
    click.echo("  " + shlex.join(["simcert", "verify", *files, *_given(ctx)]))
    sys.exit(Status.HOLDS)


sweep.params += _CLAIM


def _settings(
    methods: str, sparsities: tuple[float, ...], bits: tuple[int, ...]
) -> list[tuple[str, Mapping[str, Any]]]:
    """The variants that were asked for."""
    settings: list[tuple[str, Mapping[str, Any]]] = []
    for method in dict.fromkeys(methods.split(",")):
        if method not in pruners.METHODS:
            raise click.UsageError(
                f"there is no method {method!r}; there are {', '.join(pruners.METHODS)}"
            )
        known = inspect.signature(pruners.METHODS[method]).parameters
        if "sparsity" in known:
            settings += [(method, {"sparsity": share}) for share in sparsities]
        elif "bits" in known:
            settings += [(method, {"bits": count}) for count in bits]
        else:
            settings.append((method, {}))
    return settings


def _data(
    original: Path, methods: Sequence[str], calibration: str | None, labels: str | None
) -> Mapping[str, Mapping[str, Any]]:
    """What each method looks at, read and checked before the work."""
    from pruners.calibration import read_calibration, read_labels
    from simcert.model import load

    given: dict[str, Any] = {}
    if calibration is not None:
        graph = load(original).graph
        given["calibration"] = read_calibration(calibration, graph.input.size).inputs
        if labels is not None:
            count = len(given["calibration"])
            given["labels"] = read_labels(labels, count, graph.output.size)
    elif labels is not None:
        raise click.UsageError("--labels needs --calibration")
    data = {}
    for method in dict.fromkeys(methods):
        known = inspect.signature(pruners.METHODS[method]).parameters
        needs = known.get("calibration")
        if needs is not None and needs.default is needs.empty and calibration is None:
            raise click.UsageError(f"--methods {method} needs --calibration")
        if method != "quantize":  # whose weights alone are rounded here
            data[method] = {name: source for name, source in given.items() if name in known}
    return data


def _training(
    calibration: str | None,
    labels: str | None,
    epochs: int | None,
    rate: float | None,
    seed: int,
) -> "Training | None":
    """How each variant is trained, if at all."""
    from pruners.chain import Training

    if epochs is None:
        return None
    if calibration is None or labels is None:
        raise click.UsageError("--finetune needs --calibration and --labels")
    given = {} if rate is None else {"rate": rate}
    return Training(calibration, labels, epochs, seed=seed, **given)


def _given(ctx: click.Context) -> list[str]:
    """The options of ``simcert verify`` as they were given, for a command line."""
    words = []
    for option in _CLAIM:
        name = str(option.name)
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            value = ctx.params[name]
            parts = value if isinstance(value, tuple) else [value]
            flag = [option.opts[0]]
            if option.multiple:
                words += [word for part in parts for word in (*flag, str(part))]
            else:
                words += flag if option.is_flag else [*flag, ",".join(map(str, parts))]
    return words


def _labelled(
    original: Path, data: str | None, labels: str | None, decision: str | None
) -> "Labelled | None":
    """What the accuracy is measured on, if there are classes."""
    if data is None or labels is None:
        return None
    from pruners.calibration import read_calibration, read_labels
    from pruners.frontier import Labelled
    from simcert.model import load

    graph = load(original).graph
    inputs = read_calibration(data, graph.input.size).inputs
    classes = read_labels(labels, len(inputs), graph.output.size)
    if classes.dtype.kind != "i":
        return None
    return Labelled(inputs, classes.astype("int64"), decision == "argmin")


def _print(found: "Frontier", folder: Path) -> None:
    rows = [_row("(original)", None, found), *(_row(v.name, v, found) for v in found.variants)]
    bold = [variant is found.chosen for variant in found.variants]
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in rows[0]:
        left = title in ("variant", "verdict")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for row, chosen in zip(rows, [False, *bold], strict=True):
        table.add_row(*row.values(), style="bold" if chosen else "")
    wide = console.options.update(width=10 * console.width)
    if console.measure(table, options=wide).maximum <= console.width:
        console.print(table)
    else:
        for row, chosen in zip(rows, [False, *bold], strict=True):
            lines = _paragraph(row, console.width)
            console.print(lines, style="bold" if chosen else "", markup=False)
    console.print()
    for variant in found.variants:
        if variant.error:
            console.print(f"{variant.name}: {variant.error}", markup=False)
    console.print(
        f"{found.family} variants share the confidence. gone: weights that are zero or removed."
        " bytes: weights without zeros, at their bits. MACs: those not by zero.",
    )
    click.echo(f"Written: {folder / 'sweep.json'}, {folder / 'sweep.svg'}")


def _row(name: str, variant: "Variant | None", found: "Frontier") -> dict[str, str]:
    """The cells of a variant, or of the original, by the title of their column."""
    cost = found.original if variant is None else variant.cost
    result = None if variant is None else variant.result
    accuracy = found.accuracy if variant is None else variant.accuracy
    row = dict.fromkeys(["variant", "gone", "bytes", "MACs", "P(d > ε) ≤", "d ≤"], "")
    row["variant"] = name
    if cost is not None:
        row["gone"] = f"{cost.gone(found.original):.1%}"
        row["bytes"], row["MACs"] = f"{cost.bytes:,}", f"{cost.macs:,}"
    if variant is not None and result is not None:
        worst = result.proof.bound
        row["P(d > ε) ≤"] = format_upper(variant.violation, 3)
        row["d ≤"] = format_upper(worst, 3) if math.isfinite(worst) else "–"
    if found.accuracy is not None:
        row["accuracy"] = "" if accuracy is None else f"{accuracy:.1%}"
    impossible = variant is not None and bool(variant.error)
    row["verdict"] = "" if result is None else result.verdict.value
    row["verdict"] = "impossible" if impossible else row["verdict"]
    return row


def _paragraph(row: Mapping[str, str], width: int) -> str:
    """A row for a terminal that is too narrow for the table."""
    cells = [(title, text) for title, text in row.items() if text and title != "variant"]
    # textwrap breaks no line at a no-break space: a title and its value stay together.
    words = (f"{title} {text}".replace(" ", "\N{NO-BREAK SPACE}") for title, text in cells)
    return f"{row['variant']}\n" + textwrap.indent(textwrap.fill("  ".join(words), width - 2), "  ")
