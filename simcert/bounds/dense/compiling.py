"""How loops are compiled: inner ones into those that call them, the outermost once on a machine."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar, cast

from numba import njit

_Loop = TypeVar("_Loop", bound=Callable[..., object])

SOURCES = sha256(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py"))))
"""Of this folder. Numba's cache looks at the file of the outermost loop alone: a loop that has this
among its constants is compiled anew when another file changes."""


def inner(function: _Loop) -> _Loop:
    """Compile what only other loops call."""
    compiled = njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)
    return cast(_Loop, compiled)


def outer(function: _Loop) -> _Loop:
    """Compile on first use; the result is cached (NUMBA_CACHE_DIR moves the cache)."""
    return cast(_Loop, njit(nogil=True, cache=True, error_model="numpy")(function))
