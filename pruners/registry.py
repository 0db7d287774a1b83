"""The compressors by name."""

from collections.abc import Callable
from typing import TypeVar

from pruners.result import Compressed

Compressor = TypeVar("Compressor", bound=Callable[..., Compressed])

METHODS: dict[str, Callable[..., Compressed]] = {}
"""Every compressor: ``METHODS[name](model, *, exclude=(), ...)``.

The keyword arguments of a compressor are its options; the command line offers those that it
names. A compressor that draws random numbers takes ``seed``.
"""


def compressor(function: Compressor) -> Compressor:
    """Enter a function into :data:`METHODS` under its own name."""
    METHODS[function.__name__] = function
    return function
