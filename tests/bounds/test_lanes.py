"""Eight numbers as one value: what the compiled loops are written with does what it says."""

import numpy as np
import pytest
from numba import njit

from simcert.bounds.dense.lanes import (
    WIDTH,
    gather,
    larger,
    load,
    magnitude,
    number,
    single,
    smaller,
    spread,
    store,
    where_at_most,
    where_less,
)

_SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-310, 1e308, -3.0]


@njit
def _all(a, places, out):  # the numbers of ``a`` from 3 on, and from 11 on
    x, y = load(a, 3), load(a, 3 + WIDTH)
    results = (
        x + y,
        x - 2.5,
        2.5 / x,
        x * y,
        larger(x, y),
        smaller(x, y),
        magnitude(x),
        single(x),
        where_less(x, y, x, y),
        where_at_most(x, y, x, y),
        spread(number(a, 4)),
        gather(a, 2, places, 1),
    )
    for at, result in enumerate(results):
        store(out, at * WIDTH, result)


@pytest.mark.parametrize("special", [False, True])
def test_operations(special: bool) -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=3 + 2 * WIDTH)
    if special:
        a[3 : 3 + WIDTH], a[3 + WIDTH :] = _SPECIAL, generator.permutation(_SPECIAL)
    places = generator.integers(0, len(a) - 2, size=WIDTH + 1)
    out = np.zeros((12, WIDTH))
    _all(a, places, out)
    x, y = a[3 : 3 + WIDTH], a[3 + WIDTH :]
    with np.errstate(all="ignore"):
        expected = [
            x + y,
            x - 2.5,
            2.5 / x,
            x * y,
            np.where(x > y, x, y),
            np.where(x < y, x, y),
            np.abs(x),
            x.astype(np.float32).astype(np.float64),
            np.where(x < y, x, y),
            np.where(x <= y, x, y),
            np.full(WIDTH, a[4]),
            a[2 + places[1:]],
        ]
    np.testing.assert_array_equal(out, expected)
