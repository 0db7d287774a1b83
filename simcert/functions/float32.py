"""What a float32 runtime may be off by in one function."""

import torch
from torch import Tensor

ACCURACY = 2.0**-20
"""How exact elementary functions are assumed to be in a float32 runtime, relative to their scale.

An assumption and not a theorem: IEEE 754 asks nothing of them. ONNX Runtime's are within it on all
that the tests try (``tests/functions/test_float32.py``)."""

SMALLEST = 2.0**-126
"""The smallest normal number: what an argument or a result may lose to flushing."""

LARGEST = 2.0**127
"""Results below this cannot overflow, rounding included."""


def flushed(lower: Tensor, upper: Tensor) -> Tensor:
    """Return by how much an argument in [lower, upper] is off where it may be flushed to 0."""
    subnormal = (lower < SMALLEST) & (upper > -SMALLEST) & ((lower != 0) | (upper != 0))
    return torch.where(subnormal, SMALLEST, 0.0).to(lower.dtype)


def rounded(size: Tensor) -> Tensor:
    """Return the error of a result of a given size; infinite where it may overflow."""
    error = ACCURACY * size + SMALLEST
    return torch.where(size < LARGEST, error, torch.inf)
