import math

import pytest

from simcert.cli.progress import StatusLine, progress_line
from simcert.progress import Silent


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ({}, "searching"),
        (
            {"boxes": 1200, "proved": 0.9999, "undecided": 1.0 + 1e-9, "bound": 0.1},
            "searching · 1,200 boxes · proved 99.9 % · undecided 100 % · d ≤ 0.101",
        ),
        ({"samples": 8192, "bound": math.inf}, "searching · 8,192 samples"),
    ],
)
def test_the_line(state: dict[str, float], line: str) -> None:
    status = StatusLine()
    status.update("searching", **state)
    assert str(status.status.status) == line


def test_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with progress_line(quiet=quiet) as progress:
            assert isinstance(progress, Silent)
            progress.update("searching")
    assert capsys.readouterr().err == ""
