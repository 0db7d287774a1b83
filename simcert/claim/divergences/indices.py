"""Sets of outputs in specifications: ``3``, ``0-3`` or ``0-3+7``."""

from collections.abc import Iterable
from itertools import groupby

from simcert.errors import ClaimError

MAX_OUTPUTS = 1 << 20


def parse(text: str, what: str) -> tuple[int, ...]:
    """The indices in a text such as ``0-3+7``, in order.

    Raises:
        ClaimError: naming ``what``, if the text is of another form or names an output twice.
    """
    indices: list[int] = []
    for part in text.split("+"):
        first, dash, last = part.partition("-")
        numbers = [first, last] if dash else [first, first]
        if not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
            raise ClaimError(f"{what}: {text!r} names no outputs; write 3, 0-3 or 0-3+7")
        low, high = map(int, numbers)
        if not low <= high < MAX_OUTPUTS:
            raise ClaimError(f"{what}: outputs {part} are none; indices go up to {MAX_OUTPUTS - 1}")
        indices.extend(range(low, high + 1))
    if len(set(indices)) < len(indices):
        raise ClaimError(f"{what}: {text!r} names an output twice")
    return tuple(sorted(indices))


def text(indices: Iterable[int]) -> str:
    """What `parse` reads as these increasing indices, the shortest."""
    runs = groupby(enumerate(indices), key=lambda item: item[1] - item[0])
    ends = [[index for _, index in run] for _, run in runs]
    return "+".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in ends)
