"""The backward steps through lines and planes as compiled loops: one pass over the coefficients.

The same formulas as in :mod:`simcert.bounds.lines`, which remain the reference (and serve other
devices and gradients). There a step reads and writes each coefficient some thirty times; here once,
in tiles, so that the terms of a wide layer are read from memory once for all rows.
The loops are free of branches, so that they become vector instructions, and the order of sums is
written out: a compiler's choice between two ways may depend on where in memory the arrays lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Float = NDArray[np.float64]
Integer = NDArray[np.int64]
_TILE = 512
"""Elements of all rows that are done before the next ones: their terms stay in a core's cache."""

_Loop = TypeVar("_Loop", bound=Callable[..., object])


def applies(*tensors: Tensor) -> bool:
    """Whether these loops can take the numbers: float64 on the CPU, without gradients."""
    return all(
        c.device.type == "cpu" and c.dtype == torch.float64 and not c.requires_grad for c in tensors
    )


def along_lines(c: Tensor, lines: Tensor, box: Tensor, constant: Tensor) -> Tensor:
    """Return coefficients (R, n) on x for coefficients on f(x); see :mod:`..lines`."""
    out = torch.empty_like(c, memory_format=torch.contiguous_format)
    _lines(c.contiguous().numpy(), lines.numpy(), box.numpy(), constant.numpy(), out.numpy())
    return out


def along_planes(
    f: Tensor, g: Tensor, delta: Tensor, planes: Tensor, box: Tensor, constant: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return coefficients (R, n) on a, b, δ for those on f(a), g(b), Δ."""
    out = torch.empty(3, *f.shape, dtype=torch.float64)
    a, b, d = (c.contiguous().numpy() for c in (f, g, delta))
    _planes(a, b, d, planes.numpy(), box.numpy(), constant.numpy(), out.numpy())
    return out[0], out[1], out[2]


def add_constant(c: Tensor, bias: Tensor, error: Tensor, box: Tensor, constant: Tensor) -> None:
    """Add c · bias + |c| · error[box] to ``constant``: (R, n), (n,), (B, n), (R,), (R,)."""
    _add_constant(
        c.contiguous().numpy(), bias.numpy(), error.numpy(), box.numpy(), constant.numpy()
    )


def _compiled(function: _Loop) -> _Loop:
    """Compile on first use; the result is cached (NUMBA_CACHE_DIR moves the cache)."""
    compiled = njit(nogil=True, cache=True, error_model="numpy")(function)
    return cast(_Loop, compiled)


@_compiled
def _used(c: float, up: float, down: float) -> float:
    """Return c times what its sign chooses; what no coefficient uses need not exist: 0 · ∞ is 0."""
    if c > 0.0:
        return c * up
    return c * down if c != 0.0 else 0.0


@_compiled
def _summed(terms: Float) -> float:
    """Add numbers up in an order of their own: eight sums, whatever a compiler makes of it."""
    a = b = c = d = e = f = g = h = 0.0
    last = len(terms) - len(terms) % 8
    for i in range(0, last, 8):
        a, b, c, d = a + terms[i], b + terms[i + 1], c + terms[i + 2], d + terms[i + 3]
        e, f, g, h = e + terms[i + 4], f + terms[i + 5], g + terms[i + 6], h + terms[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(last, len(terms)):
        total += terms[i]
    return total


@_compiled
def _lines(c: Float, lines: Float, box: Integer, constant: Float, out: Float) -> None:
    """Replace coefficients on f(x) by coefficients on x.

    Args:
        c: (R, n).
        lines: (B, 5, n): the upper line, the lower line (slope, intercept each), rounding error.
        box: (R,).
        constant: (R,), added to.
        out: (R, n), the result.
    """
    rows, size = c.shape
    terms = np.empty(_TILE)
    for start in range(0, size, _TILE):
        stop = min(start + _TILE, size)
        for row in range(rows):
            p = lines[box[row]]
            for i in range(start, stop):
                value = c[row, i]
                up, down = max(value, 0.0), min(value, 0.0)
                # 0 · value: infinity or NaN must not get lost in a comparison.
                own = up * p[1, i] + down * p[3, i] + abs(value) * p[4, i]
                terms[i - start] = own + 0.0 * value
                out[row, i] = up * p[0, i] + down * p[2, i]
            total = _summed(terms[: stop - start])
            if not np.isfinite(total):
                total = 0.0
                for i in range(start, stop):
                    value = c[row, i]
                    total += _used(value, p[1, i], p[3, i]) + _used(abs(value), p[4, i], 0.0)
            constant[row] += total


@_compiled
def _planes(
    f: Float,
    g: Float,
    delta: Float,
    planes: Float,
    box: Integer,
    constant: Float,
    out: Float,
) -> None:
    """Replace coefficients on f(a), g(b), Δ by coefficients on a, b, δ.

    Args:
        f: (R, n).
        g: (R, n).
        delta: (R, n).
        planes: (B, 19, n): the lines of a and of b (as above), the upper and the lower plane of Δ
            (a, b, δ, constant), and Δ's rounding error.
        box: (R,).
        constant: (R,), added to.
        out: (3, R, n), the results for a, b and δ.
    """
    rows, size = f.shape
    terms = np.empty(_TILE)
    for start in range(0, size, _TILE):
        stop = min(start + _TILE, size)
        for row in range(rows):
            p = planes[box[row]]
            for i in range(start, stop):
                cf, cg, cd = f[row, i], g[row, i], delta[row, i]
                own = abs(cf) * p[4, i] + abs(cg) * p[9, i] + 0.0 * (cf + cg + cd)
                # Of opposite signs, the smaller of both moves into Δ, with the sign of c_f.
                moved = max(min(cf, -cg), 0.0) + min(max(cf, -cg), 0.0)
                cf, cg, cd = cf - moved, cg + moved, cd + moved
                f_up, f_down = max(cf, 0.0), min(cf, 0.0)
                g_up, g_down = max(cg, 0.0), min(cg, 0.0)
                up, down = max(cd, 0.0), min(cd, 0.0)
                own += f_up * p[1, i] + f_down * p[3, i] + g_up * p[6, i] + g_down * p[8, i]
                terms[i - start] = own + up * p[13, i] + down * p[17, i] + (up - down) * p[18, i]
                out[0, row, i] = f_up * p[0, i] + f_down * p[2, i] + up * p[10, i] + down * p[14, i]
                out[1, row, i] = g_up * p[5, i] + g_down * p[7, i] + up * p[11, i] + down * p[15, i]
                out[2, row, i] = up * p[12, i] + down * p[16, i]
            total = _summed(terms[: stop - start])
            if not np.isfinite(total):
                total = 0.0
                for i in range(start, stop):
                    cf, cg, cd = f[row, i], g[row, i], delta[row, i]
                    total += _used(abs(cf), p[4, i], 0.0) + _used(abs(cg), p[9, i], 0.0)
                    moved = max(min(cf, -cg), 0.0) + min(max(cf, -cg), 0.0)
                    cf, cg, cd = cf - moved, cg + moved, cd + moved
                    total += _used(cf, p[1, i], p[3, i]) + _used(cg, p[6, i], p[8, i])
                    total += _used(cd, p[13, i], p[17, i]) + _used(abs(cd), p[18, i], 0.0)
            constant[row] += total


@_compiled
def _add_constant(c: Float, bias: Float, error: Float, box: Integer, constant: Float) -> None:
    rows, size = c.shape
    terms = np.empty(_TILE)
    for row in range(rows):
        own = error[box[row]]
        for start in range(0, size, _TILE):
            stop = min(start + _TILE, size)
            for i in range(start, stop):
                terms[i - start] = c[row, i] * bias[i] + abs(c[row, i]) * own[i]
            constant[row] += _summed(terms[: stop - start])
