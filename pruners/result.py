"""What a compressor hands back: the bytes of the compressed file and an account of the change."""

import os
from collections.abc import Mapping
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
    """

    nodes: tuple[str, ...]
    tensor: str
    before: Size
    after: Size
    changed: int


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
        return sum((layer.before for layer in self.layers), Size(0, 0, 0))

    @property
    def after(self) -> Size:
        """Sum over the layers, in the compressed file."""
        return sum((layer.after for layer in self.layers), Size(0, 0, 0))

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
    table = Table(show_footer=True, box=None, pad_edge=False)
    total = ["total", *_cells(report.before, report.after, sum(x.changed for x in report.layers))]
    titles = ["layer", "weights", "changed", "zeros", "bytes"]
    for title, footer in zip(titles, total, strict=True):
        if title == "layer":
            table.add_column(title, footer, overflow="fold")
        else:
            table.add_column(title, footer, justify="right", no_wrap=True)
    for layer in report.layers:
        name = Text(printable(", ".join(layer.nodes)))
        table.add_row(name, *_cells(layer.before, layer.after, layer.changed))
    return table


def _cells(before: Size, after: Size, changed: int) -> list[str]:
    pairs = (
        (before.weights, after.weights),
        (changed, changed),
        (before.zeros, after.zeros),
        (before.bytes, after.bytes),
    )
    return [_change(old, new) for old, new in pairs]


def _change(old: int, new: int) -> str:
    return f"{new:,}" if old == new else f"{old:,} → {new:,}"


def _conclusions(report: Report) -> list[str]:
    before, after = report.before, report.after
    if not any(layer.changed for layer in report.layers) and before == after:
        return ["Nothing had to change: the file is the original, byte for byte."]
    lines = []
    if after.zeros > before.zeros:
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
    lines.append(f"File: {_change(*report.file_bytes)} bytes.")
    return lines
