"""Tolerances and lists on the command line."""

import math
import re
from typing import Any, ClassVar

import click


class Tolerance(click.ParamType[float | None]):
    """A number, or ``auto`` for none: how small it can be is then the question."""

    name = "tolerance"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Reads the text of the option."""
        if value == "auto":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r}: write a number, or auto", param, ctx)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Comma-separated numbers: ``0.5`` or ``-1,0,2.5``."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Reads the text of the option."""
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: write one number, or numbers with commas between", param, ctx)


class Size(click.ParamType[int]):
    """A number of bytes: ``2GiB``, ``500MB``, ``1e9``."""

    name = "size"

    UNITS: ClassVar = {
        "": 1,
        "b": 1,
        **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", start=1)},
        **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)},
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads the text of the option."""
        found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
        unit = self.UNITS.get(found[2]) if found else None
        try:
            size = float(found[1]) * unit if found and unit else math.nan
        except ValueError:
            size = math.nan
        if not 1 <= size < 2**63:
            self.fail(f"{value!r}: write a number of bytes, like 500MB or 2GiB", param, ctx)
        return int(size)


class Indices(click.ParamType[tuple[int, ...]]):
    """Comma-separated indices and ranges: ``0,3,10-19``, both ends included."""

    name = "indices"

    LIMIT = 10_000_000

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Reads the text of the option."""
        indices: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.partition("-")
            if not (first.isdecimal() and (last.isdecimal() or not dash)):
                self.fail(f"{value!r}: write indices from 0 on, like 0,3,10-19", param, ctx)
            chosen = range(int(first), int(last or first) + 1)
            if not chosen or chosen[-1] > self.LIMIT:
                self.fail(f"{part!r} is not a range of indices up to {self.LIMIT:,}", param, ctx)
            indices += chosen
        return tuple(indices)
