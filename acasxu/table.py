"""A table that grows row by row: three files, each always whole, and a rerun goes on."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from simcert.atomic import write_atomically
from simcert.errors import SimcertError
from simcert.numerals import format_lower, format_upper
from simcert.report.markdown import escape
from simcert.report.printable import printable

_SCHEMA = "simcert-acasxu-table/0.1"

Row = Mapping[str, Any]

Rounded: TypeAlias = Literal["up", "down", ""]


class TableError(SimcertError):
    """A table on disk cannot be continued."""


class Table:
    """Rows of plain values in NAME.json, .csv and .md; the JSON file is read again by a rerun.

    Args:
        folder: where the files lie; made if need be.
        name: of the files.
        columns: what the CSV and Markdown files show of a row, in this order, and which way the
            latter rounds it.
        key: the columns that tell rows apart.
        settings: what all rows have in common; rows made with others are not mixed in.

    Raises:
        TableError: a file of that name is no such table, or was made with other settings.
        OSError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        columns: Mapping[str, Rounded],
        key: Sequence[str],
        settings: Row,
    ) -> None:
        self._stem, self._columns, self._key = folder / name, columns, key
        self._settings = json.loads(json.dumps(settings))
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[Row] = self._read()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(self._stem.with_name(f"{self._stem.name}.{e}") for e in ("json", "csv", "md"))

    def has(self, **key: object) -> bool:
        """Whether there is a row of that key."""
        return any(all(row[name] == key[name] for name in self._key) for row in self.rows)

    def add(self, row: Row) -> None:
        """Write the table with one more row."""
        self.rows.append(row)
        document = {"schema": _SCHEMA, "settings": self._settings, "rows": self.rows}
        texts = (
            json.dumps(document, indent=1, allow_nan=False) + "\n",
            self._csv(),
            self.markdown(),
        )
        # The JSON file comes last: it alone says what is done.
        for path, text in reversed(list(zip(self.paths, texts, strict=True))):
            write_atomically(path, text.encode())

    def _read(self) -> list[Row]:
        path = self.paths[0]
        if not path.exists():
            return []
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            schema, settings, rows = (document[k] for k in ("schema", "settings", "rows"))
        except (ValueError, KeyError, TypeError) as error:
            raise TableError(
                f"{path} is not a table of this study; choose another folder"
            ) from error
        if schema != _SCHEMA or not isinstance(rows, list):
            raise TableError(f"{path} is not a table of this study; choose another folder")
        if settings != self._settings:
            other = sorted(
                k for k in {*settings, *self._settings} if settings.get(k) != self._settings.get(k)
            )
            raise TableError(
                f"{path} was made with another {', '.join(other)}; choose the same, or another "
                "folder"
            )
        return rows

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        writer.writerows([_plain(row[name]) for name in self._columns] for row in self.rows)
        return text.getvalue()

    def markdown(self) -> str:
        """The table for people: bounds rounded the safe way to four significant digits."""
        lines = [list(self._columns), ["---"] * len(self._columns)]
        lines += [
            [
                str(row[name])
                if name in self._key
                else _short(row[name], rounded=self._columns[name])
                for name in self._columns
            ]
            for row in self.rows
        ]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _plain(value: object) -> object:
    return "" if value is None else value


def _short(value: object, *, rounded: Rounded) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        formats = {"up": format_upper, "down": format_lower}
        return formats[rounded](value) if rounded else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(printable(str(value)))
