"""Exit statuses, in one place."""

from enum import IntEnum

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
    if exit_zero or result.verdict.holds:
        return Status.HOLDS
    return Status.REFUTED if result.verdict is Verdict.REFUTED else Status.INCONCLUSIVE
