"""A measurement that was killed goes on behind the last row it wrote."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
_MEASUREMENT = """
import os, signal, sys
from pathlib import Path
from rows import Rows

measured = Rows(Path(sys.argv[1]), ("set", "case", "method", "bound"), key=2)
print(len(measured.stored))
for kind in ("with, comma", "plain"):
    for case in (0, 0.5):
        if (kind, case) not in measured:
            key = {"set": kind, "case": case}
            bounds = {"a": 0.1, "b": None}
            measured.append(*(key | {"method": m, "bound": b} for m, b in bounds.items()))
            print("measured", flush=True)
            if len(sys.argv) > 2:
                os.kill(os.getpid(), signal.SIGKILL)
"""


def measure(path: Path, *more: str) -> str:
    command = [sys.executable, "-c", _MEASUREMENT, str(path), *more]
    return subprocess.run(command, cwd=_BENCHMARKS, capture_output=True, text=True).stdout


def test_a_killed_run_goes_on_behind_its_last_row(tmp_path: Path) -> None:
    path, whole = tmp_path / "killed.csv", tmp_path / "whole.csv"
    told = [measure(path, "killed") for _ in range(4)]
    assert told == [f"{2 * run}\nmeasured\n" for run in range(4)]
    assert measure(path) == "8\n"
    assert measure(whole) == "0\n" + 4 * "measured\n"
    assert path.read_bytes() == whole.read_bytes()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"set": "with, comma", "case": "0", "method": "b", "bound": ""}
    assert [row["case"] for row in rows] == ["0", "0", "0.5", "0.5"] * 2


def test_rows_are_remembered_as_they_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(_BENCHMARKS)
    from rows import Rows

    path, columns = tmp_path / "rows.csv", ("network", "seconds", "work")
    path.write_text("")
    measured = Rows(path, columns, key=1)
    measured.append({"network": "1_1", "seconds": 1 / 3, "work": None})
    again = Rows(path, columns, key=1)
    assert again.stored == measured.stored
    assert ("1_1",) in again
    assert ("1_2",) not in again


def test_a_file_with_other_columns_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(_BENCHMARKS)
    from rows import Rows

    path = tmp_path / "rows.csv"
    path.write_text("network,seconds\n1_1,2\n")
    with pytest.raises(ValueError, match="columns network, seconds, not network, bound"):
        Rows(path, ("network", "bound"), key=1)
    assert path.read_text() == "network,seconds\n1_1,2\n"
