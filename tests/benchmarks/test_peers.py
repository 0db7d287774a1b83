"""How the output of other verifiers is read."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("peers")


@pytest.mark.parametrize(
    ("output", "verdict", "work"),
    [
        ("progress: [==] 3.80%\r\nNo adv!\ntime: 2.553179 \n\n\nnumSplits: 213\n", "proved", 213),
        ("\nadv found:\nadv is: [0.1 ]\ntime: 0.1 \n\n\nnumSplits: 7\n", "refuted", 7),
        ("progress: [==] 3.80%\r", "none", None),
        ("No adv!\n", "none", None),
    ],
)
def test_only_a_finished_run_has_a_verdict(
    peers: ModuleType, output: str, verdict: str, work: int | None
) -> None:
    answer = peers.said(output)
    assert (answer.verdict, answer.work) == (verdict, work)


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        ("Result: unsat\n", "proved"),
        ("Result: sat\n", "refuted"),
        ("Result: timeout\n", "none"),
        ("Traceback: unsatisfied dependency\n", "none"),
        ("", "none"),
    ],
)
def test_a_single_network_verifier_ends_with_its_verdict(
    peers: ModuleType, output: str, verdict: str
) -> None:
    assert peers.single("name", "command", 60).read(output).verdict == verdict


def test_a_program_without_a_verdict_counts_as_the_limit(peers: ModuleType) -> None:
    tool = peers.Tool("name", lambda _: [sys.executable, "-c", "print('timeout')"], peers.said)
    row = peers.run(tool, None, 60.0)
    assert (row["verdict"], row["seconds"]) == ("none", 60.0)


def test_what_lives_longer_than_the_limit_is_ended(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_GRACE", 0.0)
    command = [sys.executable, "-c", "import time; print('No adv!', flush=True); time.sleep(600)"]
    assert peers.output_of(command, 1.0) == ""
