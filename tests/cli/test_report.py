"""``simcert report`` from the files that ``simcert verify`` writes."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from schemas import check_junit, check_sarif

from simcert.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def files(arguments: Sequence[str], tmp_path: Path) -> tuple[Path, Path]:
    """A result and its certificate."""
    paths = tmp_path / "result.json", tmp_path / "certificate.json"
    options = ["--tolerance", 0.06, "--format", "json", "--output", paths[0]]
    assert run(*arguments, *options, "--certificate", paths[1]).exit_code == 0
    return paths


@pytest.mark.parametrize("form", ["html", "markdown", "json", "junit", "sarif", "github"])
@pytest.mark.parametrize("index", [0, 1])
def test_every_format_of_both(
    files: tuple[Path, Path], form: str, index: int, tmp_path: Path
) -> None:
    written = run("report", files[index], "--format", form)
    assert (written.exit_code, written.stderr) == (0, "")
    assert "proved" in written.stdout
    target = tmp_path / "report"
    assert run("report", files[index], "--format", form, "-o", target).stdout == ""
    assert target.read_text() == written.stdout


def test_several_at_once(files: tuple[Path, Path]) -> None:
    check_junit(run("report", *files, "--format", "junit").stdout)
    check_sarif(run("report", *files, "--format", "sarif").stdout)
    assert "2 claims: 2 proved" in run("report", *files, "--format", "markdown").stdout
    for form in ("html", "json"):
        refused = run("report", *files, "--format", form)
        assert refused.exit_code == 2
        assert "one file" in refused.stderr


def test_json_is_the_same_document(files: tuple[Path, Path]) -> None:
    copied = json.loads(run("report", files[0], "--format", "json").stdout)
    assert copied == json.loads(files[0].read_text())


def test_other_files_are_refused(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for path in (other, pair[0]):
        refused = run("report", path)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("simcert: error: ")
        assert refused.stderr.count("\n") == 1
    assert run("report", tmp_path / "missing.json").exit_code == 2


def test_what_is_read_is_not_overwritten(files: tuple[Path, Path]) -> None:
    before = files[0].read_bytes()
    assert run("report", files[0], "-o", files[0]).exit_code == 2
    assert files[0].read_bytes() == before
