"""How long the suite hunts, and from which seeds."""

import os
import zlib

import numpy as np

EFFORT = int(os.environ.get("SIMCERT_SOUNDNESS", "1"))
SEED = int(os.environ.get("SIMCERT_SOUNDNESS_SEED", "0"))
IS_LONG = EFFORT > 1 or SEED != 0


def generators(count: int, *names: object) -> list[np.random.Generator]:
    """Independent generators for the repetitions of a test, ``count`` times the effort."""
    name = zlib.crc32(repr(names).encode())
    seeds = np.random.SeedSequence([SEED, name]).spawn(count * EFFORT)
    return [np.random.default_rng(seed) for seed in seeds]
