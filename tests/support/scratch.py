"""A pair whose divergence is known, d(x) = max(0, x - 1/2) / 10 on [0, 1], and claims on it."""

from pathlib import Path

import numpy as np
from networks import write_mlp

REGION = '{"lower": [0], "upper": [1], "names": ["speed"], "units": ["m/s"]}'


def network(path: Path, slope: float, **metadata: str) -> Path:
    """Writes y = relu(x + 1) + slope relu(x - 1/2)."""
    layers = [
        (np.array([[1.0], [1.0]]), np.array([1.0, -0.5])),
        (np.array([[1.0, slope]]), np.array([0.0])),
    ]
    return write_mlp(path, layers, **metadata)


PASSING = "  { name = 'everywhere', tolerance = 0.06 },\n"
REFUTED = "  { name = 'too strict', tolerance = 0.04 },\n"
INCONCLUSIVE = (
    "  { name = 'no budget', tolerance = 0.025, max_violation = 0.24, boxes = 1, samples = 50 },\n"
)
