"""Seeded draws from the leaves, the same with any number of workers.

Draw number i comes from chunk i // rows, and each chunk has a generator of its own:

    Generator(Philox(SeedSequence(entropy=seed, spawn_key=(stream, chunk index))))

so chunks can be made in any order, by anyone, and a run of n draws is a prefix of every longer one.
The number of rows of a chunk is part of the scheme and depends on the number of inputs alone.

The draws are pseudo-random, and the distribution rounds their coordinates to the model's input
type: the guarantee is about the rounded draws.
"""

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simcert.sampling.remainder import Float, Leaves

MAX_ROWS = 8192
"""Most rows of a chunk: the runtime is fastest in batches of up to 10,000."""

CHUNK_VALUES = 2**20
"""Most values of a chunk (8 MiB): images come in fewer rows, and the clock is looked at often."""

_LARGE = 2**21


class Sampler(Protocol):
    """The part of a distribution that draws: conditioned on a leaf, row by row."""

    def sample(
        self,
        lower: Float,
        upper: Float,
        box_lower: Float,
        box_upper: Float,
        generator: np.random.Generator,
        count: int,
        dtype: DTypeLike,
    ) -> Float:
        """Return (count, inputs): row i from the law on box i, conditioned on leaf i, in ``dtype``.

        All four corners have shape (count, inputs); the values are widened to float64.
        """


def chunk_rows(inputs: int) -> int:
    """Rows of a chunk: the largest power of two within MAX_ROWS and CHUNK_VALUES, at least 1."""
    return min(MAX_ROWS, 1 << max(0, (CHUNK_VALUES // max(1, inputs)).bit_length() - 1))


class Draws:
    """Independent draws from the distribution conditioned on the union of the leaves.

    A leaf is chosen with probability proportional to its tickets (see ``Leaves``), exactly; then a
    point of it.

    Args:
        leaves: where to draw.
        sampler: the claim's distribution.
        seed: not negative.
        stream: not negative; streams of one seed are independent.
        rows: of a chunk.
        dtype: input type of the models, which draws are rounded to.
    """

    def __init__(
        self,
        leaves: Leaves,
        sampler: Sampler,
        *,
        seed: int,
        stream: int,
        rows: int,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._leaves = leaves
        self._sampler = sampler
        self._seed = seed
        self._stream = stream
        self._rows = rows
        self._dtype = np.dtype(dtype)
        self._cumulative = np.cumsum(leaves.tickets)
        # Of a single leaf every chunk reads the same corners.
        self._repeated: tuple[Float, ...] = ()
        if len(leaves) == 1:
            alone = self._corners(np.zeros(1, dtype=np.int64))
            self._repeated = tuple(np.repeat(corner, rows, axis=0) for corner in alone)
        # The C library returns what a chunk frees to the system, for some 400 page faults a chunk,
        # until it has seen a large block come and go. This one is never touched.
        np.empty(_LARGE)

    def chunk(self, index: int) -> Float:
        """Return chunk ``index``: (rows, inputs) float64.

        Raises:
            ValueError: the distribution returned a wrong shape, NaN, or a point outside its leaf.
        """
        sequence = np.random.SeedSequence(self._seed, spawn_key=(self._stream, index))
        generator = np.random.Generator(np.random.Philox(sequence))
        chosen = generator.integers(self._cumulative[-1], size=self._rows)
        corners = self._repeated
        if not corners:
            corners = self._corners(np.searchsorted(self._cumulative, chosen, side="right"))
        lower, upper, box_lower, box_upper = corners
        x = self._sampler.sample(
            lower, upper, box_lower, box_upper, generator, self._rows, self._dtype
        )
        if x.shape != lower.shape or not np.all((lower <= x) & (x <= upper)):
            raise ValueError("the distribution drew points outside the leaves")
        return x

    def _corners(self, leaf: NDArray[np.int64]) -> tuple[Float, Float, Float, Float]:
        """Return the corners of leaves (n,) and of their boxes, (n, inputs) each."""
        leaves, box = self._leaves, self._leaves.box.take(leaf)
        return (
            leaves.lower.take(leaf, axis=0),
            leaves.upper.take(leaf, axis=0),
            leaves.box_lower.take(box, axis=0),
            leaves.box_upper.take(box, axis=0),
        )
