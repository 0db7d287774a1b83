"""The study: rows that are true, a table that continues."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import acasxu
from acasxu import compressors
from acasxu.study import Settings, largest_difference, pairs, study
from acasxu.table import Table, TableError
from simcert import Claim, verify
from simcert.cli import main
from simcert.errors import ClaimError
from simcert.progress import Silent


def run(*arguments: object):
    return CliRunner().invoke(main, ["acasxu", "study", *map(str, arguments)])


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "study.json").read_text())["rows"]


def test_rows_say_what_verify_says(networks: Path, tmp_path: Path) -> None:
    given = ["--from", networks, "--output", tmp_path, "--tolerance", 0.05, "--properties", "3,9"]
    done = run(*given, "--networks", "1_1", "--compressors", "float16,int8,agf-01")
    assert done.exit_code == 0, done.output
    found = {(row["compressor"], row["property"]): row for row in rows(tmp_path)}
    # Property 9 is not stated of 1_1.
    assert set(found) == {(c, 3) for c in ("float16", "int8", "agf-01")}
    impossible = found["agf-01", 3]
    assert impossible["verdict"] == "unsupported"
    assert "removes no channel" in impossible["note"]
    original = acasxu.network(1, 1, folder=networks)
    for (compressor, number), row in found.items():
        if compressor == "agf-01":
            continue
        compressed = tmp_path / "compressed" / f"1_1_{compressor}.onnx"
        claim = Claim(acasxu.properties()[number].region, tolerance=0.05)
        result = verify(original, compressed, claim, samples=0)
        assert row["verdict"] == result.verdict.value
        assert row["boxes"] == result.proof.boxes
        if row["verdict"] == "proved":
            assert float.fromhex(row["bound_hex"]) == result.proof.bound <= 0.05
            assert 0 < row["found"] <= row["bound"]
            assert row["ratio"] == row["bound"] / row["found"]
        else:
            assert row["verdict"] == "refuted"
            assert row["found"] > 0.05
    assert {row["verdict"] for row in found.values()} == {"proved", "refuted", "unsupported"}
    with (tmp_path / "study.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (tmp_path / "study.md").read_text().count("\n") == 5


class Interrupt(Silent):
    """Presses Ctrl-C at the first progress of a later verification."""

    def __init__(self, table: Path) -> None:
        self.table = table

    def update(self, stage: str, **_: object) -> None:  # noqa: ARG002
        if self.table.exists() and len(json.loads(self.table.read_text())["rows"]) == 1:
            raise KeyboardInterrupt


def test_an_interrupted_table_goes_on_where_it_stopped(networks: Path, tmp_path: Path) -> None:
    todo = pairs(["1_1"], ["float16"], [3, 4, 5])
    settings, told = Settings(tolerance=0.05), []
    with pytest.raises(KeyboardInterrupt):
        study(
            todo, tmp_path, settings, folder=networks, progress=Interrupt(tmp_path / "study.json")
        )
    first = rows(tmp_path)
    assert [row["property"] for row in first] == [3]
    study(todo, tmp_path, settings, folder=networks, announce=told.append)
    again = rows(tmp_path)
    assert again[0] == first[0]
    assert [row["property"] for row in again] == [3, 4, 5]
    assert [row["verdict"] for row in again] == ["proved"] * 3
    assert "there already" in told[0]


def test_without_a_tolerance_the_worst_case_is_narrowed(networks: Path, tmp_path: Path) -> None:
    table = study(
        pairs(["1_1"], ["wanda-30"], [3]), tmp_path, Settings(time_limit=600), folder=networks
    )
    (row,) = table.rows
    assert row["verdict"] == "proved"
    assert row["undecided"] is None
    assert 1 <= row["ratio"] < 1.05
    compressed = tmp_path / "compressed" / "1_1_wanda-30.onnx"
    claim = Claim(acasxu.properties()[3].region)
    drawn = largest_difference(acasxu.network(1, 1, folder=networks), compressed, claim, seed=7)
    assert drawn <= row["bound"]


def test_rows_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    table = Table(tmp_path, "t", {"a": "", "b": "up"}, ("a",), {"seed": 0, "tolerance": None})
    table.add({"a": 1, "b": 0.1})
    assert Table(tmp_path, "t", {"a": "", "b": "up"}, ("a",), {"seed": 0, "tolerance": None}).has(
        a=1
    )
    with pytest.raises(TableError, match="another seed"):
        Table(tmp_path, "t", {"a": "", "b": "up"}, ("a",), {"seed": 1, "tolerance": None})
    # 0.1 as a float64 is above 0.1: an upper bound is not printed below itself.
    assert "| 1 | 0.1001 |" in (tmp_path / "t.md").read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "x", "settings": {}, "rows": []}', "{"])
def test_a_file_that_is_no_table_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(TableError, match="is not a table"):
        Table(tmp_path, "t", {"a": ""}, ("a",), {})
    assert (tmp_path / "t.json").read_text() == text


def test_calibration_is_drawn_from_the_region_and_by_the_seed() -> None:
    region = acasxu.properties()[6].region
    drawn = compressors.calibration(region, 0, 300)
    assert region.contains(drawn).all()
    assert {int(region.contains(row[None], 0)[0]) for row in drawn} == {0, 1}
    assert np.array_equal(drawn, compressors.calibration(region, 0, 300))
    assert not np.array_equal(drawn, compressors.calibration(region, 1, 300))


def test_compressors_by_name() -> None:
    assert compressors.settings("int8-channel") == ("quantize", {"bits": 8, "per": "channel"})
    assert compressors.settings("int4") == ("quantize", {"bits": 4, "per": "tensor"})
    assert compressors.settings("magnitude-05") == (
        "magnitude",
        {"sparsity": 0.05, "scope": "global"},
    )
    assert compressors.settings("lamp-30") == ("lamp", {"sparsity": 0.3})
    assert [name for name in compressors.USUAL if compressors.needs_calibration(name)] == [
        "wanda-30",
        "agf-10",
    ]
    for wrong in ("int9", "float16-10", "magnitude", "quantize", "nothing-10", "magnitude-100"):
        with pytest.raises(ClaimError, match="there is no compressor"):
            compressors.settings(wrong)


def test_what_cannot_be_asked_is_an_error(networks: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--properties", "11"), "there is no property 11"),
        (("--networks", "1_1", "--properties", "10"), "none of these properties"),
        (("--networks", "4_5", "--properties", "10"), "no such file"),
        (("--compressors", "zip"), "there is no compressor 'zip'"),
    ):
        done = run("--from", networks, "--output", tmp_path / "out", *arguments)
        assert done.exit_code == 2
        assert message in done.output
    assert not (tmp_path / "out").exists()
