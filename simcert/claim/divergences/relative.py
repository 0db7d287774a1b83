"""What a difference exceeds a share of the original's output by."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows
from simcert.errors import ClaimError


@dataclass(frozen=True)
class Relative(Divergence):
    """max_i max(0, |f_i − g_i| − r |f_i|): with the tolerance ε, |f_i − g_i| ≤ r |f_i| + ε.

    Since |f| = max(f, −f), for either sign s of δ_i = f_i − g_i

        s δ_i − r |f_i| = min(s δ_i − r f_i, s δ_i + r f_i),

    so δ_i and δ_i ± r f_i are the functions whose bounds are needed: the least of their upper
    bounds is one of the minimum. It loses nothing where f_i keeps its sign.

    Attributes:
        share: r.

    Raises:
        ClaimError: a share that is not positive and finite.
    """

    share: float
    name = "relative"
    unit = "output units"

    def __post_init__(self) -> None:
        if not 0 < self.share < np.inf:
            raise ClaimError(f"{self.name}: share={self.share} must be positive and finite")

    @property
    def spec(self) -> str:
        """Name and share."""
        return f"{self.name}:share={self.share!r}"

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """What the largest difference exceeds the share by."""
        return f"max_i(|{f} − {g}| − {self.share} |{f}|)⁺"

    def rows(self, outputs: int) -> Rows:
        """δ_i for every output, then δ_i − r f_i, then δ_i + r f_i."""
        self.check(outputs)
        one = np.eye(outputs)
        share = np.vstack([np.zeros_like(one), -self.share * one, self.share * one])
        return Rows(share, np.zeros_like(share), np.vstack([one, one, one]))

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """One term for each output and sign of δ_i: its three functions exceed ε."""
        outputs = magnitudes.shape[1] // 3
        own = np.hstack([np.eye(outputs, dtype=bool)] * 3)
        terms = np.block([[own, np.zeros_like(own)], [np.zeros_like(own), own]])
        return Cover(terms, np.full((len(magnitudes), 6 * outputs), tolerance))

    def _evaluate(self, f: Float, g: Float) -> Float:
        excess = np.abs(f - g) - self.share * np.abs(f)
        return np.asarray(np.maximum(excess.max(axis=1), 0.0))

    def _upper(self, lower: Float, upper: Float) -> Float:
        return _greatest_of_least(upper, -lower, 3)

    def _lower(self, lower: Float, upper: Float) -> Float:
        # Without δ_i itself: it is never the least.
        outputs = lower.shape[1] // 3
        return _greatest_of_least(lower[:, outputs:], -upper[:, outputs:], 2)


def _greatest_of_least(positive: Float, negative: Float, functions: int) -> Float:
    """For each box the largest value, at least 0, of an output for either sign of δ.

    Args:
        positive: (B, functions · outputs), for δ_i.
        negative: (B, functions · outputs), for −δ_i.
        functions: how many each output has.
    """
    values = [
        side.reshape(len(side), functions, -1).min(axis=1).max(axis=1)
        for side in (positive, negative)
    ]
    return np.asarray(np.maximum(np.maximum(*values), 0.0))
