"""The volume that a half-space cuts off a box: exact up to rounding, and rounded up."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.rounding import SLACK, Float, probability

MAX_SPREADS = 8
"""Inputs that are integrated exactly: the recursion has 3^inputs terms. Of more, the widest are."""

_Loop = TypeVar("_Loop", bound=Callable[..., object])


def tail(half_spaces: HalfSpaces) -> Float:
    """Bound P(Σ_j b_j U_j ≤ h) by the volume, times the greatest density of the U_j.

    For uniform laws that is the probability itself, on small boxes of a smooth law it is close.
    With S a set of inputs and P_S(x) = P(Σ_{j ∈ S} b_j U_j ≤ x) for uniform U_j, cutting the
    polytope {Σ y_j ≤ x, 0 ≤ y_j ≤ b_j} into cones with their tip at y_j = t b_j, t = x/Σ_j b_j, on
    its slanted face, gives

        P_S(x) = 1/|S| Σ_{j ∈ S} [t P_{S∖j}(x) + (1 − t) P_{S∖j}(x − b_j)],    0 ≤ x ≤ Σ_j b_j,

    and P_∅(x) = 1 for x ≥ 0, else 0. All terms are positive: nothing cancels, unlike in the sum
    over corners Σ_v (−1)^|v| (h − b·v)₊ⁿ / (n! Π b_j) of Barrow and Smith. P grows with x, and t
    multiplies the greater of the two: whoever rounds x and t up rounds P up.

    Sources: J. B. Lasserre, An analytical expression and an algorithm for the volume of a convex
    polyhedron in Rⁿ, JOTA 39 (1983), for the cones; C. de Boor and K. Höllig, B-splines from
    parallelepipeds, J. d'Analyse Mathématique 42 (1982), for such a recursion of densities;
    D. L. Barrow and P. W. Smith, Spline notation applied to a volume problem, American
    Mathematical Monthly 86 (1979).

    Args:
        half_spaces: h, b and the law of the U_j. Of more than `MAX_SPREADS` inputs those of the
            largest b count, the others are taken for 0, which loses tightness only.

    Returns:
        (M,), rounded up.
    """
    excess, spread, law = half_spaces
    if spread.shape[1] > MAX_SPREADS:
        spread = np.partition(spread, -MAX_SPREADS, axis=1)[:, -MAX_SPREADS:]
    volume = np.empty(len(excess))
    _volumes(excess, np.ascontiguousarray(spread), _digits(spread.shape[1]), volume)
    with np.errstate(over="ignore"):
        greatest = np.exp(np.log(law.density).sum(axis=1) * (1.0 + SLACK))
        return probability(volume * greatest)


@cache
def _digits(count: int) -> NDArray[np.int8]:
    """(3^count, count): the states of the recursion.

    Of each input: 0 it is in S, 1 it was removed at y_j = 0, 2 it was removed at y_j = b_j.
    """
    return np.stack([np.arange(3**count) // 3**j % 3 for j in range(count)], axis=1, dtype=np.int8)


def _compiled(function: _Loop) -> _Loop:
    """Compile on first use; the result is cached (NUMBA_CACHE_DIR moves the cache)."""
    return cast(_Loop, njit(nogil=True, cache=True, error_model="numpy")(function))


@_compiled
def _volumes(excess: Float, spread: Float, digits: NDArray[np.int8], volume: Float) -> None:
    """Evaluate the recursion from the last state, in which no input is left, to the first."""
    states, count = digits.shape
    value = np.empty(states)
    for row in range(len(excess)):
        h, b = excess[row], spread[row]
        for state in range(states - 1, -1, -1):
            shift = total = 0.0
            left = 0
            for j in range(count):
                if digits[state, j] == 2:
                    shift += b[j]
                elif digits[state, j] == 0:
                    total += b[j]
                    left += 1
            # The shift is rounded by less than 2^-49 of h wherever it matters.
            x = h - shift + 2.0**-48 * h
            if x <= 0.0:
                value[state] = 0.0
            elif x >= total:
                value[state] = 1.0
            else:
                t = min(1.0, x / total * (1.0 + 2.0**-48))
                mean, step = 0.0, 1
                for j in range(count):
                    if digits[state, j] == 0:
                        mean += t * value[state + step] + (1.0 - t) * value[state + 2 * step]
                    step *= 3
                value[state] = mean / left
        # At most 8 levels of at most 32 roundings each, all of positive numbers.
        volume[row] = min(1.0, value[0] * (1.0 + 2.0**-44))
