"""``simcert sweep``: how small can a network be and still meet a claim?"""

import inspect
import json
import math
import sys
from collections.abc import Mapping
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
    from pruners.frontier import Frontier, Labelled, Variant

_FILE = click.Path(dir_okay=False, path_type=Path)
_HERE = {"certificate", "exit_zero", "quiet"}  # options of verify that make no sense for many
_CLAIM = [option for option in VERIFICATION if option.name not in _HERE]
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
@click.option("--test", metavar="DATA", help="Inputs to measure the accuracy on.")
@click.option("--test-labels", metavar="DATA", help="Their classes.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="sweep",
    show_default=True,
    help="For the variants, sweep.json and sweep.svg.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
def sweep(
    original: Path,
    methods: str,
    sparsities: tuple[float, ...],
    bits: tuple[int, ...],
    calibration: str | None,
    labels: str | None,
    test: str | None,
    test_labels: str | None,
    folder: Path,
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
    data = {
        method: {
            name: source
            for name, source in (("calibration", calibration), ("labels", labels))
            if source is not None
            and name in inspect.signature(pruners.METHODS[method]).parameters
            and method != "quantize"
        }
        for method, _ in settings
    }
    for method in data:
        needs = inspect.signature(pruners.METHODS[method]).parameters.get("calibration")
        if needs is not None and needs.default is needs.empty and calibration is None:
            raise click.UsageError(f"--methods {method} needs --calibration")
    if (test is None) != (test_labels is None):
        raise click.UsageError("--test and --test-labels go together")
    labelled = _labelled(original, test or calibration, test_labels or labels, claim["decision"])
    found = frontier.sweep(
        original,
        folder,
        settings,
        claim_of(original, **claim),
        data=data,
        labelled=labelled,
        seed=seed,
        announce=(lambda _: None) if quiet else (lambda line: click.echo(line, err=True)),
        samples=samples,
        time_limit=time_limit,
        max_boxes=boxes,
        threads=threads,
    )
    write_atomically(folder / "sweep.json", json.dumps(found.to_dict(), indent=2).encode())
    write_atomically(folder / "sweep.svg", plot.svg(found, original.name).encode())
    _print(found, original, folder)
    sys.exit(Status.INCONCLUSIVE if found.chosen is None else Status.HOLDS)


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


def _print(found: "Frontier", original: Path, folder: Path) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("variant", overflow="fold")
    titles = ["zeros", "bytes", "MACs", "P(d > ε) ≤", "d ≤"]
    titles += ["accuracy"] if found.accuracy is not None else []
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    cost = found.original
    first = ["", f"{cost.bytes:,}", f"{cost.macs:,}", "", ""]
    table.add_row("(original)", *first, *_accuracy(found.accuracy, found), "")
    chosen = found.chosen
    for variant in found.variants:
        table.add_row(*_row(variant, found), style="bold" if variant is chosen else "")
    console = Console()
    console.print(table)
    console.print()
    for variant in found.variants:
        if variant.error:
            console.print(f"{variant.name}: {variant.error}", markup=False, highlight=False)
    console.print(
        f"{found.family} variants share the confidence. bytes: weights without zeros, at their"
        " bits. MACs: those not by zero.",
        highlight=False,
    )
    if chosen is None or chosen.path is None:
        console.print("No variant meets the claim.")
    else:
        console.print(f"Smallest that meets the claim: {chosen.name}", highlight=False)
        console.print(
            f"  simcert verify {original} {chosen.path} --seed {chosen.seed} ...",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"Written: {folder / 'sweep.json'}, {folder / 'sweep.svg'}", markup=False)


def _row(variant: "Variant", found: "Frontier") -> list[str]:
    cost, result = variant.cost, variant.result
    if cost is None or result is None:
        return [variant.name, *[""] * (5 + len(_accuracy(None, found))), "impossible"]
    worst = result.proof.bound
    return [
        variant.name,
        f"{cost.sparsity:.1%}",
        f"{cost.bytes:,}",
        f"{cost.macs:,}",
        format_upper(variant.violation, 3),
        format_upper(worst, 3) if math.isfinite(worst) else "–",
        *_accuracy(variant.accuracy, found),
        result.verdict.value,
    ]


def _accuracy(value: float | None, found: "Frontier") -> list[str]:
    if found.accuracy is None:
        return []
    return ["" if value is None else f"{value:.1%}"]
