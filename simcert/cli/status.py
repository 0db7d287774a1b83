"""Exit statuses, in one place."""

from collections.abc import Iterable
from enum import IntEnum

from simcert.report.view import Entry
from simcert.result import Result, Verdict


class Status(IntEnum):
    """What a process of SimCert answers to its caller."""

    HOLDS = 0
    """The claim holds; or there was none, and something could be shown."""
    REFUTED = 1
    ERROR = 2
    """Usage, rejected input, or an internal error: nothing is known about the claim."""
    INCONCLUSIVE = 3
    INTERRUPTED = 130
    """Ctrl-C before there was anything to show (128 + SIGINT)."""


def status_of(result: Result, *, exit_zero: bool = False) -> Status:
    """Maps a verdict to the exit status; ``exit_zero`` turns 1 and 3 into 0."""
    return Status.HOLDS if exit_zero else _status_of_verdict(result.verdict)


def _status_of_verdict(verdict: Verdict) -> Status:
    if verdict.holds:
        return Status.HOLDS
    return Status.REFUTED if verdict is Verdict.REFUTED else Status.INCONCLUSIVE


_WORST_FIRST = (Status.ERROR, Status.REFUTED, Status.INCONCLUSIVE, Status.HOLDS)


def worst_status(entries: Iterable[Entry]) -> Status:
    """The status of several claims: the worst one wins, 2 over 1 over 3 over 0.

    An error comes before a refutation: where a claim could not be judged the gate itself is
    broken, and a caller that tolerates refuted claims must not take that for one.
    """
    statuses = {_status_of_entry(entry) for entry in entries} or {Status.HOLDS}
    return next(status for status in _WORST_FIRST if status in statuses)


def _status_of_entry(entry: Entry) -> Status:
    if entry.report is None:
        return Status.ERROR
    return _status_of_verdict(entry.report.verdict)
