"""Whatever goes wrong is one line on stderr and exit status 2; Ctrl-C is 130."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from simcert import cli
from simcert.errors import ModelError


def run_failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *options: str) -> Result:
    @click.command
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: fail)
    return CliRunner().invoke(cli.main, [*options, "verify"])


@pytest.mark.parametrize(
    "error",
    [
        ModelError("a.onnx: not an ONNX file; give one"),
        FileNotFoundError(2, "No such file", "a.onnx"),
        PermissionError(13, "Permission denied", "a.onnx"),
        BrokenPipeError(32, "Broken pipe"),
    ],
)
def test_an_expected_error_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    result = run_failing(monkeypatch, error)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"simcert: error: {error}\n"


def test_names_in_an_error_cannot_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_failing(monkeypatch, ModelError("node '\x1b[2J\n::error::owned'"))
    assert result.stderr == "simcert: error: node '\\x1b[2J\\n::error::owned'\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), MemoryError(), RecursionError()])
def test_a_bug_is_not_a_refutation(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    result = run_failing(monkeypatch, error)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"simcert: internal error: {type(error).__name__}")
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_failing(monkeypatch, ZeroDivisionError("oops"), "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert __file__ in result.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_control_c(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    result = run_failing(monkeypatch, error)
    assert result.exit_code == 130
    assert result.stderr.strip() == "simcert: interrupted"


def test_click_errors_never_exit_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(monkeypatch, click.FileError("a.onnx")).exit_code == 2


@pytest.mark.parametrize("arguments", [["no-such-command"], ["verify"], ["--no-such-option"]])
def test_usage_errors(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["verify", "--help"]])
def test_help_is_fast(arguments: list[str]) -> None:
    code = f"""
import sys
from simcert.cli import main
main({arguments!r}, standalone_mode=False)
heavy = {{"torch", "onnx", "onnxruntime", "scipy", "numpy", "rich"}} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_command_exists() -> None:
    context = click.Context(cli.main)
    for name in cli.main.list_commands(context):
        assert cli.main.get_command(context, name) is not None


def test_module_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simcert", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("simcert, version ")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_closed_stream_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(f"simcert.cli.sys.{name}", None)
    said: list[str] = []
    monkeypatch.setattr(click, "echo", lambda message, **_: said.append(message))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify"], standalone_mode=False)
    assert stopped.value.code == 2
    assert ["is closed" in message for message in said] == [True]


@pytest.mark.parametrize("option", ["--region", "--output", "--resume"])
def test_a_link_to_itself_is_an_expected_error(tmp_path: Path, option: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    result = CliRunner().invoke(cli.main, ["verify", "f.onnx", "g.onnx", option, str(link)])
    assert result.exit_code == 2
    assert "internal error" not in result.stderr
    assert "link" in result.stderr


@pytest.mark.parametrize("option", ["--threads", "--workers"])
def test_a_million_threads_are_refused(option: str) -> None:
    result = CliRunner().invoke(cli.main, ["verify", "f.onnx", "g.onnx", option, "1000000"])
    assert result.exit_code == 2
    assert "1024" in result.stderr
