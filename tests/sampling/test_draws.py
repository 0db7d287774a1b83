"""Draws are the same for everyone, follow the masses exactly, and stay in their leaves."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare

from simcert.sampling import Draws, Leaves, Remainder, Sampler
from simcert.sampling.draws import chunk_rows


def draws(remainder: Remainder, sampler: Sampler, **changes: int) -> Draws:
    return Draws(remainder.leaves, sampler, **({"seed": 5, "stream": 0, "rows": 64} | changes))


def test_chunks_depend_on_seed_stream_and_index_only(hybrid: Remainder, sampler: Sampler) -> None:
    one, other = draws(hybrid, sampler), draws(hybrid, sampler)
    third = one.chunk(3)
    assert np.array_equal(third, other.chunk(3))  # whatever was drawn before
    for different in (
        one.chunk(4),
        draws(hybrid, sampler, seed=6).chunk(3),
        draws(hybrid, sampler, stream=1).chunk(3),
    ):
        assert not np.array_equal(third, different)


def test_a_chunk_is_what_it_was(hybrid: Remainder, sampler: Sampler) -> None:
    """The scheme is part of every certificate: it must not change unnoticed."""
    first = draws(hybrid, sampler, seed=2024, rows=2).chunk(7)
    assert first.tolist() == PINNED


def test_leaves_are_chosen_by_mass(points: Callable[..., Remainder], sampler: Sampler) -> None:
    masses = [0.5, 0.0, 0.3, 1e-300, 0.2]
    remainder = points([0.0, 1.0, 2.0, 3.0, 4.0], masses)
    x = draws(remainder, sampler, rows=100_000).chunk(0)[:, 0]
    counts = np.bincount(x.astype(int), minlength=5)
    assert counts[1] == counts[3] == 0
    expected = 100_000 * np.array([0.5, 0.3, 0.2])
    assert chisquare(counts[[0, 2, 4]], expected).pvalue > 1e-6


def test_tickets_are_worth_at_least_the_masses(points: Callable[..., Remainder]) -> None:
    masses = [1.0 / 3.0, 0.1, 1e-30, 0.0, 0.56, 5e-324]
    leaves = points([0.0] * 6, masses).leaves
    worth = [Fraction(leaves.ticket) * int(tickets) for tickets in leaves.tickets]
    assert all(w >= Fraction(m) for w, m in zip(worth, masses, strict=True))
    assert worth[3] == 0
    assert sum(worth) <= Fraction(leaves.weight) <= Fraction(sum(masses)) * (1 + Fraction(1, 2**50))


def test_draws_lie_in_their_leaves_in_the_input_type(hybrid: Remainder, sampler: Sampler) -> None:
    x = draws(hybrid, sampler, rows=5000).chunk(0)
    assert x.dtype == np.float64
    assert np.array_equal(x, x.astype(np.float32))
    assert x[:, 0].min() >= 0.5
    assert x[:, 0].max() <= 0.9375


def test_a_law_that_leaves_its_leaf_is_refused(hybrid: Remainder) -> None:
    class Wrong:
        def sample(self, *arguments: object) -> object:
            lower = arguments[0]
            assert isinstance(lower, np.ndarray)
            return lower - 1.0

    with pytest.raises(ValueError, match="outside the leaves"):
        draws(hybrid, Wrong()).chunk(0)  # type: ignore[arg-type]


def test_chunks_are_bounded_in_memory() -> None:
    assert chunk_rows(1) == chunk_rows(5) == chunk_rows(128) == 8192
    assert chunk_rows(784) == 1024
    assert chunk_rows(3 * 224 * 224) == 4
    assert chunk_rows(10**9) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("masses", [-0.1, 1.0], "masses"),
        ("masses", [0.0, 0.0], "masses"),
        ("masses", [np.nan, 1.0], "masses"),
        ("masses", [np.inf, 1.0], "masses"),
        ("masses", [1.0], "fit together"),
        ("lower", [[2.0], [0.0]], "empty"),
        ("lower", [[np.nan], [0.0]], "empty"),
        ("box", [0, 1], "box"),
        ("ranges", [-1.0, 1.0], "bound of d"),
        ("ranges", [np.nan, 1.0], "bound of d"),
    ],
)
def test_leaves_are_validated(name: str, value: list[object], message: str) -> None:
    arrays: dict[str, object] = {
        "lower": [[0.0], [0.0]],
        "upper": [[1.0], [1.0]],
        "masses": [0.5, 0.5],
        "box": [0, 0],
        "box_lower": [[0.0]],
        "box_upper": [[1.0]],
        "ranges": [1.0, np.inf],
    }
    Leaves(**{key: np.array(array) for key, array in arrays.items()})
    with pytest.raises(ValueError, match=message):
        Leaves(**{key: np.array(array) for key, array in (arrays | {name: value}).items()})


PINNED = [[0.6673402786254883, 0.629076361656189], [0.628653347492218, 0.23246337473392487]]
