"""What a compressor hands back: the bytes of the compressed file and an account of the change."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypeAlias

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from simcert.atomic import write_atomically
from simcert.report.printable import printable

Parameter: TypeAlias = bool | int | float | str | tuple[int, ...] | tuple[str, ...] | None


@dataclass(frozen=True)
class Size:
    """What one tensor, or a sum of tensors, takes in a file.

    Attributes:
        weights: number of values.
        zeros: how many of them are zero, stored like any other value.
        bytes: storage of the values, with the scales they are multiplied by.
    """

    weights: int
    zeros: int
    bytes: int

    def __add__(self, other: "Size") -> "Size":
        return Size(
            self.weights + other.weights, self.zeros + other.zeros, self.bytes + other.bytes
        )


@dataclass(frozen=True)
class Layer:
    """One stored tensor before and after.

    Attributes:
        nodes: names of the nodes that read the tensor (first output where a node has no name).
        tensor: name of the tensor in the original file.
        changed: how many values are no longer what they were; in a tensor that shrank, how many
            are gone.
        channels: output channels before and after, of weights whose shape changed.
        macs: multiplications by this tensor for one sample, before and after; zeros count like
            other weights. 0 for what is no weight, or where SimCert cannot run the graph.
    """

    nodes: tuple[str, ...]
    tensor: str
    before: Size
    after: Size
    changed: int
    channels: tuple[int, int] | None = None
    macs: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Report:
    """What a compressor did: ``print`` shows a table, ``dataclasses.asdict`` gives plain data.

    Attributes:
        file_bytes: size of the file before and after.
    """

    method: str
    parameters: Mapping[str, Parameter]
    seed: int | None
    original_sha256: str
    layers: tuple[Layer, ...]
    file_bytes: tuple[int, int]

    @property
    def before(self) -> Size:
        """Sum over the layers, in the original file."""
        return _sum(self.layers).before

    @property
    def after(self) -> Size:
        """Sum over the layers, in the compressed file."""
        return _sum(self.layers).after

    @property
    def macs(self) -> tuple[int, int]:
        """Multiplications by these tensors for one sample, before and after."""
        return _sum(self.layers).macs

    @property
    def nonzero_macs(self) -> int:
        """Multiplications after, without those by zero: what a sparse runtime could reach."""
        return sum(
            round(x.macs[1] * (1 - x.after.zeros / x.after.weights))
            for x in self.layers
            if x.after.weights
        )

    def __rich__(self) -> Group:
        return Group(_table(self), "", *_conclusions(self))

    def __str__(self) -> str:
        text = StringIO()
        Console(file=text, width=80, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


@dataclass(frozen=True)
class Compressed:
    """A compressed network.

    Attributes:
        data: the bytes of the ONNX file; those of the original where nothing had to change.
        report: what was changed.
    """

    data: bytes
    report: Report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all.

        Raises:
            OSError: it cannot be written; an existing file is as it was.
        """
        write_atomically(Path(path), self.data)


def _table(report: Report) -> Table:
    """One row for each weight, one for all other tensors, and the total."""
    weights = [layer for layer in report.layers if any(layer.macs)]
    others = [layer for layer in report.layers if not any(layer.macs)]
    rows = [(", ".join(layer.nodes), layer) for layer in weights or others]
    if weights and others:
        rows.append(("biases and others", _sum(others)))
    total = _sum(report.layers)
    columns: dict[str, Callable[[Layer], str]] = {
        "weights": lambda layer: _change(layer.before.weights, layer.after.weights),
        "channels": lambda layer: _change(*layer.channels) if layer.channels else "",
        "zeros": lambda layer: _change(layer.before.zeros, layer.after.zeros),
        "MACs": lambda layer: _change(*layer.macs) if any(layer.macs) else "",
        "bytes": lambda layer: _change(layer.before.bytes, layer.after.bytes),
    }
    if not any(layer.channels for layer in report.layers):
        del columns["channels"]
    if not (total.before.zeros or total.after.zeros):
        del columns["zeros"]
    table = Table(show_footer=True, box=None, pad_edge=False)
    table.add_column("layer", "total", overflow="fold")
    for title, cell in columns.items():
        table.add_column(title, cell(total), justify="right")
    for name, layer in rows:
        table.add_row(Text(printable(name)), *(cell(layer) for cell in columns.values()))
    return table


def _sum(layers: Sequence[Layer]) -> Layer:
    """Layers as one, of which only the sizes are meant."""
    before = sum((layer.before for layer in layers), Size(0, 0, 0))
    after = sum((layer.after for layer in layers), Size(0, 0, 0))
    macs = sum(x.macs[0] for x in layers), sum(x.macs[1] for x in layers)
    return Layer((), "", before, after, sum(x.changed for x in layers), None, macs)


def _change(old: int, new: int) -> str:
    return f"{new:,}" if old == new else f"{old:,} → {new:,}"


def _conclusions(report: Report) -> list[str]:
    before, after = report.before, report.after
    if not any(layer.changed for layer in report.layers) and before == after:
        return ["Nothing had to change: the file is the original, byte for byte."]
    lines = []
    if before.weights == after.weights:
        changed = sum(layer.changed for layer in report.layers)
        lines.append(f"Changed: {changed:,} of {after.weights:,} values.")
    if after.zeros > before.zeros and after.weights:
        lines.append(
            f"{after.zeros / after.weights:.1%} of these weights are zero now. Zeros are stored"
            " like other values: they save nothing by themselves."
        )
    if after.bytes < before.bytes:
        lines.append(
            f"Really smaller: these tensors take {1 - after.bytes / before.bytes:.1%} fewer bytes."
        )
    else:
        lines.append("No tensor is stored in fewer bytes.")
    if report.macs[1]:
        skipped = report.nonzero_macs
        lines.append(
            f"Multiplications for one sample: {_change(*report.macs)}"
            + (f"; {skipped:,} of them not by zero." if skipped < report.macs[1] else ".")
        )
    old, new = report.file_bytes
    larger = ": nodes, scales and the record need room too" if new > old else ""
    lines.append(f"File: {_change(old, new)} bytes{larger}.")
    return lines
