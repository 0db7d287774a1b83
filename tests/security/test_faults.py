"""A run that is broken off, anywhere and by anything, ends in 2, 3 or 130 and leaves no file."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from networks import random_mlp
from scratch import REGION, network

from simcert.cli import main

EVERYWHERE = ["--tolerance", "0.06"]
MOSTLY = ["--tolerance", "0.025", "--max-violation", "0.27", "--boxes", "1"]
"""Two claims about the pair that hold: one is proved, the other needs draws."""

STAGES = {
    "reading": ("simcert.model.reader.admit", EVERYWHERE),
    "inspecting": ("simcert.model.admission.isolation._ask", EVERYWHERE),
    "running": ("simcert.model.runtime.Runtime.run_exact", EVERYWHERE),
    "pairing": ("simcert.verification.pair.align", EVERYWHERE),
    "attack": ("simcert.verification.findings.attack", EVERYWHERE),
    "search": ("simcert.search.branch_and_bound.BranchAndBound.run", EVERYWHERE),
    "bounds": ("simcert.bounds.propagator.Propagator.bound", EVERYWHERE),
    "sampling": ("simcert.verification.findings.sample_remainder", MOSTLY),
    "drawing": ("simcert.verification.sample.estimate", MOSTLY),
    "judging": ("simcert.verification.judge", EVERYWHERE),
    "certificate": ("simcert.certificate.build", EVERYWHERE),
    "writing": ("simcert.certificate.file.write_atomically", EVERYWHERE),
    "flushing": ("os.fsync", EVERYWHERE),
    "renaming": ("pathlib.Path.replace", EVERYWHERE),
}
"""The function that fails in each stage, and a claim whose run comes to it."""

FAULTS = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] not enough memory"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    KeyboardInterrupt(),
]


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., int]:
    """Runs the pair with a certificate; the exit status."""
    files = [
        network(tmp_path / "f.onnx", 0.0, **{"simcert.region": REGION}),
        network(tmp_path / "g.onnx", 0.1),
    ]

    def run(*options: str) -> int:
        arguments = ["verify", *map(str, files), "--certificate", str(tmp_path / "c.json")]
        return CliRunner().invoke(main, [*arguments, *options, "-q"]).exit_code

    return run


@pytest.mark.parametrize("claim", [EVERYWHERE, MOSTLY])
def test_the_claims_hold_when_nothing_fails(
    verify: Callable[..., int], tmp_path: Path, claim: list[str]
) -> None:
    assert verify(*claim) == 0
    assert (tmp_path / "c.json").exists()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_is_no_pass(
    verify: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    fault: BaseException,
) -> None:
    name, claim = STAGES[stage]
    reached = []

    def fail(*_: object, **__: object) -> None:
        reached.append(stage)
        raise fault

    monkeypatch.setattr(name, fail)
    assert verify(*claim) in (2, 3, 130)
    assert reached
    assert {path.name for path in tmp_path.iterdir()} == {"f.onnx", "g.onnx"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_report_that_fails_is_no_pass(
    verify: Callable[..., int], monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("simcert.report.text.render", fail)
    assert verify(*EVERYWHERE) in (2, 130)


@pytest.mark.parametrize("target", ["--output", "--certificate"])
def test_a_full_disk(verify: Callable[..., int], target: str) -> None:
    assert verify(*EVERYWHERE, target, "/dev/full") == 2


def test_no_time(verify: Callable[..., int], tmp_path: Path) -> None:
    assert verify(*EVERYWHERE, "--time-limit", "1e-9") == 3
    assert not (tmp_path / "c.json").exists()


# --- processes


def _start(tmp_path: Path, before: str, **streams: int) -> subprocess.Popen[str]:
    """A run that takes minutes, and says when the search begins; ``before`` is run just then."""
    sizes = (8, 60, 60, 60, 2)
    f = random_mlp(tmp_path / "f.onnx", sizes, 0)
    g = random_mlp(tmp_path / "g.onnx", sizes, 0, noise=0.05)
    region = tmp_path / "region.json"
    region.write_text(f'{{"lower": {[-1] * 8}, "upper": {[1] * 8}}}')
    script = textwrap.dedent(f"""
        import resource, signal, sys
        from simcert.cli import main
        from simcert.search.branch_and_bound import BranchAndBound
        # Who starts the tests in the background of a shell has them ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run = BranchAndBound.run
        def announced(*arguments, **options):
            print("searching", file=sys.stderr, flush=True)
            {before}
            return run(*arguments, **options)
        BranchAndBound.run = announced
        main(sys.argv[1:])
    """)
    options = ["--region", str(region), "--certificate", str(tmp_path / "c.json")]
    claim = ["--tolerance", "0.9", "--time-limit", "300", "-q"]
    return subprocess.Popen(
        [sys.executable, "-c", script, "verify", str(f), str(g), *options, *claim],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def _ends(process: subprocess.Popen[str]) -> int:
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    return process.returncode


@pytest.mark.parametrize(
    ("number", "statuses"),
    [
        (signal.SIGINT, {3, 130}),
        (signal.SIGTERM, {3, 130}),
        (signal.SIGKILL, {-signal.SIGKILL}),
    ],
)
def test_signals(tmp_path: Path, number: signal.Signals, statuses: set[int]) -> None:
    with _start(tmp_path, "pass") as process:
        assert process.stderr is not None
        while "searching" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        assert _ends(process) in statuses
    assert not list(tmp_path.glob("*c.json*"))


def test_memory_that_runs_out(tmp_path: Path) -> None:
    """The address space is limited to what is in use when the search begins, and little more."""
    limit = (
        "pages = int(open('/proc/self/statm').read().split()[0]);"
        "size = pages * resource.getpagesize() + (8 << 20);"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))"
    )
    with _start(tmp_path, limit) as process:
        # 1 is OpenBLAS and 127 the dynamic linker, which end the process themselves: not a pass,
        # though not our status either.
        assert _ends(process) in {1, 2, 3, 127, -signal.SIGABRT, -signal.SIGSEGV}
    assert not list(tmp_path.glob("*c.json*"))


def test_a_standard_output_that_is_full(tmp_path: Path) -> None:
    files = [
        network(tmp_path / "f.onnx", 0.0, **{"simcert.region": REGION}),
        network(tmp_path / "g.onnx", 0.1),
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "simcert", "verify", *map(str, files), *EVERYWHERE, "-q"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left" in done.stderr
