"""How many threads or workers a run may have."""

from simcert.errors import ClaimError

MOST_THREADS = 1024
"""More are a slip: each takes memory and has nothing to do."""


def check_threads(threads: int) -> None:
    """Refuses numbers of threads that no run may have.

    Raises:
        ClaimError: less than 1 or more than `MOST_THREADS`.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ClaimError(f"threads must be from 1 to {MOST_THREADS}, not {threads}")
