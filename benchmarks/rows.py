"""Rows of a measurement in a CSV file: they are written as they are found, and a rerun goes on.

measured = Rows(path, ("pair", "row", "seconds"), key=2)
if (pair, row) not in measured:
    measured.append({"pair": pair, "row": row, "seconds": seconds})
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path


class Rows:
    """The rows of a CSV file.

    Args:
        path: of the file, which is made with the first row.
        columns: its header.
        key: how many of the first columns say what was measured.

    Attributes:
        stored: all rows, as text.

    Raises:
        ValueError: if the file has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str], key: int) -> None:
        self._path, self._columns, self._key = path, tuple(columns), key
        self.stored: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames is not None and tuple(reader.fieldnames) != self._columns:
                    found, due = ", ".join(reader.fieldnames), ", ".join(self._columns)
                    raise ValueError(f"{path} has columns {found}, not {due}: name another file")
                self.stored = list(reader)
        self._known = {self._key_of(row) for row in self.stored}

    def __contains__(self, key: Sequence[object]) -> bool:
        return tuple(map(str, key)) in self._known

    def append(self, *rows: Mapping[str, object]) -> None:
        """Write rows with one call of the system: a kill leaves all of them or none."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if not self._path.exists() or self._path.stat().st_size == 0:
            writer.writeheader()
        writer.writerows(rows)
        with self._path.open("ab", buffering=0) as file:
            file.write(text.getvalue().encode())
        for row in rows:
            cells = {name: row.get(name) for name in self._columns}
            self.stored.append({k: "" if v is None else str(v) for k, v in cells.items()})
            self._known.add(self._key_of(self.stored[-1]))

    def _key_of(self, row: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in self._columns[: self._key])
