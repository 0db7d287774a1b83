"""``simcert inspect``: what a file contains, and how a pair corresponds."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from simcert.atomic import resolved, write_atomically
from simcert.report.printable import printable
from simcert.threads import MOST_THREADS

if TYPE_CHECKING:
    from rich.console import Console

    from simcert.inspection import Contents, Inspection, Layer, Running
    from simcert.model import TensorInfo

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command
@click.argument("original", metavar="MODEL", type=_FILE, required=False)
@click.argument("compressed", metavar="[MODEL]", type=_FILE, required=False)
@click.option("--region", type=_FILE, help="Draw inputs from these boxes; else from [0, 1].")
@click.option(
    "--samples",
    type=click.IntRange(min=0, max=100_000),
    default=64,
    show_default=True,
    help="Inputs to run the files on; 0 for none.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--output", type=_FILE, help="Write to a file instead of stdout.")
@click.option("--operators", is_flag=True, help="List all operators that are known, and stop.")
def inspect(
    original: Path | None,
    compressed: Path | None,
    region: Path | None,
    samples: int,
    seed: int,
    threads: int,
    form: Literal["text", "json"],
    output: Path | None,
    operators: bool,
) -> None:
    """Say what one or two ONNX files contain.

    Inputs, outputs, operators and how far each can be followed (proved, bounded, sampled, or run
    by ONNX Runtime alone), weights; of two files how they align, layer by layer. The files are
    also run on a few inputs: does ONNX Runtime's default level compute what the graph says, and
    does SimCert read it as ONNX Runtime does?
    """
    from simcert import inspection

    if operators:
        _write(inspection.operators_page(), output)
        return
    if original is None:
        raise click.UsageError("which file? Give one or two ONNX files")
    if output is not None and resolved(output) in {
        resolved(path) for path in (original, compressed, region) if path is not None
    }:
        raise click.UsageError(f"{output} is read: writing it would lose a file")
    found = inspection.inspect(
        original, compressed, region=region, samples=samples, seed=seed, threads=threads
    )
    if form == "json":
        _write(json.dumps(_finite(found.to_dict()), indent=2, allow_nan=False) + "\n", output)
    elif output is None and sys.stdout.isatty():
        _render(found, _console(sys.stdout, shutil.get_terminal_size().columns))
    else:
        stream = StringIO()
        _render(found, _console(stream, 100 if output else shutil.get_terminal_size().columns))
        lines = (line.rstrip() for line in stream.getvalue().splitlines())
        _write("".join(f"{line}\n" for line in lines), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())


def _finite(value: object) -> object:
    """JSON has no infinity: a gap that is infinite is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and abs(value) == float("inf") else value


def _console(stream: object, width: int) -> Console:
    from rich.console import Console

    # Colours only on a terminal, and nothing from a file is read as markup.
    return Console(file=stream, width=max(30, width), markup=False, highlight=False, emoji=False)  # type: ignore[arg-type]


def _render(found: Inspection, console: Console) -> None:
    for index, model in enumerate(found.models):
        if index:
            console.print()
        console.print(printable(Path(model.path).name), style="bold")
        _table(console, None, _facts(model, found.running[index : index + 1], found.sampled_from))
        console.print()
        _table(
            console,
            ("operator", "count", ""),
            ((use.operator, f"{use.count:,}", use.support.value) for use in model.operators),
            right=(1,),
        )
    if found.pair is not None:
        console.print()
        console.print("Layers", style="bold")
        said = found.pair.description or f"cannot be bounded: {found.pair.reason}"
        console.print(printable(said), soft_wrap=False)
        _layers(console, found.pair.layers)


def _table(
    console: Console,
    header: tuple[str, ...] | None,
    rows: Iterable[tuple[str, ...]],
    right: tuple[int, ...] = (),
) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=header is not None, pad_edge=False, padding=(0, 2, 0, 0))
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    for column in range(len(rows[0]) if rows else 0):
        table.add_column(
            header[column] if header else "",
            justify="right" if column in right else "left",
            overflow="fold",
            header_style="dim",
            style="dim" if header is None and column == 0 else "",
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _facts(model: Contents, running: tuple[Running, ...], source: str) -> Iterator[tuple[str, str]]:
    yield "file", f"{model.bytes:,} bytes, operator set {model.opset}"
    yield "sha256", f"{model.sha256[:16]}…"
    yield "inputs", ", ".join(map(_tensor, model.inputs))
    yield "outputs", ", ".join(map(_tensor, model.outputs))
    yield "parameters", f"{model.parameters:,}; {100 * model.zeros:.3g} % of the weights are zero"
    if model.stored:
        parts = (f"{count:,} in {bits} bits" for bits, count in model.stored.items())
        yield "stored", ", ".join(parts)
    if model.overridable:
        yield "overridable", _overridable(model.overridable)
    if model.provable:
        yield "bounds", f"can be bounded ({model.program:,} steps)"
    else:
        yield "bounds", f"can only be sampled: {model.reason}"
    for run in running:
        yield "default runtime", _gap(run.default_gap, run.default_share, run)
        if run.own_gap is None or run.own_share is None:
            yield "own reading", f"none: {run.own_reason}"
        else:
            yield "own reading", _gap(run.own_gap, run.own_share, run)
        yield "", f"({run.samples:,} inputs from {source}; outputs up to {run.size:.4g})"


def _overridable(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:_NAMED]) + ", …" * (len(names) > _NAMED)
    return f"{len(names)} that a caller of the file could replace, taken as they are: {some}"


def _gap(gap: float, share: float, run: Running) -> str:
    if gap == 0:
        return "agrees exactly"
    relative = f", {gap / run.size:.2g} of the largest output" if run.size else ""
    if share == 0:
        return f"agrees (up to {gap:.2g}{relative})"
    return f"DIFFERS on {_percent(share)} of the inputs, by up to {gap:.4g}{relative}"


def _tensor(info: TensorInfo) -> str:
    sizes = ", ".join("?" if size is None else str(size) for size in info.shape)
    return f"{info.name} {info.dtype.name}[{sizes}]"


_COLUMNS = ("layer", "operator", "weights", "bits", "zeros", "changed", "by up to", "")
_NAMED = 3
_NARROW = 90
_LONGEST_NAME = 32


def _layers(console: Console, layers: Iterable[Layer]) -> None:
    """A table; on a narrow terminal two lines a layer."""
    if console.width >= _NARROW:
        rows = ((_short(layer, _LONGEST_NAME), *_facts_of(layer)) for layer in layers)
        _table(console, _COLUMNS, rows, right=(3, 4, 5, 6))
        return
    for layer in layers:
        operator, weights, bits, zeros, changed, largest, state = _facts_of(layer)
        parts = [operator, weights, f"{bits} bits", f"zeros {zeros}"]
        if changed:
            parts.append(f"{changed} changed, by up to {largest}")
        console.print(printable(_short(layer, console.width)), style="bold")
        console.print(printable("  " + ", ".join(filter(None, [*parts, state]))))


def _short(layer: Layer, width: int) -> str:
    """The name, from its end: exporters write paths and chains of merged nodes."""
    name = layer.original or layer.compressed
    return name if len(name) <= width else f"…{name[-width + 1 :]}"


def _facts_of(layer: Layer) -> tuple[str, ...]:
    both = layer.weights, layer.compressed_weights
    if not layer.original or not layer.compressed:
        state = "only in the " + ("original" if layer.original else "compressed")
    else:
        state = {True: "aligned", False: "not aligned", None: ""}[layer.aligned]
    return (
        layer.operator,
        _change(*(None if w is None else "×".join(map(str, w.shape)) for w in both)),
        _change(*(None if w is None else str(w.bits or "?") for w in both)),
        _change(*(None if w is None else _percent(w.zeros) for w in both)),
        "" if layer.changed is None else _percent(layer.changed),
        "" if layer.largest_change is None else f"{layer.largest_change:.2g}",
        state,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _change(one: str | None, other: str | None) -> str:
    if one is None or other is None or one == other:
        return one or other or ""
    return f"{one} → {other}"
