"""Makes the shared helpers of this folder importable, and sums up what a run of the suite tried.

`SIMCERT_SOUNDNESS` multiplies the repetitions (1 in `make test`); `SIMCERT_SOUNDNESS_SEED` starts
another set of random networks. With either of them the figures are printed at the end.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "bounds")]

from hunt.effort import EFFORT, IS_LONG, SEED  # noqa: E402 - found by the line above
from hunt.figures import Figures  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Arrays here are tiny: a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def figures(request: pytest.FixtureRequest, record_property) -> Iterator[Figures]:
    """Counts what a test tried; the run sums it up by file."""
    counts = Figures()
    yield counts
    record_property("figures", (Path(request.node.path).stem, dict(counts)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that `docs/soundness.md` quotes."""
    if not IS_LONG:
        return
    files: dict[str, Counter[str]] = {}
    for report in chain.from_iterable(terminalreporter.stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if name == "figures" and report.when == "teardown":  # when the count is complete
                file, counts = value
                files.setdefault(file, Counter()).update(counts)
    terminalreporter.section(f"figures (effort {EFFORT}, seed {SEED})")
    for file, counts in sorted(files.items()):
        for what, count in sorted(counts.items()):
            terminalreporter.write_line(f"{file}  {what}  {count:,}")
