"""A line on the terminal that says how far a run is."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from simcert.numerals import format_upper, percent_lower, percent_upper
from simcert.progress import Progress, Silent


class StatusLine:
    """Writes the state into rich's status line, which redraws itself a few times a second."""

    def __init__(self) -> None:
        from rich.console import Console

        self.status = Console(stderr=True).status("reading the models")

    def update(
        self,
        stage: str,
        *,
        proved: float = 0.0,
        undecided: float = 1.0,
        boxes: int = 0,
        bound: float = math.inf,
        samples: int = 0,
    ) -> None:
        """Replaces the line."""
        from rich.text import Text

        parts = [stage]
        if boxes:
            parts.append(f"{boxes:,} boxes")
            parts.append(f"proved {percent_lower(proved, 3)}")
            parts.append(f"undecided {percent_upper(min(1.0, undecided), 3)}")
        if math.isfinite(bound):
            parts.append(f"d ≤ {format_upper(bound, 3)}")
        if samples:
            parts.append(f"{samples:,} samples")
        self.status.update(Text(" · ".join(parts), no_wrap=True, overflow="ellipsis"))


@contextmanager
def progress_line(*, quiet: bool) -> Iterator[Progress]:
    """Yields a progress line on a terminal's stderr, a silent one anywhere else."""
    if quiet or not sys.stderr.isatty():
        yield Silent()
        return
    line = StatusLine()
    with line.status:
        yield line
