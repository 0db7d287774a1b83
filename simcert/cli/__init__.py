"""The command line: one command a file, loaded when it is used; the only place that prints."""

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import click

from simcert.cli.status import Status
from simcert.errors import SimcertError
from simcert.report.printable import printable

# Matrices are small here, and idle threads of a matrix library wait actively; before it loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMANDS = {
    "verify": "Verify that a compressed network behaves like the original.",
    "prune": "Compress a network.",
    "sweep": "Compress in many ways, verify each, name the smallest that is good enough.",
    "check": "Re-establish a certificate, independently.",
    "inspect": "Say what one or two files contain and how they align.",
    "sign": "Sign a certificate.",
    "gate": "Verify every claim of a project and say whether all hold.",
    "report": "Write a report of a result or a certificate.",
    "acasxu": "Fetch the ACAS Xu networks, study compressed copies, draw advisory maps.",
}


class _Commands(click.Group):
    """A group that imports a command only to run it, and turns every failure into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"simcert.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        if sys.stdout is None or sys.stderr is None:
            # The next file that is opened would take its number, and what libraries print.
            _stop(
                "error: standard output or standard error is closed; send it to /dev/null instead",
                Status.ERROR,
            )
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # "≤" must not stop a terminal of ASCII
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled job: Ctrl-C
        with _one_line_errors(debug=ctx.params["debug"]):
            return super().invoke(ctx)


@contextmanager
def _one_line_errors(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except click.exceptions.Exit:
        raise
    except click.ClickException as error:
        error.show()  # click's own status is 1 for some, which here means "refuted"
        sys.exit(Status.ERROR)
    except (KeyboardInterrupt, click.Abort):
        _stop("interrupted", Status.INTERRUPTED)
    except SimcertError as error:
        _stop(f"error: {error}", Status.ERROR)
    except OSError as error:
        _stop(f"error: {error}", Status.ERROR)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must not exit with 1
        if debug:
            traceback.print_exc()
        hint = "" if debug else "; `simcert --debug ...` shows where; please report it"
        _stop(f"internal error: {type(error).__name__}: {error}{hint}", Status.ERROR)


def _stop(message: str, status: Status) -> NoReturn:
    click.echo(f"simcert: {printable(message)}", err=True)
    sys.exit(status)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 the claim holds, 1 refuted, 2 error, 3 inconclusive.",
)
@click.option("--debug", is_flag=True, help="Show where an internal error happened.")
@click.version_option(package_name="simcert", prog_name="simcert")
def main(debug: bool) -> None:
    """Certifies that a compressed neural network still behaves like the original."""
